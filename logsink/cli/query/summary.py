"""Printing of a summary of the found rows."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final

import pyarrow as pa

from logsink.cli import report as reporting
from logsink.cli.options.summaries import written
from logsink.cli.query.job import Job
from logsink.query.read import fold
from logsink.query.views import Histogram, LargeSum, Summary
from logsink.store import Store

_ROWS: Final = 1 << 16
"""Rows of a summary that are written together: each takes half a kilobyte as objects of Python."""


async def print_summary(job: Job, store: Store, summary: Summary) -> None:
    """Summarise the rows that meet the query, and print the first rows of the summary, up to the limit."""
    request, large = job.request, None
    job.answer = folding = fold(
        store, job.query, summary.part, job.tuning, summary.sums(), summary.merge, summary.keyed
    )
    async with reporting.progress(folding, enabled=not request.quiet):
        with job.interrupts.contained():
            await folding.run()
        job.plan = folding.plan
        if folding.runs is not None:
            large = LargeSum(summary, folding.runs, folding.parts, request.limit)
            await _in_thread(large, large.sort())
    to_bytes = partial(
        written,
        options=request.summary,
        output=request.output,
        zone=request.zone,
        terminal=job.destination.terminal,
    )
    with job.destination.open() as write:
        if large is not None:
            await _in_thread(large, map(write, to_bytes(large)))
            rows = large.rows
        elif request.summary.count or (folding.parts and folding.report.rows):
            found = summary.whole(folding.parts or [summary.part(pa.table({}))])
            rows = found.num_rows
            for part in to_bytes(_pieces(found.slice(0, request.limit))):
                write(part)
        else:
            write(b"")
            return
        if request.limit is not None and rows > request.limit and not request.quiet:
            reporting.say(f"only the first {request.limit} of {rows:,} are shown; -n all shows all")
        if isinstance(summary, Histogram) and summary.shortened and not request.quiet:
            reporting.say("of empty steps in a row only the first and last are shown; longer steps show all")


def _pieces(found: pa.Table) -> list[pa.Table]:
    """Return a table in pieces, one at least."""
    return [found.slice(start, _ROWS) for start in range(0, max(1, found.num_rows), _ROWS)]


async def _in_thread(sum: LargeSum, steps: Iterable[object]) -> None:
    """Take all steps of a large sum, in a thread: an interrupt ends it between two of them."""
    left: Iterator[object] = iter(steps)
    ended, loop = object(), asyncio.get_running_loop()
    with ThreadPoolExecutor(1, "sorter") as thread:
        try:
            while await loop.run_in_executor(thread, next, left, ended) is not ended:
                pass
        finally:
            sum.stop()
