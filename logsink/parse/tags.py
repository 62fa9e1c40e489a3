"""TODO."""

from __future__ import annotations

from logsink.ascii import (
    AT,
    BACKSLASH,
    CASE_BIT,
    CLOSING_BRACKET,
    CLOSING_PARENTHESIS,
    COLON,
    DIGIT_0,
    DIGIT_9,
    DOT,
    HYPHEN,
    OPENING_BRACKET,
    OPENING_PARENTHESIS,
    PERCENT,
    PLUS,
    SLASH,
    SMALL_A,
    SMALL_F,
    SPACE,
    UNDERSCORE,
)
from logsink.kernel import Bytes, kernel
from logsink.parse.scanning import is_letter
from logsink.parse.shape import NO_TAG, TAG_BARE_COLON, TAG_COLON, TAG_PID, TAG_PID_COLON

_CUT_TAG = 32  # rsyslog's forward templates cut `tag[pid]:` to the 32 characters of RFC 3164


@kernel
def find_tag(data: Bytes, p: int, end: int) -> tuple[int, int, int, int]:
    """A certain tag at ``p``: where it ends, its kind, where the app ends and where the procid does.

    Certain are ``app:`` and ``app[procid]`` before a space, ``app[procid]:``, a lone ``:``, a tag that was cut inside
    its brackets to 32 characters, and what ``joined`` takes. ``::`` is part of an app's name, a control character of
    none.
    """
    q = p
    while q < end:
        c = data[q]
        if c == COLON:
            if q + 1 == end or data[q + 1] <= SPACE:
                return q + 1, TAG_COLON if q > p else TAG_BARE_COLON, q, q
            if q == p or data[q + 1] != COLON:
                return joined_tag(data, p, q, end)
            q += 1
        elif c == OPENING_BRACKET:
            return bracketed_tag(data, p, q, end)
        elif c <= SPACE:
            break
        q += 1
    return p, NO_TAG, p, p


@kernel
def bracketed_tag(data: Bytes, p: int, q: int, end: int) -> tuple[int, int, int, int]:
    """The same for a tag at ``p`` whose bracket opens at ``q``."""
    r = q + 1
    while r < end and data[r] > SPACE and data[r] != OPENING_BRACKET and data[r] != CLOSING_BRACKET:
        r += 1
    if q > p and r < end and r > q + 1:
        if data[r] == CLOSING_BRACKET:
            if r + 1 < end and data[r + 1] == COLON:
                return r + 2, TAG_PID_COLON, q, r
            if r + 1 == end or data[r + 1] == SPACE:
                return r + 1, TAG_PID, q, r
        elif data[r] == SPACE and r - p == _CUT_TAG:
            return r, TAG_PID, q, r
    return p, NO_TAG, p, p


@kernel
def joined_tag(data: Bytes, p: int, q: int, end: int) -> tuple[int, int, int, int]:
    """The same for a tag at ``p`` in whose word more follows the colon at ``q``: ``app:text``, or
    ``slice:app[procid]:`` whole.

    The app is a plain name, and no digit, slash or backslash follows it: no address, time, URL, path, nor ``CEF:0|``.
    """
    if not is_letter(data[p]) and data[p] != PERCENT:
        return p, NO_TAG, p, p
    for k in range(p, q):
        if not is_program_character(data[k]):
            return p, NO_TAG, p, p
    c = data[q + 1]
    if (DIGIT_0 <= c <= DIGIT_9) or c == SLASH or c == BACKSLASH:
        return p, NO_TAG, p, p
    bracket = -1
    r = q + 1
    while r < end and data[r] > SPACE:
        if data[r] == OPENING_BRACKET and bracket < 0:
            bracket = r
        r += 1
    if is_address(data, p, r):
        return p, NO_TAG, p, p
    if bracket >= 0:
        after, kind, app, procid = bracketed_tag(data, p, bracket, end)
        if kind == TAG_PID_COLON:
            return after, kind, app, procid
    return q + 1, TAG_COLON, q, q


@kernel
def is_program_character(c: int) -> bool:
    """A character of the names that programs have."""
    return (
        is_letter(c)
        or (HYPHEN <= c <= DIGIT_9)
        or c in (PERCENT, OPENING_PARENTHESIS, CLOSING_PARENTHESIS, PLUS, AT, UNDERSCORE)
    )


@kernel
def is_address(data: Bytes, p: int, end: int) -> bool:
    """Is ``data[p:end]`` an IPv6 address, with any ``%zone``, or the address of a network card?"""
    in_pairs = True
    colons = 0
    doubled = 0
    dots = 0
    run = 0
    q = p
    while q < end and data[q] != PERCENT:
        c = data[q]
        if c == COLON:
            colons += 1
            in_pairs = in_pairs and (q - p) % 3 == 2
            run = 0
            if q + 1 < end and data[q + 1] == COLON:
                doubled += 1
        elif c == DOT and colons >= 2:
            dots += 1
            run = 0
        elif (DIGIT_0 <= c <= DIGIT_9) or (SMALL_A <= c | CASE_BIT <= SMALL_F):
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
