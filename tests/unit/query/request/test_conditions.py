"""Conditions beyond text and globs: what they match, and what they conclude from bounds."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from logsink.query.request.conditions import (
    Between,
    ExactlyOneOf,
    Flagged,
    Holds,
    InSpans,
    Not,
    OneOf,
    OneOfNumbers,
)
from logsink.query.request.filters import UNKNOWN, Bounds, Condition, Verdict
from tests.unit.query.request.test_filters import matching


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("port", ["port 80", "no port"]),
        ("port 8", []),
        ("80", ["port 80"]),
        ("a.b", ["a.b"]),
        ("ärger", ["kein ärger"]),
    ],
)
def test_whole_words(pattern: str, found: list[str]) -> None:
    values = ["port 80", "no port", "ports", "transport", "a.b", "a.bc", "kein ärger", None]
    assert matching(Holds("message", (pattern,), words=True), values) == found


def test_not() -> None:
    condition: Condition = Not(OneOf("host", ("web-*",)))
    assert matching(condition, ["web-1", "db-1", None]) == ["db-1", None]
    assert condition.column == "host"
    assert condition.verdict(Bounds("db-1", "db-9", 0)) is Verdict.ALL
    assert condition.verdict(Bounds("db-1", "db-9", 5)) is Verdict.ALL
    assert condition.verdict(Bounds("web-1", "web-1", 0)) is Verdict.NONE
    assert condition.verdict(Bounds("web-1", "web-1", 1)) is Verdict.SOME
    assert condition.verdict(UNKNOWN) is Verdict.SOME
    assert Not(Between("severity", 0, 4)).verdict(Bounds(0, 3, 1)) is Verdict.SOME
    assert not condition.needles()


def test_numbered() -> None:
    condition = OneOfNumbers("facility", (3, 16))
    assert condition.mask(pa.array([3, 4, 16, None], pa.int8())).tolist() == [True, False, True, False]
    assert condition.verdict(Bounds(4, 15, 0)) is Verdict.NONE
    assert condition.verdict(Bounds(3, 3, 0)) is Verdict.ALL
    assert condition.verdict(Bounds(3, 3, 2)) is Verdict.SOME
    assert condition.verdict(Bounds(0, 23, 0)) is Verdict.SOME
    assert condition.verdict(UNKNOWN) is Verdict.SOME


def test_flagged() -> None:
    condition = Flagged("flags", 4)
    assert condition.mask(pa.array([0, 4, 6, 3, None], pa.int32())).tolist() == [False, True, True, False, False]
    assert condition.verdict(Bounds(0, 3, 0)) is Verdict.NONE
    assert condition.verdict(Bounds(0, 4, 0)) is Verdict.SOME


def test_in_spans() -> None:
    near = InSpans.of("time", np.array([30, 1, 5, 4]), np.array([40, 5, 6, 4]))
    assert (near.lows.tolist(), near.highs.tolist()) == ([1, 30], [6, 40])
    assert near.mask(pa.array([0, 1, 6, 7, 30, 40, 41, None])).tolist() == [
        False,
        True,
        True,
        False,
        True,
        True,
        False,
        False,
    ]
    verdicts = {
        (0, 0): Verdict.NONE,
        (7, 29): Verdict.NONE,
        (41, 99): Verdict.NONE,
        (2, 6): Verdict.ALL,
        (6, 7): Verdict.SOME,
    }
    for (low, high), verdict in verdicts.items():
        assert near.verdict(Bounds(low, high, 0)) is verdict
    assert near.verdict(Bounds()) is Verdict.SOME


def test_exactly_one_of() -> None:
    among = ExactlyOneOf("host", ("a", "c*", None))
    assert among.mask(pa.array(["a", "b", "c*", "cd", None])).tolist() == [True, False, True, False, True]
    assert among.mask(pa.array(["a", "b", None]).dictionary_encode()).tolist() == [True, False, True]
    assert among.verdict(Bounds("d", "e", 0)) is Verdict.NONE
    assert among.verdict(Bounds("d", "e", 1)) is Verdict.SOME
    assert among.verdict(Bounds("b", "d", 0)) is Verdict.SOME
    assert among.needles() == ()
    assert ExactlyOneOf("host", ("a",)).needles() == OneOf("host", ("a",)).needles()
