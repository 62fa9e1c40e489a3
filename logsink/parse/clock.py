"""Times in kernels: RFC 3339, the BSD forms, the year nobody wrote, the zone nobody wrote. ``stamps`` has all other forms.

Times are microseconds since the epoch. A zone is two arrays made by ``zone``: ``bounds``, the wall-clock times (microseconds
as if they were UTC) from which the next of ``offsets`` (seconds east of UTC) holds; of an hour that comes twice the first
counts, an hour that never comes is read with the offset before it.
"""

from __future__ import annotations

from logsink.flags import Flag
from logsink.kernel import Bytes, ReadI32, ReadI64, kernel
from logsink.parse.shape import (
    BSD,
    BSD_BARE,
    BSD_ZERO,
    DIGITS,
    IRREGULAR,
    MINUS_ZERO,
    OFFSET,
    TIME,
    ZONE,
    ZONE_BIAS,
    ZONELESS,
    ZULU,
)

ZONE_ASSUMED = int(Flag.ZONE_ASSUMED)
YEAR_INFERRED = int(Flag.YEAR_INFERRED)
LEAP_SECOND = int(Flag.LEAP_SECOND)

SECOND = 1_000_000
MINUTE = 60 * SECOND
DAY = 86_400 * SECOND
HALF_YEAR = 181 * DAY  # less a day: the zone is not looked at
AHEAD = 7 * DAY  # a time without a year is at most this much later than the frame was received
EARLIEST = -62_135_596_800 * SECOND  # 0001-01-01: what other readers of the table can show
LATEST = 253_402_300_800 * SECOND - 1  # 9999-12-31T23:59:59.999999

NONE = -1
"""As a position: there is no time here."""

UNKNOWN_ZONE = 9999
"""As minutes east of UTC."""

_LENGTHS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_MONTHS = tuple(
    name[0] | name[1] << 8 | name[2] << 16
    for name in (b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov", b"dec")
)
_LOWER = 0x202020
_NAMED = tuple(  # names that mean one thing where they are used at all; of the ambiguous ones what Cisco's clocks mean
    (int.from_bytes(name, "big"), minutes)
    for name, minutes in (
        (b"UTC", 0), (b"GMT", 0), (b"Z", 0), (b"WET", 0), (b"WEST", 60), (b"BST", 60), (b"CET", 60), (b"CEST", 120),
        (b"EET", 120), (b"EEST", 180), (b"MSK", 180), (b"JST", 540), (b"EST", -300), (b"EDT", -240), (b"CST", -360),
        (b"CDT", -300), (b"MST", -420), (b"MDT", -360), (b"PST", -480), (b"PDT", -420),
    )
)  # fmt: skip


@kernel
def days(year: int, month: int, day: int) -> int:
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
def date(day: int) -> tuple[int, int, int]:
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
def leap(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


@kernel
def is_date(year: int, month: int, day: int) -> bool:
    if month < 1 or month > 12 or day < 1:
        return False
    if month == 2 and leap(year):
        return day <= 29
    return day <= _LENGTHS[month - 1]


@kernel
def two(data: Bytes, p: int) -> int:
    """The number that two digits at ``p`` make, or a negative one."""
    a = data[p] - 48
    b = data[p + 1] - 48
    if a < 0 or a > 9 or b < 0 or b > 9:
        return -1000000
    return a * 10 + b


@kernel
def offset_at(wall: int, bounds: ReadI64, offsets: ReadI32) -> int:
    """Seconds east of UTC at wall-clock time ``wall``."""
    low = 0
    high = len(bounds)
    while low < high:
        middle = (low + high) >> 1
        if wall < bounds[middle]:
            high = middle
        else:
            low = middle + 1
    return int(offsets[low])


@kernel
def fraction(data: Bytes, p: int, end: int) -> tuple[int, int, int]:
    """``.123`` at ``p``: where it ends, microseconds, and its digits (IRREGULAR: a comma, none, or more than six)."""
    if p >= end or (data[p] != 46 and data[p] != 44):
        return p, 0, 0
    q = p + 1
    micros = 0
    while q < end and data[q] >= 48 and data[q] <= 57:
        if q - p <= 6:
            micros = micros * 10 + data[q] - 48
        q += 1
    digits = q - p - 1
    for _ in range(digits, 6):
        micros *= 10
    if digits == 0 or digits > 6 or data[p] == 44:
        digits = IRREGULAR
    return q, micros, digits


@kernel
def of_day(data: Bytes, p: int, end: int) -> tuple[int, int, int, int]:
    """``hh:mm:ss`` with any fraction at ``p``: where it ends, microseconds since midnight, digits, LEAP_SECOND or 0.

    Second 60 is the last microsecond of second 59.
    """
    if p + 8 > end or data[p + 2] != 58 or data[p + 5] != 58:
        return NONE, 0, 0, 0
    hour = two(data, p)
    minute = two(data, p + 3)
    second = two(data, p + 6)
    if hour < 0 or hour > 23 or minute < 0 or minute > 59 or second < 0 or second > 60:
        return NONE, 0, 0, 0
    q, micros, digits = fraction(data, p + 8, end)
    if second == 60:
        return q, (hour * 60 + minute) * MINUTE + MINUTE - 1, IRREGULAR, LEAP_SECOND
    return q, (hour * 60 + minute) * MINUTE + second * SECOND + micros, digits, 0


@kernel
def rfc3339(data: Bytes, p: int, end: int, bounds: ReadI64, offsets: ReadI32) -> tuple[int, int, int, int]:
    """RFC 3339 and what is taken for it (``t``, ``z`` or a space, a comma, no zone, ``+0100``) at ``p``.

    Where it ends (NONE: it is none), time, shape bits (0: irregular), flags. What follows it is not looked at.
    """
    if p + 19 > end or data[p + 4] != 45 or data[p + 7] != 45:
        return NONE, 0, 0, 0
    year = two(data, p) * 100 + two(data, p + 2)
    month = two(data, p + 5)
    day = two(data, p + 8)
    if year < 1 or not is_date(year, month, day):
        return NONE, 0, 0, 0
    between = data[p + 10]
    if between != 84 and between != 116 and between != 32:
        return NONE, 0, 0, 0
    q, wall, digits, flags = of_day(data, p + 11, end)
    if q == NONE:
        return NONE, 0, 0, 0
    if between != 84:
        digits = IRREGULAR
    wall += days(year, month, day) * DAY
    minutes = 0
    kind = ZONELESS
    if q < end:
        c = data[q]
        if c == 90:
            kind = ZULU
            q += 1
        elif c == 122:
            kind = ZULU
            digits = IRREGULAR
            q += 1
        elif c == 43 or c == 45:
            q, minutes, regular = numeric_zone(data, q, end)
            if q == NONE:
                return NONE, 0, 0, 0
            kind = OFFSET
            if minutes == 0 and c == 45:
                kind = MINUS_ZERO
            if not regular:
                digits = IRREGULAR
    seconds = minutes * 60
    if kind == ZONELESS:
        flags |= ZONE_ASSUMED
        seconds = offset_at(wall, bounds, offsets)
    time = wall - seconds * SECOND
    if time < EARLIEST or time > LATEST:
        return NONE, 0, 0, 0
    return q, time, time_bits(kind, digits, seconds), flags


@kernel
def numeric_zone(data: Bytes, p: int, end: int) -> tuple[int, int, bool]:
    """``+hh:mm`` at ``p`` (also ``+hhmm``, ``+hh``): where it ends, minutes east of UTC, and whether it had the colon."""
    if p + 3 > end:
        return NONE, 0, False
    hours = two(data, p + 1)
    q = p + 3
    minutes = 0
    regular = False
    if q + 3 <= end and data[q] == 58:
        minutes = two(data, q + 1)
        q += 3
        regular = True
    elif q + 2 <= end and two(data, q) >= 0:
        minutes = two(data, q)
        q += 2
    if hours < 0 or hours > 23 or minutes < 0 or minutes > 59:
        return NONE, 0, False
    minutes += hours * 60
    if data[p] == 45:
        minutes = -minutes
    return q, minutes, regular


@kernel
def time_bits(kind: int, digits: int, seconds: int) -> int:
    """Shape bits of a time; 0 when it cannot be formatted again as it stood."""
    if digits == IRREGULAR or seconds % 60 != 0:
        return 0
    return kind << TIME | digits << DIGITS | (seconds // 60 + ZONE_BIAS) << ZONE


@kernel
def month_name(data: Bytes, p: int, end: int) -> int:
    """1 to 12 for ``Jan`` to ``Dec`` and a space at ``p``, in any case; 0 for anything else."""
    return month_at(data, p, end) if p + 4 <= end and data[p + 3] == 32 else 0


@kernel
def month_at(data: Bytes, p: int, end: int) -> int:
    """1 to 12 for ``Jan`` to ``Dec`` at ``p``, in any case; 0 for anything else."""
    if p + 3 > end:
        return 0
    name = (data[p] | data[p + 1] << 8 | data[p + 2] << 16) | _LOWER
    for k in range(12):
        if _MONTHS[k] == name:
            return k + 1
    return 0


@kernel
def year_at(data: Bytes, p: int, end: int) -> int:
    """A year of the last or this century at ``p``, ended by a space, a colon and a space, or the frame; or 0."""
    if p + 4 > end:
        return 0
    q = p + 4
    if q < end and data[q] == 58:  # `2001:db8::7` is a host
        q += 1
    if q < end and data[q] != 32:
        return 0
    century = two(data, p)
    rest = two(data, p + 2)
    if rest < 0 or (century != 19 and century != 20):
        return 0
    return century * 100 + rest


@kernel
def bsd(data: Bytes, p: int, end: int) -> tuple[int, int, int, int, int, int, int, int]:
    """``Mmm dd [yyyy] hh:mm:ss`` at ``p``: where it ends (NONE: it is none), year or 0, month, day, microseconds since
    midnight, kind, digits, flags. The day may be padded with a space, with 0, or not at all."""
    month = month_name(data, p, end)
    if month == 0:
        return NONE, 0, 0, 0, 0, 0, 0, 0
    q = p + 4
    kind = BSD_BARE
    if q < end and data[q] == 32:
        q += 1
        kind = BSD
    if q + 2 > end:
        return NONE, 0, 0, 0, 0, 0, 0, 0
    day = two(data, q)
    if day >= 0:
        regular = kind == BSD_BARE
        kind = BSD_ZERO if day < 10 else BSD
        q += 2
    else:
        day = data[q] - 48
        regular = True
        q += 1
    if day < 1 or day > 31 or q >= end or data[q] != 32:
        return NONE, 0, 0, 0, 0, 0, 0, 0
    q += 1
    year = year_at(data, q, end)
    if year != 0:
        q += 5  # were it a colon, no time of day could follow
        regular = False
    elif day > _LENGTHS[month - 1] and not (month == 2 and day == 29):
        return NONE, 0, 0, 0, 0, 0, 0, 0
    q, micros, digits, flags = of_day(data, q, end)
    if q == NONE or (year != 0 and not is_date(year, month, day)):
        return NONE, 0, 0, 0, 0, 0, 0, 0
    if not regular or data[p] >= 97 or data[p + 1] < 97 or data[p + 2] < 97:
        digits = IRREGULAR
    return q, year, month, day, micros, kind, digits, flags


@kernel
def in_zone(wall: int, bounds: ReadI64, offsets: ReadI32) -> int:
    """The time at which clocks of the zone show ``wall``."""
    return wall - offset_at(wall, bounds, offsets) * SECOND


@kernel
def nearest_year(month: int, day: int, micros: int, received: int, bounds: ReadI64, offsets: ReadI32) -> int:
    """Wall-clock time of this day and time in that year, of those that have the day, which is nearest to ``received``."""
    year, _, _ = date(received // DAY)
    if month != 2 or day != 29:
        wall = days(year, month, day) * DAY + micros
        if abs(wall - received) < HALF_YEAR:
            return wall
    best = 0
    distance = -1
    for guess in range(year - 8, year + 9):  # 8: around a year that is divisible by 100 and no leap year
        if guess < 1 or guess > 9999 or not is_date(guess, month, day):
            continue
        wall = days(guess, month, day) * DAY + micros
        away = abs(in_zone(wall, bounds, offsets) - received)
        if distance < 0 or away < distance:
            distance = away
            best = wall
    return best


@kernel
def latest_year(month: int, day: int, micros: int, received: int, bounds: ReadI64, offsets: ReadI32) -> int:
    """Wall-clock time of this day and time in the latest year that has the day and is at most AHEAD of ``received``."""
    limit = received + AHEAD
    year, _, _ = date(limit // DAY)
    if month != 2 or day != 29:
        wall = days(year, month, day) * DAY + micros
        if wall + DAY < limit and wall + 364 * DAY > limit:  # certain in any zone, and next year's is not
            return wall
    for guess in range(
        year + 1, year - 10, -1
    ):  # eight years lie around a year that is divisible by 100 and no leap year
        if guess < 1 or guess > 9999 or not is_date(guess, month, day):
            continue
        wall = days(guess, month, day) * DAY + micros
        if in_zone(wall, bounds, offsets) <= limit:
            return wall
    return 0


@kernel
def bsd_wall(
    year: int, month: int, day: int, micros: int, received: int, bounds: ReadI64, offsets: ReadI32, rules: int
) -> tuple[int, int]:
    """Wall-clock time of what ``bsd`` found, and flags."""
    if year != 0:
        return days(year, month, day) * DAY + micros, 0
    if rules < 2:
        return nearest_year(month, day, micros, received, bounds, offsets), YEAR_INFERRED
    return latest_year(month, day, micros, received, bounds, offsets), YEAR_INFERRED


@kernel
def ends_time(data: Bytes, p: int, end: int) -> bool:
    """Does a space at ``p`` end a BSD time, with neither a year nor a zone after it?"""
    if p >= end or data[p] != 32:
        return False
    if p + 1 == end:
        return True
    c = data[p + 1]
    if c == 49 or c == 50:
        return year_at(data, p + 1, end) == 0
    if c == 43 or c == 45:
        return False
    if (c >= 65 and c <= 90) or (p + 5 < end and (data[p + 4] == 58 or data[p + 5] == 58)):
        q, _ = named_zone(data, p + 1, end)
        return q == NONE
    return True


@kernel
def named_zone(data: Bytes, p: int, end: int) -> tuple[int, int]:
    """A zone's name and a colon at ``p``, or a space where it is a known one: where the name ends (NONE: there is none) and its
    minutes east of UTC.

    Between a time and Cisco's ``%`` it may be in small letters, and a word in capitals is a zone's name too: UNKNOWN_ZONE
    where nobody knows which.
    """
    name = 0
    small = 0
    q = p
    while q < end and q < p + 5 and data[q] & 0xDF >= 65 and data[q] & 0xDF <= 90:
        name = name << 8 | data[q] & 0xDF
        small |= data[q] & 32
        q += 1
    if q == p or q >= end or (data[q] != 58 and (data[q] != 32 or q < p + 3)):
        return NONE, 0
    cisco = data[q] == 58 and q + 2 < end and data[q + 1] == 32 and data[q + 2] == 37
    if small and not cisco:
        return NONE, 0
    minutes = minutes_of(name)
    if minutes != UNKNOWN_ZONE:
        return q, minutes
    return (NONE, 0) if small or not cisco else (q, UNKNOWN_ZONE)


@kernel
def minutes_of(name: int) -> int:
    """Minutes east of UTC of the zone whose name in capitals is this big-endian number, or UNKNOWN_ZONE."""
    for known, minutes in _NAMED:
        if name == known:
            return minutes
    return UNKNOWN_ZONE
