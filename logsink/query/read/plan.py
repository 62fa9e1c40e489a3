"""What a query has to look at: the journal's tail beyond one version of the table, and the files that may hold an answer.

The order is what makes each row appear exactly once (invariant I8): the journal is listed *before* the table's snapshot is
loaded. A segment that was archived in between stands in both, and the snapshot's txn says so; one archived later stands in
the listing only, and is gone or not when it is read. Gone means: plan again.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from logsink.archive import DataFile, DeltaLog, Snapshot
from logsink.errors import NotFound
from logsink.journal import StoredSegment, list_segments
from logsink.query.request import UNKNOWN, Bounds, Filter
from logsink.store import Store


class Plan(NamedTuple):
    """What is to be read. ``files`` are those of ``snapshot`` that the filter does not exclude."""

    snapshot: Snapshot
    segments: Sequence[StoredSegment]
    files: Sequence[DataFile]

    def of(self, filter: Filter) -> Plan:
        """The plan of another query at the same moment."""
        files = self.snapshot.files.values()
        return self._replace(files=[file for file in files if filter.within(partial(file_bounds, file)) is not None])


async def make_plan(store: Store, filter: Filter) -> Plan:
    """Plan one query. ``NotFound`` when nothing was ever stored here: no version 0 of the table, no segment."""
    segments = await list_segments(store)
    snapshot = await DeltaLog(store).load()
    if snapshot.version < 0 and not segments:
        hint = (
            "a receiver makes it with the first message it stores; look at --store, LOGSINK_STORE and the settings file"
        )
        raise NotFound(f"cannot find a logsink store at {store.url}", hint=hint)
    tail = [segment for segment in segments if not snapshot.covers(segment.name)]
    return Plan(snapshot, tail, ()).of(filter)


def file_bounds(file: DataFile, column: str) -> Bounds:
    """What the table's log says of a column of this file."""
    stats = file.stats
    low, high, nulls = stats.minimum.get(column), stats.maximum.get(column), stats.nulls.get(column)
    return UNKNOWN if low is None and high is None and nulls is None else Bounds(low, high, nulls)
