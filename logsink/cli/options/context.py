"""The options that ask for more than what matches: neighbouring lines, the rest of a record, what happened at that time."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import click

from logsink.errors import ArgumentError

if TYPE_CHECKING:
    from logsink.query.views import AroundMatches, AroundTime, Rule

MOST = 10_000
"""Most neighbours on one side."""

STREAMS = {"app": ("host", "app"), "host": ("host",), "all": ()}
"""Whose lines are shown with a match, by the values of ``--context-by``: columns whose values are the match's."""

_LINES = click.IntRange(0, MOST)


def belonging(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a verb with these options."""
    options = [
        click.option(
            *("-A", "--after-context"),
            type=_LINES,
            metavar="N",
            help="N lines of the same host and app (see --context-by) after each match.",
        ),
        click.option("-B", "--before-context", type=_LINES, metavar="N", help="N lines before."),
        click.option("-C", "--context", type=_LINES, metavar="N", help="N lines before and after."),
        click.option(
            "--context-by",
            type=click.Choice(tuple(STREAMS)),
            help="With -A, -B, -C, --around 30s: lines of the match's app on its host, of its host, or all.",
        ),
        click.option(
            "--around",
            metavar="TIME|SPAN",
            help="Rows before and after a TIME, -n in all (40); or with each match the rows within 30s, 5m.",
        ),
        click.option(
            "-M", "--multiline", is_flag=True, help="With each match the other lines of its record: stack traces."
        ),
        click.option("--continues", metavar="REGEX", help="Of -M: what a line looks like that goes on with a record."),
    ]
    for option in reversed(options):
        function = option(function)
    return function


def span_of(around: str | None) -> float | None:
    """The seconds that ``--around`` says; None when it is a time."""
    from logsink.kinds import parse_span

    try:
        return None if around is None else parse_span(around.strip())
    except ArgumentError:
        return None


def rule_of(given: Mapping[str, Any], zone: dt.tzinfo) -> Rule | AroundTime | AroundMatches | None:
    """What the options ask for. ``ArgumentError``."""
    before, after = (
        given["context"] if given[side] is None else given[side] for side in ("before_context", "after_context")
    )
    lines = before is not None or after is not None
    by, span = given["context_by"], span_of(given["around"])
    if given["continues"] is not None and not given["multiline"]:
        raise ArgumentError("cannot use --continues without --multiline")
    asked = {"--around": given["around"] is not None, "--context": lines, "--multiline": given["multiline"]}
    several = [name for name, so in asked.items() if so]
    if len(several) > 1:
        raise ArgumentError(f"cannot use {several[-1]} with {several[0]}", hint="ask twice")
    if by is not None and not (lines or span is not None):
        raise ArgumentError("cannot use --context-by without lines to choose", hint="give -A, -B, -C or --around 30s")
    if given["around"] is not None:
        return _around(given["around"], span, by, zone)
    if not several:
        return None
    from logsink.query.views import CONTINUES, Neighbours, Record

    if lines:
        first, then = (after, before) if given["reverse"] else (before, after)
        return Neighbours(first or 0, then or 0, STREAMS[by or "app"])
    return Record(CONTINUES if given["continues"] is None else given["continues"], given["reverse"])


def _around(text: str, span: float | None, by: str | None, zone: dt.tzinfo) -> AroundTime | AroundMatches:
    from logsink.query import parse_time
    from logsink.query.views import AroundMatches, AroundTime

    if span is not None:
        return AroundMatches(round(span * 1_000_000), STREAMS[by or "all"])
    return AroundTime(parse_time(text, time.time_ns() // 1000, zone))
