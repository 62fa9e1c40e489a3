"""One attempt at a query, by one plan: the journal's tail first and whole, then files and row groups, a few at once.

::

    plan.segments -> [groups] ---\\
                                  > reader (32 reads of the store, threads) -> pending -> rows in order
    plan.files -> units ---------/     32 units at once (Tuning.prefetch)

Everything found before the nearest unit that is not finished can be handed out at once. That bounds memory, and lets a query
for the newest N stop as soon as no unread unit can matter.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Coroutine, Sequence
from contextlib import AsyncExitStack, aclosing
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import pyarrow as pa

from logsink.archive import DataFile
from logsink.errors import FormatError, NotFound
from logsink.journal import StoredSegment
from logsink.query.columns import joined
from logsink.query.order import Pending
from logsink.query.read import tail
from logsink.query.read.datafile import OpenFile, RowGroup
from logsink.query.read.losses import Losses
from logsink.query.read.newest import Newest
from logsink.query.read.plan import Plan
from logsink.query.read.prefetch import prefetched
from logsink.query.read.reader import Found, Reader
from logsink.query.read.report import Report
from logsink.query.read.tuning import Tuning
from logsink.query.read.turns import Turns
from logsink.query.read.units import Unit, Units
from logsink.query.request import Query

if TYPE_CHECKING:
    from logsink.query.read.index import Index

_FEW_ROWS: Final = 1024
"""Fewer rows than this wait for those of other row groups: to sort, join and print a table costs 3 ms, however small."""

_TABLES: Final = 32
"""Most tables that wait for others."""

_WAIT: Final = 0.25
"""Seconds that they wait at most."""


class _Footer(NamedTuple):
    """A file whose footer was read, and which of its row groups the index leaves; None: all."""

    file: OpenFile
    groups: frozenset[int] | None


class Scan:
    """Reads the objects of a plan, and tells ``report`` what it has passed, and what is damaged or missing.

    ``index`` may exclude files and row groups. Without ``pending``, rows come in no order. ``rows`` or ``found`` may be
    iterated over, once. Both raise ``NotFound`` when an object of the plan was removed on purpose, as ``losses`` tells. With a
    limit, ``rows`` raises ``Spoiled`` when it has to begin anew, without ``early`` (``Newest``), because of damage.
    """

    def __init__(
        self,
        reader: Reader,
        losses: Losses,
        plan: Plan,
        query: Query,
        report: Report,
        tuning: Tuning,
        pending: Pending | None = None,
        index: Index | None = None,
        *,
        early: bool = True,
    ) -> None:
        self._reader, self._losses, self._plan = reader, losses, plan
        self._query, self._report, self._tuning, self._index = query, report, tuning, index
        self.pending = Pending() if pending is None else pending
        self._newest = None if query.limit is None else Newest(self.pending, early=early)
        self._units = Units(
            plan.files,
            query.filter,
            query.sort,
            descending=self.pending.descending,
            left=plan.left,
            ordered=pending is not None,
        )
        self._turns = Turns(self._units, tuning)
        self._some = False  # whether a row group was read

    async def rows(self) -> AsyncGenerator[pa.Table, None]:
        """Yield every row, in the order of ``pending``."""
        await self.add_tail()
        async with aclosing(self._batches()) as batches:
            for rows in self.pending.pop(self._units.frontier):
                yield rows
            async for tables in batches:
                if tables:
                    self.pending.add(joined(tables))
                for rows in self.pending.pop(self._units.frontier):
                    yield rows
                if self.pending.complete:
                    break
        for rows in self.pending.pop():
            yield rows

    async def found(self) -> AsyncGenerator[Found, None]:
        """Yield what is found in each unit, in no order."""
        for source in (self._tail(), self._files()):
            async with aclosing(source) as results:
                async for found in results:
                    if found is not None:
                        yield found

    @property
    def cut(self) -> bool:
        """Whether the limit left out rows, or units that may have some; when ``rows`` has come to its end."""
        dropped = self.pending.dropped or (self._newest is not None and self._newest.dropped)
        return dropped or (self.pending.complete and bool(self._units))

    # The journal's tail

    async def add_tail(self) -> None:
        """Add the rows of the journal's tail to ``pending``."""
        async with aclosing(self._tail()) as results:
            async for found in results:
                self.pending.add(found.table)

    async def _tail(self) -> AsyncGenerator[Found, None]:
        groups = tail.groups(self._plan.segments)

        def next_job() -> Coroutine[Any, Any, Found | None] | None:
            group = None if self._report.interrupted else next(groups, None)
            return None if group is None else self._segments(group)

        async with aclosing(
            prefetched(next_job, lambda _: min(self._tuning.prefetch, self._tuning.filtered))
        ) as results:
            async for found in results:
                if found is not None:
                    yield found
        claims, plan = self._reader.claims, self._plan
        if not self._report.interrupted and not claims.hold((one.name for one in plan.segments), plan.snapshot):
            for damage in await self._losses.of_claims(claims):
                self._report.note(damage)

    async def _segments(self, group: Sequence[StoredSegment]) -> Found | None:
        found, failed = await self._reader.segments(group, self._query.filter)
        for name, error in failed:
            self._report.note(await self._losses.of_segment(name, error))
        self._report.passed += sum(stored.size for stored in group)
        return found

    # Files and row groups

    async def _batches(self) -> AsyncGenerator[list[pa.Table], None]:
        """Yield tables as they are found; small ones together, unless a limit decides by each what is read next."""
        clock = asyncio.get_running_loop().time
        held, rows, began = list[pa.Table](), 0, clock()
        async with aclosing(self._files()) as results:
            async for found in results:
                if found is not None:
                    held.append(found.table)
                    rows += found.rows
                if self._newest is None and rows < _FEW_ROWS and len(held) < _TABLES and clock() - began < _WAIT:
                    continue
                yield held
                held, rows, began = [], 0, clock()
        yield held

    async def _files(self) -> AsyncGenerator[Found | None, None]:
        """Yield what is found in each row group; None where that is nothing, and for each footer."""
        async with AsyncExitStack() as stack:
            if self._index is not None:
                await stack.enter_async_context(aclosing(self._index))
            results = await stack.enter_async_context(aclosing(prefetched(self._next_job, self._width)))
            async for result in results:
                unit = self._units.finish()
                self._turns.changed()
                if isinstance(result, _Footer):
                    held = self._units.held + result.file.size <= self._tuning.ahead
                    opened = result.file if held else result.file._replace(body=None)
                    excluded = self._units.add_row_groups(opened, unit.filter, result.groups)
                    self._report.passed += _share(result.file, excluded)
                    yield None
                else:
                    self._some = True
                    yield result

    def _next_job(self) -> Coroutine[Any, Any, _Footer | Found | None] | None:
        if self._report.interrupted:
            return None
        unit = self._units.begin(None if self._newest is None else self._newest.oldest)
        if unit is None:
            return None
        return self._footer(unit.source) if isinstance(unit.source, DataFile) else self._row_group(unit, unit.source)

    def _width(self, done: int) -> int:
        """Return how many units are read at once: with a limit few at first, because they may be all that is needed."""
        if self._newest is None:
            return self._tuning.prefetch
        return min(self._tuning.prefetch, self._tuning.first + 2 * (done - 1)) if done else 1

    async def _footer(self, file: DataFile) -> _Footer | None:
        seen = None if self._index is None else await self._index.seen(file)
        if seen is not None and not seen.groups:
            self._report.excluded += 1
            self._report.passed += file.size
            return None
        self._report.files_read += 1
        tail = None if self._index is None or seen is None else await self._index.tail(file)
        try:
            opened = await self._reader.footer(file, tail)
            fits = seen is not None and seen.total == opened.metadata.num_row_groups
            return _Footer(opened, seen.groups if seen is not None and fits else None)
        except (FormatError, NotFound) as error:
            self._report.note(await self._losses.of_file(file, error))
            self._report.passed += file.size
            return None

    async def _row_group(self, unit: Unit, group: RowGroup) -> Found | None:
        found, turn = None, self._turns.of(unit, eager=self._newest is not None and not self._some)
        try:
            found = await self._reader.row_group(group, unit.filter, self._query.sort, self._newest, turn)
        except (FormatError, NotFound) as error:
            damage = await self._losses.of_file(self._file(group), error)
            self._report.note(damage._replace(rows=group.rows), group.number)
            if self._newest is not None:
                self._newest.spoil()
        finally:
            turn.end()
        self._report.passed += _share(group.file, group.rows)
        return found

    def _file(self, group: RowGroup) -> DataFile:
        """Return the file of a row group."""
        return next(file for file in self._plan.files if file.key == group.file.key)


def _share(file: OpenFile, rows: int) -> int:
    """Return how many of a file's bytes so many of its rows take, on average."""
    size: int = file.size * rows // max(1, file.metadata.num_rows)
    return size
