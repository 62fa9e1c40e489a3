"""Messages to patterns: numbers, ids and addresses become ``*``, so that lines that differ in nothing else are one.

A token is a run of ASCII letters and digits. It becomes ``*`` if it holds a digit and begins with one, or is all hexadecimal,
or has ``LONG`` characters and more: ``4711``, ``e29b``, ``AAAAC3NzaC1`` do, ``ssh2`` and ``SHA256`` do not. Two of them
with one of ``.:-/_+=@%,`` between are one ``*``: an address, a time, a UUID. A word is what these
join, but for ``/``. One with two other tokens that hold a digit is ``*`` from its beginning to its last token:
``R16-M1-ND-C:J13-U01`` names a place.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from logsink.kernel import I32, U8, Bytes, ReadI32, kernel

LONG = 8

_FEW = 1000
"""Messages that plain Python turns into patterns in the time in which the kernel's machine code is loaded."""

_STAR = 42
_JOINS = (46, 58, 45, 47, 95, 43, 61, 64, 37, 44)


@kernel
def _collapse(data: Bytes, starts: ReadI32, out: U8, ends: I32) -> int:
    """The pattern of each ``data[starts[i]:starts[i + 1]]``, end to end in ``out``; ``ends[i + 1]``: where it ends."""
    at = 0
    ends[0] = 0
    for i in range(len(starts) - 1):
        p, end, first = starts[i], starts[i + 1], at
        word, mixed = at, 0  # where the word began; its tokens that hold a digit and stay
        while p < end:
            q = p
            digits, hexadecimal = 0, True
            while q < end:
                c = data[q]
                if 48 <= c <= 57:
                    digits += 1
                elif 97 <= c <= 122 or 65 <= c <= 90:
                    if c & 95 > 70:
                        hexadecimal = False
                else:
                    break
                q += 1
            if q == p:
                out[at] = data[p]
                at += 1
                p += 1
                if data[p - 1] == 47 or data[p - 1] not in _JOINS:
                    word, mixed = at, 0
                continue
            if mixed > 1:
                at = word + 1
            elif digits and (data[p] <= 57 or hexadecimal or q - p >= LONG):
                if at - first >= 2 and out[at - 2] == _STAR and out[at - 1] in _JOINS:
                    at -= 1
                else:
                    out[at] = _STAR
                    at += 1
                word = min(word, at - 1)
            else:
                for k in range(p, q):
                    out[at] = data[k]
                    at += 1
                mixed += digits > 0
                if mixed > 1:
                    out[word] = _STAR
                    at = word + 1
            p = q
        ends[i + 1] = at
    return at


def to_patterns(messages: pa.Array) -> pa.StringArray:
    """The pattern of each message; null stays null."""
    _, offsets, data = messages.buffers()
    if data is None or not len(messages):
        return messages
    starts = np.frombuffer(offsets, np.int32)[messages.offset : messages.offset + len(messages) + 1]
    octets = np.frombuffer(data, np.uint8)
    out, ends = np.empty(max(1, int(starts[-1] - starts[0])), np.uint8), np.empty(len(starts), np.int32)
    _collapse.form(len(messages), _FEW)(octets, starts, out, ends)
    validity = (
        pa.py_buffer(np.packbits(np.asarray(messages.is_valid()), bitorder="little")) if messages.null_count else None
    )
    return pa.Array.from_buffers(pa.string(), len(messages), [validity, pa.py_buffer(ends), pa.py_buffer(out)])
