"""What search terms mean."""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import Any

import pytest

from logsink.errors import ArgumentError
from logsink.parse.schema import FILE_SCHEMA
from logsink.query.request.conditions import Between
from logsink.query.request.interpret import to_filter
from logsink.query.request.terms import GLOB_COLUMNS, REPEATED_TERMS, TERM_NAMES, SearchTerms

NOW = 1_795_874_317_000_000
NOON = dt.datetime(2026, 11, 28, 12)  # noqa: DTZ001
ZONE = dt.timezone(dt.timedelta(hours=1))


def meaning(**terms: Any) -> list[str]:
    return [str(condition) for condition in to_filter(SearchTerms(**terms), NOW, ZONE).conditions]


@pytest.mark.parametrize(
    ("terms", "conditions"),
    [
        ({}, []),
        ({"host": ["web-*", "db1", "!web-7"]}, ["host is web-* or db1", "not: host is web-7"]),
        ({"priority": "err"}, ["severity from 0 and severity before 4"]),
        ({"facility": ["kern", "!cron"]}, ["facility is 0", "not: facility is 9"]),
        ({"sd": ["meta.user=ro*"]}, ["structured_data has meta.user=ro*"]),
        ({"flag": ["truncated", "!MAYBE_RESENT"]}, ["flags hold truncated", "not: flags hold maybe_resent"]),
        ({"pattern": ["a", "b"]}, ["message holds 'a' or 'b'"]),
        ({"pattern": ["a"], "regex": True, "word": True}, ["message holds 'a' (regular expression, whole words)"]),
        ({"grep": ["a"]}, ["message holds 'a' (regular expression, in any case)"]),
        ({"grep": ["a", "B"]}, ["message holds 'a' or 'B' (regular expression)"]),
        ({"pattern": ["a"], "invert_match": True}, ["not: message holds 'a'"]),
        ({"json": ["a>=1", "b"]}, ["message has a>=1 and b"]),
    ],
)
def test_what_terms_mean(terms: dict[str, Any], conditions: list[str]) -> None:
    assert meaning(**terms) == conditions


@pytest.mark.parametrize(
    "until", ["12:00", "2026-11-28T11:00:00Z", NOON, NOON.replace(tzinfo=ZONE), NOON.replace(hour=11, tzinfo=dt.UTC)]
)
def test_a_time_as_text_and_as_a_value(until: str | dt.datetime) -> None:
    (condition,) = to_filter(SearchTerms(until=until, since=NOON - dt.timedelta(hours=1)), NOW, ZONE).conditions
    assert condition == Between("time", 1_795_860_000_000_000, 1_795_863_600_000_000)


def test_a_duration_is_that_long_ago() -> None:
    (condition,) = to_filter(SearchTerms(since=dt.timedelta(seconds=5)), NOW, ZONE).conditions
    assert condition == Between("time", NOW - 5_000_000, None)


@pytest.mark.parametrize(
    ("terms", "why"),
    [
        ({"since": "13:00", "until": dt.timedelta(hours=30)}, "the range is empty"),
        ({"regex": True, "fixed": True}, "as text and as regular expressions"),
        ({"invert_match": True}, "there is no pattern"),
        ({"flag": ["truncted"]}, "cannot find flag 'truncted'"),
        ({"sd": ["x"]}, "as a parameter"),
        ({"json": ["=1"]}, "as a condition on JSON"),
    ],
)
def test_terms_that_mean_nothing(terms: dict[str, Any], why: str) -> None:
    with pytest.raises(ArgumentError, match=why):
        meaning(**terms)


def test_terms_are_a_value_that_does_not_change() -> None:
    terms = SearchTerms(host=("a",))
    with pytest.raises(dataclasses.FrozenInstanceError):
        terms.host = ()  # type: ignore[misc]


def test_globs_choose_by_columns_of_the_archive() -> None:
    assert set(GLOB_COLUMNS) <= set(FILE_SCHEMA.names)
    assert set(GLOB_COLUMNS) < set(REPEATED_TERMS) < set(TERM_NAMES)
