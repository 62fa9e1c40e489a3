"""The second pass, over the frames that ``strict`` left: everything else that calls itself syslog, and what does not.

Nothing is refused. A frame is read in the order of RFC 3164 and 5424: PRI, version, counters and names that Cisco puts before
the time, a time in any of its forms, then what ``fields`` reads. Where no head is certain all is message. It may err freely:
the prover has the last word, and what has no shape (counters, years, odd spaces) is kept as it came.
"""

from __future__ import annotations

from logsink.flags import Flag
from logsink.kernel import I8, I32, I64, Bytes, Grid32, ReadI32, ReadI64, kernel
from logsink.parse.clock import (
    NONE,
    SECOND,
    UNKNOWN_ZONE,
    ZONE_ASSUMED,
    bsd,
    bsd_wall,
    is_date,
    named_zone,
    numeric_zone,
    offset_at,
    rfc3339,
    time_bits,
    year_at,
)
from logsink.parse.fields import begins, closing, legacy, modern, put, space, spaces, tag, tagged
from logsink.parse.shape import HOST, IRREGULAR, LEGACY, MESSAGE, PID_COLON, SD, SPANS, WITH_MESSAGE, WITH_PRI
from logsink.parse.strict import TIME_INFERRED, priority, settle

PRI_INVALID = int(Flag.PRI_INVALID)
UNPARSED = int(Flag.UNPARSED)

_LONGEST_PRI = 12  # bytes between `<` and `>` that can still be meant as a PRI, unless all are digits
_BOM = b"\xef\xbb\xbf"
_SHORTEST_MNEMONIC = 6  # `%A-1-B`


@kernel
def any_priority(data: Bytes, p: int, end: int) -> tuple[int, int, bool]:
    """PRI at ``p``, valid or not: its value or -1, where it ends, and whether a head must follow to make it one."""
    value, q = priority(data, p, end)
    if value >= 0 or p >= end or data[p] != 60:
        return value, q, False
    q = p + 1
    digits = True
    while q < end and (digits or q <= p + _LONGEST_PRI) and data[q] != 62:
        c = data[q]
        if c <= 32 or c == 60:
            return -1, p, False
        digits = digits and c >= 48 and c <= 57
        q += 1
    if q >= end or data[q] != 62:
        return -1, p, False
    return -1, q + 1, not digits


@kernel
def version(data: Bytes, p: int, end: int) -> int:
    """Where the VERSION ends that a space follows at ``p``, or NONE."""
    q = p
    while q < end and q < p + 3 and data[q] >= 48 and data[q] <= 57:
        q += 1
    if q == p or q >= end or data[p] == 48 or data[q] != 32:
        return NONE
    return q


@kernel
def versioned(
    data: Bytes, p: int, end: int, with_pri: bool, received: int, bounds: ReadI64, zone: ReadI32
) -> tuple[int, int, int]:
    """VERSION and TIMESTAMP of RFC 5424 at ``p``: where they end (NONE: there are none), time, flags.

    After a PRI the time may be ``-`` or a date that never was; without one only a good time makes this a head.
    """
    q = version(data, p, end)
    if q == NONE:
        return NONE, 0, 0
    q += 1
    r, when, _, flags = rfc3339(data, q, end, bounds, zone)
    if r != NONE and (r == end or data[r] == 32):
        return r, when, flags
    r = space(data, q, end)
    nil = r - q == 1 and data[q] == 45
    dated = r - q >= 10 and data[q] >= 48 and data[q] <= 57 and data[q + 4] == 45
    if with_pri and (nil or dated):
        return r, received, TIME_INFERRED
    return NONE, 0, 0


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
def stamp(data: Bytes, p: int, end: int, received: int, bounds: ReadI64, zone: ReadI32) -> tuple[int, int, int, int]:
    """A time at ``p`` in any of its forms: where it ends (NONE: there is none), time, shape bits, flags.

    RFC 3339; BSD with the year first, amid, last or nowhere, with ``*`` or ``.`` before it (Cisco: the clock is not, or no
    longer, set), a zone after it. A space, a colon or the end of the frame follows it.
    """
    q = p
    if q < end and (data[q] == 42 or data[q] == 46):
        q += 1
    r, when, bits, flags = rfc3339(data, q, end, bounds, zone)
    if r == NONE:
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
        wall, more = bsd_wall(year, month, day, micros, received, bounds, zone)
        r, minutes, known = zone_after(data, r, end)
        seconds = minutes * 60
        if known:
            digits = IRREGULAR
        else:  # of an unknown zone the name is passed over; the colon after it makes the shape irregular
            seconds = offset_at(wall, bounds, zone)
            flags |= ZONE_ASSUMED
        when = wall - seconds * SECOND
        bits = time_bits(kind, digits, seconds)
        flags |= more
    if r < end and data[r] != 32 and data[r] != 58:
        return NONE, 0, 0, 0
    return r, when, bits if q == p else 0, flags


@kernel
def counters(data: Bytes, p: int, end: int) -> int:
    """Where Cisco's counters, ``643: 000074: `` or a lone ``: ``, end at ``p``; ``p`` when there are none."""
    if p < end and data[p] == 58:
        return spaces(data, p + 1, end)
    for _ in range(2):
        q = p
        while q < end and data[q] >= 48 and data[q] <= 57:
            q += 1
        if q == p or q + 1 >= end or data[q] != 58 or data[q + 1] != 32:
            break
        p = spaces(data, q + 1, end)
    return p


@kernel
def named(data: Bytes, p: int, end: int) -> int:
    """Where a word ends that a colon and a space follow at ``p``, or NONE."""
    q = space(data, p, end)
    if q < end and q - 1 > p and data[q - 1] == 58:
        return q - 1
    return NONE


@kernel
def mnemonic(data: Bytes, p: int, end: int) -> bool:
    """Does Cisco's ``%FACILITY-SEVERITY-MNEMONIC:`` stand at ``p``?"""
    if p >= end or data[p] != 37:
        return False
    q = p + 1
    level = False
    while q < end and data[q] != 58:
        c = data[q]
        if c <= 32 or c >= 127:
            return False
        if c == 45 and q + 2 < end and data[q + 1] >= 48 and data[q + 1] <= 55 and data[q + 2] == 45:
            level = True
        q += 1
    return level and q < end and q - p >= _SHORTEST_MNEMONIC


@kernel
def cisco(
    data: Bytes, p: int, end: int, received: int, bounds: ReadI64, zone: ReadI32, spans: Grid32, i: int
) -> tuple[int, int, int]:
    """What Cisco's systems send: counters, structured data, a host and a time, each with a colon, then the mnemonic.

    ``643: host: *Jan  8 19:46:03.295 UTC: %LINK-3-UPDOWN: text``; 1 to here: where the mnemonic or the message begins
    (NONE: it is not one of those), time, flags. Only counters are certain, or a host and a time that both have the colon.
    """
    q = counters(data, p, end)
    if q < end and data[q] == 91 and q > p:
        r = closing(data, q + 1, end)
        if r >= 0 and r + 1 < end and data[r] == 58 and data[r + 1] == 32:
            put(spans, i, SD, q, r)
            q = spaces(data, r + 1, end)
    host = q
    r, when, _, flags = stamp(data, q, end, received, bounds, zone)
    if r == NONE:
        host = named(data, q, end)
        if host != NONE:
            r, when, _, flags = stamp(data, spaces(data, host + 1, end), end, received, bounds, zone)
    colon = r != NONE and r < end and data[r] == 58
    if r != NONE and (q > p or (host > q and colon)):
        if host > q:
            put(spans, i, HOST, q, host)
        return spaces(data, r + 1 if colon else r, end), when, flags
    if host > q and mnemonic(data, spaces(data, host + 1, end), end):  # the time since it was started
        q = spaces(data, host + 1, end)
    if mnemonic(data, q, end):
        return q, received, TIME_INFERRED
    put(spans, i, SD, -1, -1)
    return NONE, 0, 0


@kernel
def untimed(data: Bytes, p: int, end: int, with_pri: bool, spans: Grid32, i: int) -> int:
    """``app[procid]:`` at ``p``, without a PRI with a number for the procid: shape bits, or 0 when it is not there."""
    _, kind, app, procid = tag(data, p, end)
    if kind != PID_COLON:
        return 0
    for q in range(app + 1, procid):
        if not with_pri and (data[q] < 48 or data[q] > 57):
            return 0
    return LEGACY | tagged(data, p, end, spans, i)


@kernel
def read(
    data: Bytes, start: int, end: int, received: int, bounds: ReadI64, zone: ReadI32, spans: Grid32, i: int
) -> tuple[int, int, int, int]:
    """One frame, ``data[start:end]``: PRI or -1, time, shape bits (0: irregular), flags. A BOM before it is passed over."""
    if not begins(data, start, end, _BOM):
        return unmarked(data, start, end, received, bounds, zone, spans, i)
    pri, when, _, seen = unmarked(data, start + len(_BOM), end, received, bounds, zone, spans, i)
    return pri, when, 0, seen


@kernel
def unmarked(
    data: Bytes, start: int, end: int, received: int, bounds: ReadI64, zone: ReadI32, spans: Grid32, i: int
) -> tuple[int, int, int, int]:
    """The same, of a frame without a BOM."""
    pri, p, tentative = any_priority(data, start, end)
    seen = PRI_INVALID if pri < 0 and p > start else 0
    q, when, flags = versioned(data, p, end, p > start, received, bounds, zone)
    if q != NONE:
        more = 0
        if q < end:
            _, more = modern(data, q + 1, end, spans, i)
        return pri, when, 0, seen | flags | more
    keep = seen == 0  # what was skipped cannot be written again
    q = spaces(data, p, end)
    keep = keep and q == p
    r, when, bits, flags = stamp(data, q, end, received, bounds, zone)
    if (
        r - q > 20 and data[q + 10] == 32 and data[q + 19] == 44
    ):  # as Python and Java log to files: what follows is no head
        if r < end:
            put(spans, i, MESSAGE, r + 1, end)
        return pri, when, 0, seen | flags
    if r != NONE:
        shape = LEGACY
        if r < end:
            keep = keep and data[r] == 32
            shape = legacy(data, spaces(data, r + 1, end) if data[r] == 58 else r + 1, end, spans, i)
        return pri, when, shape | bits if keep and shape and bits else 0, seen | flags
    r, when, flags = cisco(data, q, end, received, bounds, zone, spans, i)
    if r != NONE:
        if spans[i, 2 * HOST] < 0:
            legacy(data, r, end, spans, i)
        else:
            tagged(data, r, end, spans, i)
        return pri, when, 0, seen | flags
    shape = 0 if tentative else untimed(data, q, end, p > start, spans, i)
    if shape:
        return pri, received, shape if keep else 0, seen | TIME_INFERRED
    if tentative:
        p = start
        seen = 0
    shape = LEGACY
    if p < end:
        put(spans, i, MESSAGE, p, end)
        shape |= WITH_MESSAGE
    return pri, received, shape if seen == 0 else 0, seen | TIME_INFERRED | UNPARSED


@kernel
def rescan(
    data: Bytes,
    offsets: ReadI32,
    received: ReadI64,
    bounds: ReadI64,
    zone: ReadI32,
    spans: Grid32,
    time: I64,
    facility: I8,
    severity: I8,
    flags: I32,
    shapes: I64,
    left: ReadI32,
    count: int,
) -> int:
    """Parse the ``count`` rows that ``strict.scan`` left, into the same arrays; ``count``."""
    for n in range(count):
        i = left[n]
        for k in range(SPANS):
            spans[i, k] = -1
        pri, when, shape, seen = read(data, offsets[i], offsets[i + 1], received[i], bounds, zone, spans, i)
        if shape and pri >= 0:
            shape |= WITH_PRI
        settle(i, pri, when, shape, seen, time, facility, severity, flags, shapes)
    return count
