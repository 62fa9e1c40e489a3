"""Dates and zones as numbers, in kernels: days since 1970, offsets from UTC, and the year that a sender left out.

A zone is one array, made by ``zone.load``; its layout is drawn there.
"""

from __future__ import annotations

from logsink.kernel import ReadI64, kernel

SECOND = 1_000_000  # in microseconds, as all that follows
MINUTE = 60 * SECOND
DAY = 86_400 * SECOND
EARLIEST = -62_135_596_800 * SECOND  # 0001-01-01: the first and
LATEST = 253_402_300_800 * SECOND - 1  # 9999-12-31T23:59:59.999999: the last that other readers of the table can show
AHEAD = 7 * DAY  # a time without a year is at most this much later than the frame was received

DAYS_OF_MONTH = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)

_NEARLY_HALF_A_YEAR = 181 * DAY  # a day less than half a year: a time within it is the nearest in every zone
_YEARS_BETWEEN_LEAP_YEARS = 8  # at most: around a year that is divisible by 100 and no leap year

# For ``day_number`` and ``date_of``: 400 years are an era, and a year begins with March, so that a leap day is its
# last.
_ERA = 146_097  # days of 400 years
_EPOCH = 719_468  # days from 0000-03-01 to 1970-01-01


@kernel
def day_number(year: int, month: int, day: int) -> int:
    """Return the days from 1970-01-01 to a date of the proleptic Gregorian calendar."""
    if month <= 2:
        year -= 1
        month += 9
    else:
        month -= 3
    era = year // 400
    of_era = year - era * 400
    # 153 days are five months that begin with March or August: 31, 30, 31, 30, 31.
    of_year = (153 * month + 2) // 5 + day - 1
    return era * _ERA + of_era * 365 + of_era // 4 - of_era // 100 + of_year - _EPOCH


@kernel
def date_of(day: int) -> tuple[int, int, int]:
    """Return year, month and day of a number of days since 1970-01-01: the inverse of ``day_number``."""
    day += _EPOCH
    era = day // _ERA
    of_era = day - era * _ERA
    # Take the leap days out: one every 4 years, but none every 100 years, and one every 400 years.
    year = (of_era - of_era // 1460 + of_era // 36524 - of_era // 146096) // 365
    of_year = of_era - (365 * year + year // 4 - year // 100)
    month = (5 * of_year + 2) // 153
    day = of_year - (153 * month + 2) // 5 + 1
    if month < 10:
        return year + era * 400, month + 3, day
    return year + era * 400 + 1, month - 9, day


@kernel
def is_leap(year: int) -> bool:
    """Tell whether ``year`` has a 29 February."""
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


@kernel
def is_date(year: int, month: int, day: int) -> bool:
    """Tell whether the calendar has this date."""
    if month < 1 or month > 12 or day < 1:
        return False
    if month == 2 and is_leap(year):
        return day <= 29
    return day <= DAYS_OF_MONTH[month - 1]


@kernel
def offset_at(wall: int, zone: ReadI64) -> int:
    """Return the seconds by which ``zone`` is ahead of UTC when its clocks show ``wall``."""
    changes = len(zone) >> 1
    low = 0
    high = changes
    while low < high:
        middle = (low + high) >> 1
        if wall < zone[middle]:
            high = middle
        else:
            low = middle + 1
    return int(zone[changes + low])


@kernel
def to_utc(wall: int, zone: ReadI64) -> int:
    """Return the time at which the clocks of ``zone`` show ``wall``."""
    return wall - offset_at(wall, zone) * SECOND


@kernel
def nearest_year(month: int, day: int, micros: int, received: int, zone: ReadI64) -> int:
    """Return the wall-clock time of this day and time of day in the year that brings it nearest to ``received``.

    Only years that have the day count. Version 1 of the parsing rules.
    """
    year, _, _ = date_of(received // DAY)
    # Nearly always the year of receipt is certain at once.
    if month != 2 or day != 29:
        wall = day_number(year, month, day) * DAY + micros
        if abs(wall - received) < _NEARLY_HALF_A_YEAR:
            return wall
    best = 0
    distance = -1
    for guess in range(year - _YEARS_BETWEEN_LEAP_YEARS, year + _YEARS_BETWEEN_LEAP_YEARS + 1):
        if guess < 1 or guess > 9999 or not is_date(guess, month, day):
            continue
        wall = day_number(guess, month, day) * DAY + micros
        away = abs(to_utc(wall, zone) - received)
        if distance < 0 or away < distance:
            distance = away
            best = wall
    return best


@kernel
def latest_year(month: int, day: int, micros: int, received: int, zone: ReadI64) -> int:
    """Return the wall-clock time of this day and time of day in the latest year that is not too late.

    It may be AHEAD of ``received`` at most. Only years that have the day count; 0 where there is none. Version 2 of the
    parsing rules.
    """
    limit = received + AHEAD
    year, _, _ = date_of(limit // DAY)
    # Nearly always the year is certain at once: this year's is not too late in any zone, and next year's is in every
    # one.
    if month != 2 or day != 29:
        wall = day_number(year, month, day) * DAY + micros
        if wall + DAY < limit and wall + 364 * DAY > limit:
            return wall
    for guess in range(year + 1, year - _YEARS_BETWEEN_LEAP_YEARS - 2, -1):
        if guess < 1 or guess > 9999 or not is_date(guess, month, day):
            continue
        wall = day_number(guess, month, day) * DAY + micros
        if to_utc(wall, zone) <= limit:
            return wall
    return 0
