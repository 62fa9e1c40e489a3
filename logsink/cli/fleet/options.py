"""Options that all verbs about the fleet take."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import click

from logsink.cli.options.limits import limit_of, lines_option
from logsink.cli.options.output import FormatName
from logsink.cli.options.reading import json_option, no_cache_option, quiet_option
from logsink.cli.options.settings import options
from logsink.cli.options.terms import term_options, terms_of
from logsink.cli.options.zones import zone_of
from logsink.query.request import SearchTerms

FORMATS = ("table", "json", "csv")
"""Formats of the answers, by their names in ``query.output``."""


@dataclass(frozen=True, kw_only=True)
class FleetRequest:
    """What the options of this module say.

    terms   which rows are looked at
    zone    the time zone for input and output
    limit   how many rows of the table are shown at most; None: all
    """

    terms: SearchTerms
    zone: dt.tzinfo
    limit: int | None = None
    output: str = "table"
    no_cache: bool = False
    quiet: bool = False

    @classmethod
    def of(cls, parameters: Mapping[str, Any]) -> Self:
        """Return the request that all parameters of a verb make. ``ArgumentError`` for a bad zone."""
        return cls(
            terms=terms_of(parameters),
            zone=zone_of(parameters["timezone"], utc=parameters["utc"]),
            limit=limit_of(parameters["lines"]),
            **{name: parameters[name] for name in ("output", "no_cache", "quiet")},
        )


def fleet_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a verb with the options of ``FleetRequest``, and those of its settings."""
    kind = FormatName(FORMATS)
    for option in reversed(
        [
            options("store"),
            term_options,
            lines_option(
                "Show N lines: the newest of hosts and deploys, the largest of usage; 0, all: no limit.", "all"
            ),
            click.option("-o", "--output", type=kind, default="table", show_default=True, help="Format of the output."),
            json_option,
            no_cache_option,
            quiet_option,
        ]
    ):
        function = option(function)
    return function
