"""Conditions: what they match, and what they conclude from bounds."""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa
import pytest

from logsink.errors import ArgumentError
from logsink.query.columns import as_array
from logsink.query.request.conditions import Between, ExactlyOneOf, Holds, OneOf
from logsink.query.request.filters import UNKNOWN, Bounds, Condition, Filter, Verdict


def matching(condition: Condition, values: list[str | None]) -> list[str | None]:
    """The values that meet it, asked plain and as a dictionary."""
    plain = pa.array(values, pa.string())
    coded = pa.concat_arrays([plain.dictionary_encode()])
    found = condition.mask(plain)
    assert condition.mask(coded).tolist() == found.tolist()
    assert condition.mask(coded.slice(1)).tolist() == found[1:].tolist()
    return [value for value, met in zip(values, found.tolist(), strict=True) if met]


@pytest.mark.parametrize(("words", "ignore_case"), [(False, False), (False, True), (True, False)])
def test_text_that_an_expression_leaves_open_ends_with_it(words: bool, ignore_case: bool) -> None:
    for patterns in ((r"\Qa.b",), (r"\Qa.b", "z")):
        condition = Holds("message", patterns, True, ignore_case, words)
        assert matching(condition, ["a.b", "acb"]) == ["a.b"]
        assert re.fullmatch(r".*\\Qa\.b\\E.*", condition.matched)


@pytest.mark.parametrize(
    ("patterns", "regex", "ignore_case", "found"),
    [
        (("port 80",), False, False, ["port 8080 ssh2"]),
        (("a.c",), False, False, ["a.c"]),
        ((r"a\c",), False, False, [r"a\c"]),
        (("[x]", "$9"), False, False, ["[x]", "$9"]),
        (("Straße",), False, False, ["Straße"]),
        (("STRAßE",), False, True, ["Straße"]),
        (("ärger",), False, True, ["ÄRGER"]),
        (("abc", "$9"), False, True, ["abc", "ABC", "$9"]),
        (
            ("",),
            False,
            False,
            ["port 8080 ssh2", "a.c", "abc", "ABC", r"a\c", "[x]", "$9", "Straße", "ÄRGER", "two\nlines", ""],
        ),
        (("a.c",), True, False, ["a.c", "abc", r"a\c"]),
        (("^a", "c$"), True, False, ["a.c", "abc", r"a\c"]),
        (("port 8[0-9]{3} ssh2",), True, False, ["port 8080 ssh2"]),
        (("a|x",), True, True, ["a.c", "abc", "ABC", r"a\c", "[x]", "Straße"]),
        (("\n",), False, False, ["two\nlines"]),
    ],
)
def test_patterns(patterns: tuple[str, ...], regex: bool, ignore_case: bool, found: list[str]) -> None:
    values = ["port 8080 ssh2", "a.c", "abc", "ABC", r"a\c", "[x]", "$9", "Straße", "ÄRGER", "two\nlines", "", None]
    assert matching(Holds("message", patterns, regex, ignore_case), values) == found


def test_a_pattern_with_a_nul_byte() -> None:
    assert matching(Holds("message", ("a\0b",)), ["a\0b", "ab", None]) == ["a\0b"]


@pytest.mark.parametrize(
    ("pattern", "reason"), [("(", r"missing \)"), ("a**", "bad repetition"), ("[z-a]", "range"), ("\\", "trailing")]
)
def test_a_bad_regular_expression_is_refused_with_the_reason(pattern: str, reason: str) -> None:
    with pytest.raises(ArgumentError, match=reason) as caught:
        Holds("message", ("fine", pattern), regex=True)
    assert repr(pattern) in str(caught.value)


def test_arguments_that_are_no_text_are_refused() -> None:
    with pytest.raises(ArgumentError, match="not UTF-8"):
        Holds("message", ("\udcff",))
    with pytest.raises(ArgumentError, match="not UTF-8"):
        OneOf("host", ("\udcff",))


@pytest.mark.parametrize(
    ("globs", "found"),
    [
        (("web1",), ["web1"]),
        (("web1", "db"), ["web1", "db"]),
        (("web*",), ["web1", "web22", "web"]),
        (("web?",), ["web1"]),
        (("*",), ["web1", "WEB1", "web22", "web", "db", "a.b", "a[b", "a]b", "x\ny", ""]),
        (("web[0-9]*",), ["web1", "web22"]),
        (("[!w]*",), ["WEB1", "db", "a.b", "a[b", "a]b", "x\ny"]),
        (("a.b",), ["a.b"]),
        (("a[b",), ["a[b"]),
        (("a[[]b",), ["a[b"]),
        (("a[]]b",), ["a]b"]),
        (("a[!.]b",), ["a[b", "a]b"]),
        (("a[^.]b",), ["a.b"]),
        (("x?y",), ["x\ny"]),
        (("",), [""]),
    ],
)
def test_globs_match_the_whole_value(globs: tuple[str, ...], found: list[str]) -> None:
    values = ["web1", "WEB1", "web22", "web", "db", "a.b", "a[b", "a]b", "x\ny", "", None]
    assert matching(OneOf("host", globs), values) == found


def test_a_glob_with_a_reversed_range_is_refused() -> None:
    with pytest.raises(ArgumentError, match="glob"):
        OneOf("host", ("web[9-0]",))


@pytest.mark.parametrize(
    ("globs", "bounds", "verdict"),
    [
        (("web1",), Bounds("web0", "web9", 0), Verdict.SOME),
        (("web1",), Bounds("web1", "web1", 0), Verdict.ALL),
        (("web1",), Bounds("web1", "web1", 3), Verdict.SOME),
        (("web1",), Bounds("web1", "web1", None), Verdict.SOME),
        (("web*",), Bounds("web7", "web7", 0), Verdict.ALL),
        (("web1",), Bounds("web2", "web9", 0), Verdict.NONE),
        (("web1", "web5"), Bounds("web2", "web9", 0), Verdict.SOME),
        (("web1",), Bounds("a", "b", 0), Verdict.NONE),
        (("web*",), Bounds("a", "b", 0), Verdict.NONE),
        (("web*",), Bounds("x", "z", 0), Verdict.NONE),
        (("web*",), Bounds("web5", "x", 0), Verdict.SOME),
        (("web*",), Bounds("a", "web", 0), Verdict.SOME),
        (("*b",), Bounds("a", "b", 0), Verdict.SOME),
        (("db",), Bounds("web2", "web2", 0), Verdict.NONE),
        (("web1",), UNKNOWN, Verdict.SOME),
        (("web1",), Bounds("web2", None, 0), Verdict.SOME),
    ],
)
def test_what_bounds_say_of_globs(globs: tuple[str, ...], bounds: Bounds, verdict: Verdict) -> None:
    assert OneOf("host", globs).verdict(bounds) is verdict


@pytest.mark.parametrize(
    ("low", "high", "bounds", "verdict"),
    [
        (10, 20, Bounds(10, 19, 0), Verdict.ALL),
        (10, 20, Bounds(10, 20, 0), Verdict.SOME),
        (10, 20, Bounds(20, 30, 0), Verdict.NONE),
        (10, 20, Bounds(0, 9, 0), Verdict.NONE),
        (10, 20, Bounds(0, 10, 0), Verdict.SOME),
        (10, 20, Bounds(12, 13, 1), Verdict.SOME),
        (10, 20, Bounds(12, 13, None), Verdict.SOME),
        (10, None, Bounds(10, 99, 0), Verdict.ALL),
        (None, 20, Bounds(0, 19, 0), Verdict.ALL),
        (None, 20, Bounds(None, 19, 0), Verdict.ALL),
        (None, 20, Bounds(20, None, 0), Verdict.NONE),
        (10, 20, UNKNOWN, Verdict.SOME),
    ],
)
def test_what_bounds_say_of_ranges(low: int | None, high: int | None, bounds: Bounds, verdict: Verdict) -> None:
    assert Between("severity", low, high).verdict(bounds) is verdict


def test_ranges_are_half_open_and_never_match_null() -> None:
    values = pa.array([9, 10, None, 19, 20], pa.int8())
    assert Between("severity", 10, 20).mask(values).tolist() == [False, True, False, True, False]
    assert Between("severity", None, None).mask(values).tolist() == [True, True, False, True, True]
    assert Between("severity", None, 10).mask(values.slice(1)).tolist() == [False, False, False, False]
    instants = pa.array([9, 10, 19, 20]).cast(pa.timestamp("us", tz="UTC"))
    assert Between("time", 10, 20).mask(instants).tolist() == [False, True, True, False]


def test_a_filter_drops_what_bounds_settle_and_says_when_nothing_can_be_found() -> None:
    host, time = OneOf("host", ("web1",)), Between("time", 10, 20)
    both = Filter((time, host))
    known = {"time": Bounds(12, 13, 0), "host": Bounds("a", "z", 0)}
    assert both.within(lambda column: known[column]) == Filter((host,))
    assert both.within(lambda column: Bounds(1, 2, 0) if column == "time" else UNKNOWN) is None


def test_later_conditions_see_only_rows_that_earlier_ones_left() -> None:
    rows = pa.table({"host": ["a", "b", "a", None], "message": ["x", "x", "y", "x"]})
    assert Filter((OneOf("host", ("a",)), Holds("message", ("x",)))).mask(rows).tolist() == [True, False, False, False]
    assert Filter((OneOf("host", ("c",)), Holds("message", ("x",)))).mask(rows).tolist() == [False] * 4
    assert Filter().mask(rows).tolist() == [True] * 4


def test_which_frames_can_hold_a_row() -> None:
    frames = pa.array([b"<1>h a: x.y", b"<1>h b: xzy", b"\xff\xfe x.y", "größe".encode()], pa.binary())

    def candidates(*conditions: Condition) -> list[bool]:
        found = Filter(conditions).candidates(frames)
        assert found.dtype == np.bool_
        return found.tolist()

    assert candidates(Holds("message", ("x.y",))) == [True, False, True, False]
    assert candidates(Holds("message", ("x.y", "ß"))) == [True, False, True, True]
    assert candidates(Holds("message", ("x.y",)), OneOf("app", ("a",))) == [True, False, False, False]
    everything = [True] * 4
    assert candidates() == everything
    assert candidates(Holds("message", ("x.y",), regex=True)) == [True, True, True, False]
    assert candidates(Holds("message", ("x[.]y", "ß"), regex=True)) == [True, True, True, True]
    assert candidates(Holds("message", ("x+.y|z",), regex=True)) == everything
    assert candidates(Holds("message", ("X.Y",), ignore_case=True)) == everything
    assert candidates(Holds("message", ("nowhere", ""))) == everything
    assert candidates(Holds("message", ("\ufffd x",))) == everything  # stands for bytes that are not UTF-8
    assert candidates(OneOf("app", ("z*",))) == everything
    assert candidates(Between("severity", 0, 1)) == everything
    for column in ("sender", "identity", "transport", "receiver"):  # they do not stand in it
        assert candidates(OneOf(column, ("nowhere",))) == everything
        assert candidates(ExactlyOneOf(column, ("nowhere",))) == everything
    for column in ("environment", "role", "deploy", "instance"):
        assert candidates(OneOf(column, ("x.y",))) == [True, False, True, False]
        assert candidates(OneOf(column, ("x.y", 'a"b'))) == everything  # stands there as a\"b


@pytest.mark.parametrize("dtype", [np.bool_, np.int32, np.int64])
@pytest.mark.parametrize("length", [0, 1, 7, 8, 9, 17])
def test_arrays_are_what_arrow_makes_of_them(dtype: type[np.generic], length: int) -> None:
    every = (np.arange(2 * length) % 3).astype(dtype)
    for values in (every[:length], every[::2], every[::-1]):
        made = as_array(values)
        made.validate(full=True)
        assert made.equals(pa.array(values))
