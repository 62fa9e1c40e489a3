"""The options that ask for more than what matches: neighbouring lines, and the rest of a record."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import click

from logsink.errors import ArgumentError

if TYPE_CHECKING:
    from logsink.query.context import Rule

MOST = 10_000
"""Most neighbours on one side."""

_LINES = click.IntRange(0, MOST)


def belonging(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a verb with these options."""
    options = [
        click.option(
            *("-A", "--after-context"),
            type=_LINES,
            metavar="N",
            help="N lines of the same host and app after each match.",
        ),
        click.option("-B", "--before-context", type=_LINES, metavar="N", help="N lines before."),
        click.option("-C", "--context", type=_LINES, metavar="N", help="N lines before and after."),
        click.option(
            "-M", "--multiline", is_flag=True, help="With each match the other lines of its record: stack traces."
        ),
        click.option("--continues", metavar="REGEX", help="Of -M: what a line looks like that goes on with a record."),
    ]
    for option in reversed(options):
        function = option(function)
    return function


def rule_of(given: Mapping[str, Any]) -> Rule | None:
    """What the options ask for. ``ArgumentError``."""
    before, after = (
        given["context"] if given[side] is None else given[side] for side in ("before_context", "after_context")
    )
    around = before is not None or after is not None
    if given["continues"] is not None and not given["multiline"]:
        raise ArgumentError("cannot use --continues without --multiline")
    if around and given["multiline"]:
        raise ArgumentError("cannot use --multiline with --context", hint="ask twice")
    if not (around or given["multiline"]):
        return None
    from logsink.query.context import CONTINUES, Around, Record

    if around:
        sides = (before or 0, after or 0)
        return Around(*(reversed(sides) if given["reverse"] else sides))
    return Record(CONTINUES if given["continues"] is None else given["continues"], given["reverse"])
