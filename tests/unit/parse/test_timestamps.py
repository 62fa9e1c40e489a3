"""Times in the forms of devices, and zones that stand apart."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from logsink.parse.calendar import LATEST
from logsink.parse.scanning import NONE
from logsink.parse.times import UNKNOWN_ZONE, ZONE_ASSUMED
from logsink.parse.timestamps import read_date_or_time, read_epoch, read_timestamp, read_whole_zone

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
RECEIVED = datetime(2026, 11, 28, 12, 30, tzinfo=UTC)
NO_ZONE = np.zeros(1, np.int64)


def micros(time: datetime) -> int:
    return (time - EPOCH) // timedelta(microseconds=1)


def read(text: str, rules: int = 2, with_pri: bool = True) -> tuple[int, datetime, int]:
    data = text.encode()
    end, time, _, flags = read_timestamp.py(data, 0, len(data), micros(RECEIVED), NO_ZONE, rules, with_pri)
    return end, EPOCH + timedelta(microseconds=time), flags


@pytest.mark.parametrize(
    "text",
    [
        "11/28/2026:12:00:00 GMT",
        "28/11/2026:12:00:00 GMT",
        "2026/11/28:12:00:00 GMT",
        "2026:11:28-12:00:00Z",
        "28/Nov/2026:13:00:00 +0100",
        "Sat Nov 28 12:00:00 2026Z",
        "Sat, 28 Nov 2026 12:00:00 +0000",
        "28 Nov 2026 13:00:00 CET",
        "1795867200.000000",
        "2026-11-28T12:00:00Z",
        "2026-11-28 13:00:00 +0100",
        "2026-11-28 07:00:00 EST",
        "*Nov 28 12:00:00 UTC",
        ".Nov 28 2026 12:00:00.000 UTC",
        "2026 Nov 28 12:00:00 UTC",
        "Nov 28 12:00:00 2026 UTC",
    ],
)
def test_forms_of_one_time(text: str) -> None:
    end, time, flags = read(f"{text} host")
    assert end == len(text)
    assert time == datetime(2026, 11, 28, 12, tzinfo=UTC)
    assert not flags & ZONE_ASSUMED


def test_month_and_day_that_may_be_either() -> None:
    assert read("03/04/2026:12:00:00 GMT")[1] == datetime(2026, 3, 4, 12, tzinfo=UTC)
    data = b"03/04/2026:12:00:00 GMT"
    received = micros(datetime(2026, 4, 3, 12, tzinfo=UTC))
    _, time, _, _ = read_timestamp.py(data, 0, len(data), received, NO_ZONE, 2, True)
    assert EPOCH + timedelta(microseconds=time) == datetime(2026, 4, 3, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "word",
        "13/32/2026:12:00:00",
        "28/Now/2026:12:00:00",
        "Sun, 28",
        "2026 Nov 28 2026 12:00:00",
        "Nov 28 24:00:00",
        "Feb 30 12:00:00",
        "999999999.5",
        "17958672001.5",
        "1795867200",
        "2026-11-28T12:00:00Zx",
        "9999-12-31 23:59:59 -0100 ",
    ],
)
def test_what_is_no_time(text: str) -> None:
    assert read(text)[0] == NONE


def test_version_1_and_frames_without_a_pri_know_no_forms_of_devices() -> None:
    assert read("11/28/2026:12:00:00 GMT", rules=1)[0] == NONE
    assert read("11/28/2026:12:00:00 GMT", with_pri=False)[0] == NONE
    assert read("2026-11-28 13:00:00 +0100", rules=1)[1:] == (datetime(2026, 11, 28, 13, tzinfo=UTC), ZONE_ASSUMED)


@pytest.mark.parametrize(
    ("text", "minutes"),
    [
        ("+0100", 60), ("-03:30", -210), ("UTC+2:00", 120), ("(GMT-3:00)Brasilia", -180), ("CET", 60), ("(UTC)", 0),
        ("gmt", 0), ("Z", 0), ("+2", 120), ("+10", 600), ("", UNKNOWN_ZONE), ("XYZ", UNKNOWN_ZONE), ("+", UNKNOWN_ZONE),
        ("+0160", UNKNOWN_ZONE), ("+1500", UNKNOWN_ZONE), ("CET+1", UNKNOWN_ZONE), ("UTC x", UNKNOWN_ZONE),
    ],
)  # fmt: skip
def test_zones_as_values(text: str, minutes: int) -> None:
    assert read_whole_zone.py(text.encode(), 0, len(text)) == minutes


def test_dates_and_times_as_values() -> None:
    midnight, half_past = micros(datetime(2026, 11, 28, tzinfo=UTC)), (11 * 60 + 30) * 60_000_000
    for text, day, time, end in (
        ("2026-11-28", midnight, NONE, 10),
        ("11:30:00", NONE, half_past, 8),
        ("2026-11-28 11:30:00 x", midnight, half_past, 19),
        ("2026-11-28T11:30:00", midnight, half_past, 19),
        ("2026-11-28 word-word", midnight, NONE, 10),
        ("2026-13-28", NONE, NONE, 0),
        ("x", NONE, NONE, 0),
    ):
        assert read_date_or_time.py(text.encode(), 0, len(text)) == (day, time, end, 0)


def test_seconds_since_the_epoch() -> None:
    assert read_epoch.py(b"1795867200 x", 0, 12, True) == (10, 1_795_867_200_000_000)
    assert read_epoch.py(b"1795867200 x", 0, 12, False) == (NONE, 0)
    assert read_epoch.py(b"1795867200.25", 0, 13, False) == (13, 1_795_867_200_250_000)
    assert read_epoch.py(b"1795867200.25x", 0, 14, False) == (NONE, 0)
    assert LATEST > 9_999_999_999_000_000
