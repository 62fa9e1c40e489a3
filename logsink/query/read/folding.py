"""Sums of the rows that a query finds: ``fold``.

A ``Fold`` runs once. Files whose rows the archive has counted are summed up from their counts (``counted``), the rest is read.
When an object of the plan was archived, compacted or retired meanwhile, the sum begins anew. An object that is damaged, or
missing although the table needs it, is named in the report, and the sum goes on without it.

Sums of single row groups are added up as they come. When the sum is larger than ``Tuning.sums`` all the same, it goes on in
temporary files (``order.Runs``), so that memory grows neither with the archive nor with the result.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, suppress
from typing import Final

import pyarrow as pa

from logsink.errors import NotFound
from logsink.query.order import Runs
from logsink.query.read.answer import Run
from logsink.query.read.counted import Counted, Sums, countable, is_logged, logged
from logsink.query.read.listing import list_index
from logsink.query.read.plan import Plan
from logsink.query.read.reader import Found, Part, Reader
from logsink.query.read.report import Report
from logsink.query.read.tuning import Tuning
from logsink.query.request import Filter, Query
from logsink.store import Store

Merge = Callable[[Sequence[pa.Table]], pa.Table]
"""Returns the sum of several parts, as one part; called in threads."""

_PARTS: Final = 256
"""Parts that wait for being added up."""

_BYTES: Final = 8 << 20
"""Bytes of such parts, or as many as their sum has, where that is more: each row is added up twice on average."""


class Fold(Run):
    """Sums of rows; see ``fold``.

    parts   those that were made so far: what there is when ``run`` is cancelled
    runs    parts that did not fit into memory, as ``keyed`` has made them; None where all did
    """

    def __init__(
        self,
        store: Store,
        query: Query,
        part: Part,
        tuning: Tuning | None,
        sums: Sums | None,
        merge: Merge | None,
        keyed: Part | None,
    ) -> None:
        super().__init__(store, query._replace(limit=None), tuning)
        self._part, self._engine_sums = part, sums
        local = self._tuning.engine is None and not query.dedupe
        self._sums = sums if local and countable(query.filter, sums) else None
        self._merge, self._keyed = merge, keyed
        self._merged = self._waiting = 0  # bytes of the sum that the first of the parts is, and of all others
        self.parts: list[pa.Table] = []
        self.runs: Runs | None = None
        self._adder = ThreadPoolExecutor(1, "adder")  # one thread: Arrow's allocator keeps freed memory for each

    async def run(self) -> list[pa.Table]:
        """Find the rows and return the parts. Raises the errors of an ``Answer``, and ``SpillError``."""
        try:
            return await self._run()
        finally:
            self._adder.shutdown(wait=False)

    async def _run(self) -> list[pa.Table]:
        if self._query.dedupe:
            async with aclosing(self.in_order()) as tables:
                async for rows in tables:
                    await self._keep(self._part(rows))
                    self._report.rows += rows.num_rows
            return self.parts
        with self.pool() as pool:
            for _ in range(self._tuning.attempts):
                plan = await self._counted(pool)
                reader = Reader(self._store, pool, self._query.columns, self._part)
                index = self.index(plan, self._query.filter)
                scan = self.scan(reader, plan, self._query, index, sums=self._engine_sums)
                try:
                    await self._add(scan.found())
                    return self.parts
                except NotFound:
                    self._begin_anew()
            raise self.gives_up()

    def needs_index(self, filter: Filter) -> bool:
        return (self._sums is not None and not is_logged(filter, self._sums)) or super().needs_index(filter)

    async def _counted(self, pool: ThreadPoolExecutor) -> Plan:
        """Plan the query, sum up what has counts, and return the plan of what is to be read besides."""
        plan = await self.planned(self._query.filter)
        if self._sums is None:
            return plan
        found, plan = logged(plan, self._query.filter, self._sums, self._report)
        for each in found:
            await self._take(each)
        counted = Counted(self._store, pool, self._listed, plan, self._query.filter, self._sums, self._report)
        await self._add(counted.found())
        return counted.rest

    async def _add(self, results: AsyncGenerator[Found, None]) -> None:
        async with aclosing(results):
            async for found in results:
                await self._take(found)

    async def _take(self, found: Found) -> None:
        self._report.rows += found.rows
        await self._keep(found.table)

    async def _keep(self, part: pa.Table) -> None:
        """Add a part to the others, and add these up when they are many or large."""
        self.parts.append(part)
        self._waiting += part.nbytes
        if self._merge is None or (len(self.parts) <= _PARTS and self._waiting <= max(_BYTES, self._merged)):
            return
        if self.runs is None:
            merged = await asyncio.get_running_loop().run_in_executor(self._adder, self._merge, tuple(self.parts))
            self.parts[:] = [merged]
            self._merged, self._waiting = merged.nbytes, 0
            if self._keyed is None or merged.nbytes <= self._tuning.sums:
                return
            self.runs = Runs(self._tuning.sums)
        await self._spill(self.runs, self._keyed)

    async def _spill(self, runs: Runs, keyed: Part | None) -> None:
        """Move all parts to the runs, also when it is cancelled. Raises ``SpillError``, then too: the sum would lack some."""
        parts, self._merged, self._waiting = tuple(self.parts), 0, 0
        self.parts.clear()

        def move() -> None:
            for part in parts:
                runs.add(part if keyed is None else keyed(part))

        moving = asyncio.get_running_loop().run_in_executor(self._adder, move)
        try:
            await asyncio.shield(moving)
        except asyncio.CancelledError:
            runs.stop()
            while not moving.done():
                with suppress(asyncio.CancelledError):
                    await asyncio.wait([moving])
            runs.resume()
            moving.result()  # raises what has failed
            raise

    def _begin_anew(self) -> None:
        self.parts.clear()
        self.runs, self._merged, self._waiting = None, 0, 0
        self._report.restarts += 1
        self._report.rows = self._report.passed = self._report.counted = self._report.excluded = 0
        self._report.damaged.clear()


def fold(
    store: Store,
    query: Query,
    part: Part,
    tuning: Tuning | None = None,
    sums: Sums | None = None,
    merge: Merge | None = None,
    keyed: Part | None = None,
) -> Fold:
    """Sum up the rows of a query without keeping them: ``part`` of some of them at a time. Its limit and order mean nothing.

    sums    how the same sum is made of counts, so that files are not read whose rows the archive has counted
    merge   how several parts become one; without it, all of them are kept
    keyed   how a part is made one for ``order.Runs``; without it, all of them are kept in memory
    """
    return Fold(store, query, part, tuning, sums, merge, keyed)


async def uncounted(store: Store, plan: Plan, query: Query, sums: Sums | None) -> tuple[Plan, int]:
    """Return what a sum reads of a plan besides counts, and how many files it takes from counts, perhaps some only in part."""
    if sums is None or query.dedupe or not countable(query.filter, sums):
        return plan, 0
    report = Report()
    _, plan = logged(plan, query.filter, sums, report)
    if not plan.files:
        return plan, report.counted
    with ThreadPoolExecutor(Tuning().threads, "query") as pool:
        counted = Counted(store, pool, await list_index(store), plan, query.filter, sums, report)
        async with aclosing(counted.found()) as found:
            async for _ in found:
                pass
    return counted.rest, report.counted
