"""Digests of rows: numbers that say which rows there are, in whatever order and files they stand. A persistent format:
``logsink.digests`` among the tags of a data file in the table's log::

    {"<hour of received, UTC, YYYY-MM-DDTHH>": [rows, "<digest of these rows, 32 hex digits>"], ...}      JSON, sorted

The digest of rows is the sum modulo 2**128 of their hashes, so the digests of files add up: a merged file has the sum of its
inputs'. A row's hash is made of its columns (all of ``parse.FILE_SCHEMA``) in two lanes k = 0, 1::

    mix(k, h, m)     p = ((h xor m) * F[k]) mod 2**63;  p xor (p >> 31)
    parts(bytes)     each 7 bytes as a little-endian number, the last ones perhaps fewer: parts 0, 1, 2, ...
    name[k]          0, then mix(k, ., m) with m = the number of bytes of the column's name, and each of its parts
    h[j]             for j = 0, 1, 2, 3 with k = j mod 2: mix(k, name[k], 4 * number of bytes of the value + j), then
                     mix(k, ., part) with parts j, j + 4, j + 8, ... of the value
    value[0]         mix(0, mix(0, h[0], h[1]), (h[2] + h[3]) mod 2**63)
    value[1]         mix(1, mix(1, h[2], h[3]), (h[0] + h[1]) mod 2**63)
    s[k]             sum modulo 2**63 of value[k] over the columns that are not null
    row              x * 2**64 + y   with   x = mix(0, mix(0, s[0], s[1]), s[0])
                                     and    y = mix(1, mix(1, 0, (s[0] + s[1]) mod 2**63), s[1])

The bytes of a string are its UTF-8, those of a number its eight bytes in two's complement, little-endian (instants:
microseconds since 1970). F[0] = 0x1E3779B97F4A7C15, F[1] = 0x2545F4914F6CDD1D. A column that a later version adds has its own
name, and changes nothing where it is null.

Changes by chance, and by people who do not know how, are seen with all but a chance of 2**-63. The hash has no key and is no
cryptographic one: that would cost more than archiving does. SHA-256 stands beside it, over whole files and commits.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from logsink.errors import FormatError
from logsink.kernel import I64, MASK, Bytes, ReadI32, ReadI64, kernel, plus, times, word
from logsink.parse import ROWS_SCHEMA

TAG: Final = "logsink.digests"
"""Name of the tag."""

Digests = Mapping[str, tuple[int, int]]
"""Hour (``YYYY-MM-DDTHH``) -> the number of its rows, and their digest."""

Int64s = npt.NDArray[np.int64]

_F0 = 0x1E3779B97F4A7C15
_F1 = 0x2545F4914F6CDD1D
_FOLD = 31
_STEP = 7  # bytes taken at once: an eighth one would not fit into 63 bits
_CHAINS = 4  # parts hashed at the same time: one product does not wait for the one before it
_GROUP = (1 << 56) - 1
_HIGH = 56
_HALF = (1 << 32) - 1
_HOUR = 3_600_000_000

_PARTS = 5
"""Sums of an hour: the four quarters of its rows' hashes, from the lowest, which stay far from 63 bits; and its rows."""

_HOURS = 512
"""Most hours between the first and the last row of a batch that are summed up in one array."""

_INSTANT = pa.timestamp("us", tz="UTC")
_ALL_VALID = np.zeros(0, np.uint8)


def digests_of(table: pa.Table) -> Digests:
    """Return the digests of a table's rows, in columns of ``ROWS_SCHEMA`` or of the same without dictionaries.

    A column that the table lacks counts as null, one that is not in the schema not at all. ``received`` must not be null.
    """
    found: Digests = {}
    for batch in table.to_batches():
        if len(batch):
            found = total((found, _of_batch(batch)))
    return found


def total(many: Iterable[Digests]) -> Digests:
    """Return the digests of all rows of which these are some."""
    together: dict[str, tuple[int, int]] = {}
    for one in many:
        for hour, (rows, digest) in one.items():
            more, other = together.get(hour, (0, 0))
            together[hour] = rows + more, (digest + other) % (1 << 128)
    return together


def encode(digests: Digests) -> str:
    """Return the tag."""
    said = {hour: [rows, f"{digest:032x}"] for hour, (rows, digest) in digests.items()}
    return orjson.dumps(said, option=orjson.OPT_SORT_KEYS).decode()


def parse(text: str) -> Digests:
    """Return what a tag says. ``FormatError`` when it is none."""
    try:
        return {hour: (int(rows), int(digest, 16)) for hour, (rows, digest) in orjson.loads(text).items()}
    except (orjson.JSONDecodeError, AttributeError, TypeError, ValueError) as error:
        raise FormatError(f"cannot read digests {text[:100]!r}: {error!r}") from error


def digests_tag(tags: Iterable[tuple[str, str]]) -> Digests | None:
    """Return the digests that a file's tags say; None when they say nothing. ``FormatError`` for what cannot be read."""
    text = dict(tags).get(TAG)
    return None if text is None else parse(text)


def _of_batch(batch: pa.RecordBatch) -> Digests:
    received = _numbers(batch["received"])
    first, last = int(received.min()) // _HOUR, int(received.max()) // _HOUR
    if last - first >= _HOURS:
        later = pa.array(received >= (first + last + 1) // 2 * _HOUR)
        return total(_of_batch(batch.filter(mask)) for mask in (later, pc.invert(later)))
    a, b = _row_sums(batch)
    sums = np.zeros((last - first + 1) * _PARTS, np.int64)
    _sum_hours.form(len(batch))(a, b, received, first * _HOUR, sums)
    found = {}
    for hour, parts in enumerate(sums.reshape(-1, _PARTS).tolist(), first):
        if parts[-1]:
            digest = sum(part << 32 * place for place, part in enumerate(parts[:-1])) % (1 << 128)
            found[str(np.datetime64(hour, "h"))] = parts[-1], digest
    return found


def _row_sums(batch: pa.RecordBatch) -> tuple[Int64s, Int64s]:
    """Return the sums of the columns' hashes, of each row, in both lanes."""
    names = (name for name in batch.schema.names if name in ROWS_SCHEMA.names)
    constant, varied = [0, 0], list[tuple[str, pa.Array, tuple[Int64s, Int64s] | None]]()
    for name, column in ((name, batch.column(name)) for name in names):
        if column.null_count == len(column):
            continue
        hashes = _hashes(name, column.dictionary) if pa.types.is_dictionary(column.type) else None
        if hashes is not None and len(hashes[0]) == 1 and not column.null_count:
            constant = [(one + int(more[0])) & MASK for one, more in zip(constant, hashes, strict=True)]
        else:
            varied.append((name, column, hashes))
    a, b = (np.full(len(batch), one, np.int64) for one in constant)
    for name, column, hashes in varied:
        valid = _valid(column)
        if hashes is not None:
            codes = np.frombuffer(column.indices.buffers()[1], np.int32)[column.offset : column.offset + len(column)]
            _add_codes.form(len(codes))(codes, *valid, *hashes, a, b)
        else:
            _add_column(name, column, valid, a, b)
    return a, b


def _hashes(name: str, values: pa.Array) -> tuple[Int64s, Int64s]:
    """Return the hashes of values in both lanes; 0 for null."""
    a, b = np.zeros(len(values), np.int64), np.zeros(len(values), np.int64)
    _add_column(name, values, _valid(values), a, b)
    return a, b


def _add_column(name: str, column: pa.Array, valid: tuple[npt.NDArray[np.uint8], int], a: Int64s, b: Int64s) -> None:
    """Add the hashes of a column's values to ``a`` and ``b``."""
    if not len(column):
        return
    bases = _bases(name)
    if pa.types.is_integer(column.type) or pa.types.is_timestamp(column.type):
        _add_numbers.form(len(a))(_numbers(column), *valid, *bases, a, b)
        return
    _, offsets, data = column.buffers()
    ends = np.frombuffer(offsets, np.int32)[column.offset : column.offset + len(column) + 1]
    octets = np.frombuffer(data, np.uint8) if data is not None else _ALL_VALID
    _add_texts.form(len(a))(octets, ends, *valid, *bases, a, b)


def _valid(column: pa.Array) -> tuple[npt.NDArray[np.uint8], int]:
    """Return the validity bitmap, empty when all are valid, and the bit in it that is the first value's."""
    bitmap = column.buffers()[0]
    return (
        (_ALL_VALID, 0) if bitmap is None or not column.null_count else (np.frombuffer(bitmap, np.uint8), column.offset)
    )


def _numbers(column: pa.Array) -> Int64s:
    """Return numbers and instants as int64; anything where they are null."""
    if pa.types.is_timestamp(column.type):
        column = column.cast(_INSTANT)
    width = column.type.bit_width // 8
    values = np.frombuffer(column.buffers()[1], f"i{width}")[column.offset : column.offset + len(column)]
    return values.astype(np.int64, copy=False)


@cache
def _bases(name: str) -> tuple[int, int]:
    """Return what comes of a column's name, in both lanes."""
    octets = name.encode()
    words = [int.from_bytes(octets[at : at + _STEP], "little") for at in range(0, len(octets), _STEP)]
    bases = []
    for factor in (_F0, _F1):
        h = 0
        for number in (len(octets), *words):
            h = ((h ^ number) * factor) & MASK
            h ^= h >> _FOLD
        bases.append(h)
    return bases[0], bases[1]


@kernel
def _mix0(h: int, m: int) -> int:
    """Return the hash ``h`` of the first lane with ``m`` in it; both have at most 63 bits."""
    h = times(h ^ m, _F0)
    return h ^ h >> _FOLD


@kernel
def _mix1(h: int, m: int) -> int:
    """Return the hash ``h`` of the second lane with ``m`` in it."""
    h = times(h ^ m, _F1)
    return h ^ h >> _FOLD


@kernel
def _part(data: Bytes, p: int, end: int) -> int:
    """Return the bytes from ``p`` on, before ``end`` and seven at most, as a little-endian number."""
    count = min(_STEP, end - p)
    if p + 8 <= len(data):
        return word(data, p) & ((1 << 8 * count) - 1)
    value = 0
    for k in range(count):
        value |= data[p + k] << 8 * k
    return value


@kernel
def _add_texts(data: Bytes, ends: ReadI32, valid: Bytes, bit: int, base0: int, base1: int, a: I64, b: I64) -> int:
    """Add the hashes of texts to ``a`` and ``b``. Text i stands between ``ends[i]`` and ``ends[i + 1]``; returns how many."""
    count = 0
    for row in range(len(a)):
        if len(valid) > 0 and valid[(row + bit) >> 3] >> ((row + bit) & 7) & 1 == 0:
            continue
        p, end = ends[row], ends[row + 1]
        size = (end - p) * _CHAINS
        h0, h1, h2, h3 = _mix0(base0, size), _mix1(base1, size + 1), _mix0(base0, size + 2), _mix1(base1, size + 3)
        # eight bytes are loaded and seven taken
        while p + _CHAINS * _STEP <= end and p + _CHAINS * _STEP < len(data):
            h0, h1 = _mix0(h0, word(data, p) & _GROUP), _mix1(h1, word(data, p + _STEP) & _GROUP)
            h2 = _mix0(h2, word(data, p + 2 * _STEP) & _GROUP)
            h3 = _mix1(h3, word(data, p + 3 * _STEP) & _GROUP)
            p += _CHAINS * _STEP
        while p < end:
            h0 = _mix0(h0, _part(data, p, end))
            if p + _STEP < end:
                h1 = _mix1(h1, _part(data, p + _STEP, end))
            if p + 2 * _STEP < end:
                h2 = _mix0(h2, _part(data, p + 2 * _STEP, end))
            if p + 3 * _STEP < end:
                h3 = _mix1(h3, _part(data, p + 3 * _STEP, end))
            p += _CHAINS * _STEP
        h0, h1 = _mix0(_mix0(h0, h1), plus(h2, h3)), _mix1(_mix1(h2, h3), plus(h0, h1))
        a[row] = plus(a[row], h0)
        b[row] = plus(b[row], h1)
        count += 1
    return count


@kernel
def _add_numbers(values: ReadI64, valid: Bytes, bit: int, base0: int, base1: int, a: I64, b: I64) -> int:
    """Add the hashes of numbers to ``a`` and ``b``; return how many there are.

    A number that equals the one before it is not hashed again, as most of ``flags`` and ``nth`` do.
    """
    size = 8 * _CHAINS
    start0, start1, h2, h3 = _mix0(base0, size), _mix1(base1, size + 1), _mix0(base0, size + 2), _mix1(base1, size + 3)
    rest0, rest1 = plus(h2, h3), _mix1(h2, h3)
    before, h0, h1, count = 0, 0, 0, 0
    for row in range(len(a)):
        if len(valid) > 0 and valid[(row + bit) >> 3] >> ((row + bit) & 7) & 1 == 0:
            continue
        value = values[row]
        if count == 0 or value != before:
            h0, h1 = _mix0(start0, value & _GROUP), _mix1(start1, value >> _HIGH & 0xFF)
            h0, h1 = _mix0(_mix0(h0, h1), rest0), _mix1(rest1, plus(h0, h1))
            before = value
        a[row] = plus(a[row], h0)
        b[row] = plus(b[row], h1)
        count += 1
    return count


@kernel
def _add_codes(codes: ReadI32, valid: Bytes, bit: int, hashes0: ReadI64, hashes1: ReadI64, a: I64, b: I64) -> int:
    """Add the hashes of coded values to ``a`` and ``b``; return how many there are."""
    count = 0
    for row in range(len(a)):
        if len(valid) > 0 and valid[(row + bit) >> 3] >> ((row + bit) & 7) & 1 == 0:
            continue
        a[row] = plus(a[row], hashes0[codes[row]])
        b[row] = plus(b[row], hashes1[codes[row]])
        count += 1
    return count


@kernel
def _flush(sums: I64, at: int, y0: int, y1: int, x0: int, x1: int, rows: int) -> int:
    """Add to the sums that begin ``at``, those of one hour; return the number of rows."""
    sums[at] += y0
    sums[at + 1] += y1
    sums[at + 2] += x0
    sums[at + 3] += x1
    sums[at + 4] += rows
    return rows


@kernel
def _sum_hours(a: ReadI64, b: ReadI64, received: ReadI64, first: int, sums: I64) -> int:
    """Add the hash of each row, made of ``a`` and ``b``, to the ``sums`` of its hour; the first hour begins at ``first``."""
    place, rows, y0, y1, x0, x1 = 0, 0, 0, 0, 0, 0
    for row in range(len(a)):
        at = (received[row] - first) // _HOUR * _PARTS
        if at != place:
            _flush(sums, place, y0, y1, x0, x1, rows)
            place, rows, y0, y1, x0, x1 = at, 0, 0, 0, 0, 0
        x = _mix0(_mix0(a[row], b[row]), a[row])
        y = _mix1(_mix1(0, plus(a[row], b[row])), b[row])
        y0 += y & _HALF
        y1 += y >> 32
        x0 += x & _HALF
        x1 += x >> 32
        rows += 1
    _flush(sums, place, y0, y1, x0, x1, rows)
    return len(a)
