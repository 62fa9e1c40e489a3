"""Coverage: the proof, from an intact snapshot, that rows need not be kept where they are, because the table holds them.

A lane's txn alone is no proof: it only says that a commit once moved the lane. The data files' tags say which sequences of
which lanes they hold (``lanes``). So the rows of a segment are known to be elsewhere when

- a live file holds them, or
- a file held them that left the table, by retention or merged into another one, and whose tombstone says so, or
- the log records them as lost.

Files that an older logsink wrote have no tags. Of a lane that no tag mentions, the txn decides as it did before; also of one
that is mentioned, where there is a file without tags that may hold other sequences of it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from logsink.archive.lanes import TAG, Interval, Lanes, covers, missing, parse, union
from logsink.archive.snapshot import Snapshot
from logsink.errors import Damaged, FormatError
from logsink.journal import Gap, SegmentName

UNPROVED = "the table's log says that its rows are archived, and no data file holds them"
UNPROVED_HINT = "`logsink verify` names what is damaged; the segment stays in the journal"

_MANY = 50
"""Receivers from which on reading every tag takes less time than looking for each of them in it."""


class Coverage:
    """What an intact ``snapshot`` proves about the lanes of ``receivers`` (None: of all).

    Dormant lanes must have been looked up (``Snapshot.last``). Raises ``Damaged`` when the snapshot is not intact.
    """

    def __init__(self, snapshot: Snapshot, receivers: Collection[str] | None = None) -> None:
        if not snapshot.intact:
            raise Damaged(f"cannot rely on the table's log: {snapshot.damage[0]}")
        tagged = {file.path: dict(file.tags).get(TAG) for file in snapshot.files.values()}
        tagged |= {path: dict(snapshot.removed.get(path, ())).get(TAG) for path in snapshot.tombstones}
        tags = [text for text in tagged.values() if text is not None]
        if receivers is not None and len(receivers) < _MANY:
            tags = [text for text in tags if any(receiver in text for receiver in receivers)]
        self._last = snapshot.last
        self._held = union(*_readable(tags))
        self._lost = lost_lanes(snapshot.lost)
        self._older = {receiver_of_file(path) for path, text in tagged.items() if text is None}
        self._proved: dict[str, Lanes] = {}

    def proves(self, name: SegmentName) -> bool:
        """Return whether the rows of this segment are in the table, or were, or are recorded as lost."""
        return name.sequence <= self._last(name.app_id) and covers(self._lane(name.app_id), name.app_id, name.sequence)

    def unproved(self, lane: str, first: int, last: int) -> Iterator[Interval]:
        """Yield the intervals between ``first`` and ``last`` of a lane (its ``appId``) that are not proved, in order."""
        return missing(self._lane(lane), lane, first, last)

    def _lane(self, lane: str) -> Lanes:
        if lane not in self._proved:
            known = self._held.get(lane, ())
            if not known or not self._older.isdisjoint((lane.rpartition(".")[0], "")):
                known = ((1, last),) if (last := self._last(lane)) else ()
            self._proved[lane] = union({lane: known}, {lane: self._lost.get(lane, ())})
        return self._proved[lane]


def lost_lanes(keys: Iterable[str]) -> Lanes:
    """Return the sequences of segments that are recorded as lost by these keys. Keys of other objects are passed over."""
    gaps = [gap for key in keys if (gap := Gap.from_key(key)) is not None]
    return union(*({gap.app_id: [(gap.first, gap.last)]} for gap in gaps))


def _readable(tags: Iterable[str]) -> Iterator[Lanes]:
    """Yield what the tags say. One that cannot be read, of a newer logsink perhaps, proves nothing."""
    for text in tags:
        try:
            yield parse(text)
        except FormatError:
            continue


def receiver_of_file(path: str) -> str:
    """Return the receiver whose rows a data file holds, as its name says; '' for a file of many receivers."""
    parts = path.rpartition("/")[2].rsplit("-", 3)
    return parts[0] if len(parts) == 4 else ""
