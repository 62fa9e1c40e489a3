"""Boot and running number of rows, from their structured data.

A sender that numbers its messages writes two parameters, in this order and side by side, into an element of structured data
(``logsink client-config`` makes it the one with role and deploy)::

    [deploy@32473 role="web" ... boot="0b7d5e1e.9F2C11A0B3D4" seq="4711"]

``boot`` is new whenever numbering begins at 1. The first such pair of a row counts.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa

from logsink.ascii import BACKSLASH, DIGIT_0, DIGIT_9, QUOTE, SPACE
from logsink.kernel import I32, I64, U8, Bytes, ReadI32, kernel, word
from logsink.query.columns import Int64, as_array, as_integers, one_chunk

COLUMN: Final = "structured_data"

_BOOT: Final = int.from_bytes(b"boot=", "little")
_SEQ: Final = int.from_bytes(b'" seq="', "little")
_BOOT_LENGTH: Final = len(b'boot="')
_SEQ_LENGTH: Final = len(b'" seq="')
_BOOT_MASK: Final = (1 << 40) - 1
_SEQ_MASK: Final = (1 << 56) - 1

_LONGEST_BOOT = 128
"""Bytes of a boot."""

_SHORTEST: Final = len(b' boot="b" seq="1"')
"""Bytes of the shortest pair."""

_MOST_DIGITS = 15
"""Digits of a number."""

_FEW = 1000
"""Texts that plain Python searches in the time in which the kernel's machine code is loaded."""


@kernel
def _find(data: Bytes, starts: ReadI32, out: U8, ends: I32, numbers: I64) -> int:
    """Find boot and number of each text ``data[starts[i]:starts[i + 1]]``.

    Writes boots to ``out``, one behind the other: that of text i ends at ``ends[i + 1]``. Writes its number, or -1 for a text
    without both, and then its boot is empty. Returns how many bytes were written.
    """
    at = 0
    ends[0] = 0
    for i in range(len(starts) - 1):
        numbers[i] = -1
        p, end = starts[i], starts[i + 1]
        # Eight bytes are compared at once, of which five or seven count: a pair is longer than that.
        while p + _SHORTEST <= end:
            if data[p] != SPACE or word(data, p + 1) & _BOOT_MASK != _BOOT or data[p + _BOOT_LENGTH] != QUOTE:
                p += 1
                continue
            # Its value, and the name of the second one behind it.
            p += 1 + _BOOT_LENGTH
            q = p
            while q < end and data[q] != QUOTE and data[q] != BACKSLASH:
                q += 1
            if q + 8 > end or word(data, q) & _SEQ_MASK != _SEQ or not 0 < q - p <= _LONGEST_BOOT:
                continue
            r = q + _SEQ_LENGTH
            number = 0
            while r < end and DIGIT_0 <= data[r] <= DIGIT_9 and r - q < _SEQ_LENGTH + _MOST_DIGITS:
                number = number * 10 + (data[r] - DIGIT_0)
                r += 1
            if q + _SEQ_LENGTH < r < end and data[r] == QUOTE:
                numbers[i] = number
                for k in range(p, q):
                    out[at] = data[k]
                    at += 1
                break
        ends[i + 1] = at
    return at


class Numbers(NamedTuple):
    """The rows that are numbered (``rows[i]``), each with the place of its boot in ``boots`` and its number."""

    rows: Int64
    boot: Int64
    number: Int64
    boots: list[str]


def numbers_of(rows: pa.Table) -> Numbers:
    """Return boots and numbers of the rows that have them."""
    texts = one_chunk(rows.column(COLUMN))
    texts = texts if pa.types.is_dictionary(texts.type) else texts.dictionary_encode()
    boots, numbers = _found(texts.dictionary)
    place = as_integers(texts.indices, len(numbers))
    number = np.append(numbers, -1)[place]
    numbered = np.flatnonzero(number >= 0)
    coded = boots.take(as_array(place[numbered])).dictionary_encode()
    return Numbers(numbered, as_integers(coded.indices), number[numbered], coded.dictionary.to_pylist())


def _found(texts: pa.StringArray) -> tuple[pa.StringArray, Int64]:
    """Return the boot of each text, and its number or -1."""
    _, offsets, data = texts.buffers()
    numbers = np.full(len(texts), -1, np.int64)
    if data is None or not len(texts):
        return pa.array([""] * len(texts), pa.string()), numbers
    starts = np.frombuffer(offsets, np.int32)[texts.offset : texts.offset + len(texts) + 1]
    out, ends = np.empty(max(1, int(starts[-1] - starts[0])), np.uint8), np.empty(len(starts), np.int32)
    _find.form(len(texts), _FEW)(np.frombuffer(data, np.uint8), starts, out, ends, numbers)
    return pa.Array.from_buffers(pa.string(), len(texts), [None, pa.py_buffer(ends), pa.py_buffer(out)]), numbers
