"""The keys of rows: row groups of a data file go in, and the section (``section``) of that file comes out.

Every row has keys of the tokens of its texts and of the values of its short columns (``words``). Keys are kept by their highest
31 bits, which is all that a section has of them, in a hash table of each row group. A row group with more than
``MOST_A_ROW`` keys a row on average is not indexed: its ids alone would take more bytes than what they save.

The hash table is open addressing over a power of two, at most half full. Its places depend on a random factor, so that nobody
who does not know the factor can send tokens that collide. What is found does not depend on it.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from logsink.ascii import BACKSLASH, DIGIT_0
from logsink.index.section import Filter, encode
from logsink.index.words import (
    BASIS,
    ESCAPE,
    HALF,
    LETTERS,
    LONG_S,
    PRIME,
    ROUND_1,
    ROUND_2,
    SHORTEST,
    TEXT_COLUMNS,
    THIRD,
    VALUE_COLUMNS,
    token_key,
)
from logsink.kernel import I32, Bytes, ReadI32, kernel, times

MOST_A_ROW: Final = 8
"""Most keys a row on average of a row group that is indexed."""

LEAST_MOST: Final = 4096
"""Keys up to which a row group is indexed however few rows it has."""

_USUAL: Final = 1 << 18
"""Places of the first hash table. It is 1 MiB, which a processor's cache holds; most row groups fill a quarter of it."""

_SHIFT = 32  # bits of a key that are left out of its prefix
_BITS = 63
_EMPTY = -1
_TOO_MANY = -1

# What the table of characters says of a byte besides the folded byte, which is at least DIGIT_0.
_SEPARATOR, _TWO_BYTES, _THREE_BYTES, _ESCAPE_BEGINS = 0, 1, 2, 3
# What the table of letters says of two bytes.
_LETTER, _LETTER_S = 1, 2

_FIRST_LEAD = 0xC2
_LAST_LEAD = 0xDF
_KELVIN_1, _KELVIN_2, _KELVIN_3 = 0xE2, 0x84, 0xAA
_SMALL_K, _SMALL_S, _SMALL_U = 0x6B, 0x73, 0x75
_CONTINUED = 6  # bits of a continuation byte
_ESCAPE_PREFIX = token_key(ESCAPE) >> _SHIFT

Prefixes = npt.NDArray[np.int32]


class SectionBuilder:
    """Makes the section of one data file: ``add`` its row groups in order, then ``finish``.

    ``seed``: a random number of 62 bits, by which places in hash tables are chosen.
    """

    def __init__(self, seed: int) -> None:
        self._factor = seed | 1
        self._groups: list[Prefixes | None] = []

    def add(self, group: pa.Table) -> None:
        """Take the next row group: a table with columns of ``parse.ROWS_SCHEMA``, whose dictionaries have no other values."""
        self._groups.append(prefixes_of(group, self._factor))

    def finish(self) -> Filter:
        """Return the section of the row groups that were added."""
        return encode(self._groups)


def prefixes_of(group: pa.Table, factor: int) -> Prefixes | None:
    """Return the prefixes of a row group's keys, each once and in no order; None when there are too many of them."""
    most = max(MOST_A_ROW * len(group), LEAST_MOST)
    size = 1 << (2 * most - 1).bit_length()
    for places in sorted({min(_USUAL, size), size}):
        found = np.full(places, _EMPTY, np.int32)
        if _enter_all(group, found, min(most, places // 2), factor):
            prefixes: Prefixes = found[found != _EMPTY]
            return prefixes
    return None


def _enter_all(group: pa.Table, found: Prefixes, most: int, factor: int) -> bool:
    """Enter the prefixes of a row group's keys into ``found``; return False when there are more than ``most``."""
    count, rows = 0, len(group)
    for column in (*VALUE_COLUMNS, *TEXT_COLUMNS):
        for octets, ends in _texts(group, column):
            if column in TEXT_COLUMNS:
                run = _enter_tokens.form(rows)
                count = run(octets, ends, *_tables(), found, factor, count, most)
            else:
                count = _enter_values.form(rows)(octets, ends, _state_behind(column), found, factor, count, most)
            if count == _TOO_MANY:
                return False
    return True


def _texts(group: pa.Table, name: str) -> Iterator[tuple[npt.NDArray[np.uint8], Prefixes]]:
    """Yield the different values of a column, or all of them: their bytes, and where each begins and the last one ends."""
    for chunk in group[name].chunks if name in group.schema.names else ():
        values = chunk.dictionary if pa.types.is_dictionary(chunk.type) else chunk
        if not len(values):
            continue
        _, offsets, data = values.buffers()
        if data is not None:
            ends = np.frombuffer(offsets, np.int32)[values.offset : values.offset + len(values) + 1]
            yield np.frombuffer(data, np.uint8), ends


@cache
def _tables() -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Return what each byte is, and what each two bytes from ``_FIRST_LEAD`` on are."""
    characters = np.zeros(256, np.uint8)
    for c in b"0123456789_abcdefghijklmnopqrstuvwxyz":
        characters[c] = characters[ord(chr(c).upper())] = c
    characters[_FIRST_LEAD : _LAST_LEAD + 1] = _TWO_BYTES
    characters[_KELVIN_1] = _THREE_BYTES
    characters[BACKSLASH] = _ESCAPE_BEGINS
    letters = np.zeros((_LAST_LEAD + 1 - _FIRST_LEAD) << _CONTINUED, np.uint8)
    for first, last in LETTERS:
        letters[first - 0x80 : last + 1 - 0x80] = _LETTER
    letters[LONG_S - 0x80] = _LETTER_S
    return characters, letters


@cache
def _state_behind(column: str) -> int:
    """Return FNV's state behind a column's name and the zero byte."""
    h = BASIS
    for octet in column.encode() + b"\0":
        h = (h ^ octet) * PRIME & (1 << _BITS) - 1
    return h


@kernel
def _prefix(h: int) -> int:
    """Return the prefix of the key that FNV's last state ``h`` makes."""
    h = times(h ^ h >> HALF, ROUND_1)
    h = times(h ^ h >> THIRD, ROUND_2)
    return (h ^ h >> HALF) >> _SHIFT


@kernel
def _enter(found: I32, prefix: int, factor: int) -> int:
    """Enter a prefix into the hash table, which has a place left; return 1 when it is new, and 0 otherwise."""
    mask = len(found) - 1
    slot = times(prefix, factor) >> HALF & mask
    while found[slot] != _EMPTY:
        if found[slot] == prefix:
            return 0
        slot = (slot + 1) & mask
    found[slot] = prefix
    return 1


@kernel
def _enter_values(data: Bytes, ends: ReadI32, state: int, found: I32, factor: int, count: int, most: int) -> int:
    """Enter the keys of values, FNV's state being ``state`` before each of them.

    Value i stands between ``ends[i]`` and ``ends[i + 1]``. Returns how many prefixes the table has: ``count`` and the new
    ones; ``_TOO_MANY`` instead where they could be more than ``most``.
    """
    for i in range(len(ends) - 1):
        h = state
        for p in range(ends[i], ends[i + 1]):
            h = times(h ^ data[p], PRIME)
        if count >= most:
            return _TOO_MANY
        count += _enter(found, _prefix(h), factor)
    return count


@kernel
def _enter_tokens(
    data: Bytes,
    ends: ReadI32,
    characters: Bytes,
    letters: Bytes,
    found: I32,
    factor: int,
    count: int,
    most: int,
) -> int:
    """Enter the keys of texts' tokens, as ``_enter_values`` does those of values. ``characters``, ``letters``: ``_tables``."""
    for i in range(len(ends) - 1):
        p, end = ends[i], ends[i + 1]
        h, size = BASIS, 0
        while p <= end:
            kind = characters[data[p]] if p < end else _SEPARATOR
            if kind >= DIGIT_0:
                h = times(h ^ kind, PRIME)
                size += 1
                p += 1
                continue
            if kind == _TWO_BYTES and p + 1 < end:
                letter = letters[((data[p] - _FIRST_LEAD) << _CONTINUED) + (data[p + 1] & 0x3F)]
                if letter == _LETTER:
                    h = times(times(h ^ data[p], PRIME) ^ data[p + 1], PRIME)
                    size += 2
                    p += 2
                    continue
                if letter == _LETTER_S:
                    h = times(h ^ _SMALL_S, PRIME)
                    size += 1
                    p += 2
                    continue
            if kind == _THREE_BYTES and p + 2 < end and data[p + 1] == _KELVIN_2 and data[p + 2] == _KELVIN_3:
                h = times(h ^ _SMALL_K, PRIME)
                size += 1
                p += 3
                continue
            # The character ends a token.
            if count >= most:
                return _TOO_MANY
            if size >= SHORTEST:
                count += _enter(found, _prefix(h), factor)
            if kind == _ESCAPE_BEGINS and p + 1 < end and data[p + 1] == _SMALL_U and count < most:
                count += _enter(found, _ESCAPE_PREFIX, factor)
            if size > 0:
                h, size = BASIS, 0
            p += 1
    return count
