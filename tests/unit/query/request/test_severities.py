"""Severities and facilities by name and number."""

from __future__ import annotations

import pytest

from logsink.errors import ArgumentError
from logsink.query.request.severities import FACILITIES, SEVERITIES, parse_facility, parse_priority


@pytest.mark.parametrize(
    ("text", "severities"),
    [
        ("err", (0, 3)),
        ("error", (0, 3)),
        ("ERR", (0, 3)),
        ("warn", (0, 4)),
        ("warning", (0, 4)),
        ("emerg", (0, 0)),
        ("7", (0, 7)),
        ("0", (0, 0)),
        ("err..err", (3, 3)),
        ("crit..notice", (2, 5)),
        ("notice..crit", (2, 5)),
        ("3..info", (3, 6)),
    ],
)
def test_priorities(text: str, severities: tuple[int, int]) -> None:
    assert parse_priority(text) == severities


@pytest.mark.parametrize("text", ["", "8", "-1", "fatal", "err..", "..err", "err..crit..info", "err.crit", "07"])
def test_anything_else_is_no_priority(text: str) -> None:
    with pytest.raises(ArgumentError, match="priority") as caught:
        parse_priority(text)
    assert "warning" in caught.value.hint


@pytest.mark.parametrize(("text", "code"), [("kern", 0), ("LOCAL7", 23), ("3", 3), ("auth", 4), ("security", 4)])
def test_facilities(text: str, code: int) -> None:
    assert parse_facility(text) == code


@pytest.mark.parametrize("text", ["24", "", "nginx"])
def test_what_is_no_facility(text: str) -> None:
    with pytest.raises(ArgumentError, match="as a facility"):
        parse_facility(text)


def test_the_names_are_those_of_the_numbers() -> None:
    assert [parse_priority(f"{name}..{name}") for name in SEVERITIES] == [(n, n) for n in range(8)]
    assert [parse_facility(name) for name in FACILITIES] == list(range(24))


def test_a_name_that_is_nearly_right_is_suggested() -> None:
    with pytest.raises(ArgumentError) as caught:
        parse_priority("warnin")
    assert caught.value.hint.startswith("did you mean warning? write one of emerg")
    with pytest.raises(ArgumentError) as caught:
        parse_facility("deamon")
    assert caught.value.hint.startswith("did you mean daemon? write one of kern")
