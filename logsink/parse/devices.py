"""What network devices put where a program would put a tag, as kernels: counters, marks before a tag, ``key=value``.

Part of version 2 of the parsing rules and later. Nothing here is certain by itself: a preface counts only when Cisco's
mnemonic or a time stands behind it, a mark only when a tag does, pairs only when a date or a device's name is among them.
"""

from __future__ import annotations

from logsink.flags import Flag
from logsink.kernel import Bytes, Grid32, ReadI32, ReadI64, kernel
from logsink.parse.clock import NONE, SECOND, UNKNOWN_ZONE, ZONE_ASSUMED, offset_at, rfc3339
from logsink.parse.fields import begins, put, tag
from logsink.parse.shape import COLON, HOST, PID, PID_COLON
from logsink.parse.stamps import clock_text, stamp, zone_text

TIME_INFERRED = int(Flag.TIME_INFERRED)

_SHORTEST_MNEMONIC = 6  # `%A-1-B`
_PREFACE = 6  # counters, names and a time before a mnemonic, at most
_PAIRS = 40  # what firewalls say of themselves stands among their first pairs
_LONGEST_MARK = 64
_MAC_DIGITS = 12

_NO_HOST = b'=,;|"<>{}()'
"""Octets that no host's name has; nor does it begin with ``#`` or ``*``."""

_SEVERITIES = b"emerg|alert|crit|err|warning|notice|info|debug|"
"""Words that F5 puts before a tag."""

_WITHOUT_PID = b"kernel:|logger:|tmm:|mcpd:|bigd:|sod:|apmd:|apd:|httpd:|sshd:|syslog-ng:|snmpd:|alertd:|"
"""Tags that F5 sends without a number: behind a severity no other is certain (`host info disk: full`)."""

_KEYS = b"date t|time t|timestamp t|eventtime e|itime e|tz z|timezone z|devname h|device_name h|sf_device_name h|fw h|"
"""Keys of firewalls that send nothing but pairs, and what they hold: a date, a time or both (t), seconds since the epoch or
fractions of them (e), a zone (z), the device's name or address (h)."""


@kernel
def blank(c: int) -> bool:
    return c == 32 or c == 9


@kernel
def word(data: Bytes, p: int, end: int) -> int:
    """Where the word at ``p`` ends: the next space or tab, or ``end``."""
    while p < end and not blank(data[p]):
        p += 1
    return p


@kernel
def blanks(data: Bytes, p: int, end: int) -> int:
    """Where the spaces and tabs at ``p`` end."""
    while p < end and blank(data[p]):
        p += 1
    return p


@kernel
def listed(data: Bytes, p: int, end: int, table: bytes) -> bool:
    """Is ``data[p:end]`` one of the words of ``table``, each of which ends with ``|``?"""
    k = 0
    while k < len(table):
        q = p
        while table[k] != 124 and q < end and data[q] == table[k]:
            q += 1
            k += 1
        if table[k] == 124 and q == end and q > p:
            return True
        while table[k] != 124:
            k += 1
        k += 1
    return False


@kernel
def is_host(data: Bytes, p: int, end: int) -> bool:
    """Can ``data[p:end]`` be the name of a host?"""
    if p >= end or data[p] == 35 or data[p] == 42:
        return False
    for q in range(p, end):
        for k in range(len(_NO_HOST)):
            if data[q] == _NO_HOST[k]:
                return False
        if data[q] == 45 and begins(data, q, end, b"-PPE-"):  # NetScaler: the packet engine
            return False
    return True


@kernel
def mnemonic(data: Bytes, p: int, end: int, hashed: bool) -> bool:
    """Does Cisco's ``%FACILITY-SEVERITY-MNEMONIC:`` stand at ``p``, or, where ``hashed``, ``#`` in place of ``%``?"""
    if p >= end or (data[p] != 37 and not (hashed and data[p] == 35)):
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
def counter(data: Bytes, p: int, end: int) -> int:
    """Where a counter, ``643: ``, ends at ``p``, or NONE."""
    q = p
    while q < end and data[q] >= 48 and data[q] <= 57:
        q += 1
    if q == p or q + 1 >= end or data[q] != 58 or not blank(data[q + 1]):
        return NONE
    return blanks(data, q + 1, end)


@kernel
def is_uptime(data: Bytes, p: int, end: int) -> bool:
    """Is ``data[p:end]`` the time since a start: ``1w2d``, ``00:12:34``?"""
    for q in range(p, end):
        c = data[q]
        if (c < 48 or c > 58) and c != 119 and c != 100 and c != 104 and c != 121:
            return False
    return p < end and data[p] >= 48 and data[p] <= 57


@kernel
def node(data: Bytes, p: int, end: int) -> int:
    """Where the node of IOS-XR, ``RP/0/RSP0/CPU0:``, ends at ``p``, or NONE. What follows it is not looked at."""
    slashes = 0
    q = p
    while q < end and data[q] != 58:
        c = data[q]
        if c == 47:
            slashes += 1
        elif not ((c >= 48 and c <= 57) or (c >= 65 and c <= 90)):
            return NONE
        q += 1
    return q + 1 if slashes >= 2 and q < end else NONE


@kernel
def task(data: Bytes, p: int, end: int) -> bool:
    """Does the task of a WLC, ``*spamApTask0: ``, stand at ``p``?"""
    r = word(data, p, end)
    return p < r < end and data[p] == 42 and data[r - 1] == 58


@kernel
def preface(
    data: Bytes,
    p: int,
    end: int,
    alone: bool,
    received: int,
    bounds: ReadI64,
    zone: ReadI32,
    rules: int,
    spans: Grid32,
    i: int,
) -> tuple[int, int, int]:
    """What Cisco's systems put before the mnemonic: where that, or else a tag or message begins (NONE), time, flags.

    Counters, a host, the node of IOS-XR, the task of a WLC and a time, in any order: ``45: r1: 000045: *Nov 28 11:00:00: %``,
    ``2345: asr9k-1 RP/0/RSP0/CPU0:Nov 28 12:00:00.1 : ``, ``wlc1: *spamApTask0: Nov 28 12:00:00.1: %``. Certain are a mnemonic,
    or a time behind a counter, a node or a task, or behind a host if a colon ends both. ``alone``: no time and host
    stood before it, and a host may stand in it.
    """
    q = p
    when = received
    flags = TIME_INFERRED
    timed = certain = colon = False
    host = last = NONE
    if q < end and data[q] == 58:
        q = blanks(data, q + 1, end)
        certain = True
    for _ in range(_PREFACE):
        if mnemonic(data, q, end, True):
            break
        r = NONE
        if not timed:
            r, at, _, seen = stamp(data, q, end, received, bounds, zone, rules, False)
            if r != NONE:
                q = blanks(data, r, end)
                colon = q < end and data[q] == 58
                q = blanks(data, q + 1 if colon else q, end)
                timed = True
                when = at
                flags = seen
                continue
        r = counter(data, q, end)
        if r == NONE:
            r = node(data, q, end)
        if r != NONE:
            certain = True
            q = r
            continue
        r = word(data, q, end)
        named = r < end and r - q > 1 and data[r - 1] == 58
        if task(data, q, end):
            certain = True
        elif (
            host == NONE
            and not timed
            and (alone or certain or (named and task(data, blanks(data, r, end), end)))
            and is_host(data, q, r - 1 if named else r)
            and (named or (r < end and node(data, blanks(data, r, end), end) != NONE))
        ):
            host = q
            last = r - 1 if named else r
            if is_uptime(data, host, last):
                last = host
        else:
            break
        q = blanks(data, r, end)
    if not mnemonic(data, q, end, True) and not (timed and (certain or (host != NONE and colon))):
        return NONE, 0, 0
    if last > host and alone:
        put(spans, i, HOST, host, last)
    return q, when, flags


@kernel
def certain_tag(data: Bytes, p: int, end: int, numbered: bool) -> bool:
    """Does a tag stand at ``p``, where ``numbered`` one with a procid or one of ``_WITHOUT_PID``?"""
    _, kind, app, _ = tag(data, p, end)
    if kind == PID_COLON:
        return True
    if numbered:
        return kind == COLON and listed(data, p, app + 1, _WITHOUT_PID)
    return kind == COLON or kind == PID


@kernel
def marked(data: Bytes, p: int, end: int) -> int:
    """Where the tag stands behind the marks at ``p`` that devices put before it, or NONE where there are none, or no tag.

    A severity (F5), the number of an event (ProCurve), a serial number and a time in brackets (WatchGuard), an address and a
    model (UniFi).
    """
    numbered = False
    q = p
    for _ in range(3):
        r = word(data, q, end)
        if r >= end:
            return NONE
        if listed(data, q, r, _SEVERITIES):
            numbered = True
        elif not (is_event(data, q, r) or is_model(data, q, r) or is_serial(data, q, r, end)):
            r = bracket(data, q, end)
            if r == NONE:
                return NONE
            if r < end and data[r] == 58:
                r += 1
        q = blanks(data, r, end)
        if certain_tag(data, q, end, numbered) and not is_model(data, q, word(data, q, end)):
            return q
    return NONE


@kernel
def is_event(data: Bytes, p: int, end: int) -> bool:
    """``00077``: five digits that begin with a zero."""
    if end - p != 5 or data[p] != 48:
        return False
    for q in range(p, end):
        if data[q] < 48 or data[q] > 57:
            return False
    return True


@kernel
def is_model(data: Bytes, p: int, end: int) -> bool:
    """``788a20abcdef,U6-Pro-6.6.55+15189:`` or ``U7PG2,788a20abcdef,v4.3.21:``: a card's address, a comma, and a colon."""
    if end - p < _MAC_DIGITS + 2 or data[end - 1] != 58:
        return False
    digits = 0
    found = comma = False
    for q in range(p, end):
        c = data[q]
        comma = comma or c == 44
        if c == 61 or (c == 58 and q < end - 1):
            return False
        if (c >= 48 and c <= 57) or (c | 32 >= 97 and c | 32 <= 102):
            digits += 1
        else:
            found = found or (digits == _MAC_DIGITS and c == 44)
            digits = 0
    return found and comma


@kernel
def is_serial(data: Bytes, p: int, end: int, after: int) -> bool:
    """``80F90AB12345`` before a bracket: at least eight digits and capitals."""
    if end - p < 8 or end + 1 >= after or data[end + 1] != 40:
        return False
    for q in range(p, end):
        if not ((data[q] >= 48 and data[q] <= 57) or (data[q] >= 65 and data[q] <= 90)):
            return False
    return True


@kernel
def bracket(data: Bytes, p: int, end: int) -> int:
    """Where ``(2026-11-28T11:00:00)`` or the same in square brackets ends at ``p``, or ``("U7PG2,788a20,v4.0")``; or NONE."""
    if p + 2 >= end or (data[p] != 40 and data[p] != 91):
        return NONE
    last = data[p] + (1 if data[p] == 40 else 2)
    quoted = data[p + 1] == 34
    if not quoted and (data[p + 1] < 48 or data[p + 1] > 57):
        return NONE
    colons = 0
    for q in range(p + 1, min(end, p + _LONGEST_MARK)):
        if data[q] == 58:
            colons += 1
        if data[q] == last:
            return q + 1 if quoted or colons >= 2 else NONE
    return NONE


@kernel
def role(data: Bytes, p: int, end: int) -> int:
    """What the key ``data[p:end]`` holds, of ``_KEYS``, or 0."""
    k = 0
    while k < len(_KEYS):
        q = p
        while q < end and data[q] == _KEYS[k]:
            q += 1
            k += 1
        if q == end and _KEYS[k] == 32:
            return int(_KEYS[k + 1])
        while _KEYS[k] != 124:
            k += 1
        k += 1
    return 0


@kernel
def instant(data: Bytes, p: int, end: int) -> int:
    """Seconds since the epoch, or thousandths, millionths or billionths of them, that are all of ``data[p:end]``; or NONE."""
    width = end - p
    if width != 10 and width != 13 and width != 16 and width != 19:
        return NONE
    value = 0
    for q in range(p, end):
        if data[q] < 48 or data[q] > 57:
            return NONE
        if q < p + 16:
            value = value * 10 + data[q] - 48
    for _ in range(width, 16):
        value *= 10
    return value


@kernel
def keyed(
    data: Bytes, p: int, end: int, received: int, bounds: ReadI64, zone: ReadI32
) -> tuple[bool, int, int, int, int]:
    """Pairs ``key=value`` at ``p``: are they a firewall's, its time, flags, and where its name begins and ends.

    A date and a time with or without a zone, or both in one value, come before what counts from the epoch.
    """
    day = micros = at = NONE
    minutes = UNKNOWN_ZONE
    flags = 0
    host = last = NONE
    pairs = 0
    q = p
    while pairs < _PAIRS:
        key = q
        while q < end and (data[q] == 95 or data[q] == 45 or data[q] == 46 or is_alnum(data[q])):
            q += 1
        if q == key or q + 1 >= end or data[q] != 61:
            break
        pairs += 1
        kind = role(data, key, q)
        v = q + 1
        if data[v] == 34:
            v += 1
            q = v
            while q < end and data[q] != 34:
                q += 2 if data[q] == 92 else 1
            q = min(q, end)
            after = min(q + 1, end)
        else:
            q = v
            while q < end and not blank(data[q]) and data[q] != 44:
                q += 1
            after = q
        if kind == 104 and host == NONE and q > v:
            host = v
            last = q
        elif kind == 122:
            minutes = zone_text(data, v, q)
        elif kind == 101 or kind == 116:
            moment = instant(data, v, q)
            if moment != NONE:
                at = moment if at == NONE else at
            elif kind == 116:
                on, of, r, seen = clock_text(data, v, q)
                if r < q and on != NONE and of != NONE:
                    s, exact, _, leap = rfc3339(data, v, q, bounds, zone)
                    if s == q and leap & ZONE_ASSUMED == 0:
                        at = exact
                        r = v
                    else:
                        minutes = zone_text(data, blanks(data, r, q), q)
                if r > v:
                    day = on if on != NONE else day
                    micros = of if of != NONE else micros
                    flags |= seen
        q = after
        while q < end and (blank(data[q]) or data[q] == 44):
            q += 1
    if day != NONE and micros != NONE and (minutes != UNKNOWN_ZONE or at == NONE):
        wall = day + micros
        if minutes == UNKNOWN_ZONE:
            return True, wall - offset_at(wall, bounds, zone) * SECOND, flags | ZONE_ASSUMED, host, last
        return True, wall - minutes * 60 * SECOND, flags, host, last
    if at != NONE and pairs > 1:
        return True, at, 0, host, last
    return host != NONE and pairs > 1, received, TIME_INFERRED, host, last


@kernel
def is_alnum(c: int) -> bool:
    return (c >= 48 and c <= 57) or (c | 32 >= 97 and c | 32 <= 122)
