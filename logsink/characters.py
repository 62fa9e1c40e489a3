"""The one table of characters that no output shows as they are, and the one rule for what stands in their place.

A log line is somebody else's text. Control characters in it move the cursor or change the window's title; bidirectional
characters make it read as something that it does not say; characters without width hide a word from whoever searches for it.
``HARMFUL`` holds the control characters, the line separators, and what Unicode calls default-ignorable
(DerivedCoreProperties.txt), except the variation selectors U+FE00 to U+FE0F, which are part of ordinary emoji.

Single strings are made harmless here, Arrow arrays in ``logsink.query.output.escape``, from the same table: a test
compares both for every code point. Whatever writes text to a terminal calls one of them.
"""

from __future__ import annotations

import re

HARMFUL = (
    (0x00, 0x1F),  # C0
    (0x7F, 0x9F),  # delete, C1
    (0xAD, 0xAD),  # soft hyphen
    (0x34F, 0x34F),  # combining grapheme joiner
    (0x61C, 0x61C),  # Arabic letter mark
    (0x115F, 0x1160),  # Hangul fillers
    (0x17B4, 0x17B5),  # Khmer inherent vowels
    (0x180B, 0x180F),  # Mongolian variation selectors and vowel separator
    (0x200B, 0x200F),  # zero-width space, joiners, directional marks
    (0x2028, 0x202E),  # line and paragraph separators, embeddings and overrides
    (0x2060, 0x206F),  # word joiner, invisible operators, isolates, deprecated format characters
    (0x3164, 0x3164),  # Hangul filler
    (0xFEFF, 0xFEFF),  # zero-width no-break space, byte order mark
    (0xFFA0, 0xFFA0),  # half-width Hangul filler
    (0xFFF0, 0xFFFB),  # unassigned, interlinear annotations
    (0x1BCA0, 0x1BCA3),  # shorthand format controls
    (0x1D173, 0x1D17A),  # musical format controls
    (0xE0000, 0xE0FFF),  # tags, variation selectors of CJK
)
"""Code points of harmful characters, as ranges that include both ends, in ascending order."""

HARMFUL_ASCII = "".join(chr(code) for low, high in HARMFUL for code in range(low, min(high, 0x7F) + 1))
"""The harmful characters of ASCII."""

HARMFUL_BEYOND_ASCII = tuple((max(low, 0x80), high) for low, high in HARMFUL if high >= 0x80)
"""The ranges of ``HARMFUL`` that are not ASCII."""

_NAMED = {"\t": r"\t", "\n": r"\n", "\r": r"\r"}


def _pattern(ranges: tuple[tuple[int, int], ...]) -> re.Pattern[str]:
    return re.compile("[" + "".join(f"{chr(low)}-{chr(high)}" for low, high in ranges) + "]")


BEYOND_ASCII = _pattern(HARMFUL_BEYOND_ASCII)
"""Matches one harmful character that is not ASCII."""

_HARMFUL = _pattern(HARMFUL)
_HARMFUL_IN_JSON = _pattern(((0x7F, 0x7F), *HARMFUL_BEYOND_ASCII))  # a JSON document holds no C0 character in a string


def escape(character: str) -> str:
    """Return how text shows a harmful character: ``\\t``, ``\\x1b``, ``\\u202e``, ``\\U000e0041``."""
    code = ord(character)
    shown = rf"\x{code:02x}" if code < 0x100 else rf"\u{code:04x}" if code < 0x10000 else rf"\U{code:08x}"
    return _NAMED.get(character, shown)


def json_escape(character: str) -> str:
    """Return how a JSON string shows a character (RFC 8259 section 7): ``\\u202e``; beyond U+FFFF two surrogates."""
    units = character.encode("utf-16-be")
    return "".join(rf"\u{units[n]:02x}{units[n + 1]:02x}" for n in range(0, len(units), 2))


def harmless(text: str) -> str:
    """Return ``text`` with harmful characters escaped, line feeds too."""
    return text if text.isascii() and text.isprintable() else _HARMFUL.sub(lambda match: escape(match[0]), text)


def harmless_json(document: bytes) -> bytes:
    """Return a serialised JSON document with the harmful characters of its strings escaped: it means the same."""
    if document.isascii() and b"\x7f" not in document:
        return document
    return _HARMFUL_IN_JSON.sub(lambda match: json_escape(match[0]), document.decode()).encode()
