"""What the command line of ``logsink diff`` means."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from logsink.cli.diff.sides import DiffRequest
from logsink.errors import ArgumentError
from logsink.query.request import TERM_NAMES

NOON = 1_795_348_800_000_000
"""2026-11-22T12:00:00Z in microseconds."""


def asked(**given: Any) -> DiffRequest:
    parameters: dict[str, Any] = dict.fromkeys(TERM_NAMES, ()) | {"since": None, "until": None, "priority": None}
    parameters |= {"regex": False, "fixed": False, "word": False, "ignore_case": False, "invert_match": False}
    parameters |= {"deploy": None, "before": None, "versus": None, "timezone": "UTC", "utc": False}
    parameters |= {"lines": "40", "every": False, "fail_on": None, "output": "text", "quiet": False}
    parameters["no_cache"] = False
    return DiffRequest.of(parameters | given, NOON)


def ranges(request: DiffRequest) -> list[tuple[Any, Any]]:
    return [(_hour(side.terms.since), _hour(side.terms.until)) for side in request.sides]


def _hour(moment: Any) -> str | None:
    assert moment is None or isinstance(moment, dt.datetime)
    return moment and moment.strftime("%dT%H:%M")


def test_deploys() -> None:
    request = asked(deploy=("d-7", "d-8"), role=("web",), since="11:00")
    assert [side.name for side in request.sides] == ["deploy d-7", "deploy d-8"]
    assert [side.terms.deploy for side in request.sides] == [("d-7",), ("d-8",)]
    assert {side.terms.role for side in request.sides} == {("web",)}
    assert ranges(request) == [("22T11:00", None)] * 2


def test_before_and_after() -> None:
    assert ranges(asked(before="11:00")) == [("22T10:00", "22T11:00"), ("22T11:00", "22T12:00")]
    assert ranges(asked(before="11:00", since="8:00", until="11:30")) == [
        ("22T08:00", "22T11:00"),
        ("22T11:00", "22T11:30"),
    ]
    assert asked(before="11:00").sides[0].name == "2026-11-22 10:00:00 until 2026-11-22 11:00:00"


def test_a_range_and_another() -> None:
    request = asked(since="10:00", until="11:30", versus="yesterday 10:00")
    assert ranges(request) == [("21T10:00", "21T11:30"), ("22T10:00", "22T11:30")]
    assert ranges(asked(since="1h", versus="2026-11-20 5:00"))[0] == ("20T05:00", "20T06:00")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "cannot compare without two sides"),
        ({"deploy": ("a", "b"), "before": "11:00"}, "cannot compare --deploy and --before at once"),
        ({"versus": "yesterday"}, "cannot compare with --versus: the range has no beginning"),
        ({"before": "13:00"}, "cannot compare from 2026-11-22 13:00:00 until 2026-11-22 12:00:00: the range is empty"),
        (
            {"before": "9:00", "since": "8:00", "until": "8:30"},
            "cannot compare from 2026-11-22 09:00:00 until 2026-11-22 08:30:00: the range is empty",
        ),
        (
            {"versus": "1d", "since": "9999-12-30"},
            "cannot compare from 9999-12-30 00:00:00 until 2026-11-22 12:00:00: the range",
        ),
        (
            {"before": "9999-12-30"},
            "cannot compare from 9999-12-30 00:00:00 until 2026-11-22 12:00:00: the range is empty",
        ),
        (
            {"before": "0001-01-02"},
            "cannot compare: the beginning of a time before --before '0001-01-02' as long as that after is outside of",
        ),
        (
            {"since": "2h", "versus": "9999-12-31 23:00"},
            "cannot compare: the end of a range from --versus '9999-12-31 23:00' as long as that of -S and -U is outside",
        ),
        ({"before": "@-99999999999"}, "cannot compare: --before '@-99999999999' is outside of the years 1 to 9999"),
        (
            {"since": "1h", "versus": "in 3000000 days"},
            "cannot compare: --versus 'in 3000000 days' is outside of the years 1 to 9999",
        ),
        (
            {"deploy": ("a", "b"), "since": "999999 days"},
            "cannot compare: -S '999999 days' is outside of the years 1 to 9999",
        ),
        (
            {"deploy": ("a", "b"), "until": "@253402300800"},
            "cannot compare: -U '@253402300800' is outside of the years 1 to 9999",
        ),
        ({"deploy": ("a", "b"), "lines": "x"}, "cannot read 'x' as a number of lines"),
    ],
)
def test_mistakes(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError) as error:
        asked(**given)
    assert str(error.value).startswith(message)
    assert error.value.hint


def test_limits() -> None:
    assert [asked(before="11:00", lines=text).limit for text in ("7", "0", "all")] == [7, None, None]
