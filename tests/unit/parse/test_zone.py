"""Time zones as arrays: against Python's own."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logsink.errors import ConfigError
from logsink.parse.calendar import offset_at
from logsink.parse.zone import load

EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001
ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Africa/Casablanca"]


@given(st.datetimes(datetime(1970, 1, 2), datetime(2099, 12, 30)), st.sampled_from(ZONES))  # noqa: DTZ001
def test_offsets_of_wall_clock_times(wall: datetime, zone: str) -> None:
    offset = wall.replace(tzinfo=ZoneInfo(zone), fold=0).utcoffset()
    assert offset is not None
    assert offset_at.py((wall - EPOCH) // timedelta(microseconds=1), load(zone)) == offset.total_seconds()


def test_the_layout() -> None:
    assert load("UTC").tolist() == [0]
    berlin = load("Europe/Berlin").tolist()
    changes, offsets = berlin[: len(berlin) // 2], berlin[len(berlin) // 2 :]
    assert changes == sorted(changes)
    assert set(offsets) == {3600, 7200}
    summer = (datetime(2026, 3, 29, 3, tzinfo=UTC) - EPOCH.replace(tzinfo=UTC)) // timedelta(microseconds=1)
    assert offsets[changes.index(summer) :][:2] == [3600, 7200]


def test_an_unknown_zone() -> None:
    for name in ("Nowhere/Land", "", "../etc/passwd", "a\0b"):
        with pytest.raises(ConfigError, match="cannot find time zone"):
            load(name)
