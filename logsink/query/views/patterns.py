"""Messages to patterns: numbers, ids and addresses become ``*``, so that messages that differ in nothing else are one.

A *token* is a run of ASCII letters and digits. One that holds a digit is *variable*, and becomes ``*``, when it also begins
with a digit, or is all hexadecimal, or has ``LONG_TOKEN`` characters or more: ``4711``, ``e29b`` and ``AAAAC3NzaC1`` are
variable, ``ssh2`` and ``SHA256`` are not.

Two variable tokens with one of ``.:-/_+=@%,`` between them become one ``*``: an address, a time, a UUID.

A *word* is the tokens that these characters join, but for ``/``. A word with two tokens that hold a digit and are not variable
becomes ``*`` from its beginning to the end of its last token: ``R16-M1-ND-C:J13-U01`` is the name of a place.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa

from logsink.ascii import (
    ASTERISK,
    AT,
    CAPITAL_A,
    CAPITAL_Z,
    CASE_BIT,
    COLON,
    COMMA,
    DIGIT_0,
    DIGIT_9,
    DOT,
    EQUALS,
    HYPHEN,
    PERCENT,
    PLUS,
    SLASH,
    SMALL_A,
    SMALL_F,
    SMALL_Z,
    UNDERSCORE,
)
from logsink.kernel import I32, U8, Bytes, ReadI32, kernel

LONG_TOKEN: Final = 8
"""Characters of a token that holds a digit from which on it is variable."""

_FEW = 1000
"""Messages that plain Python turns into patterns in the time in which the kernel's machine code is loaded."""

_JOINS: Final = (DOT, COLON, HYPHEN, SLASH, UNDERSCORE, PLUS, EQUALS, AT, PERCENT, COMMA)
"""Characters that join the tokens of one value."""


@kernel
def _collapse(data: Bytes, starts: ReadI32, out: U8, ends: I32) -> int:
    """Write the pattern of each message ``data[starts[i]:starts[i + 1]]`` to ``out``, one behind the other.

    ``ends[i]`` is where the pattern of message i begins in ``out``, ``ends[i + 1]`` where it ends. No pattern is longer than
    its message, so that ``out`` needs the size of all messages. Returns how many bytes were written.
    """
    at = 0
    ends[0] = 0
    for i in range(len(starts) - 1):
        p, end, first = starts[i], starts[i + 1], at
        word, mixed = at, 0  # where the word begins in out; how many of its tokens hold a digit and are not variable
        while p < end:
            # Find the end of the token at p, and what it consists of.
            q = p
            digits, hexadecimal = 0, True
            while q < end:
                c = data[q]
                if DIGIT_0 <= c <= DIGIT_9:
                    digits += 1
                elif SMALL_A <= c <= SMALL_Z or CAPITAL_A <= c <= CAPITAL_Z:
                    if c | CASE_BIT > SMALL_F:
                        hexadecimal = False
                else:
                    break
                q += 1
            # No token: copy one character. Unless it joins tokens, a new word begins behind it.
            if q == p:
                out[at] = data[p]
                at += 1
                p += 1
                if data[p - 1] == SLASH or data[p - 1] not in _JOINS:
                    word, mixed = at, 0
                continue
            if mixed > 1:
                # The word is one * already: drop what was copied since.
                at = word + 1
            elif digits and (data[p] <= DIGIT_9 or hexadecimal or q - p >= LONG_TOKEN):
                # A variable token: another *, or still the one that a joining character follows.
                if at - first >= 2 and out[at - 2] == ASTERISK and out[at - 1] in _JOINS:
                    at -= 1
                else:
                    out[at] = ASTERISK
                    at += 1
                word = min(word, at - 1)
            else:
                # Any other token: copy it. The second one in a word that holds a digit makes the word one *.
                for k in range(p, q):
                    out[at] = data[k]
                    at += 1
                mixed += digits > 0
                if mixed > 1:
                    out[word] = ASTERISK
                    at = word + 1
            p = q
        ends[i + 1] = at
    return at


def to_patterns(messages: pa.Array) -> pa.StringArray:
    """Return the pattern of each message; null stays null."""
    _, offsets, data = messages.buffers()
    if data is None or not len(messages):
        return messages
    starts = np.frombuffer(offsets, np.int32)[messages.offset : messages.offset + len(messages) + 1]
    characters = np.frombuffer(data, np.uint8)
    out, ends = np.empty(max(1, int(starts[-1] - starts[0])), np.uint8), np.empty(len(starts), np.int32)
    _collapse.form(len(messages), _FEW)(characters, starts, out, ends)
    validity = (
        pa.py_buffer(np.packbits(np.asarray(messages.is_valid()), bitorder="little")) if messages.null_count else None
    )
    return pa.Array.from_buffers(pa.string(), len(messages), [validity, pa.py_buffer(ends), pa.py_buffer(out)])
