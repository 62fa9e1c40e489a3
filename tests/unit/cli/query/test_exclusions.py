"""Which options go together: every row of the tables, and a command line that breaks it."""

from __future__ import annotations

import dataclasses
import datetime as dt
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from logsink.cli.options.context import ContextOptions
from logsink.cli.options.output import OutputOptions
from logsink.cli.options.summaries import SummaryOptions
from logsink.cli.query.exclusions import EXCLUSIONS, PRESENT, REQUIREMENTS, check, conflicts
from logsink.cli.query.request import FollowOptions, QueryRequest
from logsink.errors import ArgumentError
from logsink.query.request import SearchTerms

PLAIN = QueryRequest(
    terms=SearchTerms(),
    context=ContextOptions(),
    summary=SummaryOptions(count=False, stats=None, hist=None, by=None, top=None, values=None, patterns=False),
    output=OutputOptions(output="text", fields=None, framing="lf", spreadsheet=False, color="auto", marks="auto"),
    follow=FollowOptions(),
    zone=dt.UTC,
    limit=None,
)

FIELDS: dict[str, tuple[str, dict[str, Any]]] = {
    "--count": ("summary", {"count": True}),
    "--stats": ("summary", {"stats": "by=host"}),
    "--hist": ("summary", {"hist": "5m"}),
    "--by": ("summary", {"by": "host"}),
    "--top": ("summary", {"top": "host"}),
    "--values": ("summary", {"values": "host"}),
    "--patterns": ("summary", {"patterns": True}),
    "--around": ("context", {"around": "3:10"}),
    "--around SPAN": ("context", {"around": "30s"}),
    "-A, -B, -C": ("context", {"before_context": 1}),
    "--context-by": ("context", {"context_by": "all"}),
    "--multiline": ("context", {"multiline": True}),
    "--continues": ("context", {"continues": "^ "}),
    "--after-cursor": ("follow", {"after_cursor": "abc"}),
    "--follow": ("follow", {"follow": True}),
    "--cursor-file": ("follow", {"cursor_file": Path("cursor")}),
    "--reverse": ("", {"reverse": True}),
    "--connect": ("", {"connect": "sc://host"}),
    "--explain": ("", {"explain": True}),
    "--dedupe": ("", {"dedupe": True}),
    "--sort received": ("", {"sort": "received"}),
    "--spreadsheet": ("output", {"spreadsheet": True}),
}


def having(*options: str) -> QueryRequest:
    """A request with these options."""
    request = PLAIN
    for option in options:
        part, changes = ("output", {"output": option[3:]}) if option.startswith("-o ") else FIELDS[option]
        if part:
            changes = {part: dataclasses.replace(getattr(request, part), **changes)}
        request = dataclasses.replace(request, **changes)
    return request


def test_every_option_of_the_tables_is_known() -> None:
    named = {option for options, others, _ in EXCLUSIONS for option in (*options, *others)}
    named |= {option for option, needed, _ in REQUIREMENTS for option in (option, *needed)}
    assert {option for option in named if not option.startswith("-o ")} <= PRESENT.keys() == FIELDS.keys()


@pytest.mark.parametrize("option", PRESENT)
def test_an_option_is_seen_where_it_is_and_nowhere_else(option: str) -> None:
    assert PRESENT[option](having(option))
    assert not PRESENT[option](PLAIN)


def test_options_that_exclude_each_other() -> None:
    for options, others, hint in EXCLUSIONS:
        for option, other in product(options, others):
            if option != other:
                found = {str(error): error.hint for error in conflicts(having(option, other))}
                assert found[f"cannot use {option} with {other}"] == hint


@pytest.mark.parametrize(("option", "needed", "hint"), REQUIREMENTS)
def test_an_option_that_lacks_another(option: str, needed: tuple[str, ...], hint: str) -> None:
    with pytest.raises(ArgumentError, match=f"cannot use {option} without {' or '.join(needed)}") as caught:
        check(having(option))
    assert caught.value.hint == hint
    for other in needed:
        assert not list(conflicts(having(option, other)))


@pytest.mark.parametrize(
    "options",
    [(), ("--follow", "--cursor-file"), ("--count", "-o json"), ("--around", "--reverse"), ("--dedupe", "--reverse")],
)
def test_others_go_together(options: tuple[str, ...]) -> None:
    check(having(*options))
