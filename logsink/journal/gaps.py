"""Gaps in the journal's lanes: numbers that must be stored, because later ones are, and are not. Their rows are lost.

A lane stores number n + 1 only after n is stored (I2), and a segment is deleted only when its rows are in the table. So, where
the journal was listed *before* the table's snapshot was loaded, the numbers of a lane that are listed and above its ``txn``
begin right after that and go on without a gap.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from logsink.damage import Damage
from logsink.journal.segment import PREFIX, SegmentName


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


def find_gaps(stored: Iterable[SegmentName], txn: Mapping[str, int]) -> list[Gap]:
    """Return the gaps of every lane, from a listing (sorted by receiver, lane and sequence) and the table's ``txn``."""
    last: dict[str, int] = {}
    found = []
    for name in stored:
        before = last.get(name.app_id, txn.get(name.app_id, 0))
        if name.sequence > before + 1:
            found.append(Gap(name.receiver, name.lane, before + 1, name.sequence - 1))
        last[name.app_id] = max(before, name.sequence)
    return found
