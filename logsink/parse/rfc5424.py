"""RFC 5424 behind its TIMESTAMP, as kernels: HOSTNAME, APP-NAME, PROCID, MSGID, STRUCTURED-DATA and MSG."""

from __future__ import annotations

from logsink.ascii import BACKSLASH, CLOSING_BRACKET, DELETE, EQUALS, HYPHEN, OPENING_BRACKET, QUOTE, SPACE
from logsink.flags import Flag
from logsink.kernel import Bytes, Grid32, kernel
from logsink.parse.scanning import NONE, begins_with, find_space, put_span, skip_spaces
from logsink.parse.shape import FORMAT, MESSAGE, RFC5424, SD, WITH_BOM, WITH_FIELD, WITH_MESSAGE, WITHOUT_SD
from logsink.parse.utf8 import BOM

SD_INVALID = int(Flag.SD_INVALID)

# How much there is of a head, as ``read_rfc5424`` says.
CUT = 0  # the frame ends before the structured data
NO_SD = 1  # something else stands in the place of structured data
WHOLE = 2


@kernel
def is_sd_name(c: int) -> bool:
    """Tell whether ``c`` may be in an SD-NAME (RFC 5424, 6.3.2): printable ASCII but ``=``, ``]``, ``"``, space."""
    return c > SPACE and c < DELETE and c != EQUALS and c != CLOSING_BRACKET and c != QUOTE


@kernel
def skip_structured_data(data: Bytes, p: int, end: int) -> int:
    """Return where the SD-ELEMENTs that begin at ``p`` end, or NONE where they are malformed (RFC 5424, 6.3).

    A value without quotes reaches up to the bracket that closes its element (VMware), and any number of spaces may
    stand between parameters. `[  OK  ] Started` is text.
    """
    while p < end and data[p] == OPENING_BRACKET:
        # SD-ID, and what may follow it.
        name = skip_spaces(data, p + 1, end)
        q = name
        while q < end and is_sd_name(data[q]):
            q += 1
        if q == name or q >= end or (data[q] != SPACE and data[q] != CLOSING_BRACKET):
            return NONE
        # A space before the SD-ID and none of its parameters: text in brackets.
        after = skip_spaces(data, q, end)
        if name > p + 1 and after < end and data[after] == CLOSING_BRACKET:
            return NONE
        p = skip_parameters(data, q, end)
        if p < 0:
            return NONE
    return p


@kernel
def skip_parameters(data: Bytes, p: int, end: int) -> int:
    """Return where the element ends whose SD-ID ended at ``p``, or NONE."""
    while p < end:
        p = skip_spaces(data, p, end)
        if p < end and data[p] == CLOSING_BRACKET:
            return p + 1
        # PARAM-NAME and `=`.
        q = p
        while q < end and is_sd_name(data[q]):
            q += 1
        if q == p or q >= end or data[q] != EQUALS:
            return NONE
        p = q + 1
        # PARAM-VALUE, in quotes or without.
        if p >= end or data[p] != QUOTE:
            return skip_brackets(data, p, end)
        p = skip_quoted(data, p, end)
        if p < 0 or p >= end or (data[p] != SPACE and data[p] != CLOSING_BRACKET):
            return NONE
    return NONE


@kernel
def skip_quoted(data: Bytes, p: int, end: int) -> int:
    """Return where the string ends whose opening quote is at ``p``, or NONE.

    A backslash hides ``"``, ``]`` and itself, and stands for itself before anything else (RFC 5424, 6.3.3).
    """
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
    return NONE


@kernel
def skip_brackets(data: Bytes, p: int, end: int) -> int:
    """Return where the bracket ends that closes the one before ``p``, or NONE.

    Brackets within a quoted value do not count.
    """
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
                return NONE
        p += 1
    return NONE


@kernel
def read_rfc5424(data: Bytes, p: int, end: int, spans: Grid32, i: int) -> tuple[int, int, int]:
    """Read from the HOSTNAME of RFC 5424 at ``p`` to the end: shape bits, flags, how much of a head there is.

    That is WHOLE, NO_SD or CUT. Spans of fields are written as they are found, also where the head is cut.
    """
    bits = RFC5424
    # Four words. Two spaces in a row leave an empty one, and no template says that: the format is taken back.
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
    # Structured data: `-`, elements, or neither. It counts only if a space or the end of the frame follows it.
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
    # The message, without its byte order mark.
    if begins_with(data, p, end, BOM):
        bits |= WITH_BOM
        p += len(BOM)
    put_span(spans, i, MESSAGE, p, end)
    return known_format(bits | WITH_MESSAGE), flags, whole


@kernel
def known_format(bits: int) -> int:
    """Return ``bits``, or 0 where they name no format any more."""
    return bits if bits & FORMAT else 0
