"""The second pass, over the frames that ``strict`` left: everything else that calls itself syslog, and what does not.

Nothing is refused. A frame is read in the order of RFC 5424 and 3164: PRI, version, counters and names that Cisco puts
before the time, a time in any of its forms, then the fields of either RFC. Where no head is certain, all of the frame
is message.

It is loose: it may be wrong, for the prover has the last word. What no template can say (counters, years, spaces where
none belong) has shape 0, and its row keeps the frame as it came.
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
from logsink.parse.times import read_rfc3339
from logsink.parse.timestamps import read_epoch, read_rfc3339_and_zone, read_timestamp
from logsink.parse.utf8 import BOM

PRI_INVALID = int(Flag.PRI_INVALID)

UNPARSED = int(Flag.UNPARSED)

_LONGEST_PRI = 12  # bytes between `<` and `>` that can still be meant as a PRI, unless all are digits
_LONGEST_VERSION = 3  # digits (RFC 5424, 6)
_COUNTERS = 2  # that Cisco puts before a time, at most
_DATE = 10  # bytes of `2026-11-28`
_DATE_AND_TIME = 19  # bytes of `2026-11-28 12:00:00`


@kernel
def read_any_priority(data: Bytes, p: int, end: int) -> tuple[int, int, bool]:
    """Read a PRI at ``p``, valid or not: its value or -1, where it ends (``p`` for none), whether it is doubtful.

    A doubtful one, which has other characters than digits, is one only if the head of a message follows.
    """
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
    """Return where a VERSION at ``p`` ends, behind which a space must follow, or NONE."""
    q = p
    while q < end and q < p + _LONGEST_VERSION and DIGIT_0 <= data[q] <= DIGIT_9:
        q += 1
    if q == p or q >= end or data[p] == DIGIT_0 or data[q] != SPACE:
        return NONE
    return q


@kernel
def read_version_and_time(
    data: Bytes, p: int, end: int, with_pri: bool, received: int, zone: ReadI64, rules: int
) -> tuple[int, int, int, int]:
    """Read VERSION and TIMESTAMP of RFC 5424 at ``p``: where they end or NONE, time, shape bits, flags.

    Behind a PRI the time may also be ``-`` or a date that does not exist; without a PRI only a good time makes this a
    head. Seconds since the epoch (Meraki) are a good time too.
    """
    q = skip_version(data, p, end)
    if q == NONE:
        return NONE, 0, 0, 0
    q += 1
    # A good time.
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
    # No time: `-`, or what looks like a date.
    r = find_space(data, q, end)
    nil = r - q == 1 and data[q] == HYPHEN
    dated = r - q >= _DATE and DIGIT_0 <= data[q] <= DIGIT_9 and data[q + 4] == HYPHEN
    if with_pri and (nil or dated):
        return r, received, WITH_PRI if nil else 0, TIME_INFERRED
    return NONE, 0, 0, 0


@kernel
def is_rfc5424(data: Bytes, p: int, end: int, whole: int, flags: int, spans: Grid32, i: int) -> bool:
    """Tell whether the words from ``p`` on, which ``read_rfc5424`` took for fields, are what it took them for.

    ``whole`` and ``flags`` are what it returned. With structured data they are. Without, they are if the last word is
    ``-`` (Heroku's MSGID), or one behind the host is where the frame ends too early, or malformed structured data
    follows; unless the second word is a tag of RFC 3164 or the beginning of CEF or LEEF.
    """
    if whole == WHOLE:
        return True
    # A tag of RFC 3164, CEF or LEEF in the place of the app.
    app = spans[i, 2 * APP]
    if app >= 0:
        last = spans[i, 2 * APP + 1]
        if data[last - 1] == COLON or begins_with(data, app, last, b"CEF:") or begins_with(data, app, last, b"LEEF:"):
            return False
    # Walk over the words again: a word without a span is `-` or empty.
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
    """Return where Cisco's counters, ``643: 000074: `` or a lone ``: ``, end at ``p``: ``p`` where there are none."""
    if p < end and data[p] == COLON:
        return skip_spaces(data, p + 1, end)
    for _ in range(_COUNTERS):
        q = p
        while q < end and DIGIT_0 <= data[q] <= DIGIT_9:
            q += 1
        if q == p or q + 1 >= end or data[q] != COLON or data[q + 1] != SPACE:
            break
        p = skip_spaces(data, q + 1, end)
    return p


@kernel
def find_colon(data: Bytes, p: int, end: int) -> int:
    """Return where the word at ``p`` ends if a colon and a space follow it, or NONE."""
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
    """Read what Cisco's systems put before a mnemonic: where that or the message begins, or NONE; time; flags.

    These are counters, structured data, a host and a time, each with a colon: ``643: host: *Jan  8 19:46:03.295 UTC:
    %LINK-3-UPDOWN: text``. Only counters are certain, or a host and a time that both have the colon, or a mnemonic.
    """
    q = skip_counters(data, p, end)
    # Structured data behind the counters.
    if q < end and data[q] == OPENING_BRACKET and q > p:
        r = skip_brackets(data, q + 1, end)
        if r >= 0 and r + 1 < end and data[r] == COLON and data[r + 1] == SPACE:
            put_span(spans, i, SD, q, r)
            q = skip_spaces(data, r + 1, end)
    # The time, or a host and the time.
    host = q
    r, when, _, flags = read_timestamp(data, q, end, received, zone, rules, with_pri)
    if r == NONE:
        host = find_colon(data, q, end)
        if host != NONE:
            r, when, _, flags = read_timestamp(
                data, skip_spaces(data, host + 1, end), end, received, zone, rules, with_pri
            )
    colon = r != NONE and r < end and data[r] == COLON
    # A time is certain behind counters, or with a host if a colon ends both.
    if r != NONE and (q > p or (host > q and colon)):
        if host > q:
            put_span(spans, i, HOST, q, host)
        return skip_spaces(data, r + 1 if colon else r, end), when, flags
    # Without a time: a mnemonic alone, or behind the time since the device was started.
    if host > q and is_mnemonic(data, skip_spaces(data, host + 1, end), end, False):
        q = skip_spaces(data, host + 1, end)
    if is_mnemonic(data, q, end, False):
        return q, received, TIME_INFERRED
    put_span(spans, i, SD, -1, -1)
    return NONE, 0, 0


@kernel
def read_tag_without_time(data: Bytes, p: int, end: int, with_pri: bool, rules: int, spans: Grid32, i: int) -> int:
    """Read ``app[procid]:`` at ``p`` to the end: shape bits, or 0 if it is not there.

    Without a PRI it is one only with a number as procid.
    """
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
    """Read one frame, ``data[start:end]``: PRI or -1, time, shape bits (0: irregular), flags.

    Byte order marks before it are passed over, by version 1 of the rules only one.
    """
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
    """Read a frame that begins with no byte order mark; returns as ``read_frame``."""
    # PRI, and byte order marks behind it.
    pri, p, doubtful = read_any_priority(data, start, end)
    with_pri = p > start
    seen = PRI_INVALID if pri < 0 and with_pri else 0
    bom = rules >= 2 and with_pri and begins_with(data, p, end, BOM)
    while bom and begins_with(data, p, end, BOM):
        p += len(BOM)
    # RFC 5424.
    q, when, bits, flags = read_version_and_time(data, p, end, with_pri, received, zone, rules)
    if q != NONE:
        shape, more = read_after_version(data, q, end, received, zone, rules, spans, i)
        return pri, when, shape | bits if seen == 0 and shape and bits and not bom else 0, seen | flags | more
    # RFC 3164: spaces, then a time. `keep`: nothing has been passed over that could not be written again.
    keep = seen == 0 and not bom
    q = skip_spaces(data, p, end)
    keep = keep and q == p
    r, when, bits, flags = read_timestamp(data, q, end, received, zone, rules, with_pri)
    # As Python and Java log to files, `2026-11-28 12:00:00,123`: what follows is no head.
    if r - q > _DATE_AND_TIME + 1 and data[q + _DATE] == SPACE and data[q + _DATE_AND_TIME] == COMMA:
        if r < end:
            put_span(spans, i, MESSAGE, r + 1, end)
        return pri, when, 0, seen | flags
    if r != NONE:
        # Behind the time, a colon or a space, then the fields.
        shape = RFC3164
        if r < end:
            keep = keep and data[r] == SPACE
            word = skip_spaces(data, r + 1, end) if data[r] == COLON else r + 1
            shape = read_rfc3164(data, word, end, received, zone, rules, spans, i)
        return pri, when, shape | bits if keep and shape and bits else 0, seen | flags
    # No time: what devices send, a tag that is certain without one, or nothing but message.
    r, when, flags = read_device(data, q, end, with_pri, received, zone, rules, spans, i)
    if r != NONE:
        return pri, when, 0, seen | flags
    shape = 0 if doubtful else read_tag_without_time(data, q, end, with_pri, rules, spans, i)
    if shape:
        return pri, received, shape if keep else 0, seen | TIME_INFERRED
    # A doubtful PRI before no head is part of the message.
    if doubtful:
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
    """Read from behind the time of RFC 5424, at ``q``, to the end: shape bits, flags.

    What follows are the fields of RFC 5424, or a host and what RFC 3164 or CEF put behind it.
    """
    if q >= end:
        return 0, 0
    shape, flags, whole = read_rfc5424(data, q + 1, end, spans, i)
    if rules < 2:
        return 0, flags
    if is_rfc5424(data, q + 1, end, whole, flags, spans, i):
        while shape & WITH_BOM and begins_with(data, spans[i, 2 * MESSAGE], end, BOM):
            spans[i, 2 * MESSAGE] += len(BOM)
        return shape, flags
    # Take the fields back, and read a host and what follows it instead.
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
    """Read what network devices send without a time at the head, at ``q``: not NONE if it is that, time, flags."""
    r = NONE
    when = flags = 0
    if rules >= 2:
        r, when, flags = read_preface(data, q, end, True, received, zone, rules, spans, i)
    if r == NONE:
        r, when, flags = read_cisco(data, q, end, with_pri, received, zone, rules, spans, i)
    if r != NONE:
        # The rest: with a host, if none has been found.
        if spans[i, 2 * HOST] < 0:
            read_rfc3164(data, r, end, received, zone, rules, spans, i)
        else:
            read_from_tag(data, r, end, rules, spans, i)
        return r, when, flags
    if rules >= 2:
        # Nothing but pairs `key=value`: all of it is the message.
        found, when, flags, host, last = read_pairs(data, q, end, received, zone)
        if found:
            if host != NONE:
                put_span(spans, i, HOST, host, last)
            put_span(spans, i, MESSAGE, q, end)
            return q, when, flags
    return NONE, 0, 0


@kernel
def second_pass(
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
    """Parse the first ``count`` rows that ``left`` lists into the arrays of ``strict.first_pass``. Returns
    ``count``."""
    for n in range(count):
        i = left[n]
        for k in range(SPANS):
            spans[i, k] = -1
        pri, when, shape, seen = read_frame(data, offsets[i], offsets[i + 1], received[i], zone, rules, spans, i)
        if shape and pri >= 0:
            shape |= WITH_PRI
        put_row(i, pri, when, shape, seen, received[i], rules, time, facility, severity, flags, shapes)
    return count
