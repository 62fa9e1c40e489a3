"""Dates as numbers: against Python's own calendar."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from logsink.parse.calendar import EARLIEST, LATEST, date_of, day_number, is_date

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def micros(time: datetime) -> int:
    return (time - EPOCH) // timedelta(microseconds=1)


@given(st.dates())
def test_days_and_dates(day: date) -> None:
    number = day.toordinal() - EPOCH.toordinal()
    assert day_number.py(day.year, day.month, day.day) == number
    assert date_of.py(number) == (day.year, day.month, day.day)


@given(st.integers(1, 9999), st.integers(0, 13), st.integers(0, 32))
def test_which_dates_there_are(year: int, month: int, day: int) -> None:
    try:
        date(year, month, day)
    except ValueError:
        assert not is_date.py(year, month, day)
    else:
        assert is_date.py(year, month, day)


def test_the_range_is_what_python_can_show() -> None:
    assert micros(datetime.min.replace(tzinfo=UTC)) == EARLIEST
    assert micros(datetime.max.replace(tzinfo=UTC)) == LATEST
