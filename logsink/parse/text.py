"""UTF-8 in kernels: is it valid, and what replaces what is not (the same as Python's ``errors="replace"``)."""

from __future__ import annotations

from logsink.flags import Flag
from logsink.kernel import I32, U8, Bytes, ReadI32, ReadI64, copy, kernel, word

NOT_UTF8 = int(Flag.NOT_UTF8)
BOM = b"\xef\xbb\xbf"
_HIGH = 0x0080808080808080


@kernel
def sequence(data: Bytes, p: int, end: int) -> int:
    """Length of the character at ``p``; negative: length of the longest beginning of one that goes wrong (Unicode
    3.9)."""
    b = data[p]
    if b < 0x80:
        return 1
    if b < 0xC2 or b > 0xF4:
        return -1
    low = 0x80
    high = 0xBF
    if b == 0xE0:
        low = 0xA0
    elif b == 0xED:
        high = 0x9F
    elif b == 0xF0:
        low = 0x90
    elif b == 0xF4:
        high = 0x8F
    if p + 1 >= end or data[p + 1] < low or data[p + 1] > high:
        return -1
    length = 2 if b < 0xE0 else 3 if b < 0xF0 else 4
    for k in range(2, length):
        if p + k >= end or data[p + k] & 0xC0 != 0x80:
            return -k
    return length


@kernel
def valid(data: Bytes, start: int, end: int) -> bool:
    """Is ``data[start:end]`` UTF-8?"""
    p = start
    while p < end:
        while p + 8 <= end and word(data, p) & _HIGH == 0 and data[p + 7] < 0x80:
            p += 8
        if p >= end:
            break
        length = sequence(data, p, end)
        if length < 0:
            return False
        p += length
    return True


@kernel
def mark(data: Bytes, offsets: ReadI32, flags: I32) -> int:
    """Set NOT_UTF8 in the flags of frames that are not; how many."""
    found = 0
    for i in range(len(flags)):
        if not valid(data, offsets[i], offsets[i + 1]):
            flags[i] |= NOT_UTF8
            found += 1
    return found


@kernel
def mark_spans(data: Bytes, starts: ReadI32, ends: ReadI32, flags: I32) -> int:
    """The same for texts ``data[starts[i]:ends[i]]``."""
    found = 0
    for i in range(len(flags)):
        if not valid(data, starts[i], ends[i]):
            flags[i] |= NOT_UTF8
            found += 1
    return found


@kernel
def replaced_length(data: Bytes, start: int, end: int) -> int:
    """Bytes of ``data[start:end]`` after replacement."""
    p = start
    total = 0
    while p < end:
        length = sequence(data, p, end)
        total += length if length > 0 else 3
        p += abs(length)
    return total


@kernel
def replace(data: Bytes, start: int, end: int, out: U8, at: int) -> int:
    """Write ``data[start:end]`` at ``out[at]`` with U+FFFD for what is not UTF-8; where the writing ended."""
    p = start
    while p < end:
        length = sequence(data, p, end)
        if length > 0:
            for k in range(length):
                out[at + k] = data[p + k]
            at += length
        else:
            out[at] = 0xEF
            out[at + 1] = 0xBF
            out[at + 2] = 0xBD
            at += 3
        p += abs(length)
    return at


@kernel
def measure(
    data: Bytes, starts: ReadI32, ends: ReadI32, flags: ReadI32, order: ReadI64, offsets: I32, limit: int
) -> int:
    """Offsets of the texts of rows ``order`` laid end to end, those flagged NOT_UTF8 replaced; absent ones are empty.

    How many rows fit into ``limit`` bytes: offsets beyond them are not written.
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
    """Write the texts that ``measure`` measured; how many are present."""
    present = 0
    for k in range(len(order)):
        i = order[k]
        start = starts[i]
        if start < 0:
            continue
        present += 1
        if flags[i] & NOT_UTF8:
            replace(data, start, ends[i], out, offsets[k])
        else:
            copy(out, offsets[k], data, start, ends[i] - start)
    return present
