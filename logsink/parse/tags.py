"""The tag of RFC 3164 as kernels: the program, its process, and what ends them (``app:``, ``app[procid]:``).

RFC 3164 (4.1.3) only says that a tag ends at the first character that is not alphanumeric. What senders make of that is
told here from text that merely looks like a tag.
"""

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
from logsink.parse.scanning import NONE, is_letter
from logsink.parse.shape import NO_TAG, TAG_BARE_COLON, TAG_COLON, TAG_PID, TAG_PID_COLON

_CARD = 17  # bytes of the address of a network card, `00:11:22:aa:bb:cc`
_CUT_TAG = 32  # characters: rsyslog's forward templates cut `tag[pid]:` to the 32 characters of RFC 3164


@kernel
def find_tag(data: Bytes, p: int, end: int) -> tuple[int, int, int, int]:
    """Find a certain tag at ``p``: where it ends (``p`` for none), its kind, where the app and the procid end.

    Certain are ``app:`` and ``app[procid]`` before a space, ``app[procid]:``, a lone ``:``, a tag that was cut within
    its brackets, and what ``joined_tag`` finds. ``::`` is part of an app's name; a control character is not.
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
    """Find the tag that begins at ``p`` and whose bracket opens at ``q``; returns as ``find_tag``."""
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
    """Find a tag at ``p`` in whose word more follows the colon at ``q``; returns as ``find_tag``.

    That is ``app:text``, or ``slice:app[procid]:`` as a whole. The app is a plain name, and no digit, slash or
    backslash follows the colon: so it is no address, time, URL, path, nor ``CEF:0|``.
    """
    if not is_letter(data[p]) and data[p] != PERCENT:
        return p, NO_TAG, p, p
    for k in range(p, q):
        if not is_program_character(data[k]):
            return p, NO_TAG, p, p
    # What must not follow the colon.
    c = data[q + 1]
    if (DIGIT_0 <= c <= DIGIT_9) or c == SLASH or c == BACKSLASH:
        return p, NO_TAG, p, p
    # The rest of the word: an address, or another tag with a procid.
    bracket = NONE
    r = q + 1
    while r < end and data[r] > SPACE:
        if data[r] == OPENING_BRACKET and bracket == NONE:
            bracket = r
        r += 1
    if is_address(data, p, r):
        return p, NO_TAG, p, p
    if bracket != NONE:
        after, kind, app, procid = bracketed_tag(data, p, bracket, end)
        if kind == TAG_PID_COLON:
            return after, kind, app, procid
    return q + 1, TAG_COLON, q, q


@kernel
def is_program_character(c: int) -> bool:
    """Tell whether ``c`` occurs in the names of programs."""
    return (
        is_letter(c)
        or (HYPHEN <= c <= DIGIT_9)
        or c in (PERCENT, OPENING_PARENTHESIS, CLOSING_PARENTHESIS, PLUS, AT, UNDERSCORE)
    )


@kernel
def is_address(data: Bytes, p: int, end: int) -> bool:
    """Tell whether ``data[p:end]`` is an IPv6 address, with or without ``%zone``, or a network card's address."""
    # Count groups of hexadecimal digits and what stands between them, up to a zone.
    # `in_pairs`: all colons so far have two characters between them.
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
    # At most one `::`, four numbers of IPv4 or none, and something behind `%`.
    if doubled > 1 or (dots != 0 and dots != 3) or (q < end and q == end - 1):
        return False
    # Six pairs are a network card; eight groups, or fewer with `::`, are IPv6; IPv4 at the end stands for two groups.
    if in_pairs and colons == 5 and end - p == _CARD:
        return True
    full = 7 if dots == 0 else 6
    return colons == full or (doubled == 1 and colons <= full)
