"""Conditions as Spark is asked for them; ``tests/property/test_spark.py`` asks an engine."""

from __future__ import annotations

import numpy as np
import pytest

from logsink.query.request import (
    Between,
    Condition,
    ExactlyOneOf,
    Filter,
    Flagged,
    Holds,
    InSpans,
    Members,
    MemberTest,
    Not,
    OneOf,
    OneOfNumbers,
    Parameter,
)
from logsink.query.spark.conditions import MOST_SPANS, compiled, instant
from tests.support.spark import require_client

require_client()

SECOND = 1_000_000
SPANS = np.arange(MOST_SPANS + 1) * 2 * SECOND


def asked(condition: Condition) -> tuple[str, bool]:
    """What Spark is asked for, and whether nothing is left to be tested."""
    where, rest = compiled(Filter((condition,)))
    assert rest.conditions in ((), (condition,))
    return ("" if where is None else str(where)), not rest.conditions


@pytest.mark.parametrize(
    ("condition", "part"),
    [
        (Between("severity", 1, 4), "<"),
        (Between("time", None, None), "isNotNull"),
        (ExactlyOneOf("host", ("a", None)), "isNull"),
        (OneOf("host", ("a", "b")), "IN"),
        (OneOf("host", ("web*",)), "startswith"),
        (OneOf("host", ("w?b",)), "rlike"),
        (Holds("message", ("it's",)), "contains"),
        (Holds("message", ("a.c",), regex=True), "rlike"),
        (OneOfNumbers("severity", (1, 2)), "IN"),
        (Flagged("flags", 4), "coalesce"),
        (InSpans.of("time", SPANS[:3], SPANS[:3]), ">="),
        (Not(Holds("message", ("a",))), "coalesce"),
    ],
)
def test_conditions_that_spark_tests(condition: Condition, part: str) -> None:
    text, whole = asked(condition)
    assert whole
    assert part.lower() in text.lower()


@pytest.mark.parametrize(
    ("condition", "parts"),
    [
        (Holds("message", (r"\bport\b",), regex=True), ["port"]),
        (Holds("message", ("größe",), ignore_case=True), []),
        (Holds("message", ("a", "bc"), words=True), ["a", "bc"]),
        (Parameter("a.key", 'va"l*ue'), ["key=", "va", "l", "ue"]),
        (Members([MemberTest.parse("status=open")]), ["status", "open"]),
        (Between("time", -(1 << 60), None), []),
        (InSpans.of("time", SPANS, SPANS), [">="]),
        (Not(Members([MemberTest.parse("status")])), []),
    ],
)
def test_of_others_what_certainly_does_not_match_is_left_out(condition: Condition, parts: list[str]) -> None:
    text, whole = asked(condition)
    assert not whole
    assert bool(text) == bool(parts)
    for part in parts:
        assert part in text


def test_instants_keep_their_microseconds() -> None:
    assert instant(1_795_305_600_123_457).isoformat() == "2026-11-22T00:00:00.123457+00:00"
