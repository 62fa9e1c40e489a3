"""What a query has to read: the journal's tail beyond one version of the table, and the files that can hold an answer.

The order of two steps makes each row appear exactly once: the journal is listed *before* the table's snapshot is loaded. A
segment that was archived in between is in both, and the snapshot's txn says so. A segment that is archived later is only in
the listing: when it is gone by the time it is read, the query is planned again.

Numbers of a lane that are in neither are lost (``journal.gaps``). A listing is not one instant: that of a directory may hold a
segment that was stored while it went on, and not the one before. So a gap counts when a second listing has it, too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import NamedTuple

from logsink.archive import DataFile, DeltaLog, Snapshot
from logsink.damage import Damage
from logsink.errors import FormatError, NotFound
from logsink.journal import Gap, StoredSegment, find_gaps, list_segments
from logsink.query.read.losses import of_snapshot
from logsink.query.request import UNKNOWN, Bounds, Condition, Filter
from logsink.store import Store


class Plan(NamedTuple):
    """What a query reads: segments that ``snapshot`` does not cover, and the files of it that can hold a matching row.

    ``damage`` is what is known to be missing before anything is read. ``left``: path of a file -> the condition of those rows
    of it that are still to be read, where others need not be.
    """

    snapshot: Snapshot
    segments: Sequence[StoredSegment]
    files: Sequence[DataFile]
    damage: Sequence[Damage] = ()
    left: Mapping[str, Condition] = MappingProxyType({})

    def of(self, filter: Filter) -> Plan:
        """Return the plan of a query with another filter, for the same snapshot and segments."""
        files = self.snapshot.files.values()
        return self._replace(files=[file for file in files if filter.within(partial(file_bounds, file)) is not None])


async def make_plan(store: Store, filter: Filter, log: DeltaLog | None = None) -> Plan:
    """Return the plan of a query; ``log`` is that of the store's table, where the caller keeps it.

    ``NotFound`` when nothing was ever stored here: no version of the table, no segment, and no trace of either.
    """
    log = log or DeltaLog(store)
    beginning = asyncio.ensure_future(log.hint())  # meanwhile
    try:
        segments = await list_segments(store)
        snapshot = await _load(log, segments, await beginning)
    finally:
        beginning.cancel()
    gaps = _gaps(segments, snapshot)
    if gaps:
        segments = await list_segments(store)
        snapshot = await _load(log, segments)
        gaps = _in_both(gaps, _gaps(segments, snapshot))
    damage = (*of_snapshot(snapshot), *(gap.damage for gap in gaps))
    if not segments:
        require_store(store, snapshot, damage)
    tail = [segment for segment in segments if not snapshot.shows(segment.name)]
    return Plan(snapshot, tail, (), damage).of(filter)


def require_store(store: Store, snapshot: Snapshot, damage: Sequence[Damage]) -> None:
    """Raise ``NotFound`` when a snapshot shows that nothing was ever archived here; the journal has no segment."""
    if snapshot.version < 0 and not damage:
        hint = "a receiver makes it when it starts; look at --store, LOGSINK_STORE and the settings file"
        raise NotFound(f"cannot find a logsink store at {store.url}", hint=hint)


async def _load(log: DeltaLog, segments: Sequence[StoredSegment], hint: int | None = None) -> Snapshot:
    """Return the table as it is now, with all that is known of the receivers of these segments."""
    return await log.wake(await log.load(hint), {segment.name.receiver for segment in segments})


def _gaps(segments: Sequence[StoredSegment], snapshot: Snapshot) -> list[Gap]:
    """Return the gaps of the lanes.

    While the table's log is damaged, segments before the first of a lane may be archived, for all that anybody knows.
    """
    gaps = find_gaps((segment.name for segment in segments), snapshot.reached)
    if snapshot.intact:
        return gaps
    first = {segment.name.app_id: segment.name.sequence for segment in reversed(segments)}
    return [gap for gap in gaps if gap.first > first[gap.app_id]]


def _in_both(gaps: Sequence[Gap], others: Sequence[Gap]) -> list[Gap]:
    """Return the numbers that are in gaps of both, as gaps."""
    return [
        gap._replace(first=max(gap.first, other.first), last=min(gap.last, other.last))
        for gap in gaps
        for other in others
        if gap.app_id == other.app_id and gap.first <= other.last and other.first <= gap.last
    ]


def file_bounds(file: DataFile, column: str) -> Bounds:
    """Return what the table's log tells about a column of a file: nothing, where its statistics cannot be read."""
    try:
        stats = file.stats
    except FormatError:
        return UNKNOWN
    low, high, nulls = stats.minimum.get(column), stats.maximum.get(column), stats.nulls.get(column)
    return UNKNOWN if low is None and high is None and nulls is None else Bounds(low, high, nulls)
