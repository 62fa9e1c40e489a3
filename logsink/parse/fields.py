"""The fields of a head, as kernels that strict and loose rows share; ``heads`` puts those of RFC 3164 together.

Each writes the spans it found into row ``i`` of ``spans`` (``shape.SPANS`` columns, -1 before) and returns shape bits.
"""

from __future__ import annotations

from logsink.flags import Flag
from logsink.kernel import Bytes, Grid32, either, kernel
from logsink.parse.shape import (
    BARE_COLON,
    COLON,
    FORMAT,
    MESSAGE,
    NO_TAG,
    PID,
    PID_COLON,
    RFC5424,
    SD,
    WITH_BOM,
    WITH_FIELD,
    WITH_MESSAGE,
    WITHOUT_SD,
)

SD_INVALID = int(Flag.SD_INVALID)

CUT = 0
NO_SD = 1
WHOLE = 2
_CUT_TAG = 32  # rsyslog's forward templates cut `tag[pid]:` to the 32 characters of RFC 3164


@kernel
def space(data: Bytes, p: int, end: int) -> int:
    """Where the word at ``p`` ends: the next space, or ``end``."""
    while p + 32 <= len(data) and p < end:
        found = either(data, p, 32, 32)
        if found < 32:
            return min(p + found, end)
        p += 32
    while p < end and data[p] != 32:
        p += 1
    return min(p, end)


@kernel
def spaces(data: Bytes, p: int, end: int) -> int:
    """Where the spaces at ``p`` end."""
    while p < end and data[p] == 32:
        p += 1
    return p


@kernel
def begins(data: Bytes, p: int, end: int, word: bytes) -> bool:
    """Does ``word`` stand at ``p``?"""
    if p + len(word) > end:
        return False
    for k in range(len(word)):
        if data[p + k] != word[k]:
            return False
    return True


@kernel
def put(spans: Grid32, i: int, field: int, start: int, end: int) -> None:
    spans[i, 2 * field] = start
    spans[i, 2 * field + 1] = end


@kernel
def put_value(data: Bytes, spans: Grid32, i: int, field: int, start: int, end: int) -> None:
    """``put``, unless it is the nil value ``-``."""
    if end - start != 1 or data[start] != 45:
        put(spans, i, field, start, end)


@kernel
def is_name(c: int) -> bool:
    """A character of SD-NAME: printable ASCII without ``=``, ``]``, ``"`` and space."""
    return c > 32 and c < 127 and c != 61 and c != 93 and c != 34


@kernel
def structured_data(data: Bytes, p: int, end: int) -> int:
    """Where the SD-ELEMENTs that begin at ``p`` end, or -1 where they are malformed (RFC 5424, 6.3).

    Values without quotes are taken up to the bracket that closes their element (VMware), and spaces are not counted.
    """
    while p < end and data[p] == 91:
        name = spaces(data, p + 1, end)
        q = name
        while q < end and is_name(data[q]):
            q += 1
        if q == name or q >= end or (data[q] != 32 and data[q] != 93):
            return -1
        after = spaces(data, q, end)
        if name > p + 1 and after < end and data[after] == 93:  # `[  OK  ] Started` is text
            return -1
        p = parameters(data, q, end)
        if p < 0:
            return -1
    return p


@kernel
def parameters(data: Bytes, p: int, end: int) -> int:
    """Where the element ends whose SD-ID ended at ``p``, or -1."""
    while p < end:
        p = spaces(data, p, end)
        if p < end and data[p] == 93:
            return p + 1
        q = p
        while q < end and is_name(data[q]):
            q += 1
        if q == p or q >= end or data[q] != 61:
            return -1
        p = q + 1
        if p >= end or data[p] != 34:
            return closing(data, p, end)
        p = quoted(data, p, end)
        if p < 0 or p >= end or (data[p] != 32 and data[p] != 93):
            return -1
    return -1


@kernel
def quoted(data: Bytes, p: int, end: int) -> int:
    """Where the string ends whose opening quote is at ``p``, or -1. A backslash hides ``"``, ``]`` and itself only."""
    p += 1
    while p < end:
        c = data[p]
        if c == 34:
            return p + 1
        if c == 92 and p + 1 < end and (data[p + 1] == 34 or data[p + 1] == 92 or data[p + 1] == 93):
            p += 1
        p += 1
    return -1


@kernel
def closing(data: Bytes, p: int, end: int) -> int:
    """Where the bracket ends that matches the one open at ``p``, or -1; brackets within quotes after ``=`` do not count."""
    depth = 1
    while p < end:
        c = data[p]
        if c == 91:
            depth += 1
        elif c == 93:
            depth -= 1
            if depth == 0:
                return p + 1
        elif c == 34 and data[p - 1] == 61:
            p = quoted(data, p, end) - 1
            if p < 0:
                return -1
        p += 1
    return -1


@kernel
def modern(data: Bytes, p: int, end: int, spans: Grid32, i: int) -> tuple[int, int, int]:
    """From the HOSTNAME of RFC 5424 at ``p`` to the end: shape bits (0: irregular), flags, and how much there is of it.

    That is WHOLE, NO_SD where something else stands in the place of structured data, or CUT where the frame ends before it.
    """
    bits = RFC5424
    for field in range(SD):
        if p >= end:
            return 0, 0, CUT
        q = space(data, p, end)
        if q == p:
            bits &= ~FORMAT
        elif q - p > 1 or data[p] != 45:
            put(spans, i, field, p, q)
            bits |= 1 << WITH_FIELD + field
        if q >= end:
            return 0, 0, CUT
        p = q + 1
    if p >= end:
        return 0, 0, CUT
    flags = 0
    whole = WHOLE
    after = p
    if data[p] == 45:
        after = p + 1
    elif data[p] == 91:
        after = structured_data(data, p, end)
    if after > p and (after == end or data[after] == 32):
        if data[p] == 91:
            put(spans, i, SD, p, after)
            bits |= 1 << WITH_FIELD + SD
        if after == end:
            return regular(bits), 0, WHOLE
        p = after + 1
    else:
        bits |= WITHOUT_SD
        whole = NO_SD
        if data[p] == 91:
            flags = SD_INVALID
    if p + 3 <= end and data[p] == 0xEF and data[p + 1] == 0xBB and data[p + 2] == 0xBF:
        bits |= WITH_BOM
        p += 3
    put(spans, i, MESSAGE, p, end)
    return regular(bits | WITH_MESSAGE), flags, whole


@kernel
def regular(bits: int) -> int:
    """The bits, or 0 when they name no format any more."""
    return bits if bits & FORMAT else 0


@kernel
def tag(data: Bytes, p: int, end: int) -> tuple[int, int, int, int]:
    """A certain tag at ``p``: where it ends, its kind, where the app ends and where the procid does.

    Certain are ``app:`` and ``app[procid]`` before a space, ``app[procid]:``, a lone ``:``, a tag that was cut inside its
    brackets to 32 characters, and what ``joined`` takes. ``::`` is part of an app's name, a control character of none.
    """
    q = p
    while q < end:
        c = data[q]
        if c == 58:
            if q + 1 == end or data[q + 1] <= 32:
                return q + 1, COLON if q > p else BARE_COLON, q, q
            if q == p or data[q + 1] != 58:
                return joined(data, p, q, end)
            q += 1
        elif c == 91:
            return bracketed(data, p, q, end)
        elif c <= 32:
            break
        q += 1
    return p, NO_TAG, p, p


@kernel
def bracketed(data: Bytes, p: int, q: int, end: int) -> tuple[int, int, int, int]:
    """The same for a tag at ``p`` whose bracket opens at ``q``."""
    r = q + 1
    while r < end and data[r] > 32 and data[r] != 91 and data[r] != 93:
        r += 1
    if q > p and r < end and r > q + 1:
        if data[r] == 93:
            if r + 1 < end and data[r + 1] == 58:
                return r + 2, PID_COLON, q, r
            if r + 1 == end or data[r + 1] == 32:
                return r + 1, PID, q, r
        elif data[r] == 32 and r - p == _CUT_TAG:
            return r, PID, q, r
    return p, NO_TAG, p, p


@kernel
def joined(data: Bytes, p: int, q: int, end: int) -> tuple[int, int, int, int]:
    """The same for a tag at ``p`` in whose word more follows the colon at ``q``: ``app:text``, or ``slice:app[procid]:`` whole.

    The app is a plain name, and no digit, slash or backslash follows it: no address, time, URL, path, nor ``CEF:0|``.
    """
    if not is_letter(data[p]) and data[p] != 37:
        return p, NO_TAG, p, p
    for k in range(p, q):
        if not is_plain(data[k]):
            return p, NO_TAG, p, p
    c = data[q + 1]
    if (c >= 48 and c <= 57) or c == 47 or c == 92:
        return p, NO_TAG, p, p
    bracket = -1
    r = q + 1
    while r < end and data[r] > 32:
        if data[r] == 91 and bracket < 0:
            bracket = r
        r += 1
    if is_address(data, p, r):
        return p, NO_TAG, p, p
    if bracket >= 0:
        after, kind, app, procid = bracketed(data, p, bracket, end)
        if kind == PID_COLON:
            return after, kind, app, procid
    return q + 1, COLON, q, q


@kernel
def is_letter(c: int) -> bool:
    return c | 32 >= 97 and c | 32 <= 122


@kernel
def is_plain(c: int) -> bool:
    """A character of the names that programs have."""
    return is_letter(c) or (c >= 45 and c <= 57) or c in (37, 40, 41, 43, 64, 95)


@kernel
def is_address(data: Bytes, p: int, end: int) -> bool:
    """Is ``data[p:end]`` an IPv6 address, with any ``%zone``, or the address of a network card?"""
    in_pairs = True
    colons = 0
    doubled = 0
    dots = 0
    run = 0
    q = p
    while q < end and data[q] != 37:
        c = data[q]
        if c == 58:
            colons += 1
            in_pairs = in_pairs and (q - p) % 3 == 2
            run = 0
            if q + 1 < end and data[q + 1] == 58:
                doubled += 1
        elif c == 46 and colons >= 2:
            dots += 1
            run = 0
        elif (c >= 48 and c <= 57) or (c | 32 >= 97 and c | 32 <= 102):
            run += 1
            if run > 4:
                return False
        else:
            return False
        q += 1
    if doubled > 1 or (dots != 0 and dots != 3) or (q < end and q == end - 1):
        return False
    if in_pairs and colons == 5 and end - p == 17:
        return True
    full = 7 if dots == 0 else 6
    return colons == full or (doubled == 1 and colons <= full)
