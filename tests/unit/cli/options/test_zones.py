"""Time zones by name, and this machine's."""

from __future__ import annotations

import datetime as dt
import time
from zoneinfo import ZoneInfo

import pytest

from logsink.cli.options.zones import SystemZone, local_text, zone_of
from logsink.errors import ArgumentError


@pytest.mark.parametrize("name", ["Europe/Berlin", "America/St_Johns", "UTC"])
def test_the_system_s_zone_is_what_tz_says(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("TZ", name)
    time.tzset()
    try:
        ours, theirs = SystemZone(), ZoneInfo(name)
        for second in range(1_792_800_000, 1_793_000_000, 900):  # around the end of summer time in 2026
            one, other = dt.datetime.fromtimestamp(second, ours), dt.datetime.fromtimestamp(second, theirs)
            assert (one.replace(tzinfo=None), one.fold, one.utcoffset()) == (
                other.replace(tzinfo=None),
                other.fold,
                other.utcoffset(),
            )
        for text in ("2026-03-29T02:30", "2026-10-25T02:30", "2026-07-01T00:00"):
            naive = dt.datetime.fromisoformat(text)
            assert naive.replace(tzinfo=ours).utcoffset() == naive.replace(tzinfo=theirs).utcoffset()
    finally:
        monkeypatch.undo()
        time.tzset()


def test_names() -> None:
    assert zone_of(None, utc=True) is zone_of("z", utc=False) is zone_of("utc", utc=False) is dt.UTC
    assert zone_of("Europe/Berlin", utc=False) == ZoneInfo("Europe/Berlin")
    assert type(zone_of(None, utc=False)) is type(zone_of("local", utc=False)) is SystemZone
    for name in ("Nowhere", "../etc/passwd", ""):
        with pytest.raises(ArgumentError, match="cannot find time zone"):
            zone_of(name, utc=False)


def test_an_hour_that_clocks_show_twice_has_its_offset() -> None:
    berlin, ambiguous = ZoneInfo("Europe/Berlin"), dt.datetime(2026, 10, 25, 0, 30, tzinfo=dt.UTC)
    assert local_text(ambiguous, berlin) == "2026-10-25 02:30:00+02:00"
    assert local_text(ambiguous + dt.timedelta(hours=1), berlin) == "2026-10-25 02:30:00+01:00"
    assert local_text(ambiguous + dt.timedelta(hours=2), berlin) == "2026-10-25 03:30:00"


@pytest.mark.parametrize("zone", [SystemZone(), ZoneInfo("America/Los_Angeles"), ZoneInfo("Pacific/Kiritimati")])
def test_at_the_ends_of_the_calendar_there_is_a_time_all_the_same(zone: dt.tzinfo) -> None:
    """A sender whose clock was never set says the year 1, and its row is shown with the others."""
    for moment in (dt.datetime.min.replace(tzinfo=dt.UTC), dt.datetime.max.replace(tzinfo=dt.UTC)):
        assert local_text(moment, zone)[:3] in ("000", "999")
