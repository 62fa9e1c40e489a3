"""Running a query: the journal's tail first and whole, then files and their row groups in order of time, a few ahead.

A *unit* is a file whose footer was not read yet, or one row group of a read one; its time bounds say where in the order its
rows can stand. Units are visited by their near end, so everything found before the nearest unit not yet taken in can be
handed out at once: that bounds memory, and lets a query for the newest N stop as soon as no unread unit can matter.

::

    units by time -> [ahead: 8] -> fetch (16 at once) -> filter, read (threads) -> Pending -> rows in order

A segment or file that is gone was archived, compacted or retired meanwhile: the query is planned again and goes on behind
the last row it handed out, so that nothing appears twice.
"""

from __future__ import annotations

import asyncio
import heapq
import math
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from functools import partial
from itertools import islice
from typing import Any, NamedTuple, TypeVar

import numpy as np
import pyarrow as pa

from logsink.archive import DataFile
from logsink.errors import FormatError
from logsink.journal import Segment, StoredSegment
from logsink.query.columns import SCHEMA, Mask, joined
from logsink.query.order.merge import KEY, Pending
from logsink.query.read import tail
from logsink.query.read.datafile import Chunks, OpenFile, RowGroup, open_file
from logsink.query.read.plan import Plan, bounds
from logsink.query.read.report import Report
from logsink.query.read.selection import HEAVY, Selection
from logsink.query.read.tuning import Tuning
from logsink.query.request.filters import UNKNOWN, Bounds, Filter
from logsink.query.request.query import Query
from logsink.store import Store

T = TypeVar("T")

_FETCHES = 16  # ranged reads under way at once
_FEW, _TABLES, _SOON = 1024, 32, 0.25
"""Fewer rows than this wait for those of other row groups: of how many at most, and how many seconds.

To put a table in order, to join and to print it costs 3 ms, however small it is.
"""

EARLIEST = -(1 << 62)
"""Before every time, in microseconds."""


class _Unit(NamedTuple):
    """``near``: no row of it stands before this in the order (instants negated when newest come first)."""

    near: float
    number: int
    source: DataFile | RowGroup
    filter: Filter


class Scan:
    """One attempt at a query, by one plan."""

    def __init__(
        self,
        store: Store,
        plan: Plan,
        query: Query,
        report: Report,
        tuning: Tuning,
        pool: ThreadPoolExecutor,
        part: Callable[[pa.Table], pa.Table] | None = None,
    ) -> None:
        self._store, self._plan, self._query, self._pending = store, plan, query, Pending()
        self._report, self._tuning, self._pool, self._part = report, tuning, pool, part
        self._nothing = SCHEMA.empty_table()
        self._columns = query.columns
        self._sign = 1
        self._slots = asyncio.Semaphore(_FETCHES)
        self._units: list[_Unit] = []
        self._under_way: deque[_Unit] = deque()
        self._moved = asyncio.Condition()  # the line of units under way
        self._numbers = 0
        self._least = EARLIEST  # see _newest
        self.cut = False

    def _begin(self, pending: Pending | None = None) -> None:
        query = self._query
        self._columns = tuple(dict.fromkeys(query.columns if pending is None else (*KEY, *query.columns)))
        self._nothing = SCHEMA.empty_table().select(self._columns)  # making one takes 1 ms
        self._pending = Pending() if pending is None else pending
        self._sign = -1 if self._pending.descending else 1
        for file in self._plan.files:
            self._push(file, self._query.filter, bounds(file, self._query.sort))

    async def rows(self, pending: Pending) -> AsyncGenerator[pa.Table, None]:
        """Every row, in the order of ``pending``."""
        self._begin(pending)
        async with aclosing(self._tail()) as found:
            async for rows in found:
                self._pending.add(rows)
        async with aclosing(self._several()) as found:
            for rows in self._pending.pop(self._frontier()):
                yield rows
            async for tables in found:
                if tables:
                    self._pending.add(joined(tables))
                for rows in self._pending.pop(self._frontier()):
                    yield rows
                if self._pending.complete:
                    break
        for rows in self._pending.pop():
            yield rows
        self.cut = self._pending.dropped or (self._pending.complete and bool(self._units or self._under_way))

    async def tables(self) -> AsyncGenerator[pa.Table, None]:
        """``part`` of the rows of each unit, as they come."""
        self._begin()
        for source in (self._tail(), self._files()):
            async with aclosing(source) as found:
                async for rows in found:
                    if rows is not None:
                        yield rows

    # The tail

    async def _tail(self) -> AsyncGenerator[pa.Table, None]:
        left = tail.groups(self._plan.segments)

        def job() -> Coroutine[Any, Any, pa.Table] | None:
            group = None if self._stopped() else next(left, None)
            return None if group is None else self._segments(group)

        async with aclosing(ahead(job, lambda _: self._tuning.prefetch)) as results:
            async for rows in results:
                yield rows

    async def _segments(self, group: Sequence[StoredSegment]) -> pa.Table:
        read = await asyncio.gather(*map(self._segment, group))
        segments = [segment for segment in read if segment is not None]
        try:
            rows = await self._threaded(tail.rows, segments, self._query.filter, self._columns)
        except FormatError as error:
            return await self._unreadable(error)
        return await self._reduced(rows)

    async def _segment(self, stored: StoredSegment) -> Segment | None:
        """The frames that may be wanted; None for a segment that cannot be read, which is said."""
        async with self._slots:
            body = await self._store.get(stored.name.key)
        self._report.passed += stored.size
        try:
            segment: Segment = await self._threaded(tail.read, body, stored.name, self._query.filter)
        except FormatError as error:
            self._report.unreadable.append(str(error))
            return None
        return segment

    async def _unreadable(self, error: FormatError) -> pa.Table:
        """What cannot be read is said, and the rest is found."""
        self._report.unreadable.append(str(error))
        return await self._reduced(self._nothing)

    async def _reduced(self, rows: pa.Table) -> pa.Table:
        if self._part is None:
            return rows
        part = await self._threaded(self._part, rows)
        self._report.rows += rows.num_rows
        return part

    def _stopped(self) -> bool:
        """Whether to leave it at what was found."""
        return self._report.interrupted

    # Files and row groups

    async def _files(self) -> AsyncGenerator[pa.Table | None, None]:
        """The rows of each row group; None where it has none, and where a footer was read."""
        async with aclosing(ahead(self._next_unit, self._width)) as results:
            async for result in results:
                unit = self._under_way.popleft()
                async with self._moved:
                    self._moved.notify_all()
                if isinstance(result, OpenFile):
                    self._take_in_file(result, unit)
                    yield None
                else:
                    yield result

    async def _several(self) -> AsyncGenerator[list[pa.Table], None]:
        """What ``_files`` gives, that of several row groups at once where they hold few rows and nothing hangs on the next."""
        clock = asyncio.get_running_loop().time
        held, rows, began = list[pa.Table](), 0, clock()
        async with aclosing(self._files()) as found:
            async for table in found:
                if table is not None:
                    held.append(table)
                    rows += table.num_rows
                if self._query.limit is None and rows < _FEW and len(held) < _TABLES and clock() - began < _SOON:
                    continue
                yield held
                held, rows, began = [], 0, clock()
        yield held

    async def _footer(self, file: DataFile) -> OpenFile | pa.Table:
        try:
            return await open_file(self._fetch, file.key, file.size)
        except FormatError as error:
            self._report.passed += file.size
            return await self._unreadable(error)

    def _push(self, source: DataFile | RowGroup, filter: Filter, order: Bounds) -> None:
        low, high, nulls = order
        if nulls and self._sign > 0:  # they come first
            low = None
        near = (
            -high if self._sign < 0 and high is not None else low if self._sign > 0 and low is not None else -math.inf
        )
        self._numbers += 1
        heapq.heappush(self._units, _Unit(near, self._numbers, source, filter))

    def _next_unit(self) -> Coroutine[Any, Any, OpenFile | pa.Table | None] | None:
        if not self._units or self._stopped() or (self._sign < 0 and self._units[0].near > -self._floor):
            return None
        unit = heapq.heappop(self._units)
        self._under_way.append(unit)
        if isinstance(unit.source, DataFile):
            self._report.files_read += 1
            return self._footer(unit.source)
        return self._group(unit.source, unit)

    def _width(self, done: int) -> int:
        """Units at once: with a limit few at first, because the first ones may be all that is needed."""
        return (
            self._tuning.prefetch
            if self._query.limit is None
            else min(self._tuning.prefetch, self._tuning.threads + done)
        )

    def _frontier(self) -> int | None:
        """The time at and beyond which rows may still come; None when none will."""
        nears = [unit.near for unit in self._under_way]
        if self._units:
            nears.append(self._units[0].near)
        if not nears:
            return None
        near = min(nears)
        return self._sign * (EARLIEST if near == -math.inf else int(near))

    @property
    def _floor(self) -> int:
        """The time before which no row is among the newest that the limit lets through."""
        floor = self._pending.floor
        return self._least if floor is None else max(self._least, floor)

    def _take_in_file(self, file: OpenFile, unit: _Unit) -> None:
        for group in file.row_groups((self._query.sort, *unit.filter.columns())):
            left = unit.filter.within(partial(_group_bounds, group))
            if left is None:
                self._report.passed += file.size * group.rows // file.metadata.num_rows
            else:
                self._push(group, left, group.bounds.get(self._query.sort, UNKNOWN))

    async def _group(self, group: RowGroup, unit: _Unit) -> pa.Table | None:
        try:
            rows = await self._row_group(group, unit)
        except FormatError as error:
            self._least = EARLIEST  # what was found in it is not shown, and older rows are
            rows = await self._unreadable(error)
        self._report.passed += group.file.size * group.rows // group.file.metadata.num_rows
        return rows

    async def _row_group(self, group: RowGroup, unit: _Unit) -> pa.Table | None:
        """The matching rows of a row group, or ``part`` of them; None where there are none.

        Columns are fetched and decoded only when earlier ones left something.
        """
        selection = Selection(Chunks(group), group.rows)
        light, heavy = unit.filter.split(HEAVY)
        if light.conditions:
            await selection.chunks.fetch(self._fetch, light.columns())
            await self._threaded(selection.meet, light)
        if heavy.conditions and selection.mask.any():
            await selection.chunks.fetch(self._fetch, (HEAVY,))
            await self._threaded(selection.hold, heavy)
        if self._query.limit is not None and selection.mask.any():
            await selection.chunks.fetch(self._fetch, (self._query.sort,))
            selection.mask &= self._newest(await self._threaded(selection.column, self._query.sort), selection.mask)
        count = int(np.count_nonzero(selection.mask))
        if not count:
            return None
        async with self._moved:  # whole rows are large: only for those whose turn is near
            await self._moved.wait_for(lambda: unit in islice(self._under_way, self._tuning.threads + 1))
        await selection.chunks.fetch(self._fetch, [name for name in self._columns if name not in selection.known])
        rows = await self._threaded(self._part_of, selection)
        if self._part is not None:
            self._report.rows += count
        return rows

    def _part_of(self, selection: Selection) -> pa.Table:
        rows = selection.rows(self._columns)
        return rows if self._part is None else self._part(rows)

    def _newest(self, times: pa.Array, mask: Mask) -> Mask:
        """Which rows the limit can let through: of those in ``mask`` the newest, and none older than what was found elsewhere.

        Other units know what is found here from now on, long before its rows are read.
        """
        instants = times.cast(pa.int64()).fill_null(EARLIEST).to_numpy(zero_copy_only=False)
        room, found = self._pending.room, instants[mask]
        if room and len(found) >= room and not self._pending.resumed:  # those shown already must not count
            self._least = max(self._least, int(np.partition(found, len(found) - room)[len(found) - room]))
        newest: Mask = instants >= self._floor
        self._pending.dropped |= not bool(newest[mask].all())
        return newest

    # Means

    async def _fetch(self, key: str, start: int, end: int) -> bytes:
        async with self._slots:
            return await self._store.get(key, start, end)

    async def _threaded(self, function: Callable[..., T], *args: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, function, *args)


def _group_bounds(group: RowGroup, column: str) -> Bounds:
    return group.bounds.get(column, UNKNOWN)


async def ahead(
    job: Callable[[], Coroutine[Any, Any, T] | None], width: Callable[[int], int]
) -> AsyncGenerator[T, None]:
    """Results of the coroutines that ``job`` hands out, in order, ``width(results so far)`` of them running at once.

    ``job`` is asked again after each result, even when it had nothing before. Closing cancels what runs.
    """
    tasks: deque[asyncio.Task[T]] = deque()
    done = 0
    try:
        while True:
            while len(tasks) < width(done) and (coroutine := job()) is not None:
                tasks.append(asyncio.ensure_future(coroutine))
            if not tasks:
                return
            result = await tasks[0]
            tasks.popleft()
            done += 1
            yield result
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
