"""The head of RFC 3164 behind its time, as kernels that strict and loose rows share: host, tag, message.

``legacy`` reads it for both. ``rules`` is the version of the parsing rules; what only version 2 reads is in ``devices``.
"""

from __future__ import annotations

from logsink.kernel import Bytes, Grid32, ReadI32, ReadI64, kernel
from logsink.parse.clock import NONE
from logsink.parse.devices import blanks, is_host, is_model, keyed, marked, mnemonic, preface, task
from logsink.parse.fields import begins, is_address, put, put_value, space, spaces, tag
from logsink.parse.shape import (
    APP,
    BARE_COLON,
    COLON,
    FORWARDED,
    FROM,
    HOST,
    LEGACY,
    MESSAGE,
    NIL,
    NO_TAG,
    ORIGIN,
    PID_COLON,
    PROCID,
    TAG,
    WITH_FIELD,
    WITH_MESSAGE,
)

BOM = b"\xef\xbb\xbf"
_FORWARDED = b"Message forwarded from "
_FROM = b"From "
_REPEATED = b"last message repeated "
_DEVICE = b" : %"  # Cisco ASA with a device id: `host : %ASA-6-302015: `


@kernel
def legacy(
    data: Bytes, p: int, end: int, received: int, bounds: ReadI64, zone: ReadI32, rules: int, spans: Grid32, i: int
) -> int:
    """From the word after a time to the end: host, tag, message. Shape bits (0: irregular)."""
    word = blanks(data, p, end) if rules >= 2 and data[p - 1] == 9 else spaces(data, p, end)
    if word == p or word == end:
        return addressed(data, p, end, received, bounds, zone, rules, spans, i)
    addressed(data, word, end, received, bounds, zone, rules, spans, i)
    return 0


@kernel
def addressed(
    data: Bytes, p: int, end: int, received: int, bounds: ReadI64, zone: ReadI32, rules: int, spans: Grid32, i: int
) -> int:
    """The same, from the host on."""
    bits = LEGACY
    if begins(data, p, end, _REPEATED):
        return bits | tagged(data, p, end, rules, spans, i)
    forwarded = 0
    if begins(data, p, end, _FORWARDED):
        forwarded = len(_FORWARDED)
    elif begins(data, p, end, _FROM):
        forwarded = len(_FROM)
    if forwarded > 0:
        q = space(data, p + forwarded, end)
        if q < end and q - 1 > p + forwarded and data[q - 1] == 58:
            put(spans, i, HOST, p + forwarded, q - 1)
            bits |= (FORWARDED if forwarded == len(_FORWARDED) else FROM) << ORIGIN
            return bits | tagged(data, q + 1, end, rules, spans, i)
    q = p
    while q < end and data[q] != 32 and data[q] != 58 and data[q] != 91 and (rules < 2 or data[q] != 9):
        q += 1
    if q < end and data[q] != 32 and data[q] != 9:
        _, kind, _, _ = tag(data, p, end)
        q = space(data, q, end)
        if kind != NO_TAG or q == end or not is_address(data, p, q):
            return bits | nameless(data, p, end, received, bounds, zone, rules, spans, i)
    nil = q - p == 1 and data[p] == 45
    if q == end:
        return 0 if nil else bits | tagged(data, p, end, rules, spans, i)
    if q == p:
        return bits | tagged(data, p, end, rules, spans, i)
    if rules >= 2 and not is_host(data, p, q):
        return bits | nameless(data, p, end, received, bounds, zone, rules, spans, i)
    if nil:
        bits |= NIL << ORIGIN
    else:
        put(spans, i, HOST, p, q)
        bits |= 1 << WITH_FIELD + HOST
    if rules >= 2:
        return bits | behind(data, q, end, received, bounds, zone, rules, spans, i)
    if begins(data, q, end, _DEVICE):
        tagged(data, q + 3, end, rules, spans, i)
        return 0
    if q + 1 < end and data[q + 1] == 32:  # only `app[procid]:` is certain then: an empty tag leaves two spaces as well
        word = spaces(data, q, end)
        _, kind, _, _ = tag(data, word, end)
        if kind == PID_COLON:
            tagged(data, word, end, rules, spans, i)
            return 0
    return bits | tagged(data, q + 1, end, rules, spans, i)


@kernel
def nameless(
    data: Bytes, p: int, end: int, received: int, bounds: ReadI64, zone: ReadI32, rules: int, spans: Grid32, i: int
) -> int:
    """From a word at ``p`` that is no host by itself to the end, shape bits without a format: tag, or what devices send."""
    if rules >= 2:
        q, _, _ = preface(data, p, end, True, received, bounds, zone, rules, spans, i)
        if q == NONE:
            q = marked(data, p, end)
        if q != NONE:
            return tagged(data, q, end, rules, spans, i)
        _, _, _, host, last = keyed(data, p, end, received, bounds, zone)
        if host != NONE:
            put(spans, i, HOST, host, last)
    return tagged(data, p, end, rules, spans, i)


@kernel
def behind(
    data: Bytes, p: int, end: int, received: int, bounds: ReadI64, zone: ReadI32, rules: int, spans: Grid32, i: int
) -> int:
    """From the blank behind a host at ``p`` to the end, shape bits without a format.

    Behind two spaces only ``app[procid]:`` and a mnemonic are certain: an empty tag leaves two spaces as well. A tab behind a
    space belongs to the message: lines of a stack trace begin with one.
    """
    word = p + 1
    c = data[word] if word < end else 32
    if (
        data[p] == 32 and c >= 97 and c <= 122
    ):  # nearly all there is: no counter, node or mnemonic begins with such a letter
        after, kind, app, procid = tag(data, word, end)
        if kind != NO_TAG and (kind != COLON or not (is_model(data, word, after) or task(data, after + 1, end))):
            return named(data, word, after, kind, app, procid, end, rules, spans, i)
        if kind == NO_TAG:
            q = marked(data, word, end)
            return tagged(data, q if q != NONE else word, end, rules, spans, i)
    tab = data[p] == 9
    word = blanks(data, p, end) if tab else spaces(data, p, end)
    if word == end:
        return tagged(data, p + 1, end, rules, spans, i)
    q, _, _ = preface(data, word, end, False, received, bounds, zone, rules, spans, i)
    if q != NONE:
        return tagged(data, q, end, rules, spans, i)
    after, kind, _, _ = tag(data, word, end)
    if kind == NO_TAG or (kind == COLON and is_model(data, word, after)):
        q = marked(data, word, end)
        if q != NONE:
            return tagged(data, q, end, rules, spans, i)
    if word > p + 1 or tab:
        if kind == PID_COLON or (kind == COLON and (tab or mnemonic(data, word, end, True))):
            return tagged(data, word, end, rules, spans, i)
        if tab:
            put(spans, i, MESSAGE, word, end)
            return WITH_MESSAGE
    return tagged(data, p + 1, end, rules, spans, i)


@kernel
def tagged(data: Bytes, p: int, end: int, rules: int, spans: Grid32, i: int) -> int:
    """Tag, if there is a certain one at ``p``, and message: shape bits without a format. A BOM before either is passed over.

    What is passed over here and in ``behind`` makes the shape one that the prover refuses: fields no longer meet.
    """
    if rules >= 2:
        while begins(data, p, end, BOM):
            p += 3
    q, kind, app, procid = tag(data, p, end)
    return named(data, p, q, kind, app, procid, end, rules, spans, i)


@kernel
def named(
    data: Bytes, p: int, q: int, kind: int, app: int, procid: int, end: int, rules: int, spans: Grid32, i: int
) -> int:
    """The same, of the tag that ``tag`` found at ``p``."""
    if kind != NO_TAG and kind != BARE_COLON:
        put_value(data, spans, i, APP, p, app)
        if kind != COLON:
            put_value(data, spans, i, PROCID, app + 1, procid)
    if q == end and q > p:
        return kind << TAG
    if rules >= 2 and kind != NO_TAG and data[min(q + 1, end - 1)] >= 0x80:
        word = spaces(data, q, end)
        while begins(data, word, end, BOM):
            word += 3
            q = word
    put(spans, i, MESSAGE, q, end)
    return kind << TAG | WITH_MESSAGE
