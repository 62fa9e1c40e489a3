"""UTF-8 in kernels: whether text is valid, and U+FFFD for what is not, as Python's ``errors="replace"`` does it."""

from __future__ import annotations

from logsink.ascii import NOT_ASCII
from logsink.flags import Flag
from logsink.kernel import I32, U8, Bytes, ReadI32, ReadI64, copy, kernel, word

NOT_UTF8 = int(Flag.NOT_UTF8)

BOM = b"\xef\xbb\xbf"
"""The byte order mark."""

# Bytes of UTF-8 (Unicode 3.9, table 3-7).
_FIRST_LEAD = (
    0xC2  # the first that begins a character of several bytes; 0x80 to 0xBF continue one, 0xC0 and 0xC1 begin none
)
_LEAD_OF_3 = 0xE0  # the first that begins a character of three bytes
_LEAD_OF_4 = 0xF0
_LAST_LEAD = 0xF4
_LEAD_OF_SURROGATES = 0xED
_FIRST_CONTINUATION = 0x80
_LAST_CONTINUATION = 0xBF
_CONTINUATION_BITS = 0xC0  # of a byte: 0x80 in one that continues a character
_HIGH_BITS = 0x0080808080808080  # of seven bytes: ``word`` leaves the highest bit of the eighth out
_REPLACEMENT = b"\xef\xbf\xbd"  # U+FFFD


@kernel
def character_length(data: Bytes, p: int, end: int) -> int:
    """Return the bytes of the character at ``p``, or, negative, how many bytes of one are there before it goes wrong.

    Those are what one U+FFFD replaces (Unicode 3.9, "maximal subpart").
    """
    lead = data[p]
    if lead < NOT_ASCII:
        return 1
    if lead < _FIRST_LEAD or lead > _LAST_LEAD:
        return -1
    # The second byte has a narrower range behind some leads: no longer form than needed, no surrogates, nothing beyond
    # U+10FFFF.
    low = _FIRST_CONTINUATION
    high = _LAST_CONTINUATION
    if lead == _LEAD_OF_3:
        low = 0xA0
    elif lead == _LEAD_OF_SURROGATES:
        high = 0x9F
    elif lead == _LEAD_OF_4:
        low = 0x90
    elif lead == _LAST_LEAD:
        high = 0x8F
    if p + 1 >= end or data[p + 1] < low or data[p + 1] > high:
        return -1
    length = 2 if lead < _LEAD_OF_3 else 3 if lead < _LEAD_OF_4 else 4
    for k in range(2, length):
        if p + k >= end or data[p + k] & _CONTINUATION_BITS != _FIRST_CONTINUATION:
            return -k
    return length


@kernel
def is_valid(data: Bytes, start: int, end: int) -> bool:
    """Tell whether ``data[start:end]`` is UTF-8."""
    p = start
    while p < end:
        # Eight bytes of ASCII at a time, then a character.
        while p + 8 <= end and word(data, p) & _HIGH_BITS == 0 and data[p + 7] < NOT_ASCII:
            p += 8
        if p >= end:
            break
        length = character_length(data, p, end)
        if length < 0:
            return False
        p += length
    return True


@kernel
def mark_frames(data: Bytes, offsets: ReadI32, flags: I32) -> int:
    """Set NOT_UTF8 in the flags of every frame that is not UTF-8. Returns how many.

    Frame i is ``data[offsets[i]:offsets[i + 1]]``.
    """
    found = 0
    for i in range(len(flags)):
        if not is_valid(data, offsets[i], offsets[i + 1]):
            flags[i] |= NOT_UTF8
            found += 1
    return found


@kernel
def mark_texts(data: Bytes, starts: ReadI32, ends: ReadI32, flags: I32) -> int:
    """Set NOT_UTF8 in the flags of every text that is not UTF-8. Returns how many.

    Text i is ``data[starts[i]:ends[i]]``.
    """
    found = 0
    for i in range(len(flags)):
        if not is_valid(data, starts[i], ends[i]):
            flags[i] |= NOT_UTF8
            found += 1
    return found


@kernel
def replaced_length(data: Bytes, start: int, end: int) -> int:
    """Return the bytes of ``data[start:end]`` after replacement."""
    p = start
    total = 0
    while p < end:
        length = character_length(data, p, end)
        total += length if length > 0 else len(_REPLACEMENT)
        p += abs(length)
    return total


@kernel
def write_replaced(data: Bytes, start: int, end: int, out: U8, at: int) -> int:
    """Write ``data[start:end]`` to ``out[at]`` with U+FFFD for what is not UTF-8. Returns where the writing ended."""
    p = start
    while p < end:
        length = character_length(data, p, end)
        if length > 0:
            for k in range(length):
                out[at + k] = data[p + k]
            at += length
        else:
            for k in range(len(_REPLACEMENT)):
                out[at + k] = _REPLACEMENT[k]
            at += len(_REPLACEMENT)
        p += abs(length)
    return at


@kernel
def measure(
    data: Bytes, starts: ReadI32, ends: ReadI32, flags: ReadI32, order: ReadI64, offsets: I32, limit: int
) -> int:
    """Find the offsets at which the texts of rows ``order`` stand when they are laid end to end.

    Text i is ``data[starts[i]:ends[i]]``, and absent where ``starts[i]`` is negative; what is not UTF-8 is replaced in
    those flagged NOT_UTF8. Returns how many rows fit into ``limit`` bytes; offsets behind them are not written.
    """
    at = 0
    offsets[0] = 0
    for k in range(len(order)):
        i = order[k]
        if starts[i] >= 0:
            if flags[i] & NOT_UTF8:
                at += replaced_length(data, starts[i], ends[i])
            else:
                at += ends[i] - starts[i]
        if at > limit:
            return k
        offsets[k + 1] = at
    return len(order)


@kernel
def gather(
    data: Bytes, starts: ReadI32, ends: ReadI32, flags: ReadI32, order: ReadI64, offsets: ReadI32, out: U8
) -> int:
    """Write the texts that ``measure`` measured to ``out``. Returns how many are present."""
    present = 0
    for k in range(len(order)):
        i = order[k]
        start = starts[i]
        if start < 0:
            continue
        present += 1
        if flags[i] & NOT_UTF8:
            write_replaced(data, start, ends[i], out, offsets[k])
        else:
            copy(out, offsets[k], data, start, ends[i] - start)
    return present
