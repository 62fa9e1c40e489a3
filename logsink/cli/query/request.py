"""What one ``logsink query`` asks for, as a typed value."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

from logsink.cli.options.context import ContextOptions
from logsink.cli.options.limits import limit_of
from logsink.cli.options.output import OutputOptions
from logsink.cli.options.summaries import SummaryOptions
from logsink.cli.options.terms import terms_of
from logsink.cli.options.zones import zone_of
from logsink.query.request import SearchTerms

LIMIT = "1000"
"""Default of ``-n``."""

LIMITS = {"follow": "10", "top": "10", "patterns": "40", "count": "all", "stats": "all", "hist": "all", "values": "all"}
"""Default of ``-n`` with these options."""

LIMIT_AROUND_TIME = "40"
"""Default of ``-n`` with ``--around TIME``."""


@dataclass(frozen=True, kw_only=True)
class FollowOptions:
    """The options that show rows by when they were stored."""

    follow: bool = False
    after_cursor: str | None = None
    cursor_file: Path | None = None
    show_cursor: bool = False

    @classmethod
    def of(cls, parameters: Mapping[str, Any]) -> Self:
        """Return these options among all parameters of the verb."""
        options = {field.name: parameters[field.name] for field in fields(cls)}
        return cls(**options | {"follow": parameters["follow"] or parameters["tail"]})


@dataclass(frozen=True, kw_only=True)
class QueryRequest:
    """Everything that the command line of one query says, apart from settings.

    zone      the time zone for input and output
    limit     how many rows at most, the newest of them; of a summary, the first rows; None: no limit
    sort      the column that rows are ordered by: ``time`` or ``received``
    connect   URL of the Spark Connect server that reads the archive; None: this process does
    explain   print what would be read instead of reading it
    quiet     print no summary, hints or progress on stderr
    """

    terms: SearchTerms
    context: ContextOptions
    summary: SummaryOptions
    output: OutputOptions
    follow: FollowOptions
    zone: dt.tzinfo
    limit: int | None
    sort: str = "time"
    reverse: bool = False
    dedupe: bool = False
    connect: str | None = None
    explain: bool = False
    no_pager: bool = False
    no_cache: bool = False
    quiet: bool = False

    @classmethod
    def of(cls, parameters: Mapping[str, Any]) -> Self:
        """Return the request that all parameters of the verb make. ``ArgumentError`` for a bad limit or zone."""
        context, follow = ContextOptions.of(parameters), FollowOptions.of(parameters)
        asked = {**parameters, "follow": follow.follow}
        default = next((limit for option, limit in LIMITS.items() if asked[option]), LIMIT)
        default = LIMIT_AROUND_TIME if context.around_time else default
        return cls(
            terms=terms_of(parameters),
            context=context,
            summary=SummaryOptions.of(parameters),
            output=OutputOptions.of(parameters),
            follow=follow,
            zone=zone_of(parameters["timezone"], utc=parameters["utc"]),
            limit=limit_of(parameters["lines"] or default, follow=follow.follow),
            **{
                name: parameters[name]
                for name in ("sort", "reverse", "dedupe", "connect", "explain", "no_pager", "no_cache", "quiet")
            },
        )
