"""The request that a command line makes."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import click
import pytest

from logsink.cli.options.terms import with_json
from logsink.cli.query.command import command
from logsink.cli.query.request import QueryRequest
from logsink.errors import ArgumentError


def request(*arguments: str) -> QueryRequest:
    """The request of ``logsink query ARGUMENTS``."""
    context = command.make_context("query", [*arguments])
    parameters: dict[str, Any] = with_json(context.params)
    return QueryRequest.of(parameters)


def test_each_option_has_its_place() -> None:
    made = request(
        *("timeout", "-H", "web-*", "-C", "3", "--top", "host", "-o", "json", "--utc", "-n", "7", "-r"),
        *("--cursor-file", "cursor", "--explain", "-q"),
    )
    assert (made.terms.pattern, made.terms.host) == (("timeout",), ("web-*",))
    assert (made.context.context, made.summary.top, made.output.output) == (3, "host", "json")
    assert (made.zone, made.limit, made.reverse, made.explain, made.quiet) == (dt.UTC, 7, True, True, True)
    assert (made.follow.cursor_file, made.follow.follow, made.no_pager) == (Path("cursor"), False, False)


@pytest.mark.parametrize(
    ("arguments", "limit"),
    [
        ((), 1000),
        (("-f",), 10),
        (("--tail",), 10),
        (("--top", "host"), 10),
        (("--patterns",), 40),
        (("--count",), None),
        (("--around", "3:10"), 40),
        (("--around", "30s"), 1000),
        (("-n", "0"), None),
        (("-f", "-n", "0"), 0),
        (("-n", "all"), None),
    ],
)
def test_the_limit_depends_on_what_is_asked_for(arguments: tuple[str, ...], limit: int | None) -> None:
    assert request(*arguments).limit == limit


def test_tail_is_follow() -> None:
    assert request("--tail").follow.follow


def test_json_without_a_condition_is_the_format() -> None:
    made = request("--json")
    assert (made.output.output, made.terms.json) == ("json", ())
    made = request("--json", "status>=500")
    assert (made.output.output, made.terms.json) == ("text", ("status>=500",))


def test_a_request_is_frozen() -> None:
    with pytest.raises(AttributeError):
        request().limit = 3  # type: ignore[misc]


def test_a_zone_that_is_not_there() -> None:
    with pytest.raises(ArgumentError, match="cannot find time zone 'Nowhere'"):
        request("-z", "Nowhere")
    with pytest.raises(click.UsageError):
        request("--sort", "size")
