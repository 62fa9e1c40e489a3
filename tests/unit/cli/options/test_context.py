"""The rule that options of context mean."""

from __future__ import annotations

import datetime as dt

import pytest

from logsink.cli.options.context import ContextOptions, rule_of
from logsink.errors import ArgumentError
from logsink.query.views import CONTINUES, AroundMatches, AroundTime, Neighbours, Record


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        (ContextOptions(), None),
        (ContextOptions(context=3), Neighbours(3, 3, ("host", "app"))),
        (ContextOptions(context=3, before_context=1), Neighbours(1, 3, ("host", "app"))),
        (ContextOptions(after_context=0, context_by="all"), Neighbours(0, 0, ())),
        (ContextOptions(around="30s"), AroundMatches(30_000_000, ())),
        (ContextOptions(around="30s", context_by="host"), AroundMatches(30_000_000, ("host",))),
        (ContextOptions(around="1970-01-01 00:00:02"), AroundTime(2_000_000)),
        (ContextOptions(multiline=True), Record(CONTINUES, False)),
        (ContextOptions(multiline=True, continues="^ "), Record("^ ", False)),
    ],
)
def test_rules(options: ContextOptions, rule: object) -> None:
    made = rule_of(options, dt.UTC, reverse=False)
    assert type(made) is type(rule)
    assert str(made) == str(rule)


def test_newest_first_exchanges_the_sides() -> None:
    made = rule_of(ContextOptions(before_context=1, after_context=2), dt.UTC, reverse=True)
    assert str(made) == str(Neighbours(2, 1, ("host", "app")))


def test_a_span_is_not_longer_than_the_calendar() -> None:
    made = rule_of(ContextOptions(around="3652500d"), dt.UTC, reverse=False)
    assert str(made) == str(AroundMatches(3_652_500 * 86_400_000_000, ()))
    with pytest.raises(ArgumentError) as error:
        rule_of(ContextOptions(around="9999999999 weeks"), dt.UTC, reverse=False)
    assert str(error.value) == "cannot show rows around matches within '9999999999 weeks': more than 3652500 days"
    assert error.value.hint == "write a shorter span"


def test_a_span_and_a_time() -> None:
    span, time = ContextOptions(around=" 5m "), ContextOptions(around="3:10")
    assert (span.around_seconds, span.around_time) == (300.0, False)
    assert (time.around_seconds, time.around_time) == (None, True)
    assert (ContextOptions().around_seconds, ContextOptions().around_time) == (None, False)


def test_a_time_that_means_nothing() -> None:
    with pytest.raises(ArgumentError):
        rule_of(ContextOptions(around="soon"), dt.UTC, reverse=False)
