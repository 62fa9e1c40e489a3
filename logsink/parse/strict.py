"""The first pass, once over every frame: RFC 5424 and rsyslog's three forward formats, which are nearly all there is.

It takes a frame whose head is a valid PRI, then ``1`` and a time or ``-`` (RFC 5424, RSYSLOG_SyslogProtocol23Format),
or a time at once (RSYSLOG_ForwardFormat, RSYSLOG_TraditionalForwardFormat). It is strict: what has anything unusual in
its head it leaves to ``loose``, and what both take they read alike.
"""

from __future__ import annotations

from logsink.ascii import CAPITAL_A, DIGIT_0, DIGIT_1, DIGIT_9, GREATER_THAN, HYPHEN, LESS_THAN, SPACE
from logsink.flags import Flag
from logsink.kernel import I8, I32, I64, Bytes, Grid32, ReadI32, ReadI64, kernel
from logsink.parse.calendar import DAY, SECOND, offset_at
from logsink.parse.devices import TIME_INFERRED
from logsink.parse.rfc3164 import read_rfc3164
from logsink.parse.rfc5424 import read_rfc5424
from logsink.parse.scanning import NONE, begins_with
from logsink.parse.shape import MESSAGE, SPANS, WITH_BOM, WITH_PRI, WITHOUT_SD
from logsink.parse.times import ZONE_ASSUMED, bsd_wall, ends_bsd, read_bsd, read_rfc3339, time_bits
from logsink.parse.utf8 import BOM

CLOCK_SKEW = int(Flag.CLOCK_SKEW)

_SHORTEST = 4  # bytes behind a PRI that this pass looks at
_HIGHEST_PRI = 191  # facility 23, severity 7


@kernel
def read_priority(data: Bytes, p: int, end: int) -> tuple[int, int]:
    """Read a PRI at ``p`` (RFC 5424, 6.2.1): its value or -1, and where it ends."""
    if end - p < 3 or data[p] != LESS_THAN:
        return -1, p
    value = 0
    q = p + 1
    while q < end and q < p + 4 and DIGIT_0 <= data[q] <= DIGIT_9:
        value = value * 10 + data[q] - DIGIT_0
        q += 1
    if (
        q >= end
        or data[q] != GREATER_THAN
        or q == p + 1
        or value > _HIGHEST_PRI
        or (data[p + 1] == DIGIT_0 and q > p + 2)
    ):
        return -1, p
    return value, q + 1


@kernel
def has_second_bom(data: Bytes, spans: Grid32, i: int) -> bool:
    """Tell whether the message of row ``i``, before which a byte order mark stood, begins with another."""
    return begins_with(data, spans[i, 2 * MESSAGE], spans[i, 2 * MESSAGE + 1], BOM)


@kernel
def put_row(
    i: int,
    pri: int,
    when: int,
    bits: int,
    seen: int,
    received: int,
    rules: int,
    time: I64,
    facility: I8,
    severity: I8,
    flags: I32,
    shapes: I64,
) -> None:
    """Write what is known of row ``i`` besides its spans.

    A ``pri`` of -1 is none. CLOCK_SKEW is added to the flags where it is due.
    """
    if rules >= 2 and abs(when - received) > DAY:
        seen |= CLOCK_SKEW
    time[i] = when
    facility[i] = pri >> 3
    severity[i] = pri & 7 if pri >= 0 else -1
    flags[i] |= seen
    shapes[i] = bits


@kernel
def read_modern(
    data: Bytes, p: int, end: int, received: int, zone: ReadI64, rules: int, spans: Grid32, i: int
) -> tuple[bool, int, int, int]:
    """Read RFC 5424 from the TIMESTAMP at ``p`` to the end: whether this pass knows it, time, shape, flags."""
    if data[p] == HYPHEN:
        q, when, bits, flags = p + 1, received, WITH_PRI, TIME_INFERRED
    else:
        q, when, bits, flags = read_rfc3339(data, p, end, zone)
    if q == NONE or q >= end or data[q] != SPACE:
        return False, 0, 0, 0
    shape, more, _ = read_rfc5424(data, q + 1, end, spans, i)
    flags |= more
    # Without structured data, with a byte order mark or without a zone it may be something else.
    odd = shape == 0 or shape & (WITHOUT_SD | WITH_BOM) | flags & ZONE_ASSUMED != 0
    if odd and rules >= 2 and (shape & WITH_BOM == 0 or has_second_bom(data, spans, i)):
        return False, 0, 0, 0
    return True, when, shape | bits if shape and bits else 0, flags


@kernel
def read_traditional(
    data: Bytes, p: int, end: int, received: int, zone: ReadI64, rules: int, spans: Grid32, i: int
) -> tuple[bool, int, int, int]:
    """Read RFC 3164 from the TIMESTAMP at ``p`` to the end; returns as ``read_modern``."""
    if data[p] >= CAPITAL_A:
        # A letter begins `Mmm dd hh:mm:ss`. A year or a zone behind that is for the second pass.
        q, year, month, day, micros, kind, digits, flags = read_bsd(data, p, end)
        if q == NONE or year != 0 or not ends_bsd(data, q, end):
            return False, 0, 0, 0
        wall, more = bsd_wall(0, month, day, micros, received, zone, rules)
        seconds = offset_at(wall, zone)
        when = wall - seconds * SECOND
        bits = time_bits(kind, digits, seconds)
        flags |= more | ZONE_ASSUMED
    else:
        # A digit begins a time of RFC 3339. Without a zone there, one may stand behind a space.
        q, when, bits, flags = read_rfc3339(data, p, end, zone)
        if rules >= 2 and flags & ZONE_ASSUMED:
            return False, 0, 0, 0
    if q == NONE or q >= end or data[q] != SPACE:
        return False, 0, 0, 0
    shape = read_rfc3164(data, q + 1, end, received, zone, rules, spans, i)
    return True, when, shape | bits if shape and bits else 0, flags


@kernel
def first_pass(
    data: Bytes,
    offsets: ReadI32,
    received: ReadI64,
    zone: ReadI64,
    rules: int,
    spans: Grid32,
    time: I64,
    facility: I8,
    severity: I8,
    flags: I32,
    shapes: I64,
    left: I32,
) -> int:
    """Parse every frame that this pass knows, and return how many rows the list ``left`` then holds.

    These are read::

        data, offsets         frame i is ``data[offsets[i]:offsets[i + 1]]``
        received              int64[n]
        zone, rules           the default time zone; the version of the parsing rules

    and these are written::

        spans                 int32[n, SPANS]
        time                  int64[n]
        facility, severity    int8[n], -1 where there is none
        shapes                int64[n]
        flags                 int32[n]: what framing saw, to which bits are added
        left                  int32[n]: rows that are not parsed; their elements of the other arrays are undefined
    """
    skipped = 0
    for i in range(len(flags)):
        for k in range(SPANS):
            spans[i, k] = -1
        end = offsets[i + 1]
        pri, p = read_priority(data, offsets[i], end)
        known = False
        when = shape = seen = 0
        if pri >= 0 and p + _SHORTEST <= end:
            if data[p] == DIGIT_1 and data[p + 1] == SPACE:
                known, when, shape, seen = read_modern(data, p + 2, end, received[i], zone, rules, spans, i)
            else:
                known, when, shape, seen = read_traditional(data, p, end, received[i], zone, rules, spans, i)
        if known:
            shape = shape | WITH_PRI if shape else 0
            put_row(i, pri, when, shape, seen, received[i], rules, time, facility, severity, flags, shapes)
        else:
            left[skipped] = i
            skipped += 1
    return skipped
