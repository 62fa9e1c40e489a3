"""RFC 3164 behind its TIMESTAMP, as kernels: HOSTNAME, TAG and CONTENT, and what senders make of them.

Both passes read it with ``read_rfc3164``. ``rules`` is the version of the parsing rules; what only version 2 reads is
in ``devices``. "Without a format" says of shape bits that the caller adds RFC3164 to them.
"""

from __future__ import annotations

from logsink.ascii import COLON, HYPHEN, NOT_ASCII, OPENING_BRACKET, SMALL_A, SMALL_Z, SPACE, TAB
from logsink.kernel import Bytes, Grid32, ReadI64, kernel
from logsink.parse.devices import is_host, is_mnemonic, is_model, is_task, read_pairs, read_preface, skip_marks
from logsink.parse.scanning import NONE, begins_with, find_space, put_span, put_value, skip_blanks, skip_spaces
from logsink.parse.shape import (
    APP,
    HOST,
    HOST_FORWARDED,
    HOST_FROM,
    HOST_NIL,
    HOST_STYLE,
    MESSAGE,
    NO_TAG,
    PROCID,
    RFC3164,
    TAG_BARE_COLON,
    TAG_COLON,
    TAG_PID_COLON,
    TAG_STYLE,
    WITH_FIELD,
    WITH_MESSAGE,
)
from logsink.parse.tags import find_tag, is_address
from logsink.parse.utf8 import BOM

_FORWARDED = b"Message forwarded from "
_FROM = b"From "
_REPEATED = b"last message repeated "
_DEVICE = b" : %"  # Cisco ASA with a device id: `host : %ASA-6-302015: `


@kernel
def read_rfc3164(data: Bytes, p: int, end: int, received: int, zone: ReadI64, rules: int, spans: Grid32, i: int) -> int:
    """Read from the word behind a time at ``p`` to the end: host, tag, message. Returns shape bits (0: irregular)."""
    # More than one blank, or nothing but blanks, cannot be written again.
    word = skip_blanks(data, p, end) if rules >= 2 and data[p - 1] == TAB else skip_spaces(data, p, end)
    if word == p or word == end:
        return read_from_host(data, p, end, received, zone, rules, spans, i)
    read_from_host(data, word, end, received, zone, rules, spans, i)
    return 0


@kernel
def read_from_host(
    data: Bytes, p: int, end: int, received: int, zone: ReadI64, rules: int, spans: Grid32, i: int
) -> int:
    """Read from a host, or what stands in its place, at ``p`` to the end. Returns shape bits (0: irregular)."""
    bits = RFC3164
    if begins_with(data, p, end, _REPEATED):
        return bits | read_from_tag(data, p, end, rules, spans, i)
    # AIX: `Message forwarded from host: ` and `From host: `.
    forwarded = 0
    if begins_with(data, p, end, _FORWARDED):
        forwarded = len(_FORWARDED)
    elif begins_with(data, p, end, _FROM):
        forwarded = len(_FROM)
    if forwarded > 0:
        q = find_space(data, p + forwarded, end)
        if q < end and q - 1 > p + forwarded and data[q - 1] == COLON:
            put_span(spans, i, HOST, p + forwarded, q - 1)
            bits |= (HOST_FORWARDED if forwarded == len(_FORWARDED) else HOST_FROM) << HOST_STYLE
            return bits | read_from_tag(data, q + 1, end, rules, spans, i)
    # The word up to a blank, a colon or a bracket.
    q = p
    while (
        q < end
        and data[q] != SPACE
        and data[q] != COLON
        and data[q] != OPENING_BRACKET
        and (rules < 2 or data[q] != TAB)
    ):
        q += 1
    # A colon or a bracket ended it: it is no host, unless it is an address and no tag.
    if q < end and data[q] != SPACE and data[q] != TAB:
        _, kind, _, _ = find_tag(data, p, end)
        q = find_space(data, q, end)
        if kind != NO_TAG or q == end or not is_address(data, p, q):
            return bits | read_without_host(data, p, end, received, zone, rules, spans, i)
    # `-`, nothing, and a single word to the end of the frame.
    nil = q - p == 1 and data[p] == HYPHEN
    if q == end:
        return 0 if nil else bits | read_from_tag(data, p, end, rules, spans, i)
    if q == p:
        return bits | read_from_tag(data, p, end, rules, spans, i)
    # It is a host if it looks like one.
    if rules >= 2 and not is_host(data, p, q):
        return bits | read_without_host(data, p, end, received, zone, rules, spans, i)
    if nil:
        bits |= HOST_NIL << HOST_STYLE
    else:
        put_span(spans, i, HOST, p, q)
        bits |= 1 << WITH_FIELD + HOST
    if rules >= 2:
        return bits | read_behind_host(data, q, end, received, zone, rules, spans, i)
    # What follows the host: version 1 of the rules knows two ways besides the usual.
    if begins_with(data, q, end, _DEVICE):
        read_from_tag(data, q + len(_DEVICE) - 1, end, rules, spans, i)
        return 0
    # Behind two spaces only `app[procid]:` is certain: an empty tag leaves two spaces as well.
    if q + 1 < end and data[q + 1] == SPACE:
        word = skip_spaces(data, q, end)
        _, kind, _, _ = find_tag(data, word, end)
        if kind == TAG_PID_COLON:
            read_from_tag(data, word, end, rules, spans, i)
            return 0
    return bits | read_from_tag(data, q + 1, end, rules, spans, i)


@kernel
def read_without_host(
    data: Bytes, p: int, end: int, received: int, zone: ReadI64, rules: int, spans: Grid32, i: int
) -> int:
    """Read from a word at ``p`` that is no host by itself to the end. Returns shape bits without a format.

    It is a tag, or what devices send: only version 2 of the parsing rules looks for that.
    """
    if rules >= 2:
        q, _, _ = read_preface(data, p, end, True, received, zone, rules, spans, i)
        if q == NONE:
            q = skip_marks(data, p, end)
        if q != NONE:
            return read_from_tag(data, q, end, rules, spans, i)
        _, _, _, host, last = read_pairs(data, p, end, received, zone)
        if host != NONE:
            put_span(spans, i, HOST, host, last)
    return read_from_tag(data, p, end, rules, spans, i)


@kernel
def read_behind_host(
    data: Bytes, p: int, end: int, received: int, zone: ReadI64, rules: int, spans: Grid32, i: int
) -> int:
    """Read from the blank behind a host at ``p`` to the end: shape bits without a format.

    Only version 2 of the parsing rules reads it so.

    Behind two spaces only ``app[procid]:`` and a mnemonic are certain: an empty tag leaves two spaces as well. A tab
    behind a space belongs to the message: lines of a stack trace begin with one.
    """
    word = p + 1
    c = data[word] if word < end else SPACE
    # Nearly always a small letter follows: no counter, node or mnemonic begins with one.
    if data[p] == SPACE and SMALL_A <= c <= SMALL_Z:
        after, kind, app, procid = find_tag(data, word, end)
        if kind != NO_TAG and (kind != TAG_COLON or not (is_model(data, word, after) or is_task(data, after + 1, end))):
            return put_tag_and_message(data, word, after, kind, app, procid, end, rules, spans, i)
        if kind == NO_TAG:
            q = skip_marks(data, word, end)
            return read_from_tag(data, q if q != NONE else word, end, rules, spans, i)
    # Blanks, then perhaps what Cisco puts before a mnemonic.
    tab = data[p] == TAB
    word = skip_blanks(data, p, end) if tab else skip_spaces(data, p, end)
    if word == end:
        return read_from_tag(data, p + 1, end, rules, spans, i)
    q, _, _ = read_preface(data, word, end, False, received, zone, rules, spans, i)
    if q != NONE:
        return read_from_tag(data, q, end, rules, spans, i)
    # No tag at once: perhaps marks stand before one.
    after, kind, _, _ = find_tag(data, word, end)
    if kind == NO_TAG or (kind == TAG_COLON and is_model(data, word, after)):
        q = skip_marks(data, word, end)
        if q != NONE:
            return read_from_tag(data, q, end, rules, spans, i)
    # Behind more than one blank only some tags are certain.
    if word > p + 1 or tab:
        if kind == TAG_PID_COLON or (kind == TAG_COLON and (tab or is_mnemonic(data, word, end, True))):
            return read_from_tag(data, word, end, rules, spans, i)
        if tab:
            put_span(spans, i, MESSAGE, word, end)
            return WITH_MESSAGE
    return read_from_tag(data, p + 1, end, rules, spans, i)


@kernel
def read_from_tag(data: Bytes, p: int, end: int, rules: int, spans: Grid32, i: int) -> int:
    """Read a tag, if there is a certain one at ``p``, and the message behind it. Returns shape bits without a format.

    A byte order mark before either is passed over. What is passed over here and in ``read_behind_host`` leaves a gap
    between fields, so that the prover refuses the shape.
    """
    if rules >= 2:
        while begins_with(data, p, end, BOM):
            p += len(BOM)
    q, kind, app, procid = find_tag(data, p, end)
    return put_tag_and_message(data, p, q, kind, app, procid, end, rules, spans, i)


@kernel
def put_tag_and_message(
    data: Bytes, p: int, q: int, kind: int, app: int, procid: int, end: int, rules: int, spans: Grid32, i: int
) -> int:
    """Note the message and the tag that ``find_tag`` found at ``p``; returns as ``read_from_tag``."""
    if kind != NO_TAG and kind != TAG_BARE_COLON:
        put_value(data, spans, i, APP, p, app)
        if kind != TAG_COLON:
            put_value(data, spans, i, PROCID, app + 1, procid)
    # A tag at the end of the frame has no message; no tag at all has an empty one.
    if q == end and q > p:
        return kind << TAG_STYLE
    # Spaces and byte order marks between tag and message are passed over; spaces alone belong to the message.
    if rules >= 2 and kind != NO_TAG and data[min(q + 1, end - 1)] >= NOT_ASCII:
        word = skip_spaces(data, q, end)
        while begins_with(data, word, end, BOM):
            word += len(BOM)
            q = word
    put_span(spans, i, MESSAGE, q, end)
    return kind << TAG_STYLE | WITH_MESSAGE
