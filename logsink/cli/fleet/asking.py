"""A question about the fleet on its way to its answer: totals of rows, and some rows besides."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING

import pyarrow as pa

from logsink.cli import report as reporting
from logsink.cli.contact import in_contact, open_cached
from logsink.cli.fleet.options import FleetRequest
from logsink.cli.fleet.tables import Bars, write
from logsink.cli.main import INTERRUPTED
from logsink.cli.options.terms import filter_of
from logsink.cli.query.interrupts import Interrupts
from logsink.errors import LogsinkError, Moved
from logsink.query import Filter, Query, Report
from logsink.query.read import fold, search, unordered
from logsink.query.views import Totals
from logsink.store import Store

if TYPE_CHECKING:
    from logsink.query.read import Answer, Fold, Plan

ATTEMPTS = 10
"""How often rows in no order are asked for again, because objects were removed meanwhile."""


class Asking:
    """One question. ``answer`` may call its methods any number of times; ``report`` is of all that they read.

    filter   what the terms of the request mean, at the time of the question
    now      the time of the question, microseconds since the epoch
    plan     the plan of the last totals
    """

    def __init__(self, store: Store, request: FleetRequest) -> None:
        self.store, self.request = store, request
        self.now = time.time_ns() // 1000
        self.filter = filter_of(request.terms, request.zone)
        self.plan: Plan | None = None
        self._done, self._running = Report(), list["Fold | Answer"]()
        self.interrupts = Interrupts(lambda: self.report.began > 0, self._stop)

    @property
    def report(self) -> Report:
        """What was read so far; its ``rows``, those that went into totals."""
        running = [one.report for one in self._running]
        began = self._done.began or max((one.began for one in running), default=0.0)
        return replace(self._done.including(*running), began=began)

    async def totals(self, filter: Filter, totals: Totals) -> pa.Table | None:
        """Return the totals of the rows that meet the filter; None where there are no rows."""
        query = Query(filter, tuple(totals.columns))
        folding = fold(self.store, query, totals.part, None, totals.sums(), totals.merge)
        self._running.append(folding)
        with self.interrupts.contained():
            async with reporting.progress(folding, enabled=not self.request.quiet):
                await folding.run()
        self.plan, parts = folding.plan, folding.parts
        self._end(folding, rows=folding.report.rows)
        return totals.whole(parts) if parts else None

    async def rows(self, query: Query) -> list[pa.Table]:
        """Return rows of the newest ``query.limit``, in order; all rows, in no order, where there is no limit."""
        for _ in range(ATTEMPTS):
            answer = unordered(self.store, query) if query.limit is None else search(self.store, query)
            self._running.append(answer)
            found = list[pa.Table]()
            try:
                with self.interrupts.contained():
                    async with reporting.progress(answer, enabled=not self.request.quiet), aclosing(answer) as tables:
                        async for table in tables:
                            found.append(table)
                return found
            except Moved:
                continue
            finally:
                self._end(answer, rows=0)
        raise Moved(f"cannot finish reading {self.store.url}: objects were removed meanwhile, {ATTEMPTS} times over")

    def show(self, table: pa.Table, bars: Bars | None = None, spare: Sequence[str] = ()) -> None:
        """Print a table as the request asks; ``bars`` and ``spare`` as ``tables.write`` takes them."""
        left_out = write(table, self.request.output, self.request.zone, bars, spare)
        if left_out and not self.request.quiet:
            reporting.say(f"the terminal has no room for {', '.join(left_out)}; -o json shows all columns")

    def _end(self, ran: Fold | Answer, rows: int) -> None:
        """Add what was read to the report."""
        self._running.remove(ran)
        self._done = replace(
            self._done.including(ran.report),
            rows=self._done.rows + rows,
            began=self._done.began or ran.report.began,
            bytes=max(self._done.bytes, ran.report.bytes),
        )

    def _stop(self) -> None:
        for one in self._running:
            one.stop()


Answering = Callable[[Asking], Awaitable[int]]
"""Answers a question, prints the answer, and returns the exit code that it has where nothing is damaged."""


def ask(url: str, request: FleetRequest, answer: Answering, *, cache: int = 0) -> int:
    """Answer a question about the store at ``url`` and return the exit code; ``cache``: most bytes of the user's cache."""
    asked = list[Asking]()
    try:
        return asyncio.run(_ask(url, request, answer, 0 if request.no_cache else cache, asked))
    except LogsinkError:
        for asking in asked:
            reporting.damage(asking.report.damage)  # which may be why
        raise
    except asyncio.CancelledError:
        return INTERRUPTED


async def _ask(url: str, request: FleetRequest, answer: Answering, cache: int, asked: list[Asking]) -> int:
    began = time.monotonic()
    async with open_cached(url, cache) as store, in_contact(store):
        asking = Asking(store, request)
        asked.append(asking)
        asking.interrupts.listen()
        code = await answer(asking)
    sys.stdout.flush()
    report = asking.report
    reporting.damage(report.damage)
    if not request.quiet:
        reporting.summary(report, Query(asking.filter), time.monotonic() - began, url=url, zone=request.zone)
    if asking.interrupts.stopped:
        return INTERRUPTED
    return 2 if report.damaged else code
