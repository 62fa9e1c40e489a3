"""Times as nearly all senders write them, in kernels: RFC 3339, and RFC 3164's ``Mmm dd hh:mm:ss`` (BSD).

``timestamps`` reads all other forms. The names that the parameters share are explained in the docstring of
``logsink.parse``.
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

_FRACTION_DIGITS = 6  # of microseconds
_LONGEST_ZONE = 5  # letters

UNKNOWN_ZONE = 9999
"""As minutes east of UTC: nobody knows."""

# Three letters as a little-endian number, small. A capital is made small by a bit, for all three at once.
_MONTHS = tuple(
    name[0] | name[1] << 8 | name[2] << 16
    for name in (b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov", b"dec")
)

_CASE_BITS = CASE_BIT | CASE_BIT << 8 | CASE_BIT << 16

# Names that mean one thing wherever they are used; of the ambiguous ones (CST, BST) what Cisco's clocks mean by them.
_NAMED_ZONES = tuple(
    (int.from_bytes(name, "big"), minutes)
    for name, minutes in (
        (b"UTC", 0), (b"GMT", 0), (b"Z", 0), (b"WET", 0), (b"WEST", 60), (b"BST", 60), (b"CET", 60), (b"CEST", 120),
        (b"EET", 120), (b"EEST", 180), (b"MSK", 180), (b"JST", 540), (b"EST", -300), (b"EDT", -240), (b"CST", -360),
        (b"CDT", -300), (b"MST", -420), (b"MDT", -360), (b"PST", -480), (b"PDT", -420),
    )
)  # fmt: skip


@kernel
def read_fraction(data: Bytes, p: int, end: int) -> tuple[int, int, int]:
    """Read ``.123`` at ``p``: where it ends (``p`` if there is none), microseconds, digits.

    More digits than six are read over. Digits are IRREGULAR if there are more than six, or none, or a comma stands for
    the point.
    """
    if p >= end or (data[p] != DOT and data[p] != COMMA):
        return p, 0, 0
    q = p + 1
    micros = 0
    while q < end and DIGIT_0 <= data[q] <= DIGIT_9:
        if q - p <= _FRACTION_DIGITS:
            micros = micros * 10 + data[q] - DIGIT_0
        q += 1
    digits = q - p - 1
    for _ in range(digits, _FRACTION_DIGITS):
        micros *= 10
    if digits == 0 or digits > _FRACTION_DIGITS or data[p] == COMMA:
        digits = IRREGULAR
    return q, micros, digits


@kernel
def read_time_of_day(data: Bytes, p: int, end: int) -> tuple[int, int, int, int]:
    """Read ``hh:mm:ss`` with or without a fraction at ``p``: where it ends or NONE, time of day, digits, flags.

    Second 60 is taken for the last microsecond of second 59, and LEAP_SECOND is the flag.
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
    """Read a time of RFC 3339 at ``p``: where it ends or NONE, time, shape bits (0: irregular), flags.

    ``t`` or a space for ``T``, ``z``, a comma before the fraction, ``+0100``, ``+01`` and a time without a zone are
    read too. What follows the time is not looked at.
    """
    if p + 19 > end or data[p + 4] != HYPHEN or data[p + 7] != HYPHEN:
        return NONE, 0, 0, 0
    # The date: `yyyy-mm-dd`, and a date that exists.
    year = two_digits(data, p) * 100 + two_digits(data, p + 2)
    month = two_digits(data, p + 5)
    day = two_digits(data, p + 8)
    if year < 1 or not is_date(year, month, day):
        return NONE, 0, 0, 0
    # `T` and the time of day.
    between = data[p + 10]
    if between != CAPITAL_T and between != SMALL_T and between != SPACE:
        return NONE, 0, 0, 0
    q, wall, digits, flags = read_time_of_day(data, p + 11, end)
    if q == NONE:
        return NONE, 0, 0, 0
    if between != CAPITAL_T:
        digits = IRREGULAR
    wall += day_number(year, month, day) * DAY
    # The zone, or none.
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
    # To UTC, in the range that can be stored.
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
    """Read ``+hh:mm``, ``+hhmm`` or ``+hh`` at ``p``: where it ends or NONE, minutes, whether it has the colon.

    Minutes are east of UTC. The caller has made sure that a sign stands at ``p``.
    """
    if p + 3 > end:
        return NONE, 0, False
    # Two digits of hours, then minutes behind a colon, at once, or not at all.
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
    """Return the shape bits of a time, or 0 when it cannot be written again as it stood.

    ``seconds`` are those east of UTC.
    """
    if digits == IRREGULAR or seconds % 60 != 0:
        return 0
    return kind << TIME_KIND | digits << TIME_DIGITS | (seconds // 60 + TIME_ZONE_BIAS) << TIME_ZONE


@kernel
def read_month_and_space(data: Bytes, p: int, end: int) -> int:
    """Return 1 to 12 for ``Jan`` to ``Dec`` and a space at ``p``, in any case, or 0."""
    return read_month(data, p, end) if p + 4 <= end and data[p + 3] == SPACE else 0


@kernel
def read_month(data: Bytes, p: int, end: int) -> int:
    """Return 1 to 12 for ``Jan`` to ``Dec`` at ``p``, in any case, or 0."""
    if p + 3 > end:
        return 0
    name = (data[p] | data[p + 1] << 8 | data[p + 2] << 16) | _CASE_BITS
    for k in range(12):
        if _MONTHS[k] == name:
            return k + 1
    return 0


@kernel
def read_year(data: Bytes, p: int, end: int) -> int:
    """Return a year from 1900 to 2099 at ``p``, or 0.

    A space, a colon and a space, or the end of the frame must follow it.
    """
    if p + 4 > end:
        return 0
    q = p + 4
    if q < end and data[q] == COLON:  # but `2001:db8::7` is a host: a space must follow the colon
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
    """Read ``Mmm dd [yyyy] hh:mm:ss`` at ``p`` (RFC 3164, 4.1.2).

    Returns where it ends or NONE, year or 0, month, day, time of day, kind of the shape (BSD, BSD_ZERO, BSD_BARE),
    digits, flags. The day may be padded with a space, with a zero, or not at all; month names are read in any case.
    """
    month = read_month_and_space(data, p, end)
    if month == 0:
        return NONE, 0, 0, 0, 0, 0, 0, 0
    # The day: a second space before it, two digits, or one.
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
    # The year, where it stands before the time of day.
    year = read_year(data, q, end)
    if year != 0:
        q += 5  # over what ended it; were that a colon, no time of day could follow
        regular = False
    elif day > DAYS_OF_MONTH[month - 1] and not (month == 2 and day == 29):
        return NONE, 0, 0, 0, 0, 0, 0, 0
    # The time of day. The month must be written as `Mmm` for the time to be written again.
    q, micros, digits, flags = read_time_of_day(data, q, end)
    if q == NONE or (year != 0 and not is_date(year, month, day)):
        return NONE, 0, 0, 0, 0, 0, 0, 0
    if not regular or data[p] >= SMALL_A or data[p + 1] < SMALL_A or data[p + 2] < SMALL_A:
        digits = IRREGULAR
    return q, year, month, day, micros, kind, digits, flags


@kernel
def bsd_wall(year: int, month: int, day: int, micros: int, received: int, zone: ReadI64, rules: int) -> tuple[int, int]:
    """Return the wall-clock time of what ``read_bsd`` found, and flags. A year of 0 is inferred from ``received``."""
    if year != 0:
        return day_number(year, month, day) * DAY + micros, 0
    if rules < 2:
        return nearest_year(month, day, micros, received, zone), YEAR_INFERRED
    return latest_year(month, day, micros, received, zone), YEAR_INFERRED


@kernel
def ends_bsd(data: Bytes, p: int, end: int) -> bool:
    """Tell whether a space at ``p`` ends a time of ``read_bsd``, so that neither a year nor a zone follows it."""
    if p >= end or data[p] != SPACE:
        return False
    if p + 1 == end:
        return True
    # Most bytes tell by themselves that neither a year nor a zone begins here.
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
    """Read a zone's name at ``p``: where the name ends or NONE, minutes east of UTC.

    A colon follows the name; where the name is a known one of three letters and more, a space may. Cisco's devices send
    `` UTC: %`` behind a time: before that mnemonic the name may be in small letters, and any capitals are a name, with
    UNKNOWN_ZONE for minutes where it is not one of ``_NAMED_ZONES``.
    """
    # Letters, as a number of capitals; `small` is set where one was not a capital.
    name = 0
    small = 0
    q = p
    while q < end and q < p + _LONGEST_ZONE and CAPITAL_A <= data[q] & ~CASE_BIT <= CAPITAL_Z:
        name = name << 8 | data[q] & ~CASE_BIT
        small |= data[q] & CASE_BIT
        q += 1
    if q == p or q >= end or (data[q] != COLON and (data[q] != SPACE or q < p + 3)):
        return NONE, 0
    # What must follow: `: %` of a mnemonic, or else a colon or a space behind a known name in capitals.
    cisco = data[q] == COLON and q + 2 < end and data[q + 1] == SPACE and data[q + 2] == PERCENT
    if small and not cisco:
        return NONE, 0
    minutes = minutes_of_zone(name)
    if minutes != UNKNOWN_ZONE:
        return q, minutes
    return (NONE, 0) if small or not cisco else (q, UNKNOWN_ZONE)


@kernel
def minutes_of_zone(name: int) -> int:
    """Return the minutes east of UTC of a zone, or UNKNOWN_ZONE. ``name``: its capitals as a big-endian number."""
    for known, minutes in _NAMED_ZONES:
        if name == known:
            return minutes
    return UNKNOWN_ZONE
