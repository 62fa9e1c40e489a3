"""Times in kernels: RFC 3339, the BSD forms, the year nobody wrote, the zone nobody wrote. ``stamps`` has all other forms.

Times are microseconds since the epoch. A zone is two arrays made by ``zone``: ``bounds``, the wall-clock times (microseconds
as if they were UTC) from which the next of ``offsets`` (seconds east of UTC) holds; of an hour that comes twice the first
counts, an hour that never comes is read with the offset before it.
"""

from __future__ import annotations

from logsink.ascii import (
    CAPITAL_A,
    CAPITAL_T,
    CAPITAL_Z,
    CASE_BIT,
    COLON,
    COMMA,
    DIGIT_0,
    DIGIT_1,
    DIGIT_2,
    DIGIT_9,
    DOT,
    HYPHEN,
    PERCENT,
    PLUS,
    SMALL_A,
    SMALL_T,
    SMALL_Z,
    SPACE,
)
from logsink.flags import Flag
from logsink.kernel import Bytes, ReadI64, kernel
from logsink.parse.calendar import (
    DAY,
    DAYS_OF_MONTH,
    EARLIEST,
    LATEST,
    MINUTE,
    SECOND,
    day_number,
    is_date,
    latest_year,
    nearest_year,
    offset_at,
)
from logsink.parse.scanning import NONE, two_digits
from logsink.parse.shape import (
    BSD,
    BSD_BARE,
    BSD_ZERO,
    IRREGULAR,
    MINUS_ZERO,
    OFFSET,
    TIME_DIGITS,
    TIME_KIND,
    TIME_ZONE,
    TIME_ZONE_BIAS,
    ZONELESS,
    ZULU,
)

ZONE_ASSUMED = int(Flag.ZONE_ASSUMED)


YEAR_INFERRED = int(Flag.YEAR_INFERRED)


LEAP_SECOND = int(Flag.LEAP_SECOND)


UNKNOWN_ZONE = 9999
"""As minutes east of UTC."""


_MONTHS = tuple(
    name[0] | name[1] << 8 | name[2] << 16
    for name in (b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov", b"dec")
)


_LOWER = 0x202020


_NAMED_ZONES = tuple(  # names that mean one thing where they are used at all; of the ambiguous ones what Cisco's clocks mean
    (int.from_bytes(name, "big"), minutes)
    for name, minutes in (
        (b"UTC", 0), (b"GMT", 0), (b"Z", 0), (b"WET", 0), (b"WEST", 60), (b"BST", 60), (b"CET", 60), (b"CEST", 120),
        (b"EET", 120), (b"EEST", 180), (b"MSK", 180), (b"JST", 540), (b"EST", -300), (b"EDT", -240), (b"CST", -360),
        (b"CDT", -300), (b"MST", -420), (b"MDT", -360), (b"PST", -480), (b"PDT", -420),
    )
)  # fmt: skip


@kernel
def read_fraction(data: Bytes, p: int, end: int) -> tuple[int, int, int]:
    """``.123`` at ``p``: where it ends, microseconds, and its digits (IRREGULAR: a comma, none, or more than six)."""
    if p >= end or (data[p] != DOT and data[p] != COMMA):
        return p, 0, 0
    q = p + 1
    micros = 0
    while q < end and DIGIT_0 <= data[q] <= DIGIT_9:
        if q - p <= 6:
            micros = micros * 10 + data[q] - DIGIT_0
        q += 1
    digits = q - p - 1
    for _ in range(digits, 6):
        micros *= 10
    if digits == 0 or digits > 6 or data[p] == COMMA:
        digits = IRREGULAR
    return q, micros, digits


@kernel
def read_time_of_day(data: Bytes, p: int, end: int) -> tuple[int, int, int, int]:
    """``hh:mm:ss`` with any fraction at ``p``: where it ends, microseconds since midnight, digits, LEAP_SECOND or 0.

    Second 60 is the last microsecond of second 59.
    """
    if p + 8 > end or data[p + 2] != COLON or data[p + 5] != COLON:
        return NONE, 0, 0, 0
    hour = two_digits(data, p)
    minute = two_digits(data, p + 3)
    second = two_digits(data, p + 6)
    if hour < 0 or hour > 23 or minute < 0 or minute > 59 or second < 0 or second > 60:
        return NONE, 0, 0, 0
    q, micros, digits = read_fraction(data, p + 8, end)
    if second == 60:
        return q, (hour * 60 + minute) * MINUTE + MINUTE - 1, IRREGULAR, LEAP_SECOND
    return q, (hour * 60 + minute) * MINUTE + second * SECOND + micros, digits, 0


@kernel
def read_rfc3339(data: Bytes, p: int, end: int, zone: ReadI64) -> tuple[int, int, int, int]:
    """RFC 3339 and what is taken for it (``t``, ``z`` or a space, a comma, no zone, ``+0100``) at ``p``.

    Where it ends (NONE: it is none), time, shape bits (0: irregular), flags. What follows it is not looked at.
    """
    if p + 19 > end or data[p + 4] != HYPHEN or data[p + 7] != HYPHEN:
        return NONE, 0, 0, 0
    year = two_digits(data, p) * 100 + two_digits(data, p + 2)
    month = two_digits(data, p + 5)
    day = two_digits(data, p + 8)
    if year < 1 or not is_date(year, month, day):
        return NONE, 0, 0, 0
    between = data[p + 10]
    if between != CAPITAL_T and between != SMALL_T and between != SPACE:
        return NONE, 0, 0, 0
    q, wall, digits, flags = read_time_of_day(data, p + 11, end)
    if q == NONE:
        return NONE, 0, 0, 0
    if between != CAPITAL_T:
        digits = IRREGULAR
    wall += day_number(year, month, day) * DAY
    minutes = 0
    kind = ZONELESS
    if q < end:
        c = data[q]
        if c == CAPITAL_Z:
            kind = ZULU
            q += 1
        elif c == SMALL_Z:
            kind = ZULU
            digits = IRREGULAR
            q += 1
        elif c == PLUS or c == HYPHEN:
            q, minutes, regular = read_numeric_zone(data, q, end)
            if q == NONE:
                return NONE, 0, 0, 0
            kind = OFFSET
            if minutes == 0 and c == HYPHEN:
                kind = MINUS_ZERO
            if not regular:
                digits = IRREGULAR
    seconds = minutes * 60
    if kind == ZONELESS:
        flags |= ZONE_ASSUMED
        seconds = offset_at(wall, zone)
    time = wall - seconds * SECOND
    if time < EARLIEST or time > LATEST:
        return NONE, 0, 0, 0
    return q, time, time_bits(kind, digits, seconds), flags


@kernel
def read_numeric_zone(data: Bytes, p: int, end: int) -> tuple[int, int, bool]:
    """``+hh:mm`` at ``p`` (also ``+hhmm``, ``+hh``): where it ends, minutes east of UTC, and whether it had the colon."""
    if p + 3 > end:
        return NONE, 0, False
    hours = two_digits(data, p + 1)
    q = p + 3
    minutes = 0
    regular = False
    if q + 3 <= end and data[q] == COLON:
        minutes = two_digits(data, q + 1)
        q += 3
        regular = True
    elif q + 2 <= end and two_digits(data, q) >= 0:
        minutes = two_digits(data, q)
        q += 2
    if hours < 0 or hours > 23 or minutes < 0 or minutes > 59:
        return NONE, 0, False
    minutes += hours * 60
    if data[p] == HYPHEN:
        minutes = -minutes
    return q, minutes, regular


@kernel
def time_bits(kind: int, digits: int, seconds: int) -> int:
    """Shape bits of a time; 0 when it cannot be formatted again as it stood."""
    if digits == IRREGULAR or seconds % 60 != 0:
        return 0
    return kind << TIME_KIND | digits << TIME_DIGITS | (seconds // 60 + TIME_ZONE_BIAS) << TIME_ZONE


@kernel
def read_month_and_space(data: Bytes, p: int, end: int) -> int:
    """1 to 12 for ``Jan`` to ``Dec`` and a space at ``p``, in any case; 0 for anything else."""
    return read_month(data, p, end) if p + 4 <= end and data[p + 3] == SPACE else 0


@kernel
def read_month(data: Bytes, p: int, end: int) -> int:
    """1 to 12 for ``Jan`` to ``Dec`` at ``p``, in any case; 0 for anything else."""
    if p + 3 > end:
        return 0
    name = (data[p] | data[p + 1] << 8 | data[p + 2] << 16) | _LOWER
    for k in range(12):
        if _MONTHS[k] == name:
            return k + 1
    return 0


@kernel
def read_year(data: Bytes, p: int, end: int) -> int:
    """A year of the last or this century at ``p``, ended by a space, a colon and a space, or the frame; or 0."""
    if p + 4 > end:
        return 0
    q = p + 4
    if q < end and data[q] == COLON:  # `2001:db8::7` is a host
        q += 1
    if q < end and data[q] != SPACE:
        return 0
    century = two_digits(data, p)
    rest = two_digits(data, p + 2)
    if rest < 0 or (century != 19 and century != 20):
        return 0
    return century * 100 + rest


@kernel
def read_bsd(data: Bytes, p: int, end: int) -> tuple[int, int, int, int, int, int, int, int]:
    """``Mmm dd [yyyy] hh:mm:ss`` at ``p``: where it ends (NONE: it is none), year or 0, month, day, microseconds since
    midnight, kind, digits, flags. The day may be padded with a space, with 0, or not at all."""
    month = read_month_and_space(data, p, end)
    if month == 0:
        return NONE, 0, 0, 0, 0, 0, 0, 0
    q = p + 4
    kind = BSD_BARE
    if q < end and data[q] == SPACE:
        q += 1
        kind = BSD
    if q + 2 > end:
        return NONE, 0, 0, 0, 0, 0, 0, 0
    day = two_digits(data, q)
    if day >= 0:
        regular = kind == BSD_BARE
        kind = BSD_ZERO if day < 10 else BSD
        q += 2
    else:
        day = data[q] - DIGIT_0
        regular = True
        q += 1
    if day < 1 or day > 31 or q >= end or data[q] != SPACE:
        return NONE, 0, 0, 0, 0, 0, 0, 0
    q += 1
    year = read_year(data, q, end)
    if year != 0:
        q += 5  # were it a colon, no time of day could follow
        regular = False
    elif day > DAYS_OF_MONTH[month - 1] and not (month == 2 and day == 29):
        return NONE, 0, 0, 0, 0, 0, 0, 0
    q, micros, digits, flags = read_time_of_day(data, q, end)
    if q == NONE or (year != 0 and not is_date(year, month, day)):
        return NONE, 0, 0, 0, 0, 0, 0, 0
    if not regular or data[p] >= SMALL_A or data[p + 1] < SMALL_A or data[p + 2] < SMALL_A:
        digits = IRREGULAR
    return q, year, month, day, micros, kind, digits, flags


@kernel
def bsd_wall(year: int, month: int, day: int, micros: int, received: int, zone: ReadI64, rules: int) -> tuple[int, int]:
    """Wall-clock time of what ``bsd`` found, and flags."""
    if year != 0:
        return day_number(year, month, day) * DAY + micros, 0
    if rules < 2:
        return nearest_year(month, day, micros, received, zone), YEAR_INFERRED
    return latest_year(month, day, micros, received, zone), YEAR_INFERRED


@kernel
def ends_bsd(data: Bytes, p: int, end: int) -> bool:
    """Does a space at ``p`` end a BSD time, with neither a year nor a zone after it?"""
    if p >= end or data[p] != SPACE:
        return False
    if p + 1 == end:
        return True
    c = data[p + 1]
    if c == DIGIT_1 or c == DIGIT_2:
        return read_year(data, p + 1, end) == 0
    if c == PLUS or c == HYPHEN:
        return False
    if (CAPITAL_A <= c <= CAPITAL_Z) or (p + 5 < end and (data[p + 4] == COLON or data[p + 5] == COLON)):
        q, _ = read_named_zone(data, p + 1, end)
        return q == NONE
    return True


@kernel
def read_named_zone(data: Bytes, p: int, end: int) -> tuple[int, int]:
    """A zone's name and a colon at ``p``, or a space where it is a known one: where the name ends (NONE: there is none) and its
    minutes east of UTC.

    Between a time and Cisco's ``%`` it may be in small letters, and a word in capitals is a zone's name too: UNKNOWN_ZONE
    where nobody knows which.
    """
    name = 0
    small = 0
    q = p
    while q < end and q < p + 5 and CAPITAL_A <= data[q] & ~CASE_BIT <= CAPITAL_Z:
        name = name << 8 | data[q] & ~CASE_BIT
        small |= data[q] & CASE_BIT
        q += 1
    if q == p or q >= end or (data[q] != COLON and (data[q] != SPACE or q < p + 3)):
        return NONE, 0
    cisco = data[q] == COLON and q + 2 < end and data[q + 1] == SPACE and data[q + 2] == PERCENT
    if small and not cisco:
        return NONE, 0
    minutes = minutes_of_zone(name)
    if minutes != UNKNOWN_ZONE:
        return q, minutes
    return (NONE, 0) if small or not cisco else (q, UNKNOWN_ZONE)


@kernel
def minutes_of_zone(name: int) -> int:
    """Minutes east of UTC of the zone whose name in capitals is this big-endian number, or UNKNOWN_ZONE."""
    for known, minutes in _NAMED_ZONES:
        if name == known:
            return minutes
    return UNKNOWN_ZONE
