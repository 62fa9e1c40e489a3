"""The grammar of points in time."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import pytest

from logsink.errors import ArgumentError
from logsink.query.times import parse_time

BERLIN = ZoneInfo("Europe/Berlin")
NOW = dt.datetime(2026, 11, 22, 14, 30, 5, 250_000, BERLIN)


def instant(text: str) -> int:
    return (dt.datetime.fromisoformat(text) - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(microseconds=1)


CASES = [
    ("now", "2026-11-22T14:30:05.250+01:00"),
    (" now ", "2026-11-22T14:30:05.250+01:00"),
    ("today", "2026-11-22T00:00:00+01:00"),
    ("yesterday", "2026-11-21T00:00:00+01:00"),
    ("90s", "2026-11-22T14:28:35.250+01:00"),
    ("15m", "2026-11-22T14:15:05.250+01:00"),
    ("2h", "2026-11-22T12:30:05.250+01:00"),
    ("3d", "2026-11-19T14:30:05.250+01:00"),
    ("1h30m", "2026-11-22T13:00:05.250+01:00"),
    ("1w", "2026-11-15T14:30:05.250+01:00"),
    ("250ms", "2026-11-22T14:30:05+01:00"),
    ("2026-11-22", "2026-11-22T00:00:00+01:00"),
    ("2026-07-01", "2026-07-01T00:00:00+02:00"),
    ("2026-11-22 03:12", "2026-11-22T03:12:00+01:00"),
    ("2026-11-22 03:12:05", "2026-11-22T03:12:05+01:00"),
    ("2026-11-22T03:12:05.123456", "2026-11-22T03:12:05.123456+01:00"),
    ("2026-11-22T03:12:05,5", "2026-11-22T03:12:05.500+01:00"),
    ("2026-11-22T03:12:05.123456999", "2026-11-22T03:12:05.123456+01:00"),
    ("03:12", "2026-11-22T03:12:00+01:00"),
    ("03:12:05.25", "2026-11-22T03:12:05.250+01:00"),
    ("2026-11-22T03:12:05Z", "2026-11-22T03:12:05+00:00"),
    ("2026-11-22t03:12:05z", "2026-11-22T03:12:05+00:00"),
    ("2026-11-22 03:12:05.123Z", "2026-11-22T03:12:05.123+00:00"),
    ("2026-11-22T03:12:05-05:30", "2026-11-22T03:12:05-05:30"),
    ("2026-11-22T03:12+0530", "2026-11-22T03:12:00+05:30"),
    ("@1700000000", "2023-11-14T22:13:20+00:00"),
    ("@1700000000.25", "2023-11-14T22:13:20.250+00:00"),
    ("@-1", "1969-12-31T23:59:59+00:00"),
    ("2026-03-29 02:30", "2026-03-29T02:30:00+01:00"),  # skipped by the change to summer time
    ("2026-10-25 02:30", "2026-10-25T02:30:00+02:00"),  # happens twice: the first
]


@pytest.mark.parametrize(("text", "meant"), CASES)
def test_a_time_as_people_write_it(text: str, meant: str) -> None:
    assert parse_time(text, instant(NOW.isoformat()), BERLIN) == instant(meant)


@pytest.mark.parametrize(
    ("text", "after", "meant"),
    [
        ("03:20", "2026-11-20T03:10:00+01:00", "2026-11-20T03:20:00+01:00"),
        ("03:20", "2026-11-20T03:20:00+01:00", "2026-11-21T03:20:00+01:00"),
        ("00:10", "2026-11-30T23:50:00+01:00", "2026-12-01T00:10:00+01:00"),
        ("2026-11-22 03:20", "2026-11-24T03:10:00+01:00", "2026-11-22T03:20:00+01:00"),
        ("1h", "2026-11-20T03:10:00+01:00", "2026-11-22T13:30:05.250+01:00"),
    ],
)
def test_a_clock_alone_after_a_beginning(text: str, after: str, meant: str) -> None:
    assert parse_time(text, instant(NOW.isoformat()), BERLIN, instant(after)) == instant(meant)


def test_today_is_the_zone_s_today() -> None:
    late = instant("2026-11-22T23:30:00+00:00")
    assert parse_time("today", late, dt.UTC) == instant("2026-11-22T00:00:00+00:00")
    assert parse_time("today", late, BERLIN) == instant("2026-11-23T00:00:00+01:00")
    assert parse_time("03:12", late, BERLIN) == instant("2026-11-23T03:12:00+01:00")


@pytest.mark.parametrize(
    "text",
    [
        *("", "tomorrowish", "5", "1700000000", "-1h", "1h ago", "1.5h", "1m1h", "24:00", "3:12", "03:60", "12"),
        *("2026-13-01", "2026-02-30", "26-11-22", "2026-11-22 3:12", "2026-11-22T03:12:60", "2026-11-22Z", "20261122"),
        *(
            "2026-11-22T03:12:05+01:60",
            "2026-11-22T03:12:05+25:00",
            "0000-01-01",
            "@",
            "@x",
            "@1e9",
            "99999999999999999w",
        ),
    ],
)
def test_anything_else_is_refused_with_examples(text: str) -> None:
    with pytest.raises(ArgumentError, match="as a time") as caught:
        parse_time(text, instant(NOW.isoformat()), BERLIN)
    assert repr(text) in str(caught.value)
    assert "yesterday" in caught.value.hint


def test_what_text_output_shows_can_be_pasted() -> None:
    assert parse_time("2026-11-22 03:12:05.123", 0, BERLIN) == instant("2026-11-22T03:12:05.123+01:00")
