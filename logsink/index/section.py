"""Sections: which blocks of one data file may have a row with a key. A persistent format; all numbers are little-endian.

*Blocks* are groups of consecutive row groups, at most ``MOST_BLOCKS``, numbered from 0. Each has one row group or, in a file
of more than ``MOST_BLOCKS``, as many as that needs; the last one may have fewer. Keys are numbers of 63 bits (``words``). The
highest log2(M) bits of a key are its *micro bucket*, the next 8 its suffix; the rest is left out. M is a power of two, at least
``FEWEST`` and so large that a micro bucket has ``FULL`` keys on average at most.

Layout::

    u16[M]      bytes of each micro bucket
    micro buckets, each of them, for each of its suffixes in ascending order:
        u8      the suffix
        blocks  either the number of each block in ascending order, as a byte, the last one with bit 7 set,
                or 0xFF and a bitmap of ceil(blocks / 8) bytes, block 0 in the lowest bit of the first: whichever is shorter

A *slice* of a section is some consecutive micro buckets, a power of two of them: their u16 lengths, and then their bytes.

A key that a row has is always found in that row's block. One that no row has is found by chance in 2 to 9 % of the files, and
in few blocks of such a file. Blocks with too many different keys are not in the filter: they may have every key.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from logsink.errors import FormatError

MOST_BLOCKS: Final = 127
FEWEST: Final = 1024
FULL: Final = 24

KEY_BITS: Final = 63
SUFFIX_BITS: Final = 8
_LENGTH: Final = 2
"""Bytes of a micro bucket's length."""

_BITMAP: Final = 0xFF
_LAST: Final = 0x80


def blocks_of(groups: int) -> tuple[int, int]:
    """Return how many blocks a file of so many row groups has, and how many row groups are in each."""
    each = -(-groups // MOST_BLOCKS) or 1
    return -(-groups // each), each


def possible_blocks(part: memoryview, key: int, *, micro: int, count: int, blocks: int) -> int:
    """Return the blocks that may have this key, as a number whose bit b is block b's.

    ``part``: the slice that has the key's micro bucket. It is of ``count`` micro buckets, of a section with ``micro`` of them
    and ``blocks`` blocks. ``FormatError`` when it is no such slice.
    """
    bits = micro.bit_length() - 1
    place = (key >> KEY_BITS - bits) % count
    if len(part) < count * _LENGTH:
        raise FormatError(f"cannot read a section: {len(part)} bytes are no slice of {count} micro buckets")
    lengths = np.frombuffer(part[: count * _LENGTH], "<u2")
    start = count * _LENGTH + int(lengths[:place].sum(dtype=np.int64))
    end = start + int(lengths[place])
    if end > len(part):
        raise FormatError("cannot read a section: a micro bucket ends behind its slice")
    suffix = key >> KEY_BITS - bits - SUFFIX_BITS & (1 << SUFFIX_BITS) - 1
    try:
        return _blocks_with(bytes(part[start:end]), suffix, -(-blocks // 8)) & (1 << blocks) - 1
    except IndexError as error:
        raise FormatError("cannot read a section: a micro bucket is cut") from error


def _blocks_with(bucket: bytes, suffix: int, bitmap: int) -> int:
    """Return the blocks of a suffix in a micro bucket, 0 where it is not there; ``bitmap``: bytes of one."""
    p = 0
    while p < len(bucket):
        found = bucket[p]
        if found > suffix:
            return 0
        p += 1
        if bucket[p] == _BITMAP:
            if found == suffix:
                return int.from_bytes(bucket[p + 1 : p + 1 + bitmap], "little")
            p += 1 + bitmap
            continue
        blocks = 0
        while bucket[p] < _LAST:
            blocks |= 1 << bucket[p]
            p += 1
        if found == suffix:
            return blocks | 1 << (bucket[p] & ~_LAST)
        p += 1
    return 0
