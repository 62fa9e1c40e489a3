"""The options that say which rows are wanted, the same for every verb that reads the archive."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import click

from logsink.cli import completion
from logsink.query.request import GLOB_COLUMNS

if TYPE_CHECKING:
    from logsink.query import Filter

_GLOB_OPTIONS = {
    "host": (
        ("-H", "--host", "-s", "--system"),
        "Host: * ? [a-z] allowed, ! before it excludes. May be repeated: either.",
    ),
    "app": (("-u", "--app", "--unit", "--identifier"), "Application (unit), likewise."),
    "procid": (("--procid",), "Process id, likewise."),
    "msgid": (("--msgid",), "Message id, likewise."),
    "sender": (("--sender",), "Address that it came from, likewise."),
    "identity": (("--identity",), "Subject of the client's certificate, likewise."),
    "environment": (("--environment",), "Of the deploy element, likewise."),
    "role": (("--role",), "Likewise."),
    "deploy": (("--deploy",), "Likewise."),
    "instance": (("--instance",), "Likewise."),
    "transport": (("--transport",), "tcp, tls, udp, relp, relp-tls, likewise."),
}
"""Column -> names and help of its option; a glob that its value must match."""


def conditions(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a verb with these options; ``filter_of`` makes a filter of its parameters."""
    options = [
        click.option("-S", "--since", "--from", "--min-time", "since", metavar="TIME", help="From this time on."),
        click.option("-U", "--until", "--to", "--max-time", "until", metavar="TIME", help="Before this time."),
        *(
            click.option(*names, column, multiple=True, metavar="GLOB", help=text)
            for column, (names, text) in ((column, _GLOB_OPTIONS[column]) for column in GLOB_COLUMNS)
        ),
        click.option(
            *("-p", "--priority"),
            metavar="LEVEL",
            shell_complete=completion.severities,
            help="This severe or more (err, 3), or a range (err..notice).",
        ),
        click.option(
            "--facility",
            multiple=True,
            metavar="NAME",
            shell_complete=completion.facilities,
            help="kern, daemon, local0, 3; ! excludes. Either.",
        ),
        click.option("--sd", multiple=True, metavar="[ID.]KEY=GLOB", help="Parameter of structured data. All of them."),
        click.option(
            "--flag",
            multiple=True,
            metavar="NAME",
            shell_complete=completion.flags,
            help="What was noticed: truncated, ...; ! excludes. All.",
        ),
        click.option(
            *("-z", "--timezone"),
            metavar="ZONE",
            shell_complete=completion.zones,
            help="Of times given and shown: local, UTC, Europe/Berlin.",
        ),
        click.option("--utc", is_flag=True, help="The same as -z UTC."),
    ]
    for option in reversed(options):
        function = option(function)
    return function


def patterns(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a verb with what is to be found in messages."""
    options = [
        click.argument("pattern", nargs=-1),
        click.option(
            "-g", "--grep", multiple=True, metavar="REGEX", help="A regular expression; ignores case if all lower case."
        ),
        click.option("-E", "--regex", is_flag=True, help="PATTERNs are regular expressions (RE2)."),
        click.option("-F", "--fixed", is_flag=True, help="PATTERNs are text (they are, unless -E says otherwise)."),
        click.option("-w", "--word", is_flag=True, help="Only whole words match."),
        click.option("-i", "--ignore-case", is_flag=True, help="Letters match whatever their case."),
        click.option(
            "--json",
            multiple=True,
            is_flag=False,
            flag_value="",
            metavar="CONDITION",
            help="On a message in JSON or logfmt: status>=500, user.name=ada, path~^/api, user. All. Alone: -o json.",
        ),
        click.option("-v", "--invert-match", is_flag=True, help="Messages that do not match."),
    ]
    for option in reversed(options):
        function = option(function)
    return function


def with_json(given: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters, with ``--json`` that was written without a condition taken as the output format."""
    told = tuple(text for text in given["json"] if text)
    return {**given, "json": told} | ({} if told == given["json"] else {"output": "json"})


def filter_of(given: Mapping[str, Any], zone: dt.tzinfo) -> Filter:
    """The filter that the options ask for. ``ArgumentError`` names what cannot be understood."""
    from logsink.query.request import TERM_NAMES, SearchTerms, to_filter

    terms = SearchTerms(**{name: value for name, value in given.items() if name in TERM_NAMES})
    return to_filter(terms, time.time_ns() // 1000, zone)
