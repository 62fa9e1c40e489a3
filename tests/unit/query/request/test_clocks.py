"""What clocks of a zone show, and when."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from logsink.query.request.clocks import HOURS_AHEAD, to_instant, to_local

BERLIN = ZoneInfo("Europe/Berlin")


@given(st.integers(0, 4_102_444_800_000_000))
def test_clocks_show_the_time_at_its_instant(instant: int) -> None:
    wall = to_local(instant, BERLIN).replace(tzinfo=None, fold=0)
    assert instant in (to_instant(wall, BERLIN), to_instant(wall, BERLIN, latest=True))


def test_a_time_that_is_skipped_is_the_moment_of_the_change() -> None:
    change = to_instant(dt.datetime(2026, 3, 29, 1), dt.UTC)  # noqa: DTZ001
    assert to_instant(dt.datetime(2026, 3, 29, 2, 30), BERLIN) == change  # noqa: DTZ001


def test_abbreviations_are_small_letters_and_name_one_offset() -> None:
    assert all(name == name.lower() and -12 <= hours <= 14 for name, hours in HOURS_AHEAD.items())
