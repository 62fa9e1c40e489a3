"""``logsink query``: find what was kept. Everything heavy is imported when it runs, so that ``--help`` comes at once."""

from __future__ import annotations

import datetime as dt
import importlib.abc
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from logsink.cli.settings import effective, options
from logsink.errors import ArgumentError, Unavailable

if TYPE_CHECKING:
    from logsink.query import Filter, Query, Report
    from logsink.query.render import Renderer

LIMIT = "1000"
"""Default of ``-n``."""

CONTACT = 10.0
"""Seconds within which a store must give its first answer."""

_EXAMPLES = """
Find what was kept. PATTERN is text to be found in the message, case-sensitive; several are alternatives. Without any,
every message matches. The newest 1000 matches are printed, oldest first, unless -n says otherwise.

\b
  logsink query timeout --since 1h               messages with "timeout" in the last hour
  logsink query -p err -H 'web-*' -S today       errors of all web servers since midnight
  logsink query -E 'port 8[0-9]{3}' -n all       a regular expression, everything there is
  logsink query -S '2026-11-22 03:10' -U 03:20   a time range, [since, until)
  logsink query -u sshd -o json -n 50 -r         the newest 50 of sshd as JSON, newest first

Times: 90s 15m 2h 3d 1h30m 1w (that long ago), now, today, yesterday, 2026-11-22, '2026-11-22 03:12', 03:12, RFC 3339 with
a zone, @1700000000. Exit code 0: something was found; 1: nothing; 2: an error.
"""


@dataclass(frozen=True)
class Asked:
    """The command line as it was given."""

    pattern: tuple[str, ...]
    since: str | None
    until: str | None
    host: tuple[str, ...]
    app: tuple[str, ...]
    priority: str | None
    regex: bool
    ignore_case: bool
    lines: str
    reverse: bool
    output: str
    framing: str
    dedupe: bool
    utc: bool
    color: str
    quiet: bool


@click.command(help=_EXAMPLES)
@click.argument("pattern", nargs=-1)
@options("store")
@click.option("-S", "--since", metavar="TIME", help="From this time on.")
@click.option("-U", "--until", metavar="TIME", help="Before this time.")
@click.option("-H", "--host", multiple=True, metavar="GLOB", help="Host: * ? [a-z] allowed. May be repeated: either.")
@click.option("-u", "--app", multiple=True, metavar="GLOB", help="Application (unit), likewise.")
@click.option("-p", "--priority", metavar="LEVEL", help="This severe or more (err, 3), or a range (err..notice).")
@click.option("-E", "--regex", is_flag=True, help="Patterns are regular expressions (RE2).")
@click.option("-i", "--ignore-case", is_flag=True, help="Letters match whatever their case.")
@click.option("-n", "--lines", default=LIMIT, show_default=True, metavar="N", help="The newest N only; 0 or all: all.")
@click.option("-r", "--reverse", is_flag=True, help="Newest first.")
@click.option("-o", "--output", type=click.Choice(("text", "json", "raw", "cat")), default="text", show_default=True)
@click.option(
    "--framing",
    type=click.Choice(("lf", "octet")),
    default="lf",
    help="Of -o raw: LF after each, or its length before.",
)
@click.option(
    "--dedupe", is_flag=True, help="Hide what is probably a copy: sent again by RELP clients after a broken connection."
)
@click.option("--utc", is_flag=True, help="Times given and shown are UTC, not local.")
@click.option("--color", type=click.Choice(("auto", "always", "never")), default="auto", help="By severity, in text.")
@click.option("-q", "--quiet", is_flag=True, help="No summary, no notices on stderr.")
def command(config_file: Path | None, store: str | None, **given: Any) -> int:
    asked = Asked(**given)
    limit = _limit(asked.lines)
    config = effective(config_file, {"store": store})

    import asyncio

    with _without_pandas():
        return asyncio.run(_query(config.store, asked, limit))


async def _query(url: str, asked: Asked, limit: int | None) -> int:
    """Run it; the exit code."""
    import asyncio

    from logsink.query import Query, Report, search
    from logsink.query.render import render
    from logsink.store import Store, open_store

    zone = dt.UTC if asked.utc else SystemZone()
    renderer = _renderer(asked, zone, terminal=sys.stdout.isatty())
    query = Query(_filter(asked, zone), tuple(renderer.columns), limit, asked.reverse, asked.dedupe)
    report, began, out = Report(), time.monotonic(), sys.stdout.buffer

    async def reached(store: Store) -> None:
        try:
            await asyncio.wait_for(store.exists(), CONTACT)
        except TimeoutError as error:
            hint = "look at the network, and at AWS_ENDPOINT_URL if it is set"
            raise Unavailable(f"cannot reach {store.url}: no answer in {CONTACT:g} s", hint=hint) from error

    def write(rows: Any) -> None:
        for part in render(renderer, rows):
            out.write(part)
        out.flush()

    async with open_store(url) as store:
        await reached(store)
        async with aclosing(search(store, query, report)) as found:
            async for rows in found:
                await asyncio.to_thread(write, rows)
    if not asked.quiet:
        _summary(report, query, time.monotonic() - began)
    return 0 if report.rows else 1


def _filter(asked: Asked, zone: dt.tzinfo) -> Filter:
    from logsink.query import Between, Condition, Filter, Holds, OneOf, parse_priority, parse_time

    now = time.time_ns() // 1000
    since = None if asked.since is None else parse_time(asked.since, now, zone)
    until = None if asked.until is None else parse_time(asked.until, now, zone)
    conditions: list[Condition] = []
    if since is not None or until is not None:
        conditions.append(Between("time", since, until))
    if asked.priority is not None:
        least, most = parse_priority(asked.priority)
        conditions.append(Between("severity", least, most + 1))
    conditions += [OneOf(name, globs) for name, globs in (("host", asked.host), ("app", asked.app)) if globs]
    if asked.pattern:
        conditions.append(Holds("message", asked.pattern, regex=asked.regex, ignore_case=asked.ignore_case))
    return Filter(tuple(conditions))


def _renderer(asked: Asked, zone: dt.tzinfo, *, terminal: bool) -> Renderer:
    from logsink.query.render import Cat, Json, Raw, Text

    coloured = asked.color == "always" or (asked.color == "auto" and terminal and not os.environ.get("NO_COLOR"))
    makers: dict[str, Callable[[], Renderer]] = {
        "text": lambda: Text(None if asked.utc else zone, colour=coloured),
        "json": Json,
        "raw": lambda: Raw(octet=asked.framing == "octet"),
        "cat": lambda: Cat(terminal=terminal),
    }
    return makers[asked.output]()


def _limit(text: str) -> int | None:
    """What ``-n`` says: None is no limit."""
    if text == "all":
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise ArgumentError(f"cannot read {text!r} as a number of lines", hint="write digits, or all")
    return int(text) or None


def _summary(report: Report, query: Query, seconds: float) -> None:
    if report.cut:
        click.echo(f"logsink: only the newest {query.limit} are shown, there may be more; -n all shows all", err=True)
    hidden = [f"{report.hidden:,} hidden as copies"] if query.dedupe else []
    parts = [
        f"{report.rows:,} found in {seconds:.2f} s",
        *hidden,
        f"{report.files_read:,} of {report.files:,} files and {report.segments:,} journal segments read",
        f"{_size(report.bytes_read)} in {report.requests:,} requests",
    ]
    click.echo(f"logsink: {'; '.join(parts)}", err=True)


def _size(count: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


class _NoPandas(importlib.abc.MetaPathFinder):
    """pyarrow imports pandas at its first conversion of anything, where there is one; that costs 0.4 s and is for nothing."""

    def find_spec(self, fullname: str, path: object, target: object = None) -> None:
        if fullname == "pandas":
            raise ModuleNotFoundError("not wanted here", name=fullname)


@contextmanager
def _without_pandas() -> Iterator[None]:
    """No pandas in here, unless the process had it, or pyarrow, before: it is not ours alone then."""
    if {"pandas", "pyarrow"} & sys.modules.keys():
        yield
        return
    finder = _NoPandas()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


class SystemZone(dt.tzinfo):
    """This machine's local time as the C library has it (TZ, /etc/localtime), daylight saving and history included."""

    def utcoffset(self, when: dt.datetime | None) -> dt.timedelta:
        if when is None:
            return dt.timedelta()
        naive = when.replace(tzinfo=None)
        return naive.replace(tzinfo=dt.UTC, fold=0) - dt.datetime.fromtimestamp(naive.timestamp(), dt.UTC)

    def fromutc(self, when: dt.datetime) -> dt.datetime:
        local = when.replace(tzinfo=dt.UTC).astimezone()
        first = local.replace(tzinfo=None)  # of two equal local times, as ``fold=0`` means it
        return local.replace(tzinfo=self, fold=first.timestamp() != local.timestamp())

    def dst(self, when: dt.datetime | None) -> dt.timedelta | None:
        return None

    def tzname(self, when: dt.datetime | None) -> str:
        return "local"
