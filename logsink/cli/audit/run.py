"""A run of ``logsink audit``."""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from logsink.cli import report as reporting
from logsink.cli.audit.command import COLUMNS
from logsink.cli.audit.text import as_json, text
from logsink.cli.contact import in_contact, open_cached
from logsink.cli.options.limits import limit_of
from logsink.cli.options.zones import zone_of
from logsink.cli.terminal.answers import print_answer, terminal_width
from logsink.errors import ArgumentError
from logsink.query import Filter, Report, parse_time
from logsink.query.audit import Audit, Findings
from logsink.query.request import SearchTerms, to_filter


@dataclass(frozen=True, kw_only=True)
class AuditRequest:
    """Everything that the command line of one audit says, apart from settings.

    selected       which senders are told of
    since, until   the range, microseconds since the epoch; None: no end
    limit          lines of each table; None: all
    """

    selected: Filter
    since: int | None
    until: int | None
    zone: dt.tzinfo
    limit: int | None = 40
    output: str = "text"
    no_cache: bool = False
    quiet: bool = False

    @classmethod
    def of(cls, parameters: Mapping[str, Any]) -> Self:
        """Return the request that all parameters of the verb make. ``ArgumentError`` for what has no meaning."""
        now, zone = time.time_ns() // 1000, zone_of(parameters["timezone"], utc=parameters["utc"])
        since = None if parameters["since"] is None else parse_time(parameters["since"], now, zone)
        until = None if parameters["until"] is None else parse_time(parameters["until"], now, zone, since, latest=True)
        if since is not None and until is not None and since >= until:
            asked = f"from {parameters['since']!r} until {parameters['until']!r}"
            raise ArgumentError(f"cannot search {asked}: the range is empty")
        terms = SearchTerms(**{name: parameters[name] for name in COLUMNS})
        return cls(
            selected=to_filter(terms, now, zone),
            since=since,
            until=until,
            zone=zone,
            limit=limit_of(parameters["lines"]),
            **{name: parameters[name] for name in ("output", "no_cache", "quiet")},
        )


def run(url: str, request: AuditRequest, *, cache: int = 0) -> int:
    """Audit the store at ``url``, print what was found, and return the exit code; ``cache``: most bytes of the user's cache."""
    began = time.monotonic()
    return _say(*asyncio.run(_audit(url, request, cache)), request, began)


def _say(found: Findings, report: Report, request: AuditRequest, began: float) -> int:
    reporting.damage(report.damage)
    since, until, width = request.since is not None, request.until is not None, terminal_width()
    print_answer(
        request.output,
        lambda: as_json(found),
        lambda: text(found, request.zone, request.limit, width, since=since, until=until),
    )
    if not request.quiet:
        seconds = time.monotonic() - began
        reporting.say(f"{report.rows:,} rows looked at in {seconds:.1f} s; read {reporting.size(report.bytes_read)}")
    return 2 if report.damaged else int(bool(found.holes))


async def _audit(url: str, request: AuditRequest, cache: int) -> tuple[Findings, Report]:
    async with open_cached(url, cache) as store, in_contact(store):
        audit = Audit(store, request.selected, request.since, request.until)
        async with reporting.progress(audit.folds[0], enabled=not request.quiet):
            found = await audit.run()
        return found, audit.report
