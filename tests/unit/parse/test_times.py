"""Times at the head of a frame: against Python's own calendar and zones."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from logsink.flags import Flag
from logsink.parse import Rows, Settings, parse
from tests.support.forms import running
from tests.support.frames import frames_of

plain_parse = running(compiled=False)(parse)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Africa/Casablanca"]


def wall(year: int, month: int, day: int, hour: int = 0, minute: int = 0) -> datetime:
    """Return a wall-clock time."""
    return datetime(year, month, day, hour, minute)  # noqa: DTZ001


def micros(time: datetime) -> int:
    return (time - EPOCH) // timedelta(microseconds=1)


def row(frame: str, received: datetime, zone: str = "UTC") -> Rows:
    frames = frames_of([frame.encode()], micros(received))
    return plain_parse(frames, Settings(default_timezone=zone), "r")


@given(
    st.datetimes(wall(1970, 1, 2), wall(2099, 12, 30)).map(lambda t: t.replace(microsecond=0)),
    st.sampled_from(ZONES),
)
@example(wall(2026, 10, 25, 2, 30), "Europe/Berlin")  # an hour that comes twice
@example(wall(2026, 3, 29, 2, 30), "Europe/Berlin")  # one that never comes
@example(wall(2026, 4, 5, 1, 45), "Australia/Lord_Howe")  # half an hour that comes twice
def test_a_time_without_a_zone_is_in_the_default_zone(shown: datetime, zone: str) -> None:
    at = shown.replace(tzinfo=ZoneInfo(zone), fold=0).astimezone(UTC)
    rows = row(f"<13>1 {shown.isoformat()} - - - - -", at, zone)
    assert rows.time.tolist() == [micros(at)]
    assert rows.flags.tolist() == [Flag.ZONE_ASSUMED]


def candidates(shown: datetime, around: int, zone: str) -> list[int]:
    """Return the times at which clocks of the zone showed this day and time, in the years near ``around`` that have the
    day."""
    found = []
    for year in range(max(around - 9, 1), around + 9):
        try:
            found.append(micros(shown.replace(year=year, tzinfo=ZoneInfo(zone), fold=0).astimezone(UTC)))
        except ValueError:  # February 29
            continue
    return found


def without_year(shown: datetime) -> str:
    months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
    return f"<13>{months[shown.month - 1]} {shown.day:2d} {shown:%H:%M:%S} h a: x"


YEARLESS = (
    st.datetimes(wall(1901, 1, 1), wall(2099, 12, 31)),
    st.integers(-400, 400) | st.integers(5 * 24, 9 * 24).map(lambda hours: hours / 24),
    st.sampled_from(["UTC", "Asia/Kathmandu", "America/New_York"]),
)


@given(*YEARLESS)
@example(wall(2026, 3, 1), -1, "UTC")
@example(wall(2096, 3, 1), 0, "UTC")  # around 2100, which is no leap year
@example(wall(2026, 1, 1), -1, "UTC")
@example(wall(2026, 12, 31, 23), 1, "UTC")
@example(wall(2026, 11, 28, 12), 7, "UTC")
@example(wall(2026, 12, 24, 20), 7.2, "Asia/Kathmandu")
def test_a_year_that_is_not_there_is_the_latest_not_over_a_week_ahead(
    received: datetime, away: float, zone: str
) -> None:
    received = received.replace(tzinfo=UTC)
    shown = (received + timedelta(days=away)).replace(microsecond=0)
    rows = row(without_year(shown), received, zone)
    [time] = rows.time.tolist()
    if 1971 < received.year < 2091:  # zones are known from 1970 to 2100
        limit = micros(received + timedelta(days=7))
        assert time == max(one for one in candidates(shown, received.year, zone) if one <= limit)
    skewed = Flag.CLOCK_SKEW if abs(time - micros(received)) > 86_400_000_000 else 0
    assert rows.flags.tolist() == [Flag.YEAR_INFERRED | Flag.ZONE_ASSUMED | skewed]


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("Mar 31 22:50:49", "2026-03-31T22:50:49+00:00"),  # the nearest would be next year's
        ("Feb 29 12:00:00", "2024-02-29T12:00:00+00:00"),
        ("Dec  5 12:00:00", "2026-12-05T12:00:00+00:00"),
        ("Dec  5 12:00:01", "2025-12-05T12:00:01+00:00"),
    ],
)
def test_years_of_late_november(text: str, time: str) -> None:
    rows = row(f"<12>{text} fw1 app: x", datetime(2026, 11, 28, 12, tzinfo=UTC))
    assert rows.time.tolist() == [micros(datetime.fromisoformat(time))]


@given(*YEARLESS)
@example(wall(2026, 11, 28), -242, "UTC")
def test_rules_of_version_1_take_the_nearest_year_and_flag_no_skew(received: datetime, away: float, zone: str) -> None:
    received = received.replace(tzinfo=UTC)
    shown = (received + timedelta(days=away)).replace(microsecond=0)
    frames = frames_of([without_year(shown).encode()], micros(received))
    rows = plain_parse(frames, Settings(default_timezone=zone, parser=1), "r")
    [time] = rows.time.tolist()
    if 1971 < received.year < 2091:
        found = candidates(shown, received.year, zone)
        assert time in found
        assert abs(time - micros(received)) == min(abs(one - micros(received)) for one in found)
    assert rows.flags.tolist() == [Flag.YEAR_INFERRED | Flag.ZONE_ASSUMED]


@pytest.mark.parametrize("away", [-1, 1])
@pytest.mark.usefixtures("either_form")
def test_a_time_more_than_a_day_away_is_flagged(away: int) -> None:
    received = datetime(2026, 11, 28, 12, tzinfo=UTC)
    day = [received + away * timedelta(days=1), received + away * timedelta(days=1, microseconds=1)]
    frames = [f"<14>1 {at.isoformat()} h a - - - x".encode() for at in day] + [b"<14>1 - h a - - - x", b"no time"]
    frames += [f"<14>{at:%Y-%m-%dT%H:%M:%S.%f}Z h a[1]: x".encode() for at in day]
    flags = parse(frames_of(frames, micros(received)), Settings(), "r").flags
    assert (flags & Flag.CLOCK_SKEW != 0).tolist() == [False, True, False, False, False, True]


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2026-02-28T09:15:00Z", "2026-02-28T09:15:00+00:00"),
        ("2026-02-28t09:15:00z", "2026-02-28T09:15:00+00:00"),
        ("2026-02-28T09:15:00,5Z", "2026-02-28T09:15:00.500000+00:00"),
        ("2026-02-28T09:15:00.999999999Z", "2026-02-28T09:15:00.999999+00:00"),
        ("2026-02-28T09:15:00.Z", "2026-02-28T09:15:00+00:00"),
        ("2026-02-28T09:15:00+0130", "2026-02-28T07:45:00+00:00"),
        ("2026-02-28T09:15:00-23:59", "2026-03-01T09:14:00+00:00"),
        ("2026-02-28T09:15:00+02", "2026-02-28T07:15:00+00:00"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00+00:00"),
        ("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999+00:00"),
    ],
)
def test_rfc3339(text: str, time: str) -> None:
    rows = row(f"<13>1 {text} - - - - -", datetime.fromisoformat(time))
    assert rows.time.tolist() == [micros(datetime.fromisoformat(time))]
    assert rows.flags.tolist() == [0]


@pytest.mark.parametrize(
    "text",
    [
        "2026-02-29T00:00:00Z",
        "2100-02-29T00:00:00Z",
        "2026-00-10T00:00:00Z",
        "2026-13-10T00:00:00Z",
        "2026-04-31T00:00:00Z",
        "2026-02-28T24:00:00Z",
        "2026-02-28T00:60:00Z",
        "2026-02-28T00:00:61Z",
        "2026-02-28T00:00:00+24:00",
        "2026-02-28T00:00:00+01:60",
        "2026-02-28T00:00:00+1",
        "2026-02-28T00:00:00Zx",
        "2026-02-28",
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
    ],
)
def test_a_time_that_never_was_is_received(text: str) -> None:
    received = datetime(2026, 3, 1, tzinfo=UTC)
    rows = row(f"<13>1 {text} - - - - -", received)
    assert rows.time.tolist() == [micros(received)]
    assert rows.flags.tolist() == [Flag.TIME_INFERRED]
