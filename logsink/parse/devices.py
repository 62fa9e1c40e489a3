"""What network devices put where a program would put a tag, as kernels: counters, marks before a tag, ``key=value``.

Part of version 2 of the parsing rules and later. Nothing here is certain by itself: a preface counts only if Cisco's
mnemonic or a time stands behind it, a mark only if a tag does, pairs only if a time or a device's name is among them.
"""

from __future__ import annotations

from logsink.ascii import (
    ASTERISK,
    BACKSLASH,
    BAR,
    CAPITAL_A,
    CAPITAL_Z,
    CASE_BIT,
    CLOSING_BRACKET,
    CLOSING_PARENTHESIS,
    COLON,
    COMMA,
    DELETE,
    DIGIT_0,
    DIGIT_7,
    DIGIT_9,
    DOT,
    EQUALS,
    HASH,
    HYPHEN,
    OPENING_BRACKET,
    OPENING_PARENTHESIS,
    PERCENT,
    QUOTE,
    SLASH,
    SMALL_A,
    SMALL_D,
    SMALL_E,
    SMALL_F,
    SMALL_H,
    SMALL_T,
    SMALL_W,
    SMALL_Y,
    SMALL_Z,
    SPACE,
    UNDERSCORE,
)
from logsink.flags import Flag
from logsink.kernel import Bytes, Grid32, ReadI64, kernel
from logsink.parse.calendar import SECOND, offset_at
from logsink.parse.scanning import (
    NONE,
    begins_with,
    find_blank,
    is_alphanumeric,
    is_blank,
    is_listed,
    put_span,
    skip_blanks,
    skip_digits,
)
from logsink.parse.shape import HOST, TAG_COLON, TAG_PID, TAG_PID_COLON
from logsink.parse.tags import find_tag
from logsink.parse.times import UNKNOWN_ZONE, ZONE_ASSUMED, read_rfc3339
from logsink.parse.timestamps import read_date_or_time, read_timestamp, read_whole_zone

TIME_INFERRED = int(Flag.TIME_INFERRED)

_SHORTEST_MNEMONIC = 6  # bytes: `%A-1-B`
_PREFACE = 6  # counters, names and a time before a mnemonic, at most
_MARKS = 3  # before a tag, at most
_LONGEST_MARK = 64  # bytes of a mark in brackets
_EVENT_DIGITS = 5
_SERIAL_DIGITS = 8  # at least
_MAC_DIGITS = 12
_PAIRS = 40  # what firewalls say of themselves stands among their first pairs

# Digits of a time since the epoch in seconds, thousandths, millionths and billionths.
_SECONDS = 10
_MILLIS = 13
_MICROS = 16
_NANOS = 19

_NO_HOST = b'=,;|"<>{}()'
"""Bytes that no host's name has; nor does it begin with ``#`` or ``*``."""

_SEVERITIES = b"emerg|alert|crit|err|warning|notice|info|debug|"
"""Words that F5 puts before a tag."""

_WITHOUT_PID = b"kernel:|logger:|tmm:|mcpd:|bigd:|sod:|apmd:|apd:|httpd:|sshd:|syslog-ng:|snmpd:|alertd:|"
"""Tags that F5 sends without a number: behind a severity no other is certain (`host info disk: full`)."""

# What the value of a firewall's key means.
_HOLDS_TIME = SMALL_T  # a date, a time, or both
_HOLDS_EPOCH = SMALL_E  # a time since the epoch
_HOLDS_ZONE = SMALL_Z
_HOLDS_HOST = SMALL_H  # the device's name or address

_KEYS = b"date t|time t|timestamp t|eventtime e|itime e|tz z|timezone z|devname h|device_name h|sf_device_name h|fw h|"
"""Keys of firewalls that send nothing but pairs, each with the letter that says what its value means, and ``|``."""


@kernel
def is_host(data: Bytes, p: int, end: int) -> bool:
    """Tell whether ``data[p:end]`` can be the name of a host."""
    if p >= end or data[p] == HASH or data[p] == ASTERISK:
        return False
    for q in range(p, end):
        for k in range(len(_NO_HOST)):
            if data[q] == _NO_HOST[k]:
                return False
        if data[q] == HYPHEN and begins_with(data, q, end, b"-PPE-"):  # NetScaler: the packet engine
            return False
    return True


@kernel
def is_mnemonic(data: Bytes, p: int, end: int, hashed: bool) -> bool:
    """Tell whether Cisco's ``%FACILITY-SEVERITY-MNEMONIC:`` stands at ``p``.

    If ``hashed``, ``#`` may stand for ``%``.
    """
    if p >= end or (data[p] != PERCENT and not (hashed and data[p] == HASH)):
        return False
    q = p + 1
    level = False
    while q < end and data[q] != COLON:
        c = data[q]
        if c <= SPACE or c >= DELETE:
            return False
        if c == HYPHEN and q + 2 < end and DIGIT_0 <= data[q + 1] <= DIGIT_7 and data[q + 2] == HYPHEN:
            level = True
        q += 1
    return level and q < end and q - p >= _SHORTEST_MNEMONIC


@kernel
def skip_counter(data: Bytes, p: int, end: int) -> int:
    """Return where a counter, ``643: ``, ends at ``p``, or NONE."""
    q = skip_digits(data, p, end)
    if q == p or q + 1 >= end or data[q] != COLON or not is_blank(data[q + 1]):
        return NONE
    return skip_blanks(data, q + 1, end)


@kernel
def is_uptime(data: Bytes, p: int, end: int) -> bool:
    """Tell whether ``data[p:end]`` is the time since a start: ``1w2d``, ``00:12:34``."""
    for q in range(p, end):
        c = data[q]
        if (not DIGIT_0 <= c <= COLON) and c != SMALL_W and c != SMALL_D and c != SMALL_H and c != SMALL_Y:
            return False
    return p < end and DIGIT_0 <= data[p] <= DIGIT_9


@kernel
def skip_node(data: Bytes, p: int, end: int) -> int:
    """Return where the node of IOS-XR, ``RP/0/RSP0/CPU0:``, ends at ``p``, or NONE.

    What follows it is not looked at.
    """
    slashes = 0
    q = p
    while q < end and data[q] != COLON:
        c = data[q]
        if c == SLASH:
            slashes += 1
        elif not ((DIGIT_0 <= c <= DIGIT_9) or (CAPITAL_A <= c <= CAPITAL_Z)):
            return NONE
        q += 1
    return q + 1 if slashes >= 2 and q < end else NONE


@kernel
def is_task(data: Bytes, p: int, end: int) -> bool:
    """Tell whether the task of a WLC, ``*spamApTask0: ``, stands at ``p``."""
    r = find_blank(data, p, end)
    return p < r < end and data[p] == ASTERISK and data[r - 1] == COLON


@kernel
def read_preface(
    data: Bytes,
    p: int,
    end: int,
    alone: bool,
    received: int,
    zone: ReadI64,
    rules: int,
    spans: Grid32,
    i: int,
) -> tuple[int, int, int]:
    """Read what Cisco's systems put before a mnemonic: where that, a tag or a message begins, or NONE; time; flags.

    These are counters, a host, the node of IOS-XR, the task of a WLC and a time, in any order::

        45: r1: 000045: *Nov 28 11:00:00: %
        2345: asr9k-1 RP/0/RSP0/CPU0:Nov 28 12:00:00.1 :
        wlc1: *spamApTask0: Nov 28 12:00:00.1: %

    It counts if a mnemonic follows, or if it has a time behind a counter, a node or a task, or behind a host if a colon
    ends both. ``alone``: no time and host stood before it, so that a host may stand in it, which goes into ``spans``.
    """
    q = p
    when = received
    flags = TIME_INFERRED
    timed = certain = colon = False
    host = last = NONE
    # A lone colon is a counter without a number.
    if q < end and data[q] == COLON:
        q = skip_blanks(data, q + 1, end)
        certain = True
    for _ in range(_PREFACE):
        if is_mnemonic(data, q, end, True):
            break
        # A time, once, and the colon behind it.
        r = NONE
        if not timed:
            r, at, _, seen = read_timestamp(data, q, end, received, zone, rules, False)
            if r != NONE:
                q = skip_blanks(data, r, end)
                colon = q < end and data[q] == COLON
                q = skip_blanks(data, q + 1 if colon else q, end)
                timed = True
                when = at
                flags = seen
                continue
        # Counters and nodes make the preface certain.
        r = skip_counter(data, q, end)
        if r == NONE:
            r = skip_node(data, q, end)
        if r != NONE:
            certain = True
            q = r
            continue
        # A word: a task, or a host with a colon or before a node. Anything else ends the preface.
        r = find_blank(data, q, end)
        named = r < end and r - q > 1 and data[r - 1] == COLON
        if is_task(data, q, end):
            certain = True
        elif (
            host == NONE
            and not timed
            and (alone or certain or (named and is_task(data, skip_blanks(data, r, end), end)))
            and is_host(data, q, r - 1 if named else r)
            and (named or (r < end and skip_node(data, skip_blanks(data, r, end), end) != NONE))
        ):
            host = q
            last = r - 1 if named else r
            if is_uptime(data, host, last):
                last = host
        else:
            break
        q = skip_blanks(data, r, end)
    # Is it a preface at all?
    if not is_mnemonic(data, q, end, True) and not (timed and (certain or (host != NONE and colon))):
        return NONE, 0, 0
    if last > host and alone:
        put_span(spans, i, HOST, host, last)
    return q, when, flags


@kernel
def is_certain_tag(data: Bytes, p: int, end: int, numbered: bool) -> bool:
    """Tell whether a tag stands at ``p``; if ``numbered``, one with a procid, or one of _WITHOUT_PID."""
    _, kind, app, _ = find_tag(data, p, end)
    if kind == TAG_PID_COLON:
        return True
    if numbered:
        return kind == TAG_COLON and is_listed(data, p, app + 1, _WITHOUT_PID)
    return kind == TAG_COLON or kind == TAG_PID


@kernel
def skip_marks(data: Bytes, p: int, end: int) -> int:
    """Return where the tag begins behind the marks at ``p`` that devices put before it, or NONE without marks or tag.

    Marks are a severity (F5), the number of an event (ProCurve), a serial number and a time in brackets (WatchGuard),
    an address and a model (UniFi).
    """
    numbered = False
    q = p
    for _ in range(_MARKS):
        r = find_blank(data, q, end)
        if r >= end:
            return NONE
        if is_listed(data, q, r, _SEVERITIES):
            numbered = True
        elif not (is_event(data, q, r) or is_model(data, q, r) or is_serial(data, q, r, end)):
            r = skip_bracket(data, q, end)
            if r == NONE:
                return NONE
            if r < end and data[r] == COLON:
                r += 1
        q = skip_blanks(data, r, end)
        if is_certain_tag(data, q, end, numbered) and not is_model(data, q, find_blank(data, q, end)):
            return q
    return NONE


@kernel
def is_event(data: Bytes, p: int, end: int) -> bool:
    """Tell whether ``data[p:end]`` is the number of an event, ``00077``: five digits, the first of which is 0."""
    if end - p != _EVENT_DIGITS or data[p] != DIGIT_0:
        return False
    for q in range(p, end):
        if not DIGIT_0 <= data[q] <= DIGIT_9:
            return False
    return True


@kernel
def is_model(data: Bytes, p: int, end: int) -> bool:
    """Tell whether ``data[p:end]`` is a network card's address and a model, with commas between and a colon behind.

    ``788a20abcdef,U6-Pro-6.6.55+15189:``, ``U7PG2,788a20abcdef,v4.3.21:``.
    """
    if end - p < _MAC_DIGITS + 2 or data[end - 1] != COLON:
        return False
    digits = 0
    found = comma = False
    for q in range(p, end):
        c = data[q]
        comma = comma or c == COMMA
        if c == EQUALS or (c == COLON and q < end - 1):
            return False
        if (DIGIT_0 <= c <= DIGIT_9) or (SMALL_A <= c | CASE_BIT <= SMALL_F):
            digits += 1
        else:
            found = found or (digits == _MAC_DIGITS and c == COMMA)
            digits = 0
    return found and comma


@kernel
def is_serial(data: Bytes, p: int, end: int, after: int) -> bool:
    """Tell whether ``data[p:end]`` is a serial number before a parenthesis, ``80F90AB12345 (``.

    It has eight digits and capitals or more. ``after`` is the end of the frame.
    """
    if end - p < _SERIAL_DIGITS or end + 1 >= after or data[end + 1] != OPENING_PARENTHESIS:
        return False
    for q in range(p, end):
        if not ((DIGIT_0 <= data[q] <= DIGIT_9) or (CAPITAL_A <= data[q] <= CAPITAL_Z)):
            return False
    return True


@kernel
def skip_bracket(data: Bytes, p: int, end: int) -> int:
    """Return where a mark in brackets ends at ``p``, or NONE.

    ``(2026-11-28T11:00:00)``, the same in square brackets, ``("U7PG2,788a20,v4.0")``.
    """
    if p + 2 >= end or (data[p] != OPENING_PARENTHESIS and data[p] != OPENING_BRACKET):
        return NONE
    last = CLOSING_PARENTHESIS if data[p] == OPENING_PARENTHESIS else CLOSING_BRACKET
    quoted = data[p + 1] == QUOTE
    if not quoted and (not DIGIT_0 <= data[p + 1] <= DIGIT_9):
        return NONE
    colons = 0
    for q in range(p + 1, min(end, p + _LONGEST_MARK)):
        if data[q] == COLON:
            colons += 1
        if data[q] == last:
            return q + 1 if quoted or colons >= 2 else NONE
    return NONE


@kernel
def meaning_of_key(data: Bytes, p: int, end: int) -> int:
    """Return the letter that stands behind the key ``data[p:end]`` in _KEYS, or 0."""
    k = 0
    while k < len(_KEYS):
        q = p
        while q < end and data[q] == _KEYS[k]:
            q += 1
            k += 1
        if q == end and _KEYS[k] == SPACE:
            return int(_KEYS[k + 1])
        while _KEYS[k] != BAR:
            k += 1
        k += 1
    return 0


@kernel
def read_epoch_value(data: Bytes, p: int, end: int) -> int:
    """Return the time since the epoch that ``data[p:end]`` gives, or NONE.

    Its digits tell the unit: seconds, thousandths, millionths or billionths.
    """
    width = end - p
    if width != _SECONDS and width != _MILLIS and width != _MICROS and width != _NANOS:
        return NONE
    value = 0
    for q in range(p, end):
        if not DIGIT_0 <= data[q] <= DIGIT_9:
            return NONE
        if q < p + _MICROS:
            value = value * 10 + data[q] - DIGIT_0
    for _ in range(width, _MICROS):
        value *= 10
    return value


@kernel
def find_value(data: Bytes, p: int, end: int) -> tuple[int, int, int]:
    """Find the value of a pair at ``p``, in quotes or without: where it begins, where it ends, and what follows it."""
    if data[p] == QUOTE:
        q = p + 1
        while q < end and data[q] != QUOTE:
            q += 2 if data[q] == BACKSLASH else 1
        q = min(q, end)
        return p + 1, q, min(q + 1, end)
    q = p
    while q < end and not is_blank(data[q]) and data[q] != COMMA:
        q += 1
    return p, q, q


@kernel
def read_pairs(data: Bytes, p: int, end: int, received: int, zone: ReadI64) -> tuple[bool, int, int, int, int]:
    """Read pairs ``key=value`` at ``p``: whether they are a firewall's, time, flags, where its name begins and ends.

    A date and a time with or without a zone, or both in one value, are preferred to a time since the epoch.
    """
    day = micros = at = NONE
    minutes = UNKNOWN_ZONE
    flags = 0
    host = last = NONE
    pairs = 0
    q = p
    while pairs < _PAIRS:
        # The key, and `=`.
        key = q
        while q < end and (data[q] == UNDERSCORE or data[q] == HYPHEN or data[q] == DOT or is_alphanumeric(data[q])):
            q += 1
        if q == key or q + 1 >= end or data[q] != EQUALS:
            break
        pairs += 1
        meaning = meaning_of_key(data, key, q)
        v, q, after = find_value(data, q + 1, end)
        # The value, by what the key says of it. The first name and the first time since the epoch count.
        if meaning == _HOLDS_HOST and host == NONE and q > v:
            host = v
            last = q
        elif meaning == _HOLDS_ZONE:
            minutes = read_whole_zone(data, v, q)
        elif meaning == _HOLDS_EPOCH or meaning == _HOLDS_TIME:
            moment = read_epoch_value(data, v, q)
            if moment != NONE:
                at = moment if at == NONE else at
            elif meaning == _HOLDS_TIME:
                # A date, a time, or both, with a zone behind them or not.
                on, of, r, seen = read_date_or_time(data, v, q)
                if r < q and on != NONE and of != NONE:
                    s, exact, _, leap = read_rfc3339(data, v, q, zone)
                    if s == q and leap & ZONE_ASSUMED == 0:
                        at = exact
                        r = v
                    else:
                        minutes = read_whole_zone(data, skip_blanks(data, r, q), q)
                if r > v:
                    day = on if on != NONE else day
                    micros = of if of != NONE else micros
                    flags |= seen
        # On to the next pair.
        q = after
        while q < end and (is_blank(data[q]) or data[q] == COMMA):
            q += 1
    # The time: from a date and a time, else since the epoch, else that of receipt.
    if day != NONE and micros != NONE and (minutes != UNKNOWN_ZONE or at == NONE):
        wall = day + micros
        if minutes == UNKNOWN_ZONE:
            return True, wall - offset_at(wall, zone) * SECOND, flags | ZONE_ASSUMED, host, last
        return True, wall - minutes * 60 * SECOND, flags, host, last
    if at != NONE and pairs > 1:
        return True, at, 0, host, last
    return host != NONE and pairs > 1, received, TIME_INFERRED, host, last
