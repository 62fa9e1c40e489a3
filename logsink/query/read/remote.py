"""One attempt at a query whose files another machine reads: the journal's tail here, the archive by an ``Engine``.

An engine believes what it reads, so that a listing is compared with the plan here: files that are missing, or have another
size than the table's log says, are named in the report.

The plan says which version of the table the tail belongs to. The engine reads that version and no other, so that each row
appears exactly once. Its rows come in order, a page at a time, and are merged with those of the tail.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress
from typing import Final, NamedTuple, Protocol

import pyarrow as pa

from logsink.archive import ROOT
from logsink.damage import Damage
from logsink.errors import NotFound
from logsink.query.columns import SCHEMA
from logsink.query.order import Position
from logsink.query.read.counted import Sums
from logsink.query.read.losses import Losses
from logsink.query.read.plan import Plan
from logsink.query.read.reader import Found, Reader
from logsink.query.read.report import Report
from logsink.query.read.scan import Scan
from logsink.query.request import Query
from logsink.store import Store

_MOST_LISTINGS: Final = 10
"""Dates that are listed one by one; of more, all dates are."""


class Page(NamedTuple):
    """Rows that an engine has found.

    last    value of the column of the order at which, or behind which, its next rows are
    ended   whether there are no more rows
    """

    rows: pa.Table
    last: int
    ended: bool


class Engine(Protocol):
    """Somebody who reads the files of a plan: at exactly the version of its snapshot, or not at all (``Unavailable``)."""

    def pages(
        self, plan: Plan, query: Query, columns: Sequence[str], *, descending: bool, after: Position | None = None
    ) -> AsyncGenerator[Page, None]:
        """Yield ``columns`` (as ``as_rows`` makes them) of the rows that the filter finds behind ``after``, in order.

        Where the query has a limit, rows may end when one more was found than that.
        """

    def sums(self, plan: Plan, query: Query, sums: Sums) -> AsyncGenerator[Found, None] | None:
        """Yield the sums of the rows that the query's filter finds; None where only this process can test the filter."""


class RemoteScan:
    """Reads the tail of a plan here, and has an engine read its files.

    tail     the scan of the same plan without files, whose ``pending`` puts all rows into order
    reader   its columns, and its ``part``, are those of what is found
    after    the place of the last row that was handed out before
    sums     how ``part`` is made of rows of counts, where it can be

    ``rows`` or ``found`` may be iterated over, once.
    """

    def __init__(
        self,
        store: Store,
        losses: Losses,
        tail: Scan,
        engine: Engine,
        plan: Plan,
        query: Query,
        reader: Reader,
        report: Report,
        after: Position | None = None,
        sums: Sums | None = None,
    ) -> None:
        self._store, self._losses = store, losses
        self._tail, self._engine, self._plan, self._query, self._report = tail, engine, plan, query, report
        self._columns, self._part, self._sums = reader.columns, reader.part, sums
        self._looked = False
        self._pending, self._after, self._ended = tail.pending, after, True

    @property
    def cut(self) -> bool:
        """Whether the limit left out rows; when ``rows`` has come to its end."""
        return self._pending.dropped or (self._pending.complete and not self._ended)

    async def rows(self) -> AsyncGenerator[pa.Table, None]:
        """Yield every row, in the order of the tail's ``pending``."""
        await self._tail.add_tail()
        async with aclosing(self._pages()) as pages:
            async for page in pages:
                self._ended = page.ended
                self._pending.add(page.rows)
                for rows in self._pending.pop(page.last):
                    yield rows
                if self._pending.complete:
                    break
        for rows in self._pending.pop():
            yield rows

    async def found(self) -> AsyncGenerator[Found, None]:
        """Yield what is found, in no order; with ``part``, that of it."""
        async with aclosing(self._tail.found()) as tail:
            async for found in tail:
                yield found
        results = None
        if self._plan.files and self._sums is not None and set(self._sums.columns) <= set(SCHEMA.names):
            await self._note_damage()
            results = self._engine.sums(self._plan, self._query, self._sums)
        async with aclosing(self._of_pages() if results is None else results) as archived:
            async for found in archived:
                yield found

    async def _of_pages(self) -> AsyncGenerator[Found, None]:
        async with aclosing(self._pages()) as pages:
            async for page in pages:
                rows = page.rows
                yield Found(rows.num_rows, rows if self._part is None else await asyncio.to_thread(self._part, rows))

    async def _pages(self) -> AsyncGenerator[Page, None]:
        """Yield the engine's pages, until the query is told to stop."""
        if not self._plan.files or self._stopped():
            return
        await self._note_damage()
        descending = self._pending.descending
        found = self._engine.pages(self._plan, self._query, self._columns, descending=descending, after=self._after)
        async with aclosing(found) as pages:
            async for page in pages:
                yield page
                if self._stopped():
                    return
        self._report.passed += sum(file.size for file in self._plan.files)

    def _stopped(self) -> bool:
        return self._report.interrupted

    async def _note_damage(self) -> None:
        """Note the files of the plan that are not there as the table's log says."""
        if self._looked:
            return
        self._looked = True
        dates = sorted({file.date for file in self._plan.files})
        prefixes = [f"{ROOT}date={date}/" for date in dates] if len(dates) <= _MOST_LISTINGS else [f"{ROOT}date="]
        sizes = {entry.key: entry.size for prefix in prefixes for entry in [e async for e in self._store.list(prefix)]}
        for file in self._plan.files:
            size = sizes.get(file.key)
            if size is None:
                with suppress(NotFound):  # removed on purpose since; the engine says so if it cannot do without
                    error = NotFound(f"cannot find {file.key}")
                    self._report.note(await self._losses.of_file(file, error))
            elif size != file.size:
                what = f"has {size:,} bytes where the log says {file.size:,}"
                self._report.note(Damage(file.key, what, file.known_rows))
