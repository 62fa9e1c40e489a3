"""Gaps in the journal's lanes: numbers that must be stored, because later ones are, and are not. Their rows are lost.

A lane stores number n + 1 only after n is stored (I2), and a segment is deleted only when its rows are in the table. So, where
the journal was listed *before* the table's snapshot was loaded, the numbers of a lane that are listed and above its ``txn``
begin right after that and go on without a gap.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple, Self

from logsink.damage import Damage
from logsink.journal.segment import PREFIX, SegmentName

_KEY = re.compile(PREFIX + r"([A-Za-z0-9-]+)/([0-9]+)/([0-9]{20})(?:\.arrow|-([0-9]{20}))")

_NOTHING: Mapping[str, int] = MappingProxyType({})


class Gap(NamedTuple):
    """Numbers ``first`` to ``last`` of a lane, which are lost."""

    receiver: str
    lane: int
    first: int
    last: int

    @property
    def key(self) -> str:
        """The key of the lost segment; of several: ``journal/<receiver>/<lane>/<first>-<last>``."""
        if self.first == self.last:
            return SegmentName(self.receiver, self.lane, self.first).key
        return f"{PREFIX}{self.receiver}/{self.lane}/{self.first:020d}-{self.last:020d}"

    @classmethod
    def of(cls, app_id: str, first: int, last: int) -> Self:
        """Return the gap of a lane that is known by its ``appId``."""
        receiver, _, lane = app_id.rpartition(".")
        return cls(receiver, int(lane), first, last)

    @classmethod
    def from_key(cls, key: str) -> Self | None:
        """Return the gap that ``key`` spells, or None when it is the key of something else."""
        match = _KEY.fullmatch(key)
        return cls(match[1], int(match[2]), int(match[3]), int(match[4] or match[3])) if match else None

    @property
    def app_id(self) -> str:
        """The ``appId`` of the lane."""
        return f"{self.receiver}.{self.lane}"

    @property
    def damage(self) -> Damage:
        """What to say about it."""
        return Damage(self.key, f"{self.verb} missing from the journal, and later segments of the lane are there")

    @property
    def verb(self) -> str:
        """``is`` or ``are``, to follow its key."""
        return "is" if self.first == self.last else "are"


def find_gaps(listed: Iterable[SegmentName], txn: Mapping[str, int], stored: Mapping[str, int] = _NOTHING) -> list[Gap]:
    """Return the gaps of every lane, sorted, from a listing (sorted by receiver, lane and sequence) and the table's ``txn``.

    ``stored``: ``appId`` -> a number that is known to have been stored in that lane, whether it is listed or not.
    """
    reached: dict[str, int] = {}
    found = []
    for name in listed:
        before = reached.get(name.app_id, txn.get(name.app_id, 0))
        if name.sequence > before + 1:
            found.append(Gap(name.receiver, name.lane, before + 1, name.sequence - 1))
        reached[name.app_id] = max(before, name.sequence)
    for app_id, sequence in stored.items():
        before = reached.get(app_id, txn.get(app_id, 0))
        if sequence > before:
            found.append(Gap.of(app_id, before + 1, sequence))
    return sorted(found)
