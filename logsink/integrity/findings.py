"""What a verification finds, and how far it has come."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from logsink.damage import Damage

REPAIR: Final = "`logsink repair --apply`"
"""The verb that mends what is damaged."""

RESTORE: Final = f"put it back from a backup or an earlier version, else {REPAIR} records it as lost"


SAVE: Final = f"save what the disk can read of it and put that back; else move it away, and {REPAIR} records it as lost"


class Finding(NamedTuple):
    """One damage, and what to do about it.

    ``part``: ``marker``, ``journal``, ``log``, ``files``, ``lanes``, ``ledgers``, ``dates`` (a ledger says otherwise) or
    ``index``.
    """

    part: str
    damage: Damage
    remedy: str = REPAIR


class Loss(NamedTuple):
    """An object, or a range of segments, that the table's log records as lost; ``rows``: None where nobody knows.

    ``accepted``: an operator has said, by a repair, that it need not be named by queries any more.
    """

    key: str
    rows: int | None
    accepted: bool


@dataclass
class Progress:
    """How far a verification or repair has come, for whoever shows that: objects, or bytes with ``deep``."""

    total: int = 0
    done: int = 0


@dataclass
class Verified:
    """The result of a verification. The store is intact when nothing is in ``damages``.

    losses     what the table's log records as lost
    notes      what is strange, and no damage: objects that nothing refers to
    version    version of the table, -1 when there is none
    segments, commits, checkpoints, files, rows, nbytes: what was checked; ``nbytes`` of data files
    unproved   data files of older versions, which carry no checksums
    deep       whether data files were read whole
    """

    damages: list[Finding] = field(default_factory=list)
    losses: Sequence[Loss] = ()
    notes: list[str] = field(default_factory=list)
    version: int = -1
    segments: int = 0
    commits: int = 0
    checkpoints: int = 0
    files: int = 0
    rows: int = 0
    nbytes: int = 0
    unproved: int = 0
    deep: bool = False
    _named: set[tuple[str, str]] = field(default_factory=set, repr=False)

    @property
    def intact(self) -> bool:
        return not self.damages

    def add(self, part: str, key: str, what: str, *, rows: int | None = None, remedy: str = REPAIR) -> None:
        """Add a damage, once."""
        if (key, what) not in self._named:
            self._named.add((key, what))
            self.damages.append(Finding(part, Damage(key, what, rows), remedy))
