"""Digests of rows: numbers that say which rows there are, in whatever order and files they stand. A persistent format:
``logsink.digests`` among the tags of a data file in the table's log::

    {"<hour of received, UTC, YYYY-MM-DDTHH>": [rows, "<digest of these rows, 32 hex digits>"], ...}      JSON, sorted

The digest of rows is the sum modulo 2**128 of their hashes, so the digests of files add up: a merged file has the sum of its
inputs'. A row's hash is made of its columns (all of ``parse.FILE_SCHEMA``) in two lanes k = 0, 1 of 64 bits, unsigned::

    fold(a, b)       p = a * b, 128 bits;  (p >> 64) xor (p mod 2**64)
    blocks(bytes)    32 bytes each: those at 0, 32, 64, ... while more follow, and the last 32; fewer with zeros behind them
    text(h, bytes)   for each block, as four little-endian numbers w:  h[0] = fold(h[0] xor w[0], w[1] xor F[0])  and
                     h[1] = fold(h[1] xor w[2], w[3] xor F[1]);  then, n being the number of bytes,
                     fold(h[0] xor n, h[1] xor F[2])  and  fold(h[1] xor n, h[0] xor F[3])
    name             text((F[2], F[3]), the column's name)
    value[k]         of a string: text(name, the string)[k];  of a number v: fold(v xor F[k], name[k])
    s[k]             sum modulo 2**64 of value[k] over the columns that are not null
    row              x * 2**64 + y  with  z = fold(s[0] xor F[0], s[1] xor F[1]),  x = fold(z xor s[0], F[2])
                     and  y = fold(z xor s[1], F[3])

The bytes of a string are its UTF-8. A number has 64 bits in two's complement; an instant is one of microseconds since 1970.
F = 0x243F6A8885A308D3, 0x13198A2E03707344, 0x082EFA98EC4E6C89, 0x452821E638D01377 (of the digits of pi). A column that a later
version adds has its own name, and changes nothing where it is null.

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
from logsink.kernel import I64, Bytes, ReadI32, ReadI64, fold, kernel, load, plus
from logsink.parse import ROWS_SCHEMA

TAG: Final = "logsink.digests"
"""Name of the tag."""

Digests = Mapping[str, tuple[int, int]]
"""Hour (``YYYY-MM-DDTHH``) -> the number of its rows, and their digest."""

Int64s = npt.NDArray[np.int64]
_Hashes = tuple[Int64s, Int64s]

_NAMES: Final = frozenset(ROWS_SCHEMA.names)

_F0, _F1, _F2, _F3 = 0x243F6A8885A308D3, 0x13198A2E03707344, 0x082EFA98EC4E6C89, 0x452821E638D01377
_WORD = 8  # bytes
_BLOCK = 32
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
        raise FormatError(f"cannot read digests {text[:100]!r}", repr(error)) from error


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
    constant, varied = [np.zeros(1, np.int64), np.zeros(1, np.int64)], list[tuple[str, pa.Array, _Hashes | None]]()
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        if name not in _NAMES or column.null_count == len(column):
            continue
        hashes = _hashes(name, column.dictionary) if pa.types.is_dictionary(column.type) else None
        if hashes is not None and len(hashes[0]) == 1 and not column.null_count:
            constant = [one + more for one, more in zip(constant, hashes, strict=True)]
        else:
            varied.append((name, column, hashes))
    a, b = (np.full(len(batch), one, np.int64) for one in constant)
    for name, column, hashes in varied:
        if hashes is not None:
            codes = np.frombuffer(column.indices.buffers()[1], np.int32)[column.offset : column.offset + len(column)]
            _add_codes.form(len(codes))(codes, *_valid(column), *hashes, a, b)
        else:
            _add_column(name, column, a, b)
    return a, b


def _hashes(name: str, values: pa.Array) -> _Hashes:
    """Return the hashes of values in both lanes; 0 for null."""
    a, b = np.zeros(len(values), np.int64), np.zeros(len(values), np.int64)
    _add_column(name, values, a, b)
    return a, b


def _add_column(name: str, column: pa.Array, a: Int64s, b: Int64s) -> None:
    """Add the hashes of a column's values to ``a`` and ``b``."""
    if not len(column):
        return
    bases, valid = _bases(name), _valid(column)
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
    if pa.types.is_timestamp(column.type) and column.type.unit != "us":
        column = column.cast(_INSTANT)
    width = column.type.bit_width // 8
    values = np.frombuffer(column.buffers()[1], f"i{width}")[column.offset : column.offset + len(column)]
    return values.astype(np.int64, copy=False)


@cache
def _bases(name: str) -> tuple[int, int]:
    """Return the hashes of a column's name, in both lanes."""
    octets, a, b = np.frombuffer(name.encode(), np.uint8), np.zeros(1, np.int64), np.zeros(1, np.int64)
    _add_texts.form(1)(octets, np.array([0, len(octets)], np.int32), _ALL_VALID, 0, _F2, _F3, a, b)
    return int(a[0]), int(b[0])


@kernel
def _part(data: Bytes, p: int, end: int) -> int:
    """Return the bytes from ``p`` on, before ``end`` and eight at most, as a little-endian number; 0 for none."""
    if p >= end:
        return 0
    if p + _WORD <= end:
        return load(data, p)
    if p + _WORD <= len(data):
        return load(data, p) & ((1 << 8 * (end - p)) - 1)
    value = 0
    for k in range(end - p):
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
        h0, h1, size = base0, base1, end - p
        while p + _BLOCK < end:
            h0 = fold(h0 ^ load(data, p), load(data, p + _WORD) ^ _F0)
            h1 = fold(h1 ^ load(data, p + 2 * _WORD), load(data, p + 3 * _WORD) ^ _F1)
            p += _BLOCK
        if size >= _BLOCK:
            p = end - _BLOCK
            h0 = fold(h0 ^ load(data, p), load(data, p + _WORD) ^ _F0)
            h1 = fold(h1 ^ load(data, p + 2 * _WORD), load(data, p + 3 * _WORD) ^ _F1)
        else:
            h0 = fold(h0 ^ _part(data, p, end), _part(data, p + _WORD, end) ^ _F0)
            h1 = fold(h1 ^ _part(data, p + 2 * _WORD, end), _part(data, p + 3 * _WORD, end) ^ _F1)
        a[row] = plus(a[row], fold(h0 ^ size, h1 ^ _F2))
        b[row] = plus(b[row], fold(h1 ^ size, h0 ^ _F3))
        count += 1
    return count


@kernel
def _add_numbers(values: ReadI64, valid: Bytes, bit: int, base0: int, base1: int, a: I64, b: I64) -> int:
    """Add the hashes of numbers to ``a`` and ``b``; return how many there are."""
    count = 0
    for row in range(len(a)):
        if len(valid) > 0 and valid[(row + bit) >> 3] >> ((row + bit) & 7) & 1 == 0:
            continue
        a[row] = plus(a[row], fold(values[row] ^ _F0, base0))
        b[row] = plus(b[row], fold(values[row] ^ _F1, base1))
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
        z = fold(a[row] ^ _F0, b[row] ^ _F1)
        x, y = fold(z ^ a[row], _F2), fold(z ^ b[row], _F3)
        y0 += y & _HALF
        y1 += y >> 32 & _HALF
        x0 += x & _HALF
        x1 += x >> 32 & _HALF
        rows += 1
    _flush(sums, place, y0, y1, x0, x1, rows)
    return len(a)
