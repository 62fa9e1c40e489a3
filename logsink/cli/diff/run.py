"""A run of ``logsink diff``: both sides are read, what differs is printed, and the exit code says how it went."""

from __future__ import annotations

import asyncio
import time

from logsink.cli import report as reporting
from logsink.cli.contact import in_contact, open_cached
from logsink.cli.diff.sides import DiffRequest
from logsink.cli.diff.text import as_json, text
from logsink.cli.options.terms import filter_of
from logsink.cli.terminal.answers import print_answer, terminal_width
from logsink.errors import ArgumentError
from logsink.query import Report
from logsink.query.changes import Changes, Comparison


def run(url: str, request: DiffRequest, *, cache: int = 0) -> int:
    """Compare the sides in the store at ``url``, print what differs, and return the exit code.

    cache   most bytes of the user's cache
    """
    began = time.monotonic()
    return _say(*asyncio.run(_compare(url, request, cache)), request, began)


def _say(found: Changes, report: Report, request: DiffRequest, began: float) -> int:
    reporting.damage(report.damage)
    for asked, side in zip(request.sides, found.sides, strict=True):
        if not side.rows:
            raise ArgumentError(
                f"cannot compare: there are no rows of {asked.name}",
                hint="choose other times or conditions; logsink deploys lists deploys",
            )
    width = terminal_width()
    print_answer(request.output, lambda: as_json(found, request), lambda: text(found, request, width))
    if not request.quiet:
        seconds = time.monotonic() - began
        reporting.say(f"{report.rows:,} rows compared in {seconds:.1f} s; read {reporting.size(report.bytes_read)}")
    if report.damaged:
        return 2
    shown = [*found.shown, *(found.alone if request.every else ())]
    return int(request.fail_on == "new-errors" and any(each.change == "NEW" and each.error for each in shown))


async def _compare(url: str, request: DiffRequest, cache: int) -> tuple[Changes, Report]:
    filters = [filter_of(asked.terms, request.zone) for asked in request.sides]
    async with open_cached(url, cache) as store, in_contact(store):
        comparison = Comparison(store, (filters[0], filters[1]))
        for side, running in enumerate(comparison.folds):
            async with reporting.progress(running, enabled=not request.quiet):
                await comparison.run(side)
        return await asyncio.to_thread(comparison.changes), comparison.report
