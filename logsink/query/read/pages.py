"""Which values of a column chunk can hold a text: its pages are unpacked and searched as they are, not decoded.

Decoding is what searching costs. A page of 8 MB is unpacked in 6 ms and searched in 1; to make 65,536 values of it takes
6 ms more, to search those one by one 20 and more. So the text is sought in the page as a whole, and only values that it
stands in are taken out. Pages of other encodings than PLAIN, and those with nulls, are left to who decodes them.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from logsink.kernel import I32, U8, Bytes, ReadI32, both, copy, kernel
from logsink.query.columns import Mask
from logsink.query.request.filters import Needles

_DATA: Final = 0  # PageType, with the place of the header of its own
_DATA_HEADER: Final = 5
_PLAIN, _RLE = 0, 3  # Encoding

_LARGEST: Final = 1 << 28
"""Bytes of an unpacked page that are worth the memory."""

_LONGEST: Final = (1 << 31) - 1
"""Octets of an array's values, whose places have 32 bits."""

_FEW: Final = 64
"""One value in so many is few: who asked looks at them sooner than all is searched once more."""

_BY_HAND: Final = 2
"""Pages of which Python itself takes values."""

_UNCOMPILED: Final = 1 << 18
"""Rows of chunks whose few values Python itself takes: machine code takes 0.03 s to load."""

_SIZE: Final = struct.Struct("<I").unpack_from
"""The length before each PLAIN value. A page is walked so in a third of the time that ``int.from_bytes`` takes."""

Octets = npt.NDArray[np.uint8]
Index32 = npt.NDArray[np.int32]
Struct = Mapping[int, Any]


def candidates(
    chunk: memoryview, compression: str, optional: bool, mask: Mask, needles: Sequence[Needles]
) -> tuple[Mask, pa.StringArray] | None:
    """Which values of a column chunk of strings, of those in ``mask``, can satisfy all of ``needles``, and these values.

    Where few are left of a page, these are not searched any further; a page without any is not unpacked. In the array ''
    stands for all others. None when it cannot be said. ``chunk`` are the chunk's bytes in the file, ``compression`` is its
    codec's name in the footer; ``optional``: whether values may be null. Without needles and machine
    code, only values of ``_BY_HAND`` pages are taken: 1 ms a page.
    """
    wanted = [[np.frombuffer(needle, np.uint8) for needle in alternatives] for alternatives in needles]
    found, ends, data, held = mask.copy(), np.zeros(len(mask) + 1, np.int32), list[memoryview | bytes](), 0
    compiled = bool(needles) or take.pays(len(mask), _UNCOMPILED)
    try:
        codec = None if compression == "UNCOMPRESSED" else pa.Codec(compression.lower())
        pages = [*_pages(chunk)]
        *begins, end = accumulate((page.rows for page in pages), initial=0)
        masks = [found[begin : begin + page.rows] for begin, page in zip(begins, pages, strict=True)]
        if end != len(mask) or not pages or (not compiled and sum(map(np.any, masks)) > _BY_HAND):
            return None
        for begin, page, asked in zip(begins, pages, masks, strict=True):
            own = ends[begin : begin + page.rows + 1]
            if asked.any():
                unpacked = page.values(codec, optional)
                data.append(_sought(unpacked, asked, wanted, own) if compiled else _taken(unpacked, asked, own))
                own += held
                held += len(data[-1])
                if held > _LONGEST:
                    raise ValueError(f"{held} octets do not fit into an array")
            else:
                own[:] = held
    except (IndexError, KeyError, TypeError, ValueError, RecursionError, OSError, struct.error, pa.ArrowException):
        return None  # damaged, or of a kind that is not known here: who decodes it will say
    values = pa.py_buffer(data[0] if len(data) == 1 else b"".join(data))
    return found, pa.Array.from_buffers(pa.string(), len(mask), [None, pa.py_buffer(ends), values])


def _sought(page: Octets, found: Mask, wanted: Sequence[Sequence[Octets]], ends: Index32) -> memoryview | bytes:
    """A page's values of those ``found``, end to end, and in ``ends`` where each begins and ends there.

    Where they lack something, they are not found any more.
    """
    starts: Index32 | None = None
    for alternatives in wanted:
        if np.count_nonzero(found) * _FEW < len(found):
            break
        there = [needle for needle in alternatives if find(page, 0, needle) < len(page)]
        if not there:
            found[:] = False
            break
        starts = _starts(page, len(found)) if starts is None else starts
        marks = np.zeros(len(found), np.uint8)
        for needle in there:
            mark(page, starts, needle, marks)
        found &= marks.view(np.bool_)
    if not found.any():
        ends[:] = 0
        return b""
    starts = _starts(page, len(found)) if starts is None else starts
    data = np.empty(int(np.sum(np.diff(starts), where=found)) - 4 * np.count_nonzero(found), np.uint8)
    take(page, starts, found.view(np.uint8), ends, data)
    return data.data


def _taken(page: Octets, found: Mask, ends: Index32) -> bytes:
    """The same without needles, and without machine code."""
    data, row, p = page.data, 0, 0
    values = list[memoryview]()
    ends[:] = 0
    for wanted in np.flatnonzero(found).tolist():
        while row < wanted:
            (size,) = _SIZE(data, p)
            p += 4 + size
            row += 1
        (size,) = _SIZE(data, p)
        values.append(data[p + 4 : p + 4 + size])
        if p + 4 + size > len(data):
            raise ValueError(f"value {row} is not in the page")
        ends[row + 1] = size
    ends.cumsum(out=ends)
    return b"".join(values)


def _starts(page: Octets, count: int) -> Index32:
    """Where each of a page's values begins, its length first, and where the last ends."""
    starts = np.empty(count + 1, np.int32)
    if walk(page, starts) != count:
        raise ValueError(f"not {count} values fill the page")
    return starts


@kernel
def walk(page: Bytes, starts: I32) -> int:
    """Where each PLAIN value that fills a page begins, and the last ends; how many there are, -1 when that does not fit."""
    row, p = 0, 0
    while p + 4 <= len(page) and row + 1 < len(starts):
        starts[row] = p
        p += 4 + (page[p] | page[p + 1] << 8 | page[p + 2] << 16 | page[p + 3] << 24)
        row += 1
    if p != len(page):
        return -1
    starts[row] = p
    return row


@kernel
def mark(page: Bytes, starts: ReadI32, needle: Bytes, marks: U8) -> int:
    """Mark the values that hold ``needle``; how many do."""
    row, marked = 0, 0
    hit = find(page, 4, needle)
    while hit < len(page):
        while starts[row + 1] <= hit:
            row += 1
        if hit < starts[row] + 4:  # it begins in the length
            hit = find(page, starts[row] + 4, needle)
            continue
        if hit + len(needle) <= starts[row + 1]:
            marks[row] = 1
            marked += 1
        hit = find(page, starts[row + 1] + 4, needle)
    return marked


@kernel
def find(page: Bytes, p: int, needle: Bytes) -> int:
    """The first place at or behind ``p`` where ``needle`` (one octet at least) stands; the page's length: nowhere."""
    last = len(needle) - 1
    while p + last < len(page):
        if p + last + 32 <= len(page):
            k = both(page, p, needle[0], p + last, needle[last])
            if k == 32:
                p += 32  # not k: the processor goes on before it knows k
                continue
            p += k
        j = 0
        while j <= last and page[p + j] == needle[j]:
            j += 1
        if j > last:
            return p
        p += 1
    return len(page)


@kernel
def take(page: Bytes, starts: ReadI32, found: Bytes, ends: I32, data: U8) -> int:
    """Copy the values that were found to ``data``, and say in ``ends`` where each value ends there; octets copied."""
    at = 0
    ends[0] = 0
    for row in range(len(found)):
        if found[row]:
            size = starts[row + 1] - starts[row] - 4
            copy(data, at, page, starts[row] + 4, size)
            at += size
        ends[row + 1] = at
    return at


class _Page(NamedTuple):
    """A page of PLAIN values: how many, its bytes as they stand in the file, their CRC-32, how many they are when unpacked."""

    rows: int
    packed: memoryview
    size: int
    crc: int | None

    def values(self, codec: pa.Codec | None, optional: bool) -> Octets:
        """Its values, end to end. ``ValueError`` when some may be null, or they are not what was written."""
        if self.crc is not None and zlib.crc32(self.packed) != self.crc & 0xFFFF_FFFF:
            raise ValueError("its CRC is another")
        body = self.packed if codec is None else memoryview(codec.decompress(self.packed, self.size))
        return np.frombuffer(_without_levels(body.cast("B"), self.rows) if optional else body, np.uint8)


def _pages(chunk: memoryview) -> Iterator[_Page]:
    """The pages of a column chunk. ``ValueError`` for one that is not known here, and what reading rubbish raises."""
    at = 0
    while at < len(chunk):
        header, at = _struct(chunk, at)
        kind, size, packed = header[1], header[2], header[3]
        if not 0 <= size <= _LARGEST or not 0 < packed <= len(chunk) - at:
            raise ValueError(f"a page of {packed} bytes, {size} unpacked")
        if kind != _DATA:
            raise ValueError(f"a page of type {kind}")
        count, encoding, levels = (header[_DATA_HEADER][field] for field in (1, 2, 3))
        if encoding != _PLAIN or levels != _RLE or count < 0:
            raise ValueError(f"{count} values in encoding {encoding}, {levels}")
        yield _Page(count, chunk[at : at + packed], size, header.get(4))
        at += packed


def _without_levels(page: memoryview, count: int) -> memoryview:
    """What follows the definition levels; ``ValueError`` unless they are one run of ones: no value is null."""
    end = 4 + int.from_bytes(page[:4], "little")
    run, at = _varint(page, 4)
    if run != count << 1 or page[at] != 1 or at + 1 != end:
        raise ValueError("values may be null")
    return page[end:]


# Thrift's compact protocol, in which page headers are written


def _struct(data: memoryview, at: int) -> tuple[Struct, int]:
    """The fields of a struct by their numbers, and where it ends."""
    fields, number = dict[int, Any](), 0
    while head := data[at]:
        step, kind = head >> 4, head & 15
        at += 1
        if not step:
            number, at = _integer(data, at)
        number += step
        fields[number], at = _value(data, at, kind)
    return fields, at + 1


def _value(data: memoryview, at: int, kind: int) -> tuple[Any, int]:
    if kind in (1, 2):  # true, false
        return kind == 1, at
    if kind in (4, 5, 6):  # i16, i32, i64
        return _integer(data, at)
    if kind == 8:  # binary
        length, at = _varint(data, at)
        return data[at : at + length], at + length
    if kind == 12:
        return _struct(data, at)
    raise ValueError(f"no field of a page header is of type {kind}")


def _integer(data: memoryview, at: int) -> tuple[int, int]:
    value, at = _varint(data, at)
    return value >> 1 ^ -(value & 1), at


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while shift < 64:
        value |= (data[at] & 127) << shift
        at, shift = at + 1, shift + 7
        if data[at - 1] < 128:
            return value, at
    raise ValueError("a number of more than 64 bits")
