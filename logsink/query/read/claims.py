"""What segments say of other objects, which must then be there: ``Claims``.

A segment names the last numbers that its receiver had stored in its other lanes, and the newest version of the table that it
knew of. So the loss of the newest segments of a lane, or of the newest commits, shows as soon as one segment is read that was
stored after them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from logsink.archive import Snapshot, commit_key
from logsink.damage import Damage
from logsink.journal import Segment, SegmentName, find_gaps


class Claims:
    """The furthest that segments say.

    lanes    ``appId`` -> last sequence that is said to be stored
    version  version of the table that is said to be there; -1: none
    """

    def __init__(self) -> None:
        self.lanes: dict[str, int] = {}
        self.version = -1

    def add(self, segment: Segment) -> None:
        """Take note of what a segment says."""
        self.version = max(self.version, segment.commit)
        for app_id, sequence in segment.stored.items():
            if sequence > self.lanes.get(app_id, 0):
                self.lanes[app_id] = sequence

    def hold(self, names: Iterable[SegmentName], snapshot: Snapshot) -> bool:
        """Return whether everything that is claimed is in the table or among these segments."""
        return snapshot.version >= self.version and not self._beyond(names, snapshot)

    def damage(self, names: Iterable[SegmentName], snapshot: Snapshot) -> Iterator[Damage]:
        """Yield what is missing, by a listing of the journal made after the claims and a snapshot that was loaded after that.

        Nothing can be said while the table's log is damaged, which is named anyway.
        """
        if not snapshot.intact:
            return
        listed = sorted(names)
        if snapshot.version < self.version:
            what = f"is missing: the log ends with version {snapshot.version}, and a receiver has seen {self.version}"
            yield Damage(commit_key(self.version), what)
        for app_id in self._beyond(listed, snapshot):
            lane = [name for name in listed if name.app_id == app_id]
            *_, last = find_gaps(lane, snapshot.reached, {app_id: self.lanes[app_id]})
            yield Damage(last.key, f"{last.verb} missing from the journal, and other segments of the receiver name it")

    def _beyond(self, names: Iterable[SegmentName], snapshot: Snapshot) -> list[str]:
        """Return the ``appId`` of each lane that does not reach as far as is claimed."""
        reached = {app_id: snapshot.last(app_id) for app_id in self.lanes}
        for name in names:
            if name.sequence > reached.get(name.app_id, name.sequence):
                reached[name.app_id] = name.sequence
        return [app_id for app_id, last in reached.items() if last < self.lanes[app_id]]
