"""Rows that are stored from a cursor on: each once, in the order in which its receiver read it.

A cursor (``cursor``) is a vector: for each lane the last sequence that was read, for each receiver the time of its last read.
New rows are in the journal's segments beyond it. A segment is handed out when all segments of its receiver before it have been
(``ordinal``), which is when their senders have been told that they are stored. A segment that does not come for ``PATIENCE`` is
not waited for: its receiver died, or its PUT takes long, and then it is handed out when it comes.

A cursor names the objects of dormant lanes (``archive.dormant``) that it has passed, in place of their lanes.

A segment may be archived and deleted before it was read: when this process was suspended, or its reader was slow. Then the lane
has a gap, and the rows come from the archive: those of that receiver with a later time of receipt, which only grows within a
receiver.

What is damaged or missing is named in the report, once, and the rest goes on: a segment that cannot be read, and sequences of a
lane that were passed although neither the journal nor the archive has them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Iterable, Iterator, Mapping
from contextlib import aclosing, suppress
from typing import Any, Final

import numpy as np
import pyarrow as pa

from logsink.archive import DORMANT, DeltaLog, Snapshot, born, read_dormant, receiver_of
from logsink.damage import Damage
from logsink.errors import FormatError, NotFound
from logsink.journal import Segment, SegmentName, StoredSegment, find_gaps, list_segments, read_segment
from logsink.parse import Frames
from logsink.query.columns import as_array, as_integers, joined
from logsink.query.order import DEDUPE_COLUMNS, ROW_KEY, Dedupe
from logsink.query.read import (
    Claims,
    Losses,
    Plan,
    Report,
    Tuning,
    of_error,
    of_snapshot,
    parse_readable,
    prefetched,
    require_store,
    search,
    sift,
)
from logsink.query.request import Between, Filter, OneOf, Query
from logsink.query.views.cursor import Cursor
from logsink.store import CountingStore, Store

PATIENCE: Final = 5.0
"""Seconds that a missing segment is waited for before those after it are handed out."""

ARCHIVE_CHECK: Final = 20.0
"""Seconds after which the archive is checked although there is no gap; segments are deleted a minute after their commit."""

TABLE_ROWS: Final = 16_384
"""The most rows of a table that is handed out."""

PARALLEL_READS: Final = 8
"""Segments that are read at once."""

MOST_LATE: Final = 1000
"""The most segments of one receiver that may still come late, after they were waited for in vain."""

_EARLIEST: Final = -(1 << 60)
"""A time of receipt before all others."""


class Follower:
    """The rows that ``query`` finds beyond ``cursor``, which moves on with them; limit and order of the query mean nothing.

    Copies are looked for among these rows only. One reader at a time. The report counts the rows and what was read for them,
    and names what is damaged or missing.
    """

    def __init__(self, store: Store, query: Query, cursor: Cursor, tuning: Tuning | None = None) -> None:
        self.cursor = cursor
        self.report = Report(began=time.time())
        self._tuning = tuning
        self._store, self._query = CountingStore(store, self.report), query
        self._dedupe = Dedupe(descending=False) if query.dedupe else None
        needed = (*ROW_KEY, *DEDUPE_COLUMNS) if query.dedupe else ("received",)
        self._columns = tuple(dict.fromkeys((*needed, *query.columns)))
        self._missed: dict[str, float] = {}
        """By receiver, when its next segment was first missed."""
        self._late: set[tuple[str, int]] = set()
        """Receivers and ordinals of segments that were waited for in vain."""
        self._archived: dict[str, int] = {}
        """By receiver, the time of receipt up to which its rows were read from the archive."""
        self._archive_checked = time.monotonic()
        self._damaged: set[SegmentName] = set()
        """Segments that cannot be read; they are tried once."""
        self._skipped: list[tuple[str, int, int]] = []
        """Lane, first and last sequence of segments that the cursor has passed, to be looked for in the archive."""
        self._claims, self._checked = Claims(), Claims()
        """What segments have said that were read since the last check, and what was checked."""
        self._log = DeltaLog(self._store)
        self._losses = Losses(self._log)

    async def settle(self, plan: Plan) -> None:
        """Complete the cursor: read from the last segments of a plan how far their receivers have come."""
        last = {stored.name.app_id: stored for stored in plan.segments}  # they are in order of their sequences
        for segment in await asyncio.gather(*(self._read(stored) for stored in last.values())):
            if segment is not None:
                self._advance(segment)

    async def poll(self, *, check_archive: bool = False) -> AsyncGenerator[pa.Table, None]:
        """Yield what is new, in order, and end. ``check_archive``: look at the archive, too, although nothing seems missing.

        ``NotFound`` when that shows that there is no store.
        """
        listed = await list_segments(self._store)
        await self._recall(stored.name.app_id for stored in listed)
        fresh = [stored for stored in listed if self._is_new(stored)]
        if check_archive or time.monotonic() - self._archive_checked > ARCHIVE_CHECK or self._has_gap(fresh):
            async with aclosing(self._from_archive(fresh, some=bool(listed))) as found:
                async for rows in found:
                    yield rows
        async with aclosing(self._segments(self._left(fresh))) as found:
            segments = [segment async for segment in found]
        if None in segments:  # archived and deleted after the journal was listed
            self._archive_checked = float("-inf")
        ready = self._ready([segment for segment in segments if segment])
        for rows in await asyncio.to_thread(self._rows, ready):
            yield rows
        if self._skipped:
            await self._name_missing()
        await self._check_claims(stored.name for stored in fresh)

    # Segments of the journal

    async def _segments(self, stored: Iterable[StoredSegment]) -> AsyncGenerator[Segment | None, None]:
        """Yield the segments, several of which are read at once; None for one that is gone."""
        left = iter(stored)

        def job() -> Coroutine[Any, Any, Segment | None] | None:
            one = next(left, None)
            return None if one is None else self._read(one)

        async with aclosing(prefetched(job, lambda _: PARALLEL_READS)) as results:
            async for segment in results:
                yield segment

    async def _read(self, stored: StoredSegment) -> Segment | None:
        try:
            segment = await read_segment(self._store, stored.name)
        except (FormatError, NotFound) as error:
            with suppress(NotFound):  # it was archived
                self.report.note(await self._losses.of_segment(stored.name, error))
                self._damaged.add(stored.name)
            return None
        self._claims.add(segment)
        return segment

    def _seen(self, stored: StoredSegment) -> int:
        """Return the last sequence of the segment's lane that was read."""
        return self.cursor.lanes.get(stored.name.app_id, 0)

    def _is_new(self, stored: StoredSegment) -> bool:
        return stored.name.sequence > self._seen(stored)

    def _left(self, fresh: Iterable[StoredSegment]) -> Iterator[StoredSegment]:
        """Yield the segments that are still to be read."""
        return (stored for stored in fresh if self._is_new(stored) and stored.name not in self._damaged)

    def _has_gap(self, fresh: Iterable[StoredSegment]) -> bool:
        """Return whether a lane's next segment is missing although later ones are there."""
        first: dict[str, StoredSegment] = {}
        for stored in fresh:
            first.setdefault(stored.name.app_id, stored)
        return any(stored.name.sequence > self._seen(stored) + 1 for stored in first.values())

    def _ready(self, segments: Iterable[Segment]) -> list[tuple[Segment, int]]:
        """Return the segments whose turn it is, in order, each with the time of receipt after which its rows are new."""
        ready: list[tuple[Segment, int]] = []
        waiting: set[str] = set()
        now = time.monotonic()
        for segment in sorted(segments, key=lambda s: (s.name.receiver, s.ordinal, s.name.lane, s.name.sequence)):
            receiver, ordinal = segment.name.receiver, segment.ordinal
            if receiver in waiting:
                continue
            late = (receiver, ordinal) in self._late
            expected = self._expected(segment)
            if ordinal > expected and not late:
                if now - self._missed.setdefault(receiver, now) < PATIENCE:
                    waiting.add(receiver)
                    continue
                first = max(expected, ordinal - MOST_LATE)
                self._late.update((receiver, missing) for missing in range(first, ordinal))
            ready.append((segment, _EARLIEST if late else self._archived.get(receiver, _EARLIEST)))
            self._advance(segment)
        return ready

    def _expected(self, segment: Segment) -> int:
        """Return the ordinal of the segment whose turn it is among those of a segment's receiver.

        Where that is not known, it is this segment's, unless its lane has a gap before it: the listing of a directory to which
        a lane writes may hold a later segment of it and not an earlier one.
        """
        receiver, app_id, sequence = segment.name.receiver, segment.name.app_id, segment.name.sequence
        last = self.cursor.ordinals.get(receiver)
        if last is not None:
            return last + 1
        if receiver not in self.cursor.reads:
            return 1
        return segment.ordinal - (sequence > self.cursor.lanes.get(app_id, 0) + 1)

    def _advance(self, segment: Segment) -> None:
        """Move the cursor beyond a segment."""
        name, cursor = segment.name, self.cursor
        first, last = cursor.lanes.get(name.app_id, 0) + 1, name.sequence - 1
        if first <= last:
            self._skipped.append((name.app_id, first, last))
        cursor.advance_lane(name.app_id, name.sequence)
        if len(segment.frames):
            cursor.advance_read(name.receiver, int(segment.frames.received[-1]))
        cursor.ordinals[name.receiver] = max(cursor.ordinals.get(name.receiver, 0), segment.ordinal)
        self._missed.pop(name.receiver, None)
        self._late.discard((name.receiver, segment.ordinal))

    def _rows(self, segments: Iterable[tuple[Segment, int]]) -> list[pa.Table]:
        """Return the rows of these segments that the query finds, by time of receipt; rows of one read keep their order."""
        sifted = [_received_after(sift(segment, self._query.filter), after) for segment, after in segments]
        rows, failed = parse_readable(sifted, self._query.filter, self._columns)
        for name, error in failed:
            self.report.note(of_error(name.key, error))
        order = as_integers(rows.column("received")).argsort(kind="stable")
        return self._counted(rows.take(as_array(order)))

    def _counted(self, rows: pa.Table) -> list[pa.Table]:
        """Leave out copies, if that is wanted, count rows that are handed out, and divide them into tables."""
        if self._dedupe is not None:
            rows = self._dedupe(rows)
            self.report.hidden, self.report.apart = self._dedupe.hidden, self._dedupe.apart
        self.report.rows += rows.num_rows
        return [rows.slice(start, TABLE_ROWS) for start in range(0, rows.num_rows, TABLE_ROWS)]

    async def _name_missing(self) -> None:
        """Note segments that were skipped and that the archive does not have either."""
        skipped = tuple(self._skipped)
        snapshot = await self._losses.snapshot({receiver_of(app_id) for app_id, _, _ in skipped})
        del self._skipped[: len(skipped)]
        for app_id, first, last in skipped:
            there = sorted(name for name in self._damaged if name.app_id == app_id and first <= name.sequence <= last)
            covered = max(first - 1, snapshot.last(app_id))
            self._note(gap.damage for gap in find_gaps(there, {app_id: covered}, {app_id: last}))

    async def _check_claims(self, fresh: Iterable[SegmentName]) -> None:
        """Note what segments have named, and is not there."""
        claims, checked = self._claims, self._checked
        known = {lane: max(self.cursor.lanes.get(lane, 0), checked.lanes.get(lane, 0)) for lane in claims.lanes}
        if not claims.hold(fresh, Snapshot(checked.version, txn=known)):
            self._note(await self._losses.of_claims(claims))
            checked.version = max(checked.version, claims.version)
            checked.lanes.update(claims.lanes)
        self._claims = Claims()

    # Rows of the archive

    async def _from_archive(self, fresh: Iterable[StoredSegment], *, some: bool) -> AsyncGenerator[pa.Table, None]:
        """Yield the rows whose segments were archived and deleted before they were read. ``some``: there are segments."""
        began, self._archive_checked = time.monotonic(), float("-inf")  # if the store fails, the next poll looks again
        snapshot = await self._log.load()
        self._note(of_snapshot(snapshot))
        if not some:
            require_store(self._store, snapshot, self.report.damage)
        reached = await self._reached(snapshot)
        there = {(stored.name.app_id, stored.name.sequence) for stored in fresh}
        for receiver in sorted({receiver_of(app_id) for app_id in reached}):
            if not self._misses(reached, receiver, there):
                continue
            after = self.cursor.reads.get(receiver, _EARLIEST)
            of_receiver = (OneOf("receiver", (receiver,)), Between("received", after + 1, None))
            query = Query(Filter((*self._query.filter.conditions, *of_receiver)), self._columns, sort="received")
            async with aclosing(search(self._store, query, self._tuning, journal=False)) as found:
                async for rows in _whole_reads(found):
                    for part in self._counted(rows.select(self._columns)):
                        yield part
                    # from here on it goes on if the store fails
                    newest = int(as_integers(rows.column("received"))[-1])
                    self.cursor.advance_read(receiver, newest)
                    self._archived[receiver] = max(self._archived.get(receiver, newest), newest)
            self._note(found.report.damage)
            for app_id, covered in reached.items():
                if receiver_of(app_id) == receiver:
                    self.cursor.advance_lane(app_id, covered)
            self.cursor.reads.setdefault(receiver, _EARLIEST)
            self.cursor.ordinals.pop(receiver, None)
        self.cursor.pass_dormant(snapshot.dormant)
        self._archive_checked = began

    async def _reached(self, snapshot: Snapshot) -> Mapping[str, int]:
        """Return how far lanes are in the table, those included that were made dormant since the cursor was made."""
        passed = self.cursor.dormant
        found, damage = await read_dormant(self._store, [name for name in snapshot.dormant if name not in passed])
        self._note(damage)
        lanes = {app_id: last for positions in found.values() for app_id, last in positions.items()}
        reached = {**lanes, **snapshot.txn}
        await self._recall(reached)
        return reached

    async def _recall(self, app_ids: Iterable[str]) -> None:
        """Have the cursor say how far it has read these lanes, where it does not because they were dormant when it was made."""
        passed = self.cursor.dormant
        newest = max(passed.values(), default=-1)
        unknown = [
            app_id for app_id in app_ids if app_id not in self.cursor.lanes and 0 <= born(receiver_of(app_id)) <= newest
        ]
        if not unknown:
            return
        found, damage = await read_dormant(self._store, list(passed))
        self._note(damage)
        for app_id in unknown:
            receiver = receiver_of(app_id)
            self.cursor.advance_lane(app_id, found.get(receiver, {}).get(app_id, 0))
            if receiver in found or damage:
                self.cursor.reads.setdefault(receiver, self.cursor.reads.get(DORMANT, _EARLIEST))

    def _note(self, found: Iterable[Damage]) -> None:
        for damage in found:
            self.report.note(damage)

    def _misses(self, reached: Mapping[str, int], receiver: str, there: set[tuple[str, int]]) -> bool:
        """Return whether the archive has segments of a receiver that were not read and are not in the journal any more."""
        for app_id, covered in reached.items():
            seen = self.cursor.lanes.get(app_id, 0)
            if receiver_of(app_id) == receiver and covered > seen:
                held = sum((app_id, sequence) in there for sequence in range(seen + 1, covered + 1))
                if held < covered - seen:
                    return True
        return False


async def _whole_reads(found: AsyncIterator[pa.Table]) -> AsyncGenerator[pa.Table, None]:
    """Yield rows that come in the order in which they were received, so that no two tables have rows of the same read."""
    held: pa.Table | None = None
    async for rows in found:
        joint = rows if held is None else joined([held, rows])
        received = as_integers(joint.column("received"))
        last = int(np.searchsorted(received, received[-1]))
        if last:
            yield joint.slice(0, last)
        held = joint.slice(last)
    if held is not None:
        yield held


def _received_after(segment: Segment, after: int) -> Segment:
    """Return a segment without the frames that were received by ``after``."""
    frames = segment.frames
    first = int(np.searchsorted(frames.received, after, "right"))
    if not first:
        return segment
    kept = Frames(
        frames.data,
        frames.offsets[first:],
        frames.flags[first:],
        frames.received[first:],
        frames.origin[first:],
        frames.origins,
    )
    return segment._replace(frames=kept)
