"""The grammar of points in time."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import pytest

from logsink.errors import ArgumentError
from logsink.query.request.times import HINT, parse_time

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
    ("2026-03-29 02:30", "2026-03-29T03:00:00+02:00"),  # skipped by the change to summer time
    ("2026-10-25 02:30", "2026-10-25T02:30:00+02:00"),  # happens twice: the first
    # so long ago
    *(
        (text, "2026-11-22T13:30:05.250+01:00")
        for text in ("1 hour ago", "-1h", "1hour", "1 H", "an hour ago", "last hour")
    ),
    *((text, "2026-11-22T14:20:05.250+01:00") for text in ("10min", "10 min ago", "10 minutes", "-10 mins", "now-10m")),
    *((text, "2026-11-20T14:30:05.250+01:00") for text in ("2 days ago", "2d", "-2days", "2 Days", "past 2 days")),
    *((text, "2026-11-22T13:00:05.250+01:00") for text in ("1.5h", "1h 30m", "1 hour and 30 minutes ago")),
    *((text, "2026-10-22T14:30:05.250+02:00") for text in ("1 month ago", "1mo", "last month")),
    ("9 months ago", "2026-02-22T14:30:05.250+01:00"),
    ("1y", "2025-11-22T14:30:05.250+01:00"),
    ("+5m", "2026-11-22T14:35:05.250+01:00"),
    ("in 5 min", "2026-11-22T14:35:05.250+01:00"),
    # times of day, weekdays
    *(
        (text, "2026-11-22T03:10:00+01:00")
        for text in ("3:10", "3:10am", "today 3:10", "3:10 CET", "2:10 UTC", "02:10Z")
    ),
    *((text, "2026-11-22T15:00:00+01:00") for text in ("3pm", "3 PM", "15:00", "today at 3 p.m.")),
    ("24:00", "2026-11-23T00:00:00+01:00"),
    ("12am", "2026-11-22T00:00:00+01:00"),
    ("noon", "2026-11-22T12:00:00+01:00"),
    ("yesterday 3:10", "2026-11-21T03:10:00+01:00"),
    ("3:10 yesterday", "2026-11-21T03:10:00+01:00"),
    ("tomorrow", "2026-11-23T00:00:00+01:00"),
    ("Sunday", "2026-11-22T00:00:00+01:00"),
    ("last sunday", "2026-11-15T00:00:00+01:00"),
    ("Mon 14:00", "2026-11-16T14:00:00+01:00"),
    # dates without a year: the latest that is not more than seven days ahead
    ("Nov 29", "2026-11-29T00:00:00+01:00"),
    ("Nov 30", "2025-11-30T00:00:00+01:00"),
    ("Mar 31", "2026-03-31T00:00:00+02:00"),
    ("Feb 29", "2024-02-29T00:00:00+01:00"),
    ("Nov  8 14:58:37", "2026-11-08T14:58:37+01:00"),
    # pasted
    *(
        (text, "2026-10-28T14:58:37+01:00")
        for text in (
            *(
                "Oct 28 14:58:37",
                "Wed Oct 28 14:58:37",
                "October 28th, 14:58:37",
                "28 Oct 14:58:37",
                "*Oct 28 14:58:37:",
            ),
            *(
                "28/Oct/2026:14:58:37 +0100",
                "[28/Oct/2026:13:58:37 +0000]",
                "28-Oct-2026 14:58:37",
                "28.10.2026 14:58:37",
            ),
            *("Wed Oct 28 14:58:37 2026", "Wed Oct 28 14:58:37 CET 2026", "Wed 28 Oct 2026 02:58:37 PM CET"),
            *("Wed, 28 Oct 2026 13:58:37 GMT", "Wed, 28 Oct 2026 14:58:37 +0100", "Wed 2026-10-28 13:58:37 UTC"),
            *("2026/10/28 14:58:37", "2026-10-28_14:58:37", "2026-10-28 09:58:37 EDT", "2026-10-28 14:58:37+01"),
            *(
                "2026-10-28T14:58:37+01:00[Europe/Berlin]",
                "2026-10-28 14:58:37 Europe/Berlin",
                "2026-10-28 22:58:37 Asia/Tokyo",
            ),
            *("Wed Oct 28 2026 14:58:37 GMT+0100 (Central European Standard Time)", "2026-10-28 14:58:37 +0100 CET"),
            *(
                "20261028T135837Z",
                "20261028 145837",
                "20261028145837",
                "Oct 28 2026 14:58:37",
                "2026-10-28 13:58:37 +0000 UTC",
            ),
            *(
                "1793195917",
                "1793195917000",
                "@1793195917000",
                "1793195917000000000",
                "1793195917.0",
                "@1793195917000000",
            ),
        )
    ),
    ("2026-10-28 14:58:37,123", "2026-10-28T14:58:37.123+01:00"),
    ("Wed Oct 28 14:58:37.123456 2026", "2026-10-28T14:58:37.123456+01:00"),
    ("1793195917123", "2026-10-28T14:58:37.123+01:00"),
    ("2026-10-28T14", "2026-10-28T14:00:00+01:00"),
    ("2026-10-28Z", "2026-10-28T00:00:00+00:00"),
    ("2026-10-28 08:58:37 CST", "2026-10-28T14:58:37+00:00"),
    ("2026-07-01 12:00 CET", "2026-07-01T12:00:00+01:00"),
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


def test_an_abbreviation_is_the_zone_s_own() -> None:
    assert parse_time("2026-10-28 08:58 CST", 0, ZoneInfo("Asia/Shanghai")) == instant("2026-10-28T08:58:00+08:00")
    assert parse_time("2026-10-28 08:58 IST", 0, ZoneInfo("Asia/Kolkata")) == instant("2026-10-28T08:58:00+05:30")
    assert parse_time("2026-07-28 08:58 IST", 0, ZoneInfo("Europe/Dublin")) == instant("2026-07-28T08:58:00+01:00")


def test_today_is_the_zone_s_today() -> None:
    late = instant("2026-11-22T23:30:00+00:00")
    assert parse_time("today", late, dt.UTC) == instant("2026-11-22T00:00:00+00:00")
    assert parse_time("today", late, BERLIN) == instant("2026-11-23T00:00:00+01:00")
    assert parse_time("03:12", late, BERLIN) == instant("2026-11-23T03:12:00+01:00")


REFUSED = {
    "": "it is empty",
    "yesterdy 3:10": "'yesterdy' is not understood; did you mean yesterday?",
    "5 bananas ago": "'bananas' is not understood",
    "2 days agoo": "'agoo' is not understood; did you mean ago?",
    "5 minuts ago": "'minuts' is not understood; did you mean minutes?",
    "Foo 28": "'Foo' is not understood",
    "5": "5 of what: 5m, 5h?",
    "1M": "M may be minutes (m) or months (mo)",
    "1m1h": "'1m1h' is not understood",
    "26:00": "there is no such time of day, 26:00",
    "24:01": "there is no such time of day, 24:01",
    "03:60": "there is no such time of day, 03:60",
    "13pm": "there is no such time of day, 13",
    "2026-11-22T03:12:60": "there is no such time of day, 03:12:60",
    "3:10 4:10": "it has two times",
    "today yesterday": "it has two days",
    "today 2026-11-22": "it names two days",
    "2026-13-01": "there is no month 13",
    "2026-02-30": "there is no day 30 in February 2026",
    "Feb 30": "there is no day 30 in February",
    "0000-01-01": "there is no day 1 in January 0",
    "Nov": "the date has no day",
    "Mon 2026-11-22": "2026-11-22 is a Sunday, not a Monday",
    "11/28/2026": "'11/28/2026' does not say which is the month",
    "26-11-22": "'26-11-22' does not say which is the month",
    "0310": "0310 of what: 0310m, 0310h?",
    "2026-11-22 3:10 IST": "zone 'IST' is not known, or there are several; write its offset, such as +01:00",
    "2026-11-22 3:10 Europe/Berln": "there is no time zone 'Europe/Berln'",
    "2026-11-22 3:10 +01:00 sharp": "'sharp' is not understood",
    "2026-11-22T03:12:05+01:60": "there is no such offset, +01:60",
    "2026-11-22T03:12:05+25:00": "there is no such offset, +25:00",
    "2026-11-22 +01:00": "'+01:00' is not understood",
    "9999-12-31 24:00": "there is no such time",
    "99999999999999999w": "it is too far away",
    **{text: f"{text!r} is not understood" for text in ("soon", "@", "@x", "@1e9", "ago", "-", "03:1234", "2026-11")},
}


@pytest.mark.parametrize(("text", "why"), REFUSED.items())
def test_what_cannot_be_read_is_named_and_forms_that_work_are_shown(text: str, why: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        parse_time(text, instant(NOW.isoformat()), BERLIN)
    assert str(caught.value).partition(" (write ")[0] == f"cannot read {text!r} as a time: {why}"
    assert "yesterday" in caught.value.hint


def test_the_hint_s_forms_can_be_read() -> None:
    forms = HINT.removeprefix("write ").replace(" or ", ", ").split(", ")
    assert len(forms) > 8
    for form in forms:
        parse_time(form.strip("'"), instant(NOW.isoformat()), BERLIN)


@pytest.mark.parametrize(
    ("text", "zone", "first", "second"),
    [
        ("2026-10-25 02:30", BERLIN, "2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"),
        ("2026-10-25 02:00", BERLIN, "2026-10-25T00:00:00Z", "2026-10-25T01:00:00Z"),
        ("2026-10-25 02:59:59", BERLIN, "2026-10-25T00:59:59Z", "2026-10-25T01:59:59Z"),
        ("2026-10-25 03:00", BERLIN, "2026-10-25T02:00:00Z", "2026-10-25T02:00:00Z"),
        ("2026-10-25 01:59", BERLIN, "2026-10-24T23:59:00Z", "2026-10-24T23:59:00Z"),
        ("2026-10-25 02:30 CET", BERLIN, "2026-10-25T01:30:00Z", "2026-10-25T01:30:00Z"),
        ("2026-10-25 02:30+02:00", BERLIN, "2026-10-25T00:30:00Z", "2026-10-25T00:30:00Z"),
        ("2026-03-29 02:30", BERLIN, "2026-03-29T01:00:00Z", "2026-03-29T01:00:00Z"),
        ("2026-03-29 02:00", BERLIN, "2026-03-29T01:00:00Z", "2026-03-29T01:00:00Z"),
        ("2026-04-05 01:45", ZoneInfo("Australia/Lord_Howe"), "2026-04-04T14:45:00Z", "2026-04-04T15:15:00Z"),
        ("2026-11-01", ZoneInfo("America/Havana"), "2026-11-01T04:00:00Z", "2026-11-01T04:00:00Z"),
        ("2026-11-01 00:00", ZoneInfo("America/Havana"), "2026-11-01T04:00:00Z", "2026-11-01T05:00:00Z"),
        ("2026-09-06", ZoneInfo("America/Santiago"), "2026-09-06T04:00:00Z", "2026-09-06T04:00:00Z"),  # no midnight
    ],
)
def test_a_local_time_that_occurs_twice_or_never(text: str, zone: ZoneInfo, first: str, second: str) -> None:
    assert parse_time(text, 0, zone) == instant(first)
    assert parse_time(text, 0, zone, latest=True) == instant(second)


def test_until_a_clock_alone_in_the_repeated_hour() -> None:
    since = instant("2026-10-25T00:45:00Z")  # 02:45, the first
    assert parse_time("02:30", 0, BERLIN, since, latest=True) == instant("2026-10-25T01:30:00Z")
    assert parse_time("02:30", 0, BERLIN, instant("2026-10-25T01:30:00Z"), latest=True) == instant(
        "2026-10-26T01:30:00Z"
    )


def test_what_text_output_shows_can_be_pasted() -> None:
    assert parse_time("2026-11-22 03:12:05.123", 0, BERLIN) == instant("2026-11-22T03:12:05.123+01:00")
