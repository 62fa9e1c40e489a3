"""Options that say which rows are searched for: the terms that every verb takes, and the patterns of ``logsink query``."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from logsink.cli import completion
from logsink.query.request import GLOB_COLUMNS, TERM_NAMES, SearchTerms

if TYPE_CHECKING:
    import datetime as dt

    from logsink.query import Filter

_GLOB_OPTIONS = {
    "host": (("-H", "--host", "-s", "--system"), "Host"),
    "app": (("-u", "--app", "--unit", "--identifier"), "Application (unit)"),
    "procid": (("--procid",), "Process id"),
    "msgid": (("--msgid",), "Message id"),
    "sender": (("--sender",), "Address of the sender"),
    "identity": (("--identity",), "Subject of the TLS certificate"),
    "environment": (("--environment",), "Environment of the sender"),
    "role": (("--role",), "Role of the sender"),
    "deploy": (("--deploy",), "Deploy of the sender"),
    "instance": (("--instance",), "Instance of the sender"),
    "transport": (("--transport",), "Transport (udp, relp-tls, ...)"),
}
"""Column of ``GLOB_COLUMNS``, the names of its option, and what it holds."""


def range_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a verb with the options for a range of time."""
    return _decorated(
        function,
        [
            click.option(
                "-S", "--since", "--from", "--min-time", "since", metavar="TIME", help="Messages of TIME and later."
            ),
            click.option("-U", "--until", "--to", "--max-time", "until", metavar="TIME", help="Messages before TIME."),
        ],
    )


def glob_options(function: Callable[..., Any], *, columns: Sequence[str] = GLOB_COLUMNS) -> Callable[..., Any]:
    """Decorate a verb with the options for some of ``GLOB_COLUMNS``: the column matches one of the globs that are given."""
    given = [(column, *_GLOB_OPTIONS[column]) for column in columns]
    return _decorated(
        function,
        [
            click.option(*names, column, multiple=True, metavar="GLOB", help=f"{held} matches GLOB; !GLOB excludes.")
            for column, names, held in given
        ],
    )


def zone_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a verb with the options for the time zone, which ``zone_of`` reads."""
    return _decorated(
        function,
        [
            click.option(
                *("-z", "--timezone"),
                metavar="ZONE",
                shell_complete=completion.zones,
                help="Time zone for input and output: local, UTC, Europe/Berlin.",
            ),
            click.option("--utc", is_flag=True, help="The same as -z UTC."),
        ],
    )


def term_options(function: Callable[..., Any], *, without: str = "") -> Callable[..., Any]:
    """Decorate a verb with the options that choose rows; ``terms_of`` reads their parameters.

    ``without`` names a column of ``GLOB_COLUMNS`` whose option means something else to the verb.
    """
    return _decorated(
        function,
        [
            range_options,
            partial(glob_options, columns=[column for column in GLOB_COLUMNS if column != without]),
            click.option(
                *("-p", "--priority"),
                metavar="LEVEL",
                shell_complete=completion.severities,
                help="Severity LEVEL or more urgent (err, 3), or range err..notice.",
            ),
            click.option(
                "--facility",
                multiple=True,
                metavar="NAME",
                shell_complete=completion.facilities,
                help="Facility (kern, daemon, local0, 3); !NAME excludes.",
            ),
            click.option(
                "--sd", multiple=True, metavar="[ID.]KEY=GLOB", help="Parameter of structured data matches GLOB."
            ),
            click.option(
                "--flag",
                multiple=True,
                metavar="NAME",
                shell_complete=completion.flags,
                help="Flag of the row (truncated, clock_skew, ...); !NAME excludes.",
            ),
            zone_options,
        ],
    )


def pattern_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a verb with the patterns and the options that search in messages; ``terms_of`` reads their parameters."""
    return _decorated(
        function,
        [
            click.argument("pattern", nargs=-1),
            click.option(
                "-g",
                "--grep",
                multiple=True,
                metavar="REGEX",
                help="Message matches REGEX; all lower case ignores case.",
            ),
            click.option("-E", "--regex", is_flag=True, help="Take PATTERNs as regular expressions (RE2)."),
            click.option("-F", "--fixed", is_flag=True, help="Take PATTERNs as text, which is the default."),
            click.option("-w", "--word", is_flag=True, help="Match whole words only: what the index helps most."),
            click.option("-i", "--ignore-case", is_flag=True, help="Ignore case."),
            click.option(
                "--json",
                multiple=True,
                is_flag=False,
                flag_value="",
                metavar="CONDITION",
                help="JSON or logfmt member: status>=500, user.name=ada, path~^/api.",
            ),
            click.option("-v", "--invert-match", is_flag=True, help="Show messages that do not match."),
        ],
    )


def with_json(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of a verb, with a ``--json`` that has no condition read as ``-o json``."""
    conditions = tuple(text for text in parameters["json"] if text)
    asked = {} if conditions == parameters["json"] else {"output": "json"}
    return {**parameters, "json": conditions, **asked}


def terms_of(parameters: Mapping[str, Any]) -> SearchTerms:
    """Return the search terms among the parameters of a verb."""
    return SearchTerms(**{name: value for name, value in parameters.items() if name in TERM_NAMES})


def filter_of(terms: SearchTerms, zone: dt.tzinfo) -> Filter:
    """Return the filter that the terms mean now. ``ArgumentError`` names the term that means nothing."""
    from logsink.query.request import to_filter

    return to_filter(terms, time.time_ns() // 1000, zone)


def _decorated(
    function: Callable[..., Any], options: Sequence[Callable[[Callable[..., Any]], Callable[..., Any]]]
) -> Callable[..., Any]:
    """Decorate a verb with options, which ``--help`` shows in the order in which they are given."""
    for option in reversed(options):
        function = option(function)
    return function
