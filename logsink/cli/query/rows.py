"""Printing of found rows, while the search continues, and of rows that are stored later."""

from __future__ import annotations

import asyncio
import os
import stat
import sys
import time
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, Final

from logsink.cli import report as reporting
from logsink.cli.query.job import Job
from logsink.cli.terminal.printing import Printer
from logsink.cli.terminal.streams import reader_gone
from logsink.errors import NotFound, ReaderGone, Unavailable
from logsink.query import Cursor, Follower, search
from logsink.query.output import RowWriter
from logsink.query.read import Answer, make_plan
from logsink.query.views import (
    AroundMatches,
    AroundTime,
    FutureRows,
    Rule,
    around_matches,
    around_time,
    with_context,
)
from logsink.store import Store

if TYPE_CHECKING:
    import pyarrow as pa

INTERVALS: Final = {True: 1.0, False: 0.5}
"""Seconds between two looks of a follower at S3, and at a directory."""


async def print_rows(job: Job, store: Store, rule: Rule | AroundTime | AroundMatches | None, writer: RowWriter) -> None:
    """Print the rows that meet the query, each with what the rule adds to it, and follow if that was asked for."""
    request = job.request
    with job.destination.open() as write:
        printer = job.printer = Printer(writer, write)
        if job.query.limit == 0:  # no old rows, only the cursor behind them
            job.began = time.time()
            job.plan = await make_plan(store, job.query.filter)
        else:
            job.future = FutureRows()
            job.answer = answer = _source(rule)(store, job.query, tuning=job.tuning)
            async with (
                reporting.progress(answer, enabled=not request.quiet) as end_bar,
                aclosing(answer) as found,
            ):
                await _print_while_searching(job.future.count_in(found), printer, end_bar)
            job.plan = answer.plan
            if request.follow.follow:
                mention_future_rows(job)
                job.say_damage()
        assert job.plan is not None
        cursor = Cursor.at_end_of(job.plan, {} if job.answer is None else job.answer.reached)
        follower = Follower(store, job.query, cursor, job.tuning)
        if job.answer is None:
            await follower.settle(job.plan)
        if request.follow.follow and not job.stopped:
            job.follower = follower
            await _follow(job, follower, printer)
        if job.answer is None or not job.answer.report.interrupted:  # else rows before the cursor were not printed
            await job.cursors.keep(cursor, last=True)
        printer.finish()


async def print_rows_after(job: Job, store: Store, cursor: Cursor, writer: RowWriter) -> None:
    """Print the rows that were stored after the cursor, and follow if that was asked for."""
    job.began = time.time()
    job.follower = follower = Follower(store, job.query, cursor, job.tuning)
    with job.destination.open() as write:
        printer = job.printer = Printer(writer, write)
        await _print_new(follower, printer, check_archive=True)
        if job.request.follow.follow:
            await _follow(job, follower, printer)
        await job.cursors.keep(cursor, last=True)
        printer.finish()


def mention_future_rows(job: Job) -> None:
    """Say once on stderr that rows with times in the future lead the newest ones."""
    newest = job.query.limit is not None and job.query.sort == "time"
    if job.future is not None and job.future.rows and newest and not job.request.quiet:
        reporting.ahead(job.future)
    job.future = None


def _source(rule: Rule | AroundTime | AroundMatches | None) -> Callable[..., Answer]:
    """Return the search that the rule asks for."""
    if isinstance(rule, AroundTime):
        return partial(around_time, moment=rule)
    if isinstance(rule, AroundMatches):
        return partial(around_matches, span=rule)
    return search if rule is None else partial(with_context, rule=rule)


async def _print_while_searching(
    found: AsyncGenerator[pa.Table, None], printer: Printer, end_bar: Callable[[], Awaitable[None]]
) -> None:
    """Print tables in order, while the next ones are searched for and sorted."""
    under_way: deque[asyncio.Future[None]] = deque()
    async for rows in found:
        if not _into_a_file():
            await end_bar()
        under_way.append(asyncio.wrap_future(printer.add(rows)))
        under_way[-1].add_done_callback(lambda done: done.cancelled() or done.exception())  # no "never retrieved"
        if len(under_way) > printer.ahead:
            await under_way.popleft()
    for written in under_way:
        await written


async def _follow(job: Job, follower: Follower, printer: Printer) -> None:
    """Print new rows until an interrupt. An error of the store is said once, and the store is tried again."""
    quiet, interval = job.request.quiet, INTERVALS[job.url.startswith("s3:")]
    if sys.stderr.isatty() and not quiet:
        reporting.say("waiting for new rows; Ctrl-C stops")
    trouble = ""
    while not job.stopped:
        began = time.monotonic()
        try:
            await _print_new(follower, printer)
            job.say_damage()
            await job.cursors.keep(follower.cursor, last=False)
            trouble = ""
        except (Unavailable, NotFound) as error:
            if str(error) != trouble and not quiet:
                reporting.say(f"{error}; trying again")
            trouble = str(error)
        if reader_gone():
            raise ReaderGone("cannot write to standard output: nobody reads it")
        left = interval - (time.monotonic() - began)
        if left > 0:
            await job.interrupts.sleep(left)


async def _print_new(follower: Follower, printer: Printer, *, check_archive: bool = False) -> None:
    async with aclosing(follower.poll(check_archive=check_archive)) as found:
        async for rows in found:
            await asyncio.wrap_future(printer.add(rows))


def _into_a_file() -> bool:
    """Return whether standard output is a file. A pipe's reader may write to the terminal that shows the bar."""
    try:
        return stat.S_ISREG(os.fstat(sys.stdout.fileno()).st_mode)
    except (OSError, ValueError):
        return False
