"""Options that ask for more than the matches: their neighbours, the rest of their records, or what happened at the time."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Self

import click

from logsink.errors import ArgumentError

if TYPE_CHECKING:
    import datetime as dt

    from logsink.query.views import AroundMatches, AroundTime, Rule

MOST_NEIGHBOURS = 10_000
"""Most neighbours on one side of a match."""

STREAMS = {"app": ("host", "app"), "host": ("host",), "all": ()}
"""Value of ``--context-by``, and the columns in which neighbours have the same values as the match."""


@dataclass(frozen=True, kw_only=True)
class ContextOptions:
    """The options of this module, as the command line has them."""

    after_context: int | None = None
    before_context: int | None = None
    context: int | None = None
    context_by: str | None = None
    around: str | None = None
    multiline: bool = False
    continues: str | None = None

    @classmethod
    def of(cls, parameters: Mapping[str, Any]) -> Self:
        """Return the options of this module among all parameters of a verb."""
        return cls(**{field.name: parameters[field.name] for field in fields(cls)})

    @property
    def neighbours(self) -> bool:
        """Whether a number of neighbours is asked for."""
        return (self.after_context, self.before_context, self.context) != (None, None, None)

    @property
    def around_seconds(self) -> float | None:
        """The seconds of ``--around SPAN``; None for ``--around TIME``, or without it."""
        from logsink.kinds import parse_span

        try:
            return None if self.around is None else parse_span(self.around.strip())
        except ArgumentError:
            return None

    @property
    def around_time(self) -> bool:
        """Whether ``--around TIME`` is asked for."""
        return self.around is not None and self.around_seconds is None


def context_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a verb with the options of ``ContextOptions``."""
    number = click.IntRange(0, MOST_NEIGHBOURS)
    options = [
        click.option(
            *("-A", "--after-context"),
            type=number,
            metavar="N",
            help="N lines of the same host and app after each match.",
        ),
        click.option(
            *("-B", "--before-context"),
            type=number,
            metavar="N",
            help="N lines of the same host and app before each match.",
        ),
        click.option(
            *("-C", "--context"),
            type=number,
            metavar="N",
            help="N lines before and N lines after each match.",
        ),
        click.option(
            "--context-by",
            type=click.Choice(tuple(STREAMS)),
            help="With -A, -B, -C, --around: lines of the match's app, host, or all.",
        ),
        click.option(
            "--around",
            metavar="TIME|SPAN",
            help="Rows around a TIME, or within SPAN (30s, 5m) of each match.",
        ),
        click.option("-M", "--multiline", is_flag=True, help="With each match, all lines of its record: stack traces."),
        click.option(
            "--continues", metavar="REGEX", help="With -M: regular expression that matches continuation lines."
        ),
    ]
    for option in reversed(options):
        function = option(function)
    return function


def rule_of(options: ContextOptions, zone: dt.tzinfo, *, reverse: bool) -> Rule | AroundTime | AroundMatches | None:
    """Return the rule by which rows are shown with matches; None if only matches are. ``ArgumentError`` for a bad value.

    reverse   the newest row comes first, so that neighbours after a match come before it
    """
    if options.around is not None:
        return _around(options.around, options.context_by, zone, span=not options.around_time)
    from logsink.query.views import CONTINUES, Neighbours, Record

    if options.neighbours:
        before = options.context if options.before_context is None else options.before_context
        after = options.context if options.after_context is None else options.after_context
        first, last = (after, before) if reverse else (before, after)
        return Neighbours(first or 0, last or 0, STREAMS[options.context_by or "app"])
    if options.multiline:
        return Record(CONTINUES if options.continues is None else options.continues, reverse)
    return None


def _around(text: str, by: str | None, zone: dt.tzinfo, *, span: bool) -> AroundTime | AroundMatches:
    from logsink.cli.options.spans import microseconds_of
    from logsink.query import parse_time
    from logsink.query.views import AroundMatches, AroundTime

    if span:
        return AroundMatches(microseconds_of(text.strip(), "show rows around matches within"), STREAMS[by or "all"])
    return AroundTime(parse_time(text, time.time_ns() // 1000, zone))
