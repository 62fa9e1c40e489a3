"""The second pass, over the frames that ``strict`` left: everything else that calls itself syslog, and what does not.

Nothing is refused. A frame is read in the order of RFC 3164 and 5424: PRI, version, counters and names that Cisco puts
before the time, a time in any of its forms, then what ``fields`` reads. Where no head is certain all is message. It may
err freely: the prover has the last word, and what has no shape (counters, years, odd spaces) is kept as it came.
"""

from __future__ import annotations

from logsink.ascii import COLON, COMMA, DIGIT_0, DIGIT_9, GREATER_THAN, HYPHEN, LESS_THAN, OPENING_BRACKET, SPACE
from logsink.flags import Flag
from logsink.kernel import I8, I32, I64, Bytes, Grid32, ReadI32, ReadI64, kernel
from logsink.parse.devices import TIME_INFERRED, is_mnemonic, read_pairs, read_preface
from logsink.parse.rfc3164 import read_from_tag, read_rfc3164
from logsink.parse.rfc5424 import CUT, SD_INVALID, WHOLE, read_rfc5424, skip_brackets
from logsink.parse.scanning import NONE, begins_with, find_space, put_span, skip_spaces
from logsink.parse.shape import APP, HOST, MESSAGE, RFC3164, SD, SPANS, TAG_PID_COLON, WITH_BOM, WITH_MESSAGE, WITH_PRI
from logsink.parse.strict import put_row, read_priority
from logsink.parse.tags import find_tag
from logsink.parse.text import BOM
from logsink.parse.times import read_rfc3339
from logsink.parse.timestamps import read_epoch, read_rfc3339_and_zone, read_timestamp

PRI_INVALID = int(Flag.PRI_INVALID)

UNPARSED = int(Flag.UNPARSED)

_LONGEST_PRI = 12  # bytes between `<` and `>` that can still be meant as a PRI, unless all are digits


@kernel
def read_any_priority(data: Bytes, p: int, end: int) -> tuple[int, int, bool]:
    """PRI at ``p``, valid or not: its value or -1, where it ends, and whether a head must follow to make it one."""
    value, q = read_priority(data, p, end)
    if value >= 0 or p >= end or data[p] != LESS_THAN:
        return value, q, False
    q = p + 1
    digits = True
    while q < end and (digits or q <= p + _LONGEST_PRI) and data[q] != GREATER_THAN:
        c = data[q]
        if c <= SPACE or c == LESS_THAN:
            return -1, p, False
        digits = digits and DIGIT_0 <= c <= DIGIT_9
        q += 1
    if q >= end or data[q] != GREATER_THAN:
        return -1, p, False
    return -1, q + 1, not digits


@kernel
def skip_version(data: Bytes, p: int, end: int) -> int:
    """Where the VERSION ends that a space follows at ``p``, or NONE."""
    q = p
    while q < end and q < p + 3 and DIGIT_0 <= data[q] <= DIGIT_9:
        q += 1
    if q == p or q >= end or data[p] == DIGIT_0 or data[q] != SPACE:
        return NONE
    return q


@kernel
def read_version_and_time(
    data: Bytes, p: int, end: int, with_pri: bool, received: int, zone: ReadI64, rules: int
) -> tuple[int, int, int, int]:
    """VERSION and TIMESTAMP of RFC 5424 at ``p``: where they end (NONE: there are none), time, shape bits, flags.

    After a PRI the time may be ``-`` or a date that never was; without one only a good time makes this a head. Seconds
    since the epoch (Meraki) are a good time too.
    """
    q = skip_version(data, p, end)
    if q == NONE:
        return NONE, 0, 0, 0
    q += 1
    if rules < 2:
        r, when, bits, flags = read_rfc3339(data, q, end, zone)
    else:
        r, when, bits, flags = read_rfc3339_and_zone(data, q, end, zone)
    if r != NONE and (r == end or data[r] == SPACE):
        return r, when, bits, flags
    if rules >= 2:
        r, when = read_epoch(data, q, end, with_pri)
        if r != NONE:
            return r, when, 0, 0
    r = find_space(data, q, end)
    nil = r - q == 1 and data[q] == HYPHEN
    dated = r - q >= 10 and DIGIT_0 <= data[q] <= DIGIT_9 and data[q + 4] == HYPHEN
    if with_pri and (nil or dated):
        return r, received, WITH_PRI if nil else 0, TIME_INFERRED
    return NONE, 0, 0, 0


@kernel
def is_rfc5424(data: Bytes, p: int, end: int, whole: int, flags: int, spans: Grid32, i: int) -> bool:
    """Are the words from ``p`` on that ``modern`` took for fields of RFC 5424 such, where no structured data followed
    them?

    They are where the last is ``-`` (Heroku's MSGID), or any behind the host where the frame ends too early, or
    malformed structured data follows; unless the second is a tag of RFC 3164 or the beginning of CEF or LEEF.
    """
    if whole == WHOLE:
        return True
    app = spans[i, 2 * APP]
    if app >= 0:
        last = spans[i, 2 * APP + 1]
        if data[last - 1] == COLON or begins_with(data, app, last, b"CEF:") or begins_with(data, app, last, b"LEEF:"):
            return False
    nil = False
    for field in range(HOST, SD):
        if p < end and spans[i, 2 * field] < 0:
            nil = field != HOST and data[p] == HYPHEN
            p += 2 if data[p] == HYPHEN else 1
        elif p < end:
            nil = nil and whole == CUT
            p = spans[i, 2 * field + 1] + 1
            if field == HOST and p >= end:
                return True
    return bool(nil or flags & SD_INVALID)


@kernel
def skip_counters(data: Bytes, p: int, end: int) -> int:
    """Where Cisco's counters, ``643: 000074: `` or a lone ``: ``, end at ``p``; ``p`` when there are none."""
    if p < end and data[p] == COLON:
        return skip_spaces(data, p + 1, end)
    for _ in range(2):
        q = p
        while q < end and DIGIT_0 <= data[q] <= DIGIT_9:
            q += 1
        if q == p or q + 1 >= end or data[q] != COLON or data[q + 1] != SPACE:
            break
        p = skip_spaces(data, q + 1, end)
    return p


@kernel
def find_colon(data: Bytes, p: int, end: int) -> int:
    """Where a word ends that a colon and a space follow at ``p``, or NONE."""
    q = find_space(data, p, end)
    if q < end and q - 1 > p and data[q - 1] == COLON:
        return q - 1
    return NONE


@kernel
def read_cisco(
    data: Bytes,
    p: int,
    end: int,
    with_pri: bool,
    received: int,
    zone: ReadI64,
    rules: int,
    spans: Grid32,
    i: int,
) -> tuple[int, int, int]:
    """What Cisco's systems send: counters, structured data, a host and a time, each with a colon, then the mnemonic.

    ``643: host: *Jan  8 19:46:03.295 UTC: %LINK-3-UPDOWN: text``; 1 to here: where the mnemonic or the message begins
    (NONE: it is not one of those), time, flags. Only counters are certain, or a host and a time that both have the
    colon.
    """
    q = skip_counters(data, p, end)
    if q < end and data[q] == OPENING_BRACKET and q > p:
        r = skip_brackets(data, q + 1, end)
        if r >= 0 and r + 1 < end and data[r] == COLON and data[r + 1] == SPACE:
            put_span(spans, i, SD, q, r)
            q = skip_spaces(data, r + 1, end)
    host = q
    r, when, _, flags = read_timestamp(data, q, end, received, zone, rules, with_pri)
    if r == NONE:
        host = find_colon(data, q, end)
        if host != NONE:
            r, when, _, flags = read_timestamp(
                data, skip_spaces(data, host + 1, end), end, received, zone, rules, with_pri
            )
    colon = r != NONE and r < end and data[r] == COLON
    if r != NONE and (q > p or (host > q and colon)):
        if host > q:
            put_span(spans, i, HOST, q, host)
        return skip_spaces(data, r + 1 if colon else r, end), when, flags
    if host > q and is_mnemonic(data, skip_spaces(data, host + 1, end), end, False):  # the time since it was started
        q = skip_spaces(data, host + 1, end)
    if is_mnemonic(data, q, end, False):
        return q, received, TIME_INFERRED
    put_span(spans, i, SD, -1, -1)
    return NONE, 0, 0


@kernel
def read_tag_without_time(data: Bytes, p: int, end: int, with_pri: bool, rules: int, spans: Grid32, i: int) -> int:
    """``app[procid]:`` at ``p``, without a PRI with a number for the procid: shape bits, or 0 when it is not there."""
    _, kind, app, procid = find_tag(data, p, end)
    if kind != TAG_PID_COLON:
        return 0
    for q in range(app + 1, procid):
        if not with_pri and (not DIGIT_0 <= data[q] <= DIGIT_9):
            return 0
    return RFC3164 | read_from_tag(data, p, end, rules, spans, i)


@kernel
def read_frame(
    data: Bytes,
    start: int,
    end: int,
    received: int,
    zone: ReadI64,
    rules: int,
    spans: Grid32,
    i: int,
) -> tuple[int, int, int, int]:
    """One frame, ``data[start:end]``: PRI or -1, time, shape bits (0: irregular), flags. A BOM before it is passed
    over."""
    p = start
    while begins_with(data, p, end, BOM) and (p == start or rules >= 2):
        p += len(BOM)
    pri, when, shape, seen = read_after_bom(data, p, end, received, zone, rules, spans, i)
    return pri, when, shape if p == start else 0, seen


@kernel
def read_after_bom(
    data: Bytes,
    start: int,
    end: int,
    received: int,
    zone: ReadI64,
    rules: int,
    spans: Grid32,
    i: int,
) -> tuple[int, int, int, int]:
    """The same, of a frame without a BOM."""
    pri, p, tentative = read_any_priority(data, start, end)
    with_pri = p > start
    seen = PRI_INVALID if pri < 0 and with_pri else 0
    bom = rules >= 2 and with_pri and begins_with(data, p, end, BOM)
    while bom and begins_with(data, p, end, BOM):
        p += len(BOM)
    q, when, bits, flags = read_version_and_time(data, p, end, with_pri, received, zone, rules)
    if q != NONE:
        shape, more = read_after_version(data, q, end, received, zone, rules, spans, i)
        return pri, when, shape | bits if seen == 0 and shape and bits and not bom else 0, seen | flags | more
    keep = seen == 0 and not bom  # what was skipped cannot be written again
    q = skip_spaces(data, p, end)
    keep = keep and q == p
    r, when, bits, flags = read_timestamp(data, q, end, received, zone, rules, with_pri)
    if (
        r - q > 20 and data[q + 10] == SPACE and data[q + 19] == COMMA
    ):  # as Python and Java log to files: what follows is no head
        if r < end:
            put_span(spans, i, MESSAGE, r + 1, end)
        return pri, when, 0, seen | flags
    if r != NONE:
        shape = RFC3164
        if r < end:
            keep = keep and data[r] == SPACE
            word = skip_spaces(data, r + 1, end) if data[r] == COLON else r + 1
            shape = read_rfc3164(data, word, end, received, zone, rules, spans, i)
        return pri, when, shape | bits if keep and shape and bits else 0, seen | flags
    r, when, flags = read_device(data, q, end, with_pri, received, zone, rules, spans, i)
    if r != NONE:
        return pri, when, 0, seen | flags
    shape = 0 if tentative else read_tag_without_time(data, q, end, with_pri, rules, spans, i)
    if shape:
        return pri, received, shape if keep else 0, seen | TIME_INFERRED
    if tentative:
        p = start
        seen = 0
    shape = RFC3164
    if p < end:
        put_span(spans, i, MESSAGE, p, end)
        shape |= WITH_MESSAGE
    return pri, received, shape if seen == 0 else 0, seen | TIME_INFERRED | UNPARSED


@kernel
def read_after_version(
    data: Bytes,
    q: int,
    end: int,
    received: int,
    zone: ReadI64,
    rules: int,
    spans: Grid32,
    i: int,
) -> tuple[int, int]:
    """Behind the time of RFC 5424 at ``q``: its fields, or a host and what RFC 3164 or CEF put there. Shape bits,
    flags."""
    if q >= end:
        return 0, 0
    shape, flags, whole = read_rfc5424(data, q + 1, end, spans, i)
    if rules < 2:
        return 0, flags
    if is_rfc5424(data, q + 1, end, whole, flags, spans, i):
        while shape & WITH_BOM and begins_with(data, spans[i, 2 * MESSAGE], end, BOM):
            spans[i, 2 * MESSAGE] += len(BOM)
        return shape, flags
    for k in range(SPANS):
        spans[i, k] = -1
    read_rfc3164(data, q + 1, end, received, zone, rules, spans, i)
    return 0, 0


@kernel
def read_device(
    data: Bytes,
    q: int,
    end: int,
    with_pri: bool,
    received: int,
    zone: ReadI64,
    rules: int,
    spans: Grid32,
    i: int,
) -> tuple[int, int, int]:
    """What network devices send without a time at the head: not NONE if it is that, time, flags."""
    r = NONE
    when = flags = 0
    if rules >= 2:
        r, when, flags = read_preface(data, q, end, True, received, zone, rules, spans, i)
    if r == NONE:
        r, when, flags = read_cisco(data, q, end, with_pri, received, zone, rules, spans, i)
    if r != NONE:
        if spans[i, 2 * HOST] < 0:
            read_rfc3164(data, r, end, received, zone, rules, spans, i)
        else:
            read_from_tag(data, r, end, rules, spans, i)
        return r, when, flags
    if rules >= 2:
        found, when, flags, host, last = read_pairs(data, q, end, received, zone)
        if found:
            if host != NONE:
                put_span(spans, i, HOST, host, last)
            put_span(spans, i, MESSAGE, q, end)
            return q, when, flags
    return NONE, 0, 0


@kernel
def rescan(
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
    left: ReadI32,
    count: int,
) -> int:
    """Parse the ``count`` rows that ``strict.scan`` left, into the same arrays; ``count``."""
    for n in range(count):
        i = left[n]
        for k in range(SPANS):
            spans[i, k] = -1
        pri, when, shape, seen = read_frame(data, offsets[i], offsets[i + 1], received[i], zone, rules, spans, i)
        if shape and pri >= 0:
            shape |= WITH_PRI
        put_row(i, pri, when, shape, seen, received[i], rules, time, facility, severity, flags, shapes)
    return count
