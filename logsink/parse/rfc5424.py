"""The fields of a head, as kernels that strict and loose rows share; ``heads`` puts those of RFC 3164 together.

Each writes the spans it found into row ``i`` of ``spans`` (``shape.SPANS`` columns, -1 before) and returns shape bits.
"""

from __future__ import annotations

from logsink.ascii import BACKSLASH, CLOSING_BRACKET, DELETE, EQUALS, HYPHEN, OPENING_BRACKET, QUOTE, SPACE
from logsink.flags import Flag
from logsink.kernel import Bytes, Grid32, kernel
from logsink.parse.scanning import find_space, put_span, skip_spaces
from logsink.parse.shape import FORMAT, MESSAGE, RFC5424, SD, WITH_BOM, WITH_FIELD, WITH_MESSAGE, WITHOUT_SD

SD_INVALID = int(Flag.SD_INVALID)

CUT = 0

NO_SD = 1

WHOLE = 2


@kernel
def is_sd_name(c: int) -> bool:
    """A character of SD-NAME: printable ASCII without ``=``, ``]``, ``"`` and space."""
    return c > SPACE and c < DELETE and c != EQUALS and c != CLOSING_BRACKET and c != QUOTE


@kernel
def skip_structured_data(data: Bytes, p: int, end: int) -> int:
    """Where the SD-ELEMENTs that begin at ``p`` end, or -1 where they are malformed (RFC 5424, 6.3).

    Values without quotes are taken up to the bracket that closes their element (VMware), and spaces are not counted.
    """
    while p < end and data[p] == OPENING_BRACKET:
        name = skip_spaces(data, p + 1, end)
        q = name
        while q < end and is_sd_name(data[q]):
            q += 1
        if q == name or q >= end or (data[q] != SPACE and data[q] != CLOSING_BRACKET):
            return -1
        after = skip_spaces(data, q, end)
        if name > p + 1 and after < end and data[after] == CLOSING_BRACKET:  # `[  OK  ] Started` is text
            return -1
        p = skip_parameters(data, q, end)
        if p < 0:
            return -1
    return p


@kernel
def skip_parameters(data: Bytes, p: int, end: int) -> int:
    """Where the element ends whose SD-ID ended at ``p``, or -1."""
    while p < end:
        p = skip_spaces(data, p, end)
        if p < end and data[p] == CLOSING_BRACKET:
            return p + 1
        q = p
        while q < end and is_sd_name(data[q]):
            q += 1
        if q == p or q >= end or data[q] != EQUALS:
            return -1
        p = q + 1
        if p >= end or data[p] != QUOTE:
            return skip_brackets(data, p, end)
        p = skip_quoted(data, p, end)
        if p < 0 or p >= end or (data[p] != SPACE and data[p] != CLOSING_BRACKET):
            return -1
    return -1


@kernel
def skip_quoted(data: Bytes, p: int, end: int) -> int:
    """Where the string ends whose opening quote is at ``p``, or -1. A backslash hides ``"``, ``]`` and itself only."""
    p += 1
    while p < end:
        c = data[p]
        if c == QUOTE:
            return p + 1
        if (
            c == BACKSLASH
            and p + 1 < end
            and (data[p + 1] == QUOTE or data[p + 1] == BACKSLASH or data[p + 1] == CLOSING_BRACKET)
        ):
            p += 1
        p += 1
    return -1


@kernel
def skip_brackets(data: Bytes, p: int, end: int) -> int:
    """Where the bracket ends that matches the one open at ``p``, or -1; brackets within quotes after ``=`` do not
    count."""
    depth = 1
    while p < end:
        c = data[p]
        if c == OPENING_BRACKET:
            depth += 1
        elif c == CLOSING_BRACKET:
            depth -= 1
            if depth == 0:
                return p + 1
        elif c == QUOTE and data[p - 1] == EQUALS:
            p = skip_quoted(data, p, end) - 1
            if p < 0:
                return -1
        p += 1
    return -1


@kernel
def read_rfc5424(data: Bytes, p: int, end: int, spans: Grid32, i: int) -> tuple[int, int, int]:
    """From the HOSTNAME of RFC 5424 at ``p`` to the end: shape bits (0: irregular), flags, and how much there is of it.

    That is WHOLE, NO_SD where something else stands in the place of structured data, or CUT where the frame ends before
    it.
    """
    bits = RFC5424
    for field in range(SD):
        if p >= end:
            return 0, 0, CUT
        q = find_space(data, p, end)
        if q == p:
            bits &= ~FORMAT
        elif q - p > 1 or data[p] != HYPHEN:
            put_span(spans, i, field, p, q)
            bits |= 1 << WITH_FIELD + field
        if q >= end:
            return 0, 0, CUT
        p = q + 1
    if p >= end:
        return 0, 0, CUT
    flags = 0
    whole = WHOLE
    after = p
    if data[p] == HYPHEN:
        after = p + 1
    elif data[p] == OPENING_BRACKET:
        after = skip_structured_data(data, p, end)
    if after > p and (after == end or data[after] == SPACE):
        if data[p] == OPENING_BRACKET:
            put_span(spans, i, SD, p, after)
            bits |= 1 << WITH_FIELD + SD
        if after == end:
            return known_format(bits), 0, WHOLE
        p = after + 1
    else:
        bits |= WITHOUT_SD
        whole = NO_SD
        if data[p] == OPENING_BRACKET:
            flags = SD_INVALID
    if p + 3 <= end and data[p] == 0xEF and data[p + 1] == 0xBB and data[p + 2] == 0xBF:
        bits |= WITH_BOM
        p += 3
    put_span(spans, i, MESSAGE, p, end)
    return known_format(bits | WITH_MESSAGE), flags, whole


@kernel
def known_format(bits: int) -> int:
    """The bits, or 0 when they name no format any more."""
    return bits if bits & FORMAT else 0
