"""The head of RFC 3164 behind its time, as kernels that strict and loose rows share: host, tag, message.

``legacy`` reads it for both. ``rules`` is the version of the parsing rules; what only version 2 reads is in
``devices``.
"""

from __future__ import annotations

from logsink.ascii import COLON, HYPHEN, OPENING_BRACKET, SMALL_A, SMALL_Z, SPACE, TAB
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
from logsink.parse.text import BOM

_FORWARDED = b"Message forwarded from "

_FROM = b"From "

_REPEATED = b"last message repeated "

_DEVICE = b" : %"  # Cisco ASA with a device id: `host : %ASA-6-302015: `


@kernel
def read_rfc3164(data: Bytes, p: int, end: int, received: int, zone: ReadI64, rules: int, spans: Grid32, i: int) -> int:
    """From the word after a time to the end: host, tag, message. Shape bits (0: irregular)."""
    word = skip_blanks(data, p, end) if rules >= 2 and data[p - 1] == TAB else skip_spaces(data, p, end)
    if word == p or word == end:
        return read_from_host(data, p, end, received, zone, rules, spans, i)
    read_from_host(data, word, end, received, zone, rules, spans, i)
    return 0


@kernel
def read_from_host(
    data: Bytes, p: int, end: int, received: int, zone: ReadI64, rules: int, spans: Grid32, i: int
) -> int:
    """The same, from the host on."""
    bits = RFC3164
    if begins_with(data, p, end, _REPEATED):
        return bits | read_from_tag(data, p, end, rules, spans, i)
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
    q = p
    while (
        q < end
        and data[q] != SPACE
        and data[q] != COLON
        and data[q] != OPENING_BRACKET
        and (rules < 2 or data[q] != TAB)
    ):
        q += 1
    if q < end and data[q] != SPACE and data[q] != TAB:
        _, kind, _, _ = find_tag(data, p, end)
        q = find_space(data, q, end)
        if kind != NO_TAG or q == end or not is_address(data, p, q):
            return bits | read_without_host(data, p, end, received, zone, rules, spans, i)
    nil = q - p == 1 and data[p] == HYPHEN
    if q == end:
        return 0 if nil else bits | read_from_tag(data, p, end, rules, spans, i)
    if q == p:
        return bits | read_from_tag(data, p, end, rules, spans, i)
    if rules >= 2 and not is_host(data, p, q):
        return bits | read_without_host(data, p, end, received, zone, rules, spans, i)
    if nil:
        bits |= HOST_NIL << HOST_STYLE
    else:
        put_span(spans, i, HOST, p, q)
        bits |= 1 << WITH_FIELD + HOST
    if rules >= 2:
        return bits | read_behind_host(data, q, end, received, zone, rules, spans, i)
    if begins_with(data, q, end, _DEVICE):
        read_from_tag(data, q + 3, end, rules, spans, i)
        return 0
    if (
        q + 1 < end and data[q + 1] == SPACE
    ):  # only `app[procid]:` is certain then: an empty tag leaves two spaces as well
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
    """From a word at ``p`` that is no host by itself to the end, shape bits without a format: tag, or what devices
    send."""
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
    """From the blank behind a host at ``p`` to the end, shape bits without a format.

    Behind two spaces only ``app[procid]:`` and a mnemonic are certain: an empty tag leaves two spaces as well. A tab
    behind a space belongs to the message: lines of a stack trace begin with one.
    """
    word = p + 1
    c = data[word] if word < end else SPACE
    if (
        data[p] == SPACE and SMALL_A <= c <= SMALL_Z
    ):  # nearly all there is: no counter, node or mnemonic begins with such a letter
        after, kind, app, procid = find_tag(data, word, end)
        if kind != NO_TAG and (kind != TAG_COLON or not (is_model(data, word, after) or is_task(data, after + 1, end))):
            return put_tag_and_message(data, word, after, kind, app, procid, end, rules, spans, i)
        if kind == NO_TAG:
            q = skip_marks(data, word, end)
            return read_from_tag(data, q if q != NONE else word, end, rules, spans, i)
    tab = data[p] == TAB
    word = skip_blanks(data, p, end) if tab else skip_spaces(data, p, end)
    if word == end:
        return read_from_tag(data, p + 1, end, rules, spans, i)
    q, _, _ = read_preface(data, word, end, False, received, zone, rules, spans, i)
    if q != NONE:
        return read_from_tag(data, q, end, rules, spans, i)
    after, kind, _, _ = find_tag(data, word, end)
    if kind == NO_TAG or (kind == TAG_COLON and is_model(data, word, after)):
        q = skip_marks(data, word, end)
        if q != NONE:
            return read_from_tag(data, q, end, rules, spans, i)
    if word > p + 1 or tab:
        if kind == TAG_PID_COLON or (kind == TAG_COLON and (tab or is_mnemonic(data, word, end, True))):
            return read_from_tag(data, word, end, rules, spans, i)
        if tab:
            put_span(spans, i, MESSAGE, word, end)
            return WITH_MESSAGE
    return read_from_tag(data, p + 1, end, rules, spans, i)


@kernel
def read_from_tag(data: Bytes, p: int, end: int, rules: int, spans: Grid32, i: int) -> int:
    """Tag, if there is a certain one at ``p``, and message: shape bits without a format. A BOM before either is passed
    over.

    What is passed over here and in ``behind`` makes the shape one that the prover refuses: fields no longer meet.
    """
    if rules >= 2:
        while begins_with(data, p, end, BOM):
            p += 3
    q, kind, app, procid = find_tag(data, p, end)
    return put_tag_and_message(data, p, q, kind, app, procid, end, rules, spans, i)


@kernel
def put_tag_and_message(
    data: Bytes, p: int, q: int, kind: int, app: int, procid: int, end: int, rules: int, spans: Grid32, i: int
) -> int:
    """The same, of the tag that ``tag`` found at ``p``."""
    if kind != NO_TAG and kind != TAG_BARE_COLON:
        put_value(data, spans, i, APP, p, app)
        if kind != TAG_COLON:
            put_value(data, spans, i, PROCID, app + 1, procid)
    if q == end and q > p:
        return kind << TAG_STYLE
    if rules >= 2 and kind != NO_TAG and data[min(q + 1, end - 1)] >= 0x80:
        word = skip_spaces(data, q, end)
        while begins_with(data, word, end, BOM):
            word += 3
            q = word
    put_span(spans, i, MESSAGE, q, end)
    return kind << TAG_STYLE | WITH_MESSAGE
