"""What a query says of itself on stderr: progress while it runs, the plan, and at the end what was done and what was not."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import click

from logsink.characters import harmless
from logsink.cli.options.zones import shown

if TYPE_CHECKING:
    from logsink.query import Query, Report
    from logsink.query.read import Answer, Fold, Plan
    from logsink.query.views import AroundMatches, AroundTime, FutureRows, MissingValue, Rule

PATIENCE = 1.0
"""Seconds until there is a progress bar."""

GET, LIST = 0.4e-6, 5e-6
"""Dollars for a GET and for a LIST of S3 Standard (us-east-1); bytes within the region cost nothing."""

WORTH_SAYING = 0.005
"""Dollars."""

UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def say(text: str) -> None:
    """A line on stderr."""
    click.echo(f"logsink: {harmless(text)}", err=True)


def summary(report: Report, query: Query, seconds: float, *, url: str, zone: dt.tzinfo) -> None:
    """What was found and searched, what was not, and what it cost."""
    if report.cut and query.limit is not None:
        say(f"only the newest {query.limit} are shown, there may be more; -n all shows all")
    if report.interrupted:
        say("interrupted: not everything was looked at")
    if report.apart:
        say(
            f"{counted(report.apart, 'row')} may be copies and are shown: another receiver has the same frame, but received it "
            "more than ten minutes earlier or later; check the clocks of the receivers"
        )
    cost = report.requests * GET + report.listings * LIST
    parts = [
        f"{report.rows:,} found in {_seconds(seconds)}",
        *([f"{report.hidden:,} hidden as copies"] if query.dedupe else []),
        *_range(query, zone),
        f"read {_share(report.bytes_read, report.bytes)}",
        *([f"about ${cost:.2f}"] if url.startswith("s3:") and cost >= WORTH_SAYING else []),
        f"includes everything acknowledged by {_clock(report.began, zone)}",
    ]
    say("; ".join(parts))


def _seconds(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds < 1 else f"{seconds:.1f} s" if seconds < 100 else f"{seconds:,.0f} s"


def _share(part: int, whole: int) -> str:
    """``130 of 182 MiB``; without a whole, as behind a cursor, the part alone."""
    if not whole:
        return size(part)
    part = min(part, whole)  # what is read anew because a plan changed counts once
    number, unit = size(whole).split()
    scale = 1024 ** UNITS.index(unit)
    shown = f"{part / scale:.{0 if unit == 'B' or part >= 10 * scale else 1}f}"
    whole_shown = f"{float(number):.0f}" if float(number) >= 10 else number
    shown = shown if float(shown) else size(part) if part else "0"
    return f"{shown} of {whole_shown} {unit}"


def _clock(seconds: float, zone: dt.tzinfo) -> str:
    """The time of day, and the zone's name: that of all times that are shown."""
    moment = dt.datetime.fromtimestamp(seconds, dt.UTC).astimezone(zone)
    name = moment.tzname() or "UTC"
    return f"{moment:%H:%M:%S} {name if name[:1].isalpha() else f'UTC{name}'}"


def _range(query: Query, zone: dt.tzinfo) -> Iterator[str]:
    """The time that was searched, if not all of it."""
    from logsink.query import Between

    for condition in query.filter.conditions:
        if isinstance(condition, Between) and condition.column == "time":
            since, until = (
                None if end is None else when(end / 1_000_000, zone) for end in (condition.low, condition.high)
            )
            yield " ".join([*(["from", since] if since else []), *(["until", until] if until else [])])


def absent(value: MissingValue) -> None:
    """A value that no row has, and those that rows have instead."""
    rows = [f"{name} ({'' if value.whole else 'at least '}{counted(count, 'row')})" for name, count in value.there]
    there = f"there {'is' if len(rows) == 1 else 'are'}" if value.alike else "the most frequent:"
    say(f"no {value.column} {value.glob!r}; {there} {', '.join(rows)}")


def in_other_case(patterns: Sequence[str], rows: int, whole: bool) -> None:
    """That patterns are there in other letters."""
    least = "" if whole else "at least "
    say(f"no {' or '.join(map(repr, patterns))} in these letters; -i finds it in {least}{counted(rows, 'row')}")


def ahead(found: FutureRows) -> None:
    """Rows that lead for ever, because a clock is wrong."""
    of = f" (host {', '.join(sorted(found.hosts))}{', ...' if found.more else ''})" if found.hosts else ""
    say(
        f"{counted(found.rows, 'row')}{of} shown as newest {'has a time' if found.rows == 1 else 'have times'} in the future, "
        "more than a day after being received: a clock is wrong; --sort received orders by arrival, -U now leaves them out"
    )


def beyond(query: Query, times: tuple[int, int], zone: dt.tzinfo) -> None:
    """That the archive ends before the range that was searched begins, or begins after its end."""
    from logsink.query import Between

    first, last = (when(end / 1_000_000, zone) for end in times)
    now = time.time_ns() // 1000
    for condition in query.filter.conditions:
        if isinstance(condition, Between) and condition.column == "time":
            if condition.low is not None and condition.low > now:
                say(f"the time that was searched begins in the future, {when(condition.low / 1_000_000, zone)}")
            elif condition.low is not None and times[1] < condition.low:
                say(f"the archive's newest row is of {last}, before the time that was searched")
            elif condition.high is not None and times[0] >= condition.high:
                say(f"the archive's oldest row is of {first}, after the time that was searched")


def unreadable(report: Report) -> None:
    """Objects whose rows are missing."""
    for error in report.unreadable:
        say(f"{error}; its rows are missing")


def when(seconds: float, zone: dt.tzinfo) -> str:
    """An instant to the second, where Python knows its year."""
    with contextlib.suppress(ValueError, OverflowError, OSError):
        return shown(dt.datetime.fromtimestamp(seconds, dt.UTC), zone)
    return f"@{seconds:.0f}"


def counted(count: int, noun: str) -> str:
    """So many of them."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _segments(count: int) -> str:
    return counted(count, "journal segment")


def size(count: float) -> str:
    """Bytes, to be read."""
    for unit in UNITS[:-1]:
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} {UNITS[-1]}"


def explain(plan: Plan, query: Query, rule: Rule | AroundTime | AroundMatches | None, url: str) -> str:
    """The plan of a query that is not run."""
    files = plan.snapshot.files.values()
    conditions = query.filter.conditions
    lines = [
        ("store", url),
        (
            "table",
            f"version {plan.snapshot.version}: {counted(len(files), 'file')}, {size(sum(f.size for f in files))}",
        ),
        ("to read", f"at most {counted(len(plan.files), 'file')}, {size(sum(f.size for f in plan.files))}"),
        ("", f"{_segments(len(plan.segments))}, {size(sum(s.size for s in plan.segments))}"),
        *((("where" if n == 0 else ""), str(condition)) for n, condition in enumerate(conditions)),
        ("columns", ", ".join(query.columns)),
        (
            "order",
            ("newest first" if query.reverse or query.limit is not None else "oldest first")
            + (f", by {query.sort}" if query.sort != "time" else ""),
        ),
        (
            "limit",
            "none" if query.limit is None else f"the newest {query.limit}; stops when no file can hold newer ones",
        ),
        *([("besides", str(rule))] if rule is not None else []),
        *((("files" if n == 0 else ""), f"{file.path} {size(file.size)}") for n, file in enumerate(plan.files)),
    ]
    return "".join(f"{head:<8} {harmless(text)}\n" for head, text in lines)


@asynccontextmanager
async def progress(running: Answer | Fold, *, wanted: bool) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """A bar on stderr while a query takes longer than ``PATIENCE``; what it gives makes it vanish."""
    task = asyncio.create_task(_bar(running)) if wanted and sys.stderr.isatty() else None

    async def end() -> None:
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    try:
        yield end
    finally:
        await end()


async def _bar(running: Answer | Fold) -> None:
    await asyncio.sleep(PATIENCE)
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("searching"), BarColumn(), DownloadColumn(binary_units=True), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("searching", total=None)
        while True:
            report = running.report
            bar.update(task, total=report.bytes or None, completed=min(report.passed, report.bytes))
            await asyncio.sleep(0.1)
