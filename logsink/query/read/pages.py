"""Which values of a Parquet column chunk can contain a text: its pages are decompressed and searched, but not decoded.

Decoding is what a search costs. A page of 8 MB is decompressed in 6 ms and searched in 1 ms; to decode its 65,536 values takes
6 ms more, and to search these one by one 20 ms and more. So the text is sought in the page as a whole, and only values that
contain it are taken out. Other pages than those with PLAIN values of which none is null are left to pyarrow.

Source: the Parquet format, "Data Pages" and "Plain (PLAIN = 0)"; Thrift's compact protocol for page headers.
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
from logsink.query.request import Needles

# Fields of PageHeader, by their Thrift ids
_TYPE: Final = 1
_UNCOMPRESSED_SIZE: Final = 2
_COMPRESSED_SIZE: Final = 3
_CRC: Final = 4
_DATA_PAGE_HEADER: Final = 5

# Fields of DataPageHeader
_NUM_VALUES: Final = 1
_ENCODING: Final = 2
_DEFINITION_LEVEL_ENCODING: Final = 3

_DATA_PAGE: Final = 0  # PageType
_PLAIN: Final = 0  # Encoding
_RLE: Final = 3

_LENGTH_SIZE: Final = 4
"""Bytes of the length before each PLAIN value, and before the definition levels."""

_LENGTH: Final = struct.Struct("<I").unpack_from
"""Reads such a length, in a third of the time that ``int.from_bytes`` takes."""

_STEP: Final = 32
"""Positions that ``both`` looks at in one step."""

_LARGEST_PAGE: Final = 1 << 28
"""Bytes of the largest page that is decompressed here; pyarrow decodes larger ones in parts."""

_LONGEST_ARRAY: Final = (1 << 31) - 1
"""Bytes of an array's values, whose offsets have 32 bits."""

_RARE: Final = 64
"""When fewer than one value in so many is left, testing these costs less than searching the page once more."""

_PYTHON_PAGES: Final = 2
"""Most pages whose values plain Python takes out, at 1 ms a page."""

_PYTHON_ROWS: Final = 1 << 18
"""Rows of column chunks in which plain Python takes values out; beyond them, the 0.03 s to load machine code pay off."""

UInt8 = npt.NDArray[np.uint8]
Int32 = npt.NDArray[np.int32]
Struct = Mapping[int, Any]
"""Fields of a Thrift struct, by their ids."""


def candidates(
    chunk: memoryview, compression: str, optional: bool, mask: Mask, needles: Sequence[Needles]
) -> tuple[Mask, pa.StringArray] | None:
    """Return which of the values in ``mask`` can satisfy all of ``needles``, and the values of a column chunk of strings.

    chunk         the chunk's bytes in the file
    compression   its codec's name in the footer
    optional      whether its values may be null

    A page without values in ``mask`` is not decompressed, and where few values are left in a page, it is searched no further.
    The array has '' for all values that are not returned. None when only decoding can tell. Without ``needles`` and without
    machine code, that is also the case when more than ``_PYTHON_PAGES`` pages have values in ``mask``.
    """
    searched = [[np.frombuffer(needle, np.uint8) for needle in alternatives] for alternatives in needles]
    found, ends, data, size = mask.copy(), np.zeros(len(mask) + 1, np.int32), list[memoryview | bytes](), 0
    compiled = bool(needles) or take.pays(len(mask), _PYTHON_ROWS)
    try:
        codec = None if compression == "UNCOMPRESSED" else pa.Codec(compression.lower())
        pages = [*_pages(chunk)]
        *begins, end = accumulate((page.rows for page in pages), initial=0)
        masks = [found[begin : begin + page.rows] for begin, page in zip(begins, pages, strict=True)]
        if end != len(mask) or not pages or (not compiled and sum(map(np.any, masks)) > _PYTHON_PAGES):
            return None
        for begin, page, left in zip(begins, pages, masks, strict=True):
            page_ends = ends[begin : begin + page.rows + 1]
            if left.any():
                body = page.values(codec, optional)
                values = (
                    _search(body, left, searched, page_ends) if compiled else _take_in_python(body, left, page_ends)
                )
                data.append(values)
                page_ends += size
                size += len(values)
                if size > _LONGEST_ARRAY:
                    raise ValueError(f"{size} bytes do not fit into an array")
            else:
                page_ends[:] = size
    except (IndexError, KeyError, TypeError, ValueError, RecursionError, OSError, struct.error, pa.ArrowException):
        return None  # damaged, or of a kind that is not known here: pyarrow will tell
    joined = pa.py_buffer(data[0] if len(data) == 1 else b"".join(data))
    return found, pa.Array.from_buffers(pa.string(), len(mask), [None, pa.py_buffer(ends), joined])


def _search(page: UInt8, found: Mask, needles: Sequence[Sequence[UInt8]], ends: Int32) -> memoryview | bytes:
    """Narrow ``found`` down to values that can satisfy ``needles``; return these, end to end.

    ``ends`` is filled with where each value of the page begins and ends in what is returned.
    """
    starts: Int32 | None = None
    for alternatives in needles:
        if np.count_nonzero(found) * _RARE < len(found):
            break
        present = [needle for needle in alternatives if find(page, 0, needle) < len(page)]
        if not present:
            found[:] = False
            break
        starts = _starts(page, len(found)) if starts is None else starts
        marks = np.zeros(len(found), np.uint8)
        for needle in present:
            mark(page, starts, needle, marks)
        found &= marks.view(np.bool_)
    if not found.any():
        ends[:] = 0
        return b""
    data = np.empty(len(page), np.uint8)
    size = take(page, found.view(np.uint8), ends, data)
    if size < 0:
        raise ValueError(f"not {len(found)} values fill the page")
    return data[:size].data


def _take_in_python(page: UInt8, found: Mask, ends: Int32) -> bytes:
    """Return the values in ``found``, end to end, and fill ``ends`` as ``_search`` does; without machine code."""
    data, row, p = page.data, 0, 0
    values = list[memoryview]()
    ends[:] = 0
    for chosen in np.flatnonzero(found).tolist():
        while row < chosen:
            (size,) = _LENGTH(data, p)
            p += _LENGTH_SIZE + size
            row += 1
        (size,) = _LENGTH(data, p)
        end = p + _LENGTH_SIZE + size
        if end > len(data):
            raise ValueError(f"value {row} is not in the page")
        values.append(data[p + _LENGTH_SIZE : end])
        ends[row + 1] = size
    ends.cumsum(out=ends)
    return b"".join(values)


def _starts(page: UInt8, count: int) -> Int32:
    """Return where each of a page's values begins, with its length, and where the last one ends."""
    starts = np.empty(count + 1, np.int32)
    if walk(page, starts) != count:
        raise ValueError(f"not {count} values fill the page")
    return starts


@kernel
def walk(page: Bytes, starts: I32) -> int:
    """Find where each PLAIN value begins, with its length, and where the last one ends.

    Returns the number of values; -1 when they do not end with the page.
    """
    row, p = 0, 0
    while p + _LENGTH_SIZE <= len(page) and row + 1 < len(starts):
        starts[row] = p
        p += _LENGTH_SIZE + (page[p] | page[p + 1] << 8 | page[p + 2] << 16 | page[p + 3] << 24)
        row += 1
    if p != len(page):
        return -1
    starts[row] = p
    return row


@kernel
def mark(page: Bytes, starts: ReadI32, needle: Bytes, marks: U8) -> int:
    """Mark the values that contain ``needle``; return how many do."""
    row, marked = 0, 0
    hit = find(page, _LENGTH_SIZE, needle)
    while hit < len(page):
        # the value that the hit begins in
        while starts[row + 1] <= hit:
            row += 1
        # a hit that begins in the value's length is none: look again from the value's first byte
        if hit < starts[row] + _LENGTH_SIZE:
            hit = find(page, starts[row] + _LENGTH_SIZE, needle)
            continue
        if hit + len(needle) <= starts[row + 1]:
            marks[row] = 1
            marked += 1
        # one hit in a value is enough: go on in the next
        hit = find(page, starts[row + 1] + _LENGTH_SIZE, needle)
    return marked


@kernel
def find(page: Bytes, p: int, needle: Bytes) -> int:
    """Return the first position from ``p`` on at which ``needle`` (one byte at least) begins; the page's length for none."""
    last = len(needle) - 1
    while p + last < len(page):
        # in 32 positions at once: the first where both the first and the last byte of the needle are right
        if p + last + _STEP <= len(page):
            k = both(page, p, needle[0], p + last, needle[last])
            if k == _STEP:
                p += _STEP  # not k: the processor goes on before it knows k
                continue
            p += k
        # there, the bytes between them
        j = 0
        while j <= last and page[p + j] == needle[j]:
            j += 1
        if j > last:
            return p
        p += 1
    return len(page)


@kernel
def take(page: Bytes, found: Bytes, ends: I32, data: U8) -> int:
    """Copy the values in ``found`` to ``data``, as long as the page, and fill ``ends`` with where each value ends there.

    Returns the bytes copied; -1 when the values do not end with the page. One step through the page's values takes half the
    time of finding all of them first.
    """
    p, at = 0, 0
    ends[0] = 0
    for row in range(len(found)):
        start = p + _LENGTH_SIZE
        if start > len(page):
            return -1
        size = page[p] | page[p + 1] << 8 | page[p + 2] << 16 | page[p + 3] << 24
        p = start + size
        if p > len(page):
            return -1
        if found[row]:
            copy(data, at, page, start, size)
            at += size
        ends[row + 1] = at
    return at if p == len(page) else -1


class _Page(NamedTuple):
    """A data page of PLAIN values.

    rows         number of values
    compressed   its bytes as they stand in the file
    size         number of its bytes when decompressed
    crc          CRC-32 of ``compressed``, where the header has one
    """

    rows: int
    compressed: memoryview
    size: int
    crc: int | None

    def values(self, codec: pa.Codec | None, optional: bool) -> UInt8:
        """Return its values, end to end. ``ValueError`` when some may be null, or the page is damaged."""
        if self.crc is not None and zlib.crc32(self.compressed) != self.crc & 0xFFFF_FFFF:
            raise ValueError("its CRC is another")
        body = self.compressed if codec is None else memoryview(codec.decompress(self.compressed, self.size))
        return np.frombuffer(_without_levels(body.cast("B"), self.rows) if optional else body, np.uint8)


def _pages(chunk: memoryview) -> Iterator[_Page]:
    """Yield the pages of a column chunk. ``ValueError`` for a page of another kind, and what reading damaged bytes raises."""
    at = 0
    while at < len(chunk):
        header, at = _struct(chunk, at)
        kind, size, compressed = header[_TYPE], header[_UNCOMPRESSED_SIZE], header[_COMPRESSED_SIZE]
        if not 0 <= size <= _LARGEST_PAGE or not 0 < compressed <= len(chunk) - at:
            raise ValueError(f"a page of {compressed} bytes, {size} decompressed")
        if kind != _DATA_PAGE:
            raise ValueError(f"a page of type {kind}")
        data_header = header[_DATA_PAGE_HEADER]
        count, encoding = data_header[_NUM_VALUES], data_header[_ENCODING]
        levels = data_header[_DEFINITION_LEVEL_ENCODING]
        if encoding != _PLAIN or levels != _RLE or count < 0:
            raise ValueError(f"{count} values in encoding {encoding}, {levels}")
        yield _Page(count, chunk[at : at + compressed], size, header.get(_CRC))
        at += compressed


def _without_levels(page: memoryview, count: int) -> memoryview:
    """Return what follows the definition levels. ``ValueError`` unless they are one run of ones: no value is null."""
    end = _LENGTH_SIZE + int.from_bytes(page[:_LENGTH_SIZE], "little")
    run, at = _varint(page, _LENGTH_SIZE)
    if run != count << 1 or page[at] != 1 or at + 1 != end:
        raise ValueError("values may be null")
    return page[end:]


# Thrift's compact protocol, in which page headers are written

_TRUE: Final = 1
_FALSE: Final = 2
_INTEGERS: Final = (4, 5, 6)  # of 16, 32 and 64 bits
_BINARY: Final = 8
_STRUCT: Final = 12


def _struct(data: memoryview, at: int) -> tuple[Struct, int]:
    """Return the fields of a struct by their ids, and where it ends."""
    fields, number = dict[int, Any](), 0
    while head := data[at]:  # the high half is the step from the last field's id, the low half the field's type
        step, kind = head >> 4, head & 0x0F
        at += 1
        if not step:
            number, at = _integer(data, at)
        number += step
        fields[number], at = _value(data, at, kind)
    return fields, at + 1


def _value(data: memoryview, at: int, kind: int) -> tuple[Any, int]:
    """Return a field's value, and where it ends."""
    if kind in (_TRUE, _FALSE):
        return kind == _TRUE, at
    if kind in _INTEGERS:
        return _integer(data, at)
    if kind == _BINARY:
        length, at = _varint(data, at)
        return data[at : at + length], at + length
    if kind == _STRUCT:
        return _struct(data, at)
    raise ValueError(f"no field of a page header is of type {kind}")


def _integer(data: memoryview, at: int) -> tuple[int, int]:
    """Return a zigzag integer, and where it ends."""
    value, at = _varint(data, at)
    return value >> 1 ^ -(value & 1), at


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    """Return a ULEB128 integer, seven bits a byte, and where it ends."""
    value = shift = 0
    while shift < 64:
        value |= (data[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if data[at - 1] < 0x80:
            return value, at
    raise ValueError("a number of more than 64 bits")
