"""The options that say which rows are wanted, the same for every verb that reads the archive."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from logsink.errors import ArgumentError

if TYPE_CHECKING:
    from logsink.query import Condition, Filter

GLOBS = {
    "host": (("-H", "--host"), "Host: * ? [a-z] allowed, ! before it excludes. May be repeated: either."),
    "app": (("-u", "--app", "--unit"), "Application (unit), likewise."),
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
"""Column -> names and help of its option."""


def conditions(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a verb with these options; ``wanted`` makes a filter of its parameters."""
    options = [
        click.option("-S", "--since", "--from", "--min-time", "since", metavar="TIME", help="From this time on."),
        click.option("-U", "--until", "--to", "--max-time", "until", metavar="TIME", help="Before this time."),
        *(
            click.option(*names, column, multiple=True, metavar="GLOB", help=text)
            for column, (names, text) in GLOBS.items()
        ),
        click.option(
            "-p", "--priority", metavar="LEVEL", help="This severe or more (err, 3), or a range (err..notice)."
        ),
        click.option("--facility", multiple=True, metavar="NAME", help="kern, daemon, local0, 3; ! excludes. Either."),
        click.option("--sd", multiple=True, metavar="[ID.]KEY=GLOB", help="Parameter of structured data. All of them."),
        click.option(
            "--flag", multiple=True, metavar="NAME", help="What was noticed: truncated, ...; ! excludes. All."
        ),
        click.option("-z", "--timezone", metavar="ZONE", help="Of times given and shown: local, UTC, Europe/Berlin."),
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
        click.option("-v", "--invert-match", is_flag=True, help="Messages that do not match."),
    ]
    for option in reversed(options):
        function = option(function)
    return function


def wanted(given: Mapping[str, Any], zone: dt.tzinfo) -> Filter:
    """The filter that the options ask for. ``ArgumentError`` names what cannot be understood."""
    from logsink.query import Filter

    return Filter((*_of_columns(given, zone), *_of_message(given)))


def _of_columns(given: Mapping[str, Any], zone: dt.tzinfo) -> Sequence[Condition]:
    from logsink.query import Between, Not, Numbered, OneOf, Parameter, parse_facility, parse_priority, parse_time

    now = time.time_ns() // 1000
    since, until = (None if given[key] is None else parse_time(given[key], now, zone) for key in ("since", "until"))
    found: list[Condition] = []
    if since is not None or until is not None:
        if since is not None and until is not None and since >= until:
            raise ArgumentError(f"cannot search from {given['since']!r} until {given['until']!r}: the range is empty")
        found.append(Between("time", since, until))
    if given["priority"] is not None:
        least, most = parse_priority(given["priority"])
        found.append(Between("severity", least, most + 1))
    for column in GLOBS:
        only, without = _split(given[column])
        found += [OneOf(column, only)] if only else []
        found += [Not(OneOf(column, without))] if without else []
    only, without = _split(given["facility"])
    found += [Numbered("facility", tuple(map(parse_facility, only)))] if only else []
    found += [Not(Numbered("facility", tuple(map(parse_facility, without))))] if without else []
    found += [Parameter.parse(text) for text in given["sd"]]
    return [*found, *_of_flags(given["flag"])]


def _of_flags(texts: Sequence[str]) -> Sequence[Condition]:
    from logsink.flags import Flag
    from logsink.query import Flagged, Not

    known = {flag.name.lower(): int(flag) for flag in Flag if flag.name}
    only, without = _split(texts)
    for text in (*only, *without):
        if text.lower() not in known:
            raise ArgumentError(f"cannot find flag {text!r}", hint=f"write one of {', '.join(known)}")
    return [
        *(Flagged("flags", known[text.lower()]) for text in only),
        *(Not(Flagged("flags", known[text.lower()])) for text in without),
    ]


def _of_message(given: Mapping[str, Any]) -> Sequence[Condition]:
    from logsink.query import Holds, Not

    if given["regex"] and given["fixed"]:
        raise ArgumentError("cannot take patterns as text and as regular expressions at once", hint="give -E or -F")
    found: list[Condition] = []
    words, ignore_case = given["word"], given["ignore_case"]
    if given["pattern"]:
        found.append(Holds("message", given["pattern"], given["regex"], ignore_case, words))
    if given["grep"]:
        lower = all(pattern == pattern.lower() for pattern in given["grep"])
        found.append(Holds("message", given["grep"], regex=True, ignore_case=ignore_case or lower, words=words))
    if given["invert_match"]:
        if not found:
            raise ArgumentError("cannot find what does not match: there is no pattern", hint="give one with -v")
        return [Not(condition) for condition in found]
    return found


def _split(texts: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Those that include, those that exclude (without their ``!``)."""
    return tuple(t for t in texts if not t.startswith("!")), tuple(t[1:] for t in texts if t.startswith("!"))
