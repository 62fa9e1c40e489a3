"""Words of a text, and their keys: what an index knows of rows. A persistent format; no number here ever changes.

A *token* is a maximal run of token characters that has three bytes or more when it is folded. Token characters are

- ASCII letters and digits, and ``_``;
- the letters of Unicode's ``LETTERS``, each two bytes of UTF-8: Latin, Greek, Cyrillic, Armenian, Hebrew, Arabic and others;
- U+212A KELVIN SIGN. It and U+017F, one of ``LETTERS``, are what a search that ignores case takes for ``k`` and ``s``.

Every other character ends a token, as those of Chinese, Japanese and Korean do, which thus are in no index. Folding makes
``A`` to ``Z`` small, U+212A ``k`` and U+017F ``s``, and leaves all else as it is. Each token character is a letter, a digit or
``_`` for ``--word-regexp``, too, so that a word which that finds in a text ends where a token ends.

The *key* of some bytes is a number of 63 bits. All of its arithmetic is modulo 2**63::

    h = 0x4BF29CE484222325                                         FNV-1a: the offset basis of 64 bits without its highest bit
    for each byte: h = (h xor byte) * 0x100000001B3
    h = h xor (h >> 32);  h = h * 0x1E3779B97F4A7C15               twice, as bits of FNV's upper half depend on few bytes
    h = h xor (h >> 29);  h = h * 0x2545F4914F6CDD1D
    h = h xor (h >> 32)

``token_key`` has the folded bytes of a token, ``value_key`` those of a column's name, a zero byte, and the value as it is. No
token has a zero byte, so that the two never are keys of the same bytes. The bytes ``\\u`` (``ESCAPE``) count as a token of each
text that has them, whatever stands beside them: JSON may write any character that way.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Final, NamedTuple

SHORTEST: Final = 3
"""Fewest bytes of a token."""

ESCAPE: Final = b"\\u"
"""The pseudo token of messages in which JSON may have written a character by its number."""

VALUE_COLUMNS: Final = (
    *("host", "app", "procid", "msgid", "environment", "role"),
    *("deploy", "instance", "sender", "identity"),
)
"""Columns whose whole values have keys."""

TEXT_COLUMNS: Final = ("message", "structured_data")
"""Columns whose tokens have keys, without the column's name: who looks for a word of one finds that of the other."""

LETTERS: Final = (
    *((0xAA, 0xAA), (0xB5, 0xB5), (0xBA, 0xBA), (0xC0, 0xD6), (0xD8, 0xF6), (0xF8, 0x2C1), (0x2C6, 0x2D1)),
    *((0x2E0, 0x2E4), (0x2EC, 0x2EC), (0x2EE, 0x2EE), (0x370, 0x374), (0x376, 0x377), (0x37A, 0x37D), (0x37F, 0x37F)),
    *((0x386, 0x386), (0x388, 0x38A), (0x38C, 0x38C), (0x38E, 0x3A1), (0x3A3, 0x3F5), (0x3F7, 0x481), (0x48A, 0x52F)),
    *((0x531, 0x556), (0x559, 0x559), (0x560, 0x588), (0x5D0, 0x5EA), (0x5EF, 0x5F2), (0x620, 0x64A), (0x66E, 0x66F)),
    *((0x671, 0x6D3), (0x6D5, 0x6D5), (0x6E5, 0x6E6), (0x6EE, 0x6EF), (0x6FA, 0x6FC), (0x6FF, 0x6FF), (0x710, 0x710)),
    *((0x712, 0x72F), (0x74D, 0x7A5), (0x7B1, 0x7B1), (0x7CA, 0x7EA), (0x7F4, 0x7F5), (0x7FA, 0x7FA)),
)
"""First and last of each range of letters (category L of Unicode 14) from U+0080 to U+07FF."""

KELVIN_SIGN: Final = 0x212A
LONG_S: Final = 0x17F

BASIS: Final = 0x4BF29CE484222325
PRIME: Final = 0x100000001B3
ROUND_1: Final = 0x1E3779B97F4A7C15
ROUND_2: Final = 0x2545F4914F6CDD1D
HALF: Final = 32
"""Bits that the first and the last step of the finaliser shift by."""
THIRD: Final = 29
"""Bits that its middle step shifts by."""

_BITS: Final = (1 << 63) - 1
_FOLDED: Final[dict[int, int | str]] = {
    **{c: c + 32 for c in range(ord("A"), ord("Z") + 1)},
    KELVIN_SIGN: "k",
    LONG_S: "s",
}


class Token(NamedTuple):
    """A token of a text, at the characters from ``start`` to before ``end``; ``folded``: its folded bytes in UTF-8."""

    start: int
    end: int
    folded: bytes


def tokens(text: str) -> Iterator[Token]:
    """Yield the tokens of a text, from left to right."""
    for run in _runs().finditer(text):
        folded = run[0].translate(_FOLDED).encode()
        if len(folded) >= SHORTEST:
            yield Token(run.start(), run.end(), folded)


def is_token_character(character: str) -> bool:
    """Return whether a character can stand in a token."""
    return _runs().fullmatch(character) is not None


def token_key(folded: bytes) -> int:
    """Return the key of a token, by its folded bytes, or of ``ESCAPE``."""
    h = BASIS
    for octet in folded:
        h = (h ^ octet) * PRIME & _BITS
    h = (h ^ h >> HALF) * ROUND_1 & _BITS
    h = (h ^ h >> THIRD) * ROUND_2 & _BITS
    return h ^ h >> HALF


def value_key(column: str, value: str) -> int:
    """Return the key of a value of one of ``VALUE_COLUMNS``."""
    return token_key(column.encode() + b"\0" + value.encode("utf-8", "surrogatepass"))


@cache
def _runs() -> re.Pattern[str]:
    ranges = (*LETTERS, (KELVIN_SIGN, KELVIN_SIGN))
    return re.compile("[0-9A-Z_a-z" + "".join(f"\\u{first:04x}-\\u{last:04x}" for first, last in ranges) + "]+")
