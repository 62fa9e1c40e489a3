"""A run of ``logsink query``: what a request means, which of the ways to answer it is taken, and the exit code."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from logsink.cli import report as reporting
from logsink.cli.contact import in_contact, open_cached
from logsink.cli.main import INTERRUPTED
from logsink.cli.options.context import rule_of
from logsink.cli.options.output import row_writer_of
from logsink.cli.options.summaries import summary_of
from logsink.cli.options.terms import filter_of
from logsink.cli.query.cursors import Cursors
from logsink.cli.query.destination import Destination
from logsink.cli.query.job import Job
from logsink.cli.query.request import QueryRequest
from logsink.cli.query.rows import mention_future_rows, print_rows, print_rows_after
from logsink.errors import FormatError, LogsinkError, ReaderGone, StoreError
from logsink.query import Cursor, Query, Tuning
from logsink.query.output import FORMATS, RowWriter
from logsink.query.read import make_plan
from logsink.query.request import GLOB_COLUMNS
from logsink.query.views import AroundMatches, Neighbours
from logsink.store import CountingStore, Store

if TYPE_CHECKING:
    from logsink.query.views import AroundTime, Rule, Summary


def run(url: str, request: QueryRequest, *, cache: int = 0) -> int:
    """Answer the request from the store at ``url`` and return the exit code; ``cache``: most bytes of the user's cache."""
    destination = Destination(request)
    filter = filter_of(request.terms, request.zone)
    globs = {column: getattr(request.terms, column) for column in GLOB_COLUMNS}
    summary = summary_of(request.summary, request.zone, filter, globs)
    rule = rule_of(request.context, request.zone, reverse=request.reverse)
    output = replace(request.output, output="text") if summary else request.output
    blocks = isinstance(rule, Neighbours | AroundMatches)
    writer = row_writer_of(output, request.zone, filter, terminal=destination.terminal, blocks=blocks)
    query = Query(
        filter,
        tuple(summary.columns if summary else writer.columns),
        None if summary else request.limit,
        request.reverse,
        request.dedupe,
        request.sort,
    )
    job = Job(request=request, url=url, query=query, destination=destination, cursors=Cursors(request.follow))
    try:
        with _connected(job):
            return asyncio.run(_run(job, open_cached(url, cache), summary, rule, writer))
    except LogsinkError:
        job.say_damage()  # which may be why
        raise
    except asyncio.CancelledError:
        return INTERRUPTED
    except ReaderGone:  # an interrupt ends a pager, too
        return INTERRUPTED if job.stopped else 0
    finally:
        if job.printer is not None:
            job.printer.close()  # outside of the event loop, so that an interrupt ends the waiting


@contextmanager
def _connected(job: Job) -> Iterator[None]:
    """Have the server that the request names, if it does, read the archive as long as the block runs."""
    if job.request.connect is None:
        yield
        return
    from logsink.query.spark import SparkEngine, connected

    with connected(job.request.connect, job.url) as session:
        job.engine = SparkEngine(session)
        yield


async def _run(
    job: Job, opened: Store, summary: Summary | None, rule: Rule | AroundTime | AroundMatches | None, writer: RowWriter
) -> int:
    request, began, ended = job.request, time.monotonic(), 0.0
    job.interrupts.listen()
    async with opened as store, in_contact(store):
        if job.engine is not None:
            job.tuning = Tuning.of(store)._replace(engine=job.engine)
        if request.explain:
            plan = await make_plan(store, job.query.filter)
            counted = 0
            if summary is not None:
                from logsink.query.read import uncounted

                plan, counted = await uncounted(store, plan, job.query, summary.sums())
            from logsink.query.read import excluded

            index = await excluded(store, plan, job.query.filter) if plan.files else None
            sys.stdout.write(reporting.explain(plan, job.query, rule, job.url, counted=counted, index=index))
            return 2 if plan.damage else 0
        with job.interrupts.contained():
            if summary is not None:
                from logsink.cli.query.summary import print_summary

                await print_summary(job, store, summary)
            elif job.cursors.first is not None:
                await print_rows_after(job, store, Cursor.parse(job.cursors.first), writer)
            else:
                await print_rows(job, store, rule, writer)
            if not (job.report.rows or job.stopped or job.cursors.first):
                ended = time.monotonic()
                await _say_why_nothing(job, CountingStore(store, job.hints))
    report = job.report
    job.say_damage()
    mention_future_rows(job)
    if not request.quiet:
        ended = job.destination.filled or ended or time.monotonic()
        reporting.summary(report, job.query, ended - began, url=job.url, zone=request.zone)
    if job.stopped:
        return INTERRUPTED
    return 2 if report.damaged else 0 if report.rows else 1


async def _say_why_nothing(job: Job, store: Store) -> None:
    """Say on stderr which values of the request no row has, and which values are there instead."""
    if job.request.quiet or not FORMATS[job.request.output.output].for_people:
        return
    from logsink.query.views import archive_times, in_other_case, missing_values

    with suppress(StoreError, FormatError):  # the answer has been printed, and is right
        missing = await missing_values(store, job.query.filter)
        for each in missing:
            reporting.absent(each)
        if not missing and (found := await in_other_case(store, job.query.filter)):
            reporting.in_other_case(*found)
        if job.plan and (times := archive_times(job.plan)):
            reporting.beyond(job.query, times, job.request.zone)
