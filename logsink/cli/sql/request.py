"""What one ``logsink sql`` asks for, as a typed value."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from logsink.cli.options.terms import terms_of
from logsink.cli.options.zones import zone_of
from logsink.query.request import SearchTerms


@dataclass(frozen=True, kw_only=True)
class SqlRequest:
    """Everything that the command line of one statement says, apart from settings.

    terms     which rows the statement sees
    zone      the time zone for input and output
    output    name of a format
    connect   URL of the Spark Connect server that runs the statement; None: DuckDB does, in this process
    quiet     print no summary on stderr
    """

    statement: str
    terms: SearchTerms
    zone: dt.tzinfo
    output: str = "table"
    connect: str | None = None
    quiet: bool = False

    @classmethod
    def of(cls, statement: str, parameters: Mapping[str, Any]) -> Self:
        """Return the request that all parameters of the verb make. ``ArgumentError`` for a zone that does not exist."""
        return cls(
            statement=statement,
            terms=terms_of(parameters),
            zone=zone_of(parameters["timezone"], utc=parameters["utc"]),
            **{name: parameters[name] for name in ("output", "connect", "quiet")},
        )
