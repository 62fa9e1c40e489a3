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

from collections.abc import Sequence
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from logsink.errors import FormatError
from logsink.kernel import I64, U8, ReadI64, kernel

MOST_BLOCKS: Final = 127
FEWEST: Final = 1024
FULL: Final = 24
MOST_MICRO: Final = 1 << 23
"""Most micro buckets: as many as the 31 bits allow that a builder keeps of each key."""

KEY_BITS: Final = 63
SUFFIX_BITS: Final = 8
_LENGTH: Final = 2
"""Bytes of a micro bucket's length."""

_BITMAP: Final = 0xFF
_LAST: Final = 0x80

_BLOCK_BITS = 7
_HALF = 63  # blocks in each of the two numbers that hold all of them while a section is made
_PREFIX_BITS = 31


class Filter(NamedTuple):
    """A section: the bytes of its format in ``data``, its ``micro`` buckets, and the number of different ``keys``.

    ``groups``: row groups of the file. ``unindexed``: the blocks that may have every key.
    """

    groups: int
    micro: int
    keys: int
    unindexed: tuple[int, ...]
    data: bytes

    def slices(self, count: int) -> list[bytes]:
        """Return the section in ``count`` slices, a power of two and at most ``micro``."""
        lengths = np.frombuffer(self.data, "<u2", self.micro)
        ends = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]) + _LENGTH * self.micro
        cuts = ends[:: self.micro // count].tolist()
        each = _LENGTH * (self.micro // count)
        return [
            self.data[number * each : (number + 1) * each] + self.data[start:end]
            for number, (start, end) in enumerate(pairwise(cuts))
        ]


def join(slices: Sequence[bytes | memoryview], micro: int) -> bytes:
    """Return the section of ``micro`` micro buckets whose slices these are, all of them and in order."""
    each = _LENGTH * (micro // len(slices))
    return b"".join([*(one[:each] for one in slices), *(one[each:] for one in slices)])


def encode(groups: Sequence[npt.NDArray[np.int32] | None]) -> Filter:
    """Return the section of a file with these row groups.

    Of each: the highest 31 bits of its keys, each once; or None for a row group that may have every key.
    """
    _, each = blocks_of(len(groups))
    unindexed = sorted({number // each for number, one in enumerate(groups) if one is None})
    entries = _entries(groups, each, unindexed)
    found = np.zeros(1, np.int64)
    _count_keys.form(len(entries))(entries, found)
    keys, micro = int(found[0]), FEWEST
    while keys > FULL * micro and micro < MOST_MICRO:
        micro *= 2
    lengths, out = np.zeros(micro, np.int64), np.empty(2 * len(entries), np.uint8)
    size = _encode.form(len(entries))(entries, micro.bit_length() - 1, -(-len(groups) // each), lengths, out)
    data = lengths.astype("<u2").tobytes() + out[:size].tobytes()
    return Filter(len(groups), micro, keys, tuple(unindexed), data)


def _entries(
    groups: Sequence[npt.NDArray[np.int32] | None], each: int, unindexed: Sequence[int]
) -> npt.NDArray[np.int64]:
    """Return keys with the number of their block in the lowest bits, sorted."""
    parts = [
        one.astype(np.int64) << _BLOCK_BITS | number // each
        for number, one in enumerate(groups)
        if one is not None and number // each not in unindexed
    ]
    entries: npt.NDArray[np.int64] = np.concatenate(parts) if parts else np.zeros(0, np.int64)
    entries.sort()
    return entries


@kernel
def _count_keys(entries: ReadI64, found: I64) -> int:
    """Write to ``found[0]`` how many different keys the entries have; return it."""
    count, before = 0, -1
    for i in range(len(entries)):
        key = entries[i] >> _BLOCK_BITS
        if key != before:
            count += 1
            before = key
    found[0] = count
    return count


@kernel
def _blocks_to(out: U8, p: int, low: int, high: int, blocks: int) -> int:
    """Write the blocks of one suffix from ``out[p]`` on, and return where they end.

    Bit b of ``low`` is block b's, bit b of ``high`` that of block ``_HALF + b``.
    """
    count, last = 0, 0
    for block in range(blocks):
        if (low >> block if block < _HALF else high >> block - _HALF) & 1 == 1:
            count += 1
            last = block
    bitmap = blocks + 7 >> 3
    if 1 + bitmap < count:
        out[p] = _BITMAP
        for k in range(bitmap):
            out[p + 1 + k] = 0
        for block in range(blocks):
            if (low >> block if block < _HALF else high >> block - _HALF) & 1 == 1:
                out[p + 1 + (block >> 3)] |= 1 << (block & 7)
        return p + 1 + bitmap
    for block in range(last + 1):
        if (low >> block if block < _HALF else high >> block - _HALF) & 1 == 1:
            out[p] = block | _LAST if block == last else block
            p += 1
    return p


@kernel
def _encode(entries: ReadI64, micro_bits: int, blocks: int, lengths: I64, out: U8) -> int:
    """Write the micro buckets of sorted entries to ``out``, and the bytes of each to ``lengths``; return the bytes of all."""
    shift = _BLOCK_BITS + _PREFIX_BITS - micro_bits - SUFFIX_BITS
    p, i = 0, 0
    while i < len(entries):
        found, start = entries[i] >> shift, p
        low, high, first, alone = 0, 0, entries[i] & MOST_BLOCKS, True
        while i < len(entries) and entries[i] >> shift == found:
            block = entries[i] & MOST_BLOCKS
            alone = alone and block == first
            if block < _HALF:
                low |= 1 << block
            else:
                high |= 1 << block - _HALF
            i += 1
        out[p] = found & (1 << SUFFIX_BITS) - 1
        if alone:  # as four of five keys are
            out[p + 1] = first | _LAST
            p += 2
        else:
            p = _blocks_to(out, p + 1, low, high, blocks)
        lengths[found >> SUFFIX_BITS] += p - start
    return p


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
        raise FormatError("cannot read a section", f"{len(part)} bytes are no slice of {count} micro buckets")
    lengths = np.frombuffer(part[: count * _LENGTH], "<u2")
    start = count * _LENGTH + int(lengths[:place].sum(dtype=np.int64))
    end = start + int(lengths[place])
    if end > len(part):
        raise FormatError("cannot read a section", "a micro bucket ends behind its slice")
    suffix = key >> KEY_BITS - bits - SUFFIX_BITS & (1 << SUFFIX_BITS) - 1
    try:
        return _blocks_with(bytes(part[start:end]), suffix, -(-blocks // 8)) & (1 << blocks) - 1
    except IndexError as error:
        raise FormatError("cannot read a section", "a micro bucket is cut") from error


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
