"""Running a query to its answer: rows in order (``search``), rows in no order (``unordered``).

Each gives an object that runs while somebody takes from it. The object's ``plan`` says what is read, its ``report`` what was
done so far, ``stop()`` has it end with what was found by then.

When an object of the plan was archived, compacted or retired meanwhile, the query is planned again. A search goes on behind the
last row that it handed out, so that no row appears twice. An object that is damaged, or missing although the table needs it, is
named in the report, and the query goes on without it.
"""

from __future__ import annotations

import asyncio
import time
from abc import abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, contextmanager
from typing import TYPE_CHECKING

import pyarrow as pa

from logsink.archive import DeltaLog
from logsink.errors import Moved, NotFound, Unavailable
from logsink.query.order import DEDUPE_COLUMNS, ROW_KEY, Backwards, Dedupe, Pending, Position, position_of
from logsink.query.read.losses import Losses
from logsink.query.read.newest import Spoiled
from logsink.query.read.plan import Plan, make_plan
from logsink.query.read.reader import Reached, Reader
from logsink.query.read.report import Report
from logsink.query.read.scan import Scan
from logsink.query.read.tuning import Tuning
from logsink.query.read.units import EARLIEST
from logsink.query.request import Between, Filter, Not, Query
from logsink.store import CountingStore, Entry, Store

if TYPE_CHECKING:
    from logsink.query.read.counted import Sums
    from logsink.query.read.index import Index
    from logsink.query.read.remote import RemoteScan


class Answer(AsyncIterator[pa.Table]):
    """Tables of at most 16,384 rows, found while somebody takes them.

    Iterate over it once, in ``aclosing``: closing it ends everything that runs for it. The iteration raises ``NotFound``
    when there is no store, ``StoreError`` when the store fails.
    """

    _running: AsyncGenerator[pa.Table, None] | None = None

    @property
    @abstractmethod
    def report(self) -> Report:
        """What was found and read so far."""

    @property
    @abstractmethod
    def plan(self) -> Plan | None:
        """The plan that is read; None before there is one."""

    @property
    def reached(self) -> Reached:
        """How far the journal was read, where that is known."""
        return {}

    @abstractmethod
    def stop(self) -> None:
        """End soon, with what was found by now."""

    @abstractmethod
    def _tables(self) -> AsyncGenerator[pa.Table, None]:
        """Find the tables."""

    async def __anext__(self) -> pa.Table:
        if self._running is None:
            self._running = self._tables()
        return await anext(self._running)

    async def aclose(self) -> None:
        """End everything that runs for it."""
        if self._running is not None:
            await self._running.aclose()


class Run:
    """A query that reads a store: its plan, its report, and whether it was told to stop."""

    def __init__(
        self, store: Store, query: Query, tuning: Tuning | None, *, journal: bool = True, archive: bool = True
    ) -> None:
        self._report, self._ended = Report(), False
        self._plan: Plan | None = None
        self._reached: dict[str, tuple[int, int]] = {}
        self._listed: Sequence[Entry] = ()
        self._store, self._query, self._tuning = CountingStore(store, self._report), query, tuning or Tuning.of(store)
        self._log = DeltaLog(self._store)
        self._losses = Losses(self._log)
        self._journal, self._archive = journal, archive
        self._descending = query.reverse or query.limit is not None

    @property
    def report(self) -> Report:
        """What was found and read so far."""
        return self._report

    @property
    def plan(self) -> Plan | None:
        """The plan that is read; None before there is one."""
        return self._plan

    @property
    def reached(self) -> Reached:
        """How far the journal was read."""
        return self._reached

    def stop(self) -> None:
        """End soon, with what was found by now."""
        self._report.interrupted |= not self._ended

    async def planned(self, filter: Filter, known: Plan | None = None) -> Plan:
        """Find out what there is to read, unless that is known. ``NotFound`` when there is no store."""
        began = time.time()
        plan = await self._plan_with_index(filter) if known is None else known.of(filter)
        plan = plan if self._journal else plan._replace(segments=())
        plan = self._plan = plan if self._archive else plan._replace(files=())
        report, files = self._report, plan.snapshot.files.values()
        report.began = report.began or began
        report.files, report.segments = len(files), len(plan.segments)
        report.bytes = sum(file.size for file in files) + sum(segment.size for segment in plan.segments)
        report.passed = sum(file.size for file in files) - sum(file.size for file in plan.files)
        for damage in plan.damage:
            report.note(damage)
        return plan

    def needs_index(self, filter: Filter) -> bool:
        """Return whether objects of the index can help."""
        return self._archive and bool(filter.index_keys())

    async def _plan_with_index(self, filter: Filter) -> Plan:
        """Make the plan, and list the index meanwhile where it can help."""
        if self._tuning.engine is not None or not self.needs_index(filter):
            return await make_plan(self._store, filter, self._log)
        from logsink.query.read.listing import list_index  # only where a question needs it

        listing = asyncio.ensure_future(list_index(self._store))
        try:
            plan = await make_plan(self._store, filter, self._log)
            self._listed = await listing
            return plan
        finally:
            listing.cancel()

    def index(self, plan: Plan, filter: Filter, *, limited: bool = False) -> Index | None:
        """Return the index for the files of the plan; None where it does not pay to ask it."""
        keys = filter.index_keys()
        if not keys or not self._listed or not plan.files:
            return None
        from logsink.query.read.index import Index, bytes_to_read, filters_of

        if bytes_to_read(plan.files, filter) < self._tuning.indexed:
            return None
        objects = filters_of(self._listed)
        return Index(self._store, objects, plan, keys, descending=self._descending, limited=limited)

    def scan(
        self,
        reader: Reader,
        plan: Plan,
        query: Query,
        index: Index | None,
        pending: Pending | None = None,
        after: Position | None = None,
        sums: Sums | None = None,
        *,
        early: bool = True,
    ) -> Scan | RemoteScan:
        """Return what reads the objects of the plan: everything here, or only the journal's tail."""
        engine, tuning = self._tuning.engine, self._tuning
        if engine is None:
            return Scan(reader, self._losses, plan, query, self._report, tuning, pending, index, early=early)
        from logsink.query.read.remote import RemoteScan  # only where somebody else reads

        tail = Scan(reader, self._losses, plan._replace(files=()), query, self._report, tuning, pending)
        return RemoteScan(self._store, self._losses, tail, engine, plan, query, reader, self._report, after, sums)

    def in_order(self) -> AsyncGenerator[pa.Table, None]:
        """Yield rows in order, each once: the newest first where the query asks for it or has a limit."""
        return self._without_copies() if self._query.dedupe else self._with_copies(self._query)

    async def _without_copies(self) -> AsyncGenerator[pa.Table, None]:
        """Yield rows in the order of the search without copies. Only what remains of them counts towards the limit."""
        dedupe, left = Dedupe(descending=self._descending), self._query.limit
        columns = (*self._query.columns, *DEDUPE_COLUMNS)
        query = self._query._replace(columns=columns, limit=None, reverse=self._descending)
        async with aclosing(self._with_copies(query)) as found:
            async for rows in found:
                shown = dedupe(rows).slice(0, left)
                self._report.hidden, self._report.apart = dedupe.hidden, dedupe.apart
                if shown.num_rows:
                    yield shown
                if left is not None:
                    left -= shown.num_rows
                if left == 0:
                    self._report.cut = True
                    return

    async def _with_copies(self, query: Query) -> AsyncGenerator[pa.Table, None]:
        """Yield rows in the order of the search; when objects are removed, plan again and go on behind the last row."""
        columns = tuple(dict.fromkeys((*ROW_KEY, *query.columns)))
        after, left, early = None, query.limit, True
        with self.pool() as pool:
            for _ in range(self._tuning.attempts):
                pending = Pending(
                    descending=self._descending, limit=left, after=after, memory=self._tuning.memory, sort=query.sort
                )
                rest = query if after is None else query._replace(filter=_beyond(query, after.time, self._descending))
                plan = await self.planned(rest.filter)
                reader = Reader(self._store, pool, columns, reached=self._reached)
                index = self.index(plan, rest.filter, limited=query.limit is not None)
                scan = self.scan(reader, plan, rest, index, pending, after, early=early)
                try:
                    async with aclosing(scan.rows()) as tables:
                        async for rows in tables:
                            after = position_of(rows, -1, query.sort)
                            left = None if left is None else left - rows.num_rows
                            yield rows
                    self._report.cut = scan.cut
                    return
                except NotFound:
                    self._report.restarts += 1
                except Spoiled:  # once at most
                    early = False
            raise self.gives_up()

    @contextmanager
    def pool(self) -> Iterator[ThreadPoolExecutor]:
        """Threads for as long as the query runs."""
        pool = ThreadPoolExecutor(self._tuning.threads, "query")
        try:
            yield pool
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
        self._ended = True

    def gives_up(self) -> Unavailable:
        """The error after the last attempt."""
        attempts = self._tuning.attempts
        return Unavailable(
            f"cannot finish the query on {self._store.url}: objects were removed while it ran, {attempts} times over"
        )


class Search(Run, Answer):
    """Rows in the order of the query, each once; see ``search``."""

    async def _tables(self) -> AsyncGenerator[pa.Table, None]:
        query = self._query
        turned = None if query.limit is None or query.reverse else Backwards(self._tuning.memory)
        async with aclosing(self.in_order()) as found:
            async for rows in found:
                self._report.rows += rows.num_rows
                if turned is None:
                    yield rows
                else:
                    turned.add(rows)
        for rows in turned or ():
            yield rows


class Unordered(Run, Answer):
    """Rows in no order, each once; see ``unordered``."""

    def __init__(
        self, store: Store, query: Query, tuning: Tuning | None, known: Plan | None, *, journal: bool, archive: bool
    ) -> None:
        super().__init__(store, query._replace(limit=None), tuning, journal=journal, archive=archive)
        self._known = known

    async def _tables(self) -> AsyncGenerator[pa.Table, None]:
        with self.pool() as pool:
            plan = await self.planned(self._query.filter, self._known)
            reader = Reader(self._store, pool, self._query.columns)
            index = self.index(plan, self._query.filter)
            scan = self.scan(reader, plan, self._query, index)
            try:
                async with aclosing(scan.found()) as results:
                    async for found in results:
                        self._report.rows += found.rows
                        yield found.table
            except NotFound as error:
                raise Moved(f"cannot finish reading {self._store.url}: {error}") from error


def search(store: Store, query: Query, tuning: Tuning | None = None, *, journal: bool = True) -> Search:
    """Find the rows of a query in order of (time, received, receiver, nth), or in the order that ``query.sort`` says.

    Everything acknowledged before the first table is taken is found; without ``journal``, only what is archived. Objects
    that are damaged or missing are named in the report.
    """
    return Search(store, query, tuning, journal=journal)


def unordered(
    store: Store,
    query: Query,
    tuning: Tuning | None = None,
    *,
    known: Plan | None = None,
    journal: bool = True,
    archive: bool = True,
) -> Unordered:
    """Find the rows of a query in no order; its limit, order and ``dedupe`` mean nothing.

    ``known`` is the plan of another query on the same store, to read what that one read. ``journal``, ``archive``: which of
    the two is read.

    The iteration raises ``Moved`` when objects were removed meanwhile: the rows so far are worth nothing then, call it again.
    """
    return Unordered(store, query, tuning, known, journal=journal, archive=archive)


def _beyond(query: Query, time: int, descending: bool) -> Filter:
    """Return the query's filter without the rows that stand before ``time`` in its order."""
    if time == EARLIEST:
        return query.filter
    rest = Not(Between(query.sort, time + 1, None)) if descending else Between(query.sort, time, None)
    return Filter((*query.filter.conditions, rest))
