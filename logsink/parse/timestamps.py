"""A time at the head of a frame in any of the forms that senders use, as kernels.

``times`` reads RFC 3339 and RFC 3164's ``Mmm dd hh:mm:ss``. To these come here a zone that stands apart (`` +0100``, ``
CET``) and a year in any place, and from version 2 of the parsing rules on the dates of ``_FORMS`` and seconds since the
epoch.
"""

from __future__ import annotations

from logsink.ascii import (
    ASTERISK,
    BAR,
    CAPITAL_A,
    CAPITAL_B,
    CAPITAL_D,
    CAPITAL_M,
    CAPITAL_T,
    CAPITAL_W,
    CAPITAL_Y,
    CAPITAL_Z,
    CASE_BIT,
    CLOSING_PARENTHESIS,
    COLON,
    DIGIT_0,
    DIGIT_9,
    DOT,
    HYPHEN,
    OPENING_PARENTHESIS,
    PLUS,
    SPACE,
    TAB,
)
from logsink.kernel import Bytes, ReadI64, kernel
from logsink.parse.calendar import DAY, EARLIEST, LATEST, MINUTE, SECOND, day_number, is_date, offset_at
from logsink.parse.scanning import NONE, decimal, two_digits
from logsink.parse.shape import IRREGULAR
from logsink.parse.times import (
    UNKNOWN_ZONE,
    ZONE_ASSUMED,
    bsd_wall,
    minutes_of_zone,
    read_bsd,
    read_fraction,
    read_month,
    read_named_zone,
    read_numeric_zone,
    read_rfc3339,
    read_time_of_day,
    read_year,
    time_bits,
)

_FORMS = b"M/D/Y:T|D/M/Y:T|Y/M/D:T|Y:M:D-T|D/B/Y:T|W B D T Y|W, D B Y T|D B Y T|"
"""Forms of devices' dates, each ended by ``|``. Y: year, M: month, D: day, B: month's name, W: day's name, T: time of
day.

All other characters stand for themselves. The first three are NetScaler's settings, the fourth is that of Sophos UTM,
the fifth that of web servers, the others are what ``date`` and mail programs print.
"""

_WEEK = b"MonTueWedThuFriSatSun"
_EPOCH_DIGITS = 10  # of seconds since the epoch from 2001 to 2286
_FIRST_EPOCH = 1_000_000_000  # the first second with so many digits
_LATEST_ZONE = 1459  # hhmm of the largest offset that a zone may have


@kernel
def read_zone_behind(data: Bytes, p: int, end: int) -> tuple[int, int, bool]:
    """Read the zone behind a time that ended at ``p``: where it ends (``p`` for none), minutes, whether known.

    ``Z`` and ``+hh:mm`` stand at once, `` +hhmm``, `` CET`` and `` CET:`` behind a space. Minutes are east of UTC. A
    name that nobody knows is read over, and not known.
    """
    if p < end:
        c = data[p]
        if c == CAPITAL_Z:
            return p + 1, 0, True
        if c == PLUS or c == HYPHEN:
            q, minutes, _ = read_numeric_zone(data, p, end)
            if q != NONE:
                return q, minutes, True
        elif c == SPACE and p + 1 < end and (data[p + 1] == PLUS or data[p + 1] == HYPHEN):
            q, minutes, _ = read_numeric_zone(data, p + 1, end)
            if q >= p + 6 and q < end and (data[q] == SPACE or data[q] == COLON):
                return q, minutes, True
        elif c == SPACE:
            q, minutes = read_named_zone(data, p + 1, end)
            if q != NONE:
                return q, minutes, minutes != UNKNOWN_ZONE
    return p, 0, False


@kernel
def read_whole_zone(data: Bytes, p: int, end: int) -> int:
    """Return the minutes east of UTC of a zone that is all of ``data[p:end]``, or UNKNOWN_ZONE.

    It is one of ``+0100``, ``UTC+2:00``, ``(GMT-3:00)Brasilia``, ``CET``.
    """
    if p < end and data[p] == OPENING_PARENTHESIS:
        p += 1
    # A name, in capitals or small. `UTC` and `GMT` may have an offset behind them, others stand alone.
    name = 0
    q = p
    while q < end and q < p + 5 and CAPITAL_A <= data[q] & ~CASE_BIT <= CAPITAL_Z:
        name = name << 8 | data[q] & ~CASE_BIT
        q += 1
    minutes = minutes_of_zone(name)
    if q == end or (q > p and minutes != 0) or (data[q] != PLUS and data[q] != HYPHEN):
        return minutes if q == end or data[q] == CLOSING_PARENTHESIS else UNKNOWN_ZONE
    # An offset: `+hmm`, `+hhmm`, `+h:mm`, `+hh:mm`, or hours alone.
    sign = 1 if data[q] == PLUS else -1
    q += 1
    digits = 0
    number = 0
    while q < end and digits < 4 and ((DIGIT_0 <= data[q] <= DIGIT_9) or (data[q] == COLON and 0 < digits < 3)):
        if data[q] == COLON:
            digits = 2
        else:
            number = number * 10 + data[q] - DIGIT_0
            digits += 1
        q += 1
    if digits <= 2:
        number *= 100
    if digits == 0 or number > _LATEST_ZONE or number % 100 > 59:
        return UNKNOWN_ZONE
    return sign * (number // 100 * 60 + number % 100)


@kernel
def read_rfc3339_and_zone(data: Bytes, p: int, end: int, zone: ReadI64) -> tuple[int, int, int, int]:
    """Read what ``read_rfc3339`` reads, also with a space before its zone: ``2026-11-28 12:00:00 +0100``."""
    r, when, bits, flags = read_rfc3339(data, p, end, zone)
    if r == NONE or flags & ZONE_ASSUMED == 0:
        return r, when, bits, flags
    q, minutes, known = read_zone_behind(data, r, end)
    if not known:
        return r, when, bits, flags
    # A zone was found behind a space: compute the time again with it. It cannot be written again as it stood.
    _, micros, _, _ = read_time_of_day(data, p + 11, end)
    when = read_date(data, p, end) + micros - minutes * MINUTE
    if when < EARLIEST or when > LATEST:
        return NONE, 0, 0, 0
    return q, when, 0, flags & ~ZONE_ASSUMED


@kernel
def read_date(data: Bytes, p: int, end: int) -> int:
    """Return midnight of the date ``2026-11-28`` at ``p`` as a wall-clock time, or NONE."""
    if p + 10 > end or data[p + 4] != HYPHEN or data[p + 7] != HYPHEN:
        return NONE
    year = decimal(data, p, end, 4)
    month = two_digits(data, p + 5)
    day = two_digits(data, p + 8)
    return day_number(year, month, day) * DAY if year > 0 and is_date(year, month, day) else NONE


@kernel
def read_form(data: Bytes, p: int, end: int, form: int) -> tuple[int, int, int]:
    """Read a date and time at ``p`` in one form: where it ends or NONE, wall-clock time, flags.

    The form begins at index ``form`` of _FORMS.
    """
    year = month = day = micros = flags = 0
    while _FORMS[form] != BAR:
        item = _FORMS[form]
        form += 1
        if item == CAPITAL_Y:
            year = decimal(data, p, end, 4)
            p += 4
        elif item == CAPITAL_M:
            month = decimal(data, p, end, 2)
            p += 2
        elif item == CAPITAL_D:
            if p < end and data[p] == SPACE:
                p += 1
            # One digit or two, and a space in place of the first.
            width = 2 if decimal(data, p, end, 2) > 0 else 1
            day = decimal(data, p, end, width)
            p += width
        elif item == CAPITAL_B:
            month = read_month(data, p, end)
            p += 3
        elif item == CAPITAL_W:
            # The day of the week is compared, but need not be the right one.
            found = False
            for k in range(0, len(_WEEK), 3):
                if p + 3 <= end and data[p] == _WEEK[k] and data[p + 1] == _WEEK[k + 1] and data[p + 2] == _WEEK[k + 2]:
                    found = True
            if not found:
                return NONE, 0, 0
            p += 3
        elif item == CAPITAL_T:
            p, micros, _, flags = read_time_of_day(data, p, end)
            if p == NONE:
                return NONE, 0, 0
        else:
            if p >= end or data[p] != item:
                return NONE, 0, 0
            p += 1
        if year < 0 or month < 0 or day < 0:
            return NONE, 0, 0
    if year < 1 or not is_date(year, month, day):
        return NONE, 0, 0
    return p, day_number(year, month, day) * DAY + micros, flags


@kernel
def read_device_time(data: Bytes, p: int, end: int, received: int, zone: ReadI64) -> tuple[int, int, int]:
    """Read a date and time in one of _FORMS at ``p``: where it ends or NONE, time, flags.

    Where more than one form fits (``03/04/2026``), it is the first that is within a day of ``received``, or else the
    first.
    """
    best = NONE
    at = seen = 0
    form = 0
    while form < len(_FORMS):
        q, wall, flags = read_form(data, p, end, form)
        if q != NONE:
            q, minutes, known = read_zone_behind(data, q, end)
            seconds = minutes * 60
            if not known:
                seconds = offset_at(wall, zone)
                flags |= ZONE_ASSUMED
            when = wall - seconds * SECOND
            if (
                when >= EARLIEST
                and when <= LATEST
                and (best == NONE or abs(when - received) <= DAY < abs(at - received))
            ):
                best, at, seen = q, when, flags
        # On to the next form.
        while _FORMS[form] != BAR:
            form += 1
        form += 1
    return best, at, seen


@kernel
def read_epoch(data: Bytes, p: int, end: int, whole: bool) -> tuple[int, int]:
    """Read seconds since the epoch at ``p`` (Meraki): where they end or NONE, time.

    They need a fraction, unless ``whole``, and a blank or the end of the frame behind them.
    """
    seconds = decimal(data, p, end, _EPOCH_DIGITS)
    if seconds < _FIRST_EPOCH:
        return NONE, 0
    q, micros, _ = read_fraction(data, p + _EPOCH_DIGITS, end)
    if (q == p + _EPOCH_DIGITS and not whole) or (q < end and data[q] != SPACE and data[q] != TAB):
        return NONE, 0
    return q, seconds * SECOND + micros


@kernel
def read_timestamp(
    data: Bytes, p: int, end: int, received: int, zone: ReadI64, rules: int, with_pri: bool
) -> tuple[int, int, int, int]:
    """Read a time at ``p`` in any of its forms: where it ends or NONE, time, shape bits (0: irregular), flags.

    These are RFC 3339; RFC 3164's with the year before, amid or behind it or nowhere; behind a PRI (``with_pri``) also
    those of ``read_device_time`` and ``read_epoch``. ``*`` or ``.`` may stand before it (Cisco: the clock is not, or no
    longer, set), a zone behind it. A space, a tab, a colon or the end of the frame must follow.
    """
    q = p
    if q < end and (data[q] == ASTERISK or data[q] == DOT):
        q += 1
    # The two usual forms, then those of devices.
    if rules < 2:
        r, when, bits, flags = read_rfc3339(data, q, end, zone)
    else:
        r, when, bits, flags = read_rfc3339_and_zone(data, q, end, zone)
    if r == NONE:
        r, when, bits, flags = read_bsd_timestamp(data, q, end, received, zone, rules)
    if r == NONE and rules >= 2 and with_pri:
        bits = 0
        r, when, flags = read_device_time(data, q, end, received, zone)
        if r == NONE:
            r, when = read_epoch(data, q, end, False)
    # What must follow. A mark before the time makes it one that cannot be written again.
    if r == NONE or (r < end and data[r] != SPACE and data[r] != COLON and (rules < 2 or data[r] != TAB)):
        return NONE, 0, 0, 0
    return r, when, bits if q == p else 0, flags


@kernel
def read_bsd_timestamp(
    data: Bytes, q: int, end: int, received: int, zone: ReadI64, rules: int
) -> tuple[int, int, int, int]:
    """Read a time of RFC 3164 at ``q`` with year and zone around it; returns as ``read_timestamp``."""
    # A year before the month, amid the time (`read_bsd` finds it), or behind it; not in two places.
    first = read_year(data, q, end)
    r, year, month, day, micros, kind, digits, flags = read_bsd(data, q + 5 if first else q, end)
    if r == NONE or (first and year):
        return NONE, 0, 0, 0
    if first:
        year = first
        digits = IRREGULAR
    elif year == 0 and r < end and data[r] == SPACE and read_year(data, r + 1, end):
        year = read_year(data, r + 1, end)
        digits = IRREGULAR
        r += 5
    if year and not is_date(year, month, day):
        return NONE, 0, 0, 0
    wall, more = bsd_wall(year, month, day, micros, received, zone, rules)
    # The zone behind it. A name that nobody knows is passed over; the colon behind it makes the shape irregular.
    r, minutes, known = read_zone_behind(data, r, end)
    seconds = minutes * 60
    if known:
        digits = IRREGULAR
    else:
        seconds = offset_at(wall, zone)
        flags |= ZONE_ASSUMED
    return r, wall - seconds * SECOND, time_bits(kind, digits, seconds), flags | more


@kernel
def read_date_or_time(data: Bytes, p: int, end: int) -> tuple[int, int, int, int]:
    """Read ``2026-11-28`` or ``11:30:00`` or both at ``p``: midnight, time of day, where they end, flags.

    Midnight is a wall-clock time. It and the time of day are NONE where they are not there.
    """
    day = read_date(data, p, end)
    if day == NONE:
        q, micros, _, flags = read_time_of_day(data, p, end)
        return NONE, micros if q != NONE else NONE, max(q, p), flags
    if p + 11 < end and (data[p + 10] == SPACE or data[p + 10] == CAPITAL_T):
        q, micros, _, flags = read_time_of_day(data, p + 11, end)
        if q != NONE:
            return day, micros, q, flags
    return day, NONE, p + 10, 0
