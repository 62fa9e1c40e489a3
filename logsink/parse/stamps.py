"""A time at the head of a frame, in any of the forms that senders use, as kernels.

RFC 3339 and BSD's forms are read by ``clock``. Behind them come the zones that stand apart (`` +0100``, `` CET``), and from
version 2 of the parsing rules on the dates of ``_FORMS`` and seconds since the epoch.
"""

from __future__ import annotations

from logsink.kernel import Bytes, ReadI32, ReadI64, kernel
from logsink.parse.clock import (
    DAY,
    EARLIEST,
    LATEST,
    MINUTE,
    NONE,
    SECOND,
    UNKNOWN_ZONE,
    ZONE_ASSUMED,
    bsd,
    bsd_wall,
    days,
    fraction,
    is_date,
    minutes_of,
    month_at,
    named_zone,
    numeric_zone,
    of_day,
    offset_at,
    rfc3339,
    time_bits,
    two,
    year_at,
)
from logsink.parse.shape import IRREGULAR

_FORMS = b"M/D/Y:T|D/M/Y:T|Y/M/D:T|Y:M:D-T|D/B/Y:T|W B D T Y|W, D B Y T|D B Y T|"
"""Dates of devices. Y: year, M: month, D: day, B: month's name, W: day's name, T: time of day; all else stands as it is.

The first three are NetScaler's settings, the fourth is that of Sophos UTM, the fifth that of web servers.
"""

_WEEK = b"MonTueWedThuFriSatSun"
_EPOCH_DIGITS = 10  # of the seconds from 2001 to 2286


@kernel
def zone_after(data: Bytes, p: int, end: int) -> tuple[int, int, bool]:
    """``Z``, ``+hh:mm``, `` +hhmm``, `` CET``, `` CET:`` at ``p``: where it ends, minutes east of UTC, if there was one."""
    if p < end:
        c = data[p]
        if c == 90:
            return p + 1, 0, True
        if c == 43 or c == 45:
            q, minutes, _ = numeric_zone(data, p, end)
            if q != NONE:
                return q, minutes, True
        elif c == 32 and p + 1 < end and (data[p + 1] == 43 or data[p + 1] == 45):
            q, minutes, _ = numeric_zone(data, p + 1, end)
            if q >= p + 6 and q < end and (data[q] == 32 or data[q] == 58):
                return q, minutes, True
        elif c == 32:
            q, minutes = named_zone(data, p + 1, end)
            if q != NONE:
                return q, minutes, minutes != UNKNOWN_ZONE
    return p, 0, False


@kernel
def zone_text(data: Bytes, p: int, end: int) -> int:
    """Minutes east of UTC of a zone that is all of ``data[p:end]``: ``+0100``, ``UTC+2:00``, ``(GMT-3:00)Brasilia``, ``CET``.

    UNKNOWN_ZONE where it is none of these.
    """
    if p < end and data[p] == 40:
        p += 1
    name = 0
    q = p
    while q < end and q < p + 5 and data[q] & 0xDF >= 65 and data[q] & 0xDF <= 90:
        name = name << 8 | data[q] & 0xDF
        q += 1
    minutes = minutes_of(name)
    if q == end or (q > p and minutes != 0) or (data[q] != 43 and data[q] != 45):
        return minutes if q == end or data[q] == 41 else UNKNOWN_ZONE
    sign = 44 - data[q]
    q += 1
    digits = 0
    number = 0
    while q < end and digits < 4 and ((data[q] >= 48 and data[q] <= 57) or (data[q] == 58 and 0 < digits < 3)):
        if data[q] == 58:
            digits = 2
        else:
            number = number * 10 + data[q] - 48
            digits += 1
        q += 1
    if digits <= 2:
        number *= 100
    if digits == 0 or number > 1459 or number % 100 > 59:
        return UNKNOWN_ZONE
    return sign * (number // 100 * 60 + number % 100)


@kernel
def zoned(data: Bytes, p: int, end: int, bounds: ReadI64, zone: ReadI32) -> tuple[int, int, int, int]:
    """``rfc3339``, also with a space before its zone: ``2026-11-28 12:00:00 +0100``."""
    r, when, bits, flags = rfc3339(data, p, end, bounds, zone)
    if r == NONE or flags & ZONE_ASSUMED == 0:
        return r, when, bits, flags
    q, minutes, known = zone_after(data, r, end)
    if not known:
        return r, when, bits, flags
    _, micros, _, _ = of_day(data, p + 11, end)
    when = day_at(data, p, end) + micros - minutes * MINUTE
    if when < EARLIEST or when > LATEST:
        return NONE, 0, 0, 0
    return q, when, 0, flags & ~ZONE_ASSUMED


@kernel
def number(data: Bytes, p: int, end: int, width: int) -> int:
    """The number that ``width`` digits at ``p`` make, or a negative one."""
    if p + width > end:
        return -1
    value = 0
    for k in range(width):
        digit = data[p + k] - 48
        if digit < 0 or digit > 9:
            return -1
        value = value * 10 + digit
    return value


@kernel
def day_at(data: Bytes, p: int, end: int) -> int:
    """Midnight of the date ``2026-11-28`` at ``p`` in microseconds, or NONE."""
    if p + 10 > end or data[p + 4] != 45 or data[p + 7] != 45:
        return NONE
    year = number(data, p, end, 4)
    month = two(data, p + 5)
    day = two(data, p + 8)
    return days(year, month, day) * DAY if year > 0 and is_date(year, month, day) else NONE


@kernel
def formed(data: Bytes, p: int, end: int, form: int) -> tuple[int, int, int]:
    """A date and time at ``p`` in the form that begins at ``form`` of _FORMS: where it ends (NONE: it is none), wall, flags."""
    year = month = day = micros = flags = 0
    while _FORMS[form] != 124:
        want = _FORMS[form]
        form += 1
        if want == 89:
            year = number(data, p, end, 4)
            p += 4
        elif want == 77:
            month = number(data, p, end, 2)
            p += 2
        elif want == 68:
            if p < end and data[p] == 32:
                p += 1
            width = 2 if number(data, p, end, 2) > 0 else 1
            day = number(data, p, end, width)
            p += width
        elif want == 66:
            month = month_at(data, p, end)
            p += 3
        elif want == 87:
            found = False
            for k in range(0, len(_WEEK), 3):
                if p + 3 <= end and data[p] == _WEEK[k] and data[p + 1] == _WEEK[k + 1] and data[p + 2] == _WEEK[k + 2]:
                    found = True
            if not found:
                return NONE, 0, 0
            p += 3
        elif want == 84:
            p, micros, _, flags = of_day(data, p, end)
            if p == NONE:
                return NONE, 0, 0
        else:
            if p >= end or data[p] != want:
                return NONE, 0, 0
            p += 1
        if year < 0 or month < 0 or day < 0:
            return NONE, 0, 0
    if year < 1 or not is_date(year, month, day):
        return NONE, 0, 0
    return p, days(year, month, day) * DAY + micros, flags


@kernel
def dated(data: Bytes, p: int, end: int, received: int, bounds: ReadI64, zone: ReadI32) -> tuple[int, int, int]:
    """A date of ``_FORMS`` and a time at ``p``: where it ends (NONE: there is none), time, flags.

    Where more than one form fits (``03/04/2026``), the first that is within a day of ``received``, or else the first.
    """
    best = NONE
    at = seen = 0
    form = 0
    while form < len(_FORMS):
        q, wall, flags = formed(data, p, end, form)
        if q != NONE:
            q, minutes, known = zone_after(data, q, end)
            seconds = minutes * 60
            if not known:
                seconds = offset_at(wall, bounds, zone)
                flags |= ZONE_ASSUMED
            when = wall - seconds * SECOND
            if (
                when >= EARLIEST
                and when <= LATEST
                and (best == NONE or abs(when - received) <= DAY < abs(at - received))
            ):
                best, at, seen = q, when, flags
        while _FORMS[form] != 124:
            form += 1
        form += 1
    return best, at, seen


@kernel
def epoch(data: Bytes, p: int, end: int, whole: bool) -> tuple[int, int]:
    """Seconds since the epoch with a fraction, or ``whole`` ones too, at ``p`` (Meraki): where they end (NONE), time."""
    seconds = number(data, p, end, _EPOCH_DIGITS)
    if seconds < 1_000_000_000:
        return NONE, 0
    q, micros, _ = fraction(data, p + _EPOCH_DIGITS, end)
    if (q == p + _EPOCH_DIGITS and not whole) or (q < end and data[q] != 32 and data[q] != 9):
        return NONE, 0
    return q, seconds * SECOND + micros


@kernel
def stamp(
    data: Bytes, p: int, end: int, received: int, bounds: ReadI64, zone: ReadI32, rules: int, with_pri: bool
) -> tuple[int, int, int, int]:
    """A time at ``p`` in any of its forms: where it ends (NONE: there is none), time, shape bits, flags.

    RFC 3339; BSD with the year first, amid, last or nowhere, with ``*`` or ``.`` before it (Cisco: the clock is not, or no
    longer, set), a zone after it; behind a PRI those of ``dated`` and ``epoch``. A space, a tab, a colon or the end of the
    frame follows it.
    """
    q = p
    if q < end and (data[q] == 42 or data[q] == 46):
        q += 1
    if rules < 2:
        r, when, bits, flags = rfc3339(data, q, end, bounds, zone)
    else:
        r, when, bits, flags = zoned(data, q, end, bounds, zone)
    if r == NONE:
        r, when, bits, flags = bsd_stamp(data, q, end, received, bounds, zone, rules)
    if r == NONE and rules >= 2 and with_pri:
        bits = 0
        r, when, flags = dated(data, q, end, received, bounds, zone)
        if r == NONE:
            r, when = epoch(data, q, end, False)
    if r == NONE or (r < end and data[r] != 32 and data[r] != 58 and (rules < 2 or data[r] != 9)):
        return NONE, 0, 0, 0
    return r, when, bits if q == p else 0, flags


@kernel
def bsd_stamp(
    data: Bytes, q: int, end: int, received: int, bounds: ReadI64, zone: ReadI32, rules: int
) -> tuple[int, int, int, int]:
    """The same, of BSD's forms."""
    first = year_at(data, q, end)
    r, year, month, day, micros, kind, digits, flags = bsd(data, q + 5 if first else q, end)
    if r == NONE or (first and year):
        return NONE, 0, 0, 0
    if first:
        year = first
        digits = IRREGULAR
    elif year == 0 and r < end and data[r] == 32 and year_at(data, r + 1, end):
        year = year_at(data, r + 1, end)
        digits = IRREGULAR
        r += 5
    if year and not is_date(year, month, day):
        return NONE, 0, 0, 0
    wall, more = bsd_wall(year, month, day, micros, received, bounds, zone, rules)
    r, minutes, known = zone_after(data, r, end)
    seconds = minutes * 60
    if known:
        digits = IRREGULAR
    else:  # of an unknown zone the name is passed over; the colon after it makes the shape irregular
        seconds = offset_at(wall, bounds, zone)
        flags |= ZONE_ASSUMED
    return r, wall - seconds * SECOND, time_bits(kind, digits, seconds), flags | more


@kernel
def clock_text(data: Bytes, p: int, end: int) -> tuple[int, int, int, int]:
    """``2026-11-28`` or ``11:30:00`` or both at ``p``: the day in microseconds or NONE, microseconds since midnight or NONE,
    where they end, LEAP_SECOND or 0."""
    day = day_at(data, p, end)
    if day == NONE:
        q, micros, _, flags = of_day(data, p, end)
        return NONE, micros if q != NONE else NONE, max(q, p), flags
    if p + 11 < end and (data[p + 10] == 32 or data[p + 10] == 84):
        q, micros, _, flags = of_day(data, p + 11, end)
        if q != NONE:
            return day, micros, q, flags
    return day, NONE, p + 10, 0
