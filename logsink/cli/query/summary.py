"""Printing of a summary of the found rows."""

from __future__ import annotations

from logsink.cli import report as reporting
from logsink.cli.options.summaries import arranged, written
from logsink.cli.query.job import Job
from logsink.query.read import fold
from logsink.query.views import Histogram, Summary
from logsink.store import Store


async def print_summary(job: Job, store: Store, summary: Summary) -> None:
    """Summarise the rows that meet the query, and print the first rows of the summary, up to the limit."""
    request = job.request
    job.answer = folding = fold(store, job.query, summary.part, job.tuning, summary.sums(), summary.merge)
    with job.interrupts.contained():
        async with reporting.progress(folding, enabled=not request.quiet):
            await folding.run()
    job.plan, parts = folding.plan, folding.parts
    with job.destination.open() as write:
        if not (parts and (folding.report.rows or request.summary.count)):
            write(b"0\n" if request.summary.count else b"")
            return
        found = arranged(summary.whole(parts), request.summary)
        first, terminal = found.slice(0, request.limit), job.destination.terminal
        for part in written(first, request.summary, request.output, request.zone, terminal=terminal):
            write(part)
        if request.limit is not None and found.num_rows > request.limit and not request.quiet:
            reporting.say(f"only the first {request.limit} of {found.num_rows:,} are shown; -n all shows all")
        if isinstance(summary, Histogram) and summary.shortened and not request.quiet:
            reporting.say("of empty steps in a row only the first and last are shown; longer steps show all")
