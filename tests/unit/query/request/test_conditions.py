"""Conditions beyond text and globs: what they match, and what they conclude from bounds."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from logsink.errors import ArgumentError
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
from logsink.query.request.parameters import Parameter, parameters
from tests.unit.query.request.test_filters import matching

DATA = [
    '[deploy@32473 environment="prod" deploy="d-7"]',
    '[meta sequenceId="1"][deploy@32473 deploy="d-8" environment="prod"]',
    '[a@1 user="ro\\"ot" path="C:\\\\x\\]y"][b@1 user="root"]',
    "[Originator@6876 sub=Vpxa opID=7f3 user=root]",
    '[x empty=""]',
    None,
    '[ spaced@1 a="1"  b="2" ]',
]


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("deploy=d-7", [0]),
        ("deploy=d-*", [0, 1]),
        ("deploy=?-8", [1]),
        ("deploy.deploy=d-7", [0]),
        ("deploy@32473.deploy=d-8", [1]),
        ("depl.deploy=d-7", []),
        ("sequenceId=1", [1]),
        ("meta.environment=prod", []),
        ('user=ro"ot', [2]),
        ("user=root", [2, 3]),
        ("b@1.user=root", [2]),
        ("a@1.user=root", []),
        (r"path=C:\x]y", [2]),
        ("Originator.sub=Vpxa", [3]),
        ("spaced.b=2", [6]),
        ("sub=Vp", []),
        ("opID=7*", [3]),
        ("empty=", [4]),
        ("empty=*", [4]),
        ("ser=root", []),
    ],
)
def test_parameters_of_structured_data(given: str, found: list[int]) -> None:
    assert matching(Parameter.parse(given), DATA) == [DATA[n] for n in found]


@pytest.mark.parametrize(
    ("given", "data", "found"),
    [
        ("user=root", '[a@1 msg="[1] login" user="root"]', True),
        ("tail=5 a]b", '[a@1 tail="5 a]b"]', True),
        (r"deploy=C:\Windows", r'[deploy@32473 deploy="C:\Windows"]', True),
        (r"deploy=C:\Windows", r'[deploy@32473 deploy="C:\\Windows"]', True),
        (r"path=a\*", r'[a@1 path="a\b"]', True),
        ("path=a?b", r'[a@1 path="a\\b"]', True),
        ("user=root", '[a@1 msg="login user=root failed"]', False),
        ("user=root", '[a@1 msg="[b user=root x"]', False),
        ("user=root", r'[a@1 msg="\" user=root \""]', False),
        ("x=a[!b]*c", '[a@1 x="a" y="c"]', False),
        ("x=a[!b]*c", '[a@1 x="a y c"]', True),
        ("user=root", "[a@1 msg=[b user=root]", True),
        ("user=root", "user=root", False),
        ("user=root", 'a "x" user=root', False),
    ],
)
def test_only_parameters_are_parameters(given: str, data: str, found: bool) -> None:
    assert matching(Parameter.parse(given), [data]) == [data] * found


def test_the_parameters_of_structured_data_in_order() -> None:
    data = r'[a@1 one="\"1\]" two=2 three=""][b four="4 [c five=5" six="\x\\"]'
    expected = [("a@1", "one", '"1]'), ("a@1", "two", "2"), ("a@1", "three", "")]
    assert list(parameters(data)) == [*expected, ("b", "four", "4 [c five=5"), ("b", "six", r"\x" + "\\")]


@pytest.mark.parametrize("given", ["user", "=x", ""])
def test_what_is_no_parameter(given: str) -> None:
    with pytest.raises(ArgumentError, match="as a parameter of structured data"):
        Parameter.parse(given)


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
