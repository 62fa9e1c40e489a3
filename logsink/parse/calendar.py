"""TODO."""

from __future__ import annotations

from logsink.kernel import ReadI64, kernel

SECOND = 1_000_000


MINUTE = 60 * SECOND


DAY = 86_400 * SECOND


HALF_YEAR = 181 * DAY  # less a day: the zone is not looked at


AHEAD = 7 * DAY  # a time without a year is at most this much later than the frame was received


EARLIEST = -62_135_596_800 * SECOND  # 0001-01-01: what other readers of the table can show


LATEST = 253_402_300_800 * SECOND - 1  # 9999-12-31T23:59:59.999999


DAYS_OF_MONTH = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


@kernel
def day_number(year: int, month: int, day: int) -> int:
    """Days from 1970-01-01 to a date of the proleptic Gregorian calendar."""
    if month <= 2:
        year -= 1
        month += 9
    else:
        month -= 3
    era = year // 400
    of_era = year - era * 400
    return era * 146097 + of_era * 365 + of_era // 4 - of_era // 100 + (153 * month + 2) // 5 + day - 719469


@kernel
def date_of(day: int) -> tuple[int, int, int]:
    """Year, month and day of a number of days since 1970-01-01: the inverse of ``days``."""
    day += 719468
    era = day // 146097
    of_era = day - era * 146097
    year = (of_era - of_era // 1460 + of_era // 36524 - of_era // 146096) // 365
    of_year = of_era - (365 * year + year // 4 - year // 100)
    month = (5 * of_year + 2) // 153
    day = of_year - (153 * month + 2) // 5 + 1
    if month < 10:
        return year + era * 400, month + 3, day
    return year + era * 400 + 1, month - 9, day


@kernel
def is_leap(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


@kernel
def is_date(year: int, month: int, day: int) -> bool:
    if month < 1 or month > 12 or day < 1:
        return False
    if month == 2 and is_leap(year):
        return day <= 29
    return day <= DAYS_OF_MONTH[month - 1]


@kernel
def offset_at(wall: int, zone: ReadI64) -> int:
    """Seconds east of UTC at wall-clock time ``wall``."""
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
    """The time at which clocks of the zone show ``wall``."""
    return wall - offset_at(wall, zone) * SECOND


@kernel
def nearest_year(month: int, day: int, micros: int, received: int, zone: ReadI64) -> int:
    """Wall-clock time of this day and time in that year, of those that have the day, which is nearest to ``received``."""
    year, _, _ = date_of(received // DAY)
    if month != 2 or day != 29:
        wall = day_number(year, month, day) * DAY + micros
        if abs(wall - received) < HALF_YEAR:
            return wall
    best = 0
    distance = -1
    for guess in range(year - 8, year + 9):  # 8: around a year that is divisible by 100 and no leap year
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
    """Wall-clock time of this day and time in the latest year that has the day and is at most AHEAD of ``received``."""
    limit = received + AHEAD
    year, _, _ = date_of(limit // DAY)
    if month != 2 or day != 29:
        wall = day_number(year, month, day) * DAY + micros
        if wall + DAY < limit and wall + 364 * DAY > limit:  # certain in any zone, and next year's is not
            return wall
    for guess in range(
        year + 1, year - 10, -1
    ):  # eight years lie around a year that is divisible by 100 and no leap year
        if guess < 1 or guess > 9999 or not is_date(guess, month, day):
            continue
        wall = day_number(guess, month, day) * DAY + micros
        if to_utc(wall, zone) <= limit:
            return wall
    return 0
