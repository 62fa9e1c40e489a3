"""What verbs say on stderr: progress while a query runs, its plan, and at the end what was read and what is missing."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Sequence
from contextlib import asynccontextmanager
from itertools import islice
from typing import TYPE_CHECKING

import click

from logsink.characters import harmless
from logsink.cli.options.zones import local_text

if TYPE_CHECKING:
    from logsink.damage import Damage
    from logsink.query import Filter, Query, Report
    from logsink.query.read import Answer, Excluded, Fold, Plan
    from logsink.query.views import AroundMatches, AroundTime, FutureRows, MissingValue, Rule

PATIENCE = 1.0
"""Seconds until a progress bar appears."""

GET, LIST = 0.4e-6, 5e-6
"""Dollars for a GET and for a LIST of S3 Standard (us-east-1); bytes within the region cost nothing."""

WORTH_SAYING = 0.005
"""Dollars from which a cost is mentioned."""

MOST_DAMAGES = 20
"""The most damaged objects that are named; ``logsink verify`` names all."""

UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def say(text: str) -> None:
    """Print a line on stderr."""
    click.echo(f"logsink: {harmless(text)}", err=True)


def summary(report: Report, query: Query, seconds: float, *, url: str, zone: dt.tzinfo) -> None:
    """Say how many rows were found, what was read for it, what it cost, and what is missing."""
    if report.cut and query.limit is not None:
        say(f"only the newest {query.limit} are shown, there may be more; -n all shows all")
    if report.interrupted:
        say("interrupted: not everything was searched")
    if report.apart:
        say(
            f"{count_of(report.apart, 'row')} may be copies and are shown: another receiver has the same frame, but received "
            "it more than ten minutes earlier or later; check the clocks of the receivers"
        )
    cost = report.requests * GET + report.listings * LIST
    parts = [
        f"{report.rows:,} found in {_seconds(seconds)}",
        *([f"{report.hidden:,} hidden as copies"] if query.dedupe else []),
        *_range(query, zone),
        *([f"{count_of(len(report.damage), 'object')} damaged or missing"] if report.damaged else []),
        f"read {_share(report.bytes_read, report.bytes)}",
        *([f"about ${cost:.2f}"] if url.startswith("s3:") and cost >= WORTH_SAYING else []),
        f"includes everything acknowledged by {_clock(report.began, zone)}",
    ]
    say("; ".join(parts))


def _seconds(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds < 1 else f"{seconds:.1f} s" if seconds < 100 else f"{seconds:,.0f} s"


def _share(part: int, whole: int) -> str:
    """Return ``130 of 182 MiB``, or the part alone if the whole is not known, as after a cursor."""
    if not whole:
        return size(part)
    part = min(part, whole)  # what was read again after a change of the plan counts once
    number, unit = size(whole).split()
    scale = 1024 ** UNITS.index(unit)
    part_text = f"{part / scale:.{0 if unit == 'B' or part >= 10 * scale else 1}f}"
    whole_text = f"{float(number):.0f}" if float(number) >= 10 else number
    part_text = part_text if float(part_text) else size(part) if part else "0"
    return f"{part_text} of {whole_text} {unit}"


def _clock(seconds: float, zone: dt.tzinfo) -> str:
    """Return the time of day with the name of the zone, which is that of all times in the output."""
    moment = dt.datetime.fromtimestamp(seconds, dt.UTC).astimezone(zone)
    name = moment.tzname() or "UTC"
    return f"{moment:%H:%M:%S} {name if name[:1].isalpha() else f'UTC{name}'}"


def _range(query: Query, zone: dt.tzinfo) -> Iterator[str]:
    """Yield the range of time that was searched, if it has an end."""
    from logsink.query import Between

    for condition in query.filter.conditions:
        if isinstance(condition, Between) and condition.column == "time":
            since, until = (
                None if end is None else when(end / 1_000_000, zone) for end in (condition.low, condition.high)
            )
            yield " ".join([*(["from", since] if since else []), *(["until", until] if until else [])])


def absent(value: MissingValue) -> None:
    """Say which value no row has, and which similar values there are."""
    rows = [f"{name} ({'' if value.whole else 'at least '}{count_of(count, 'row')})" for name, count in value.there]
    there = f"there {'is' if len(rows) == 1 else 'are'}" if value.alike else "the most frequent:"
    say(f"no {value.column} {value.glob!r}; {there} {', '.join(rows)}")


def in_other_case(patterns: Sequence[str], rows: int, whole: bool) -> None:
    """Say how many rows the patterns would match in any case."""
    least = "" if whole else "at least "
    say(f"no {' or '.join(map(repr, patterns))} in these letters; -i finds it in {least}{count_of(rows, 'row')}")


def ahead(found: FutureRows) -> None:
    """Say how many rows with times in the future are among the newest."""
    of = f" (host {', '.join(sorted(found.hosts))}{', ...' if found.more else ''})" if found.hosts else ""
    say(
        f"{count_of(found.rows, 'row')}{of} shown as newest {'has a time' if found.rows == 1 else 'have times'} in the future, "
        "more than a day after being received: a clock is wrong; --sort received orders by arrival, -U now leaves them out"
    )


def beyond(query: Query, times: tuple[int, int], zone: dt.tzinfo) -> None:
    """Say that the archive ends before the range that was searched, or begins after it."""
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


def damage(found: Collection[Damage]) -> None:
    """Say which objects are damaged or missing, and that their rows are not in the output."""
    for each in islice(found, MOST_DAMAGES):
        if each.rows is None:
            say(f"{each}; its rows are not shown")
        else:
            say(f"{each.key} {each.what}; {_rows_not_shown(each.rows)}")
    if len(found) > MOST_DAMAGES:
        more = len(found) - MOST_DAMAGES
        say(f"and {more:,} more {'is' if more == 1 else 'are'} damaged or missing; logsink verify names all")


def _rows_not_shown(rows: int) -> str:
    return f"{count_of(rows, 'row')} of it {'is' if rows == 1 else 'are'} not shown"


def when(seconds: float, zone: dt.tzinfo) -> str:
    """Return an instant to the second, or seconds since the epoch for a year that Python does not know."""
    with contextlib.suppress(ValueError, OverflowError, OSError):
        return local_text(dt.datetime.fromtimestamp(seconds, dt.UTC), zone)
    return f"@{seconds:.0f}"


def count_of(count: int, noun: str) -> str:
    """Return a number with its noun, in the plural where due."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _segments(count: int) -> str:
    return count_of(count, "journal segment")


def size(count: float) -> str:
    """Return a number of bytes as people read it."""
    for unit in UNITS[:-1]:
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} {UNITS[-1]}"


def explain(
    plan: Plan,
    query: Query,
    rule: Rule | AroundTime | AroundMatches | None,
    url: str,
    *,
    counted: int = 0,
    index: Excluded | None = None,
) -> str:
    """Return the text of ``--explain``: the plan of a query, what it leaves out of that by the ``index``, and how many files it
    sums up by their counts (``counted``) besides.
    """
    files = plan.snapshot.files.values()
    conditions = query.filter.conditions
    lines = [
        ("store", url),
        (
            "table",
            f"version {plan.snapshot.version}: {count_of(len(files), 'file')}, {size(sum(f.size for f in files))}",
        ),
        ("to read", f"at most {count_of(len(plan.files), 'file')}, {size(sum(f.size for f in plan.files))}"),
        ("", f"{_segments(len(plan.segments))}, {size(sum(s.size for s in plan.segments))}"),
        *([("index", text)] if (text := _indexed(index, plan, query.filter)) else []),
        *([("counted", _counted(counted, len(plan.left)))] if counted else []),
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
        *((("damage" if n == 0 else ""), str(each)) for n, each in enumerate(plan.damage)),
        *((("files" if n == 0 else ""), f"{file.path} {size(file.size)}") for n, file in enumerate(plan.files)),
    ]
    return "".join(f"{head:<8} {harmless(text)}\n" for head, text in lines)


def _indexed(index: Excluded | None, plan: Plan, filter: Filter) -> str:
    """Return what ``--explain`` says of the index; nothing where the question has nothing to do with it."""
    from logsink.query import Holds

    if index is not None:
        groups = f"{index.row_groups:,} of {index.groups:,} row groups of the other {count_of(index.others, 'file')}"
        return f"{count_of(index.files, 'file')} excluded" + (f", and {groups}" if index.groups else "")
    texts = [one for one in filter.conditions if isinstance(one, Holds)]
    if not plan.files or not texts:
        return ""
    if filter.index_keys():
        return "none: `logsink maintain --index` makes one"
    return "cannot help: no word of the text is certain to be whole; -w seeks whole words"


def _counted(files: int, partly: int) -> str:
    """Return what ``--explain`` says of files that were counted when they were merged."""
    whole = (
        f"{count_of(files - partly, 'file')} {'is' if files - partly == 1 else 'are'} not read: counts have the sums"
    )
    return whole if not partly else f"{whole}; {count_of(partly, 'file')} only for hours that the sum divides"


@asynccontextmanager
async def progress(running: Answer | Fold, *, enabled: bool) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """Show a bar on stderr while a query takes longer than ``PATIENCE``. The function that this gives removes it."""
    task = asyncio.create_task(_bar(running)) if enabled and sys.stderr.isatty() else None

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
