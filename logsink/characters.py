"""Characters that no output shows as they are: those that drive a terminal, reorder text, or are not seen at all.

A line of a log is somebody else's text. With control characters it moves the cursor or changes the window's title; with
bidirectional ones it reads as something else than it says; with those that have no width it hides a word from who looks for it.
These are the control characters, the line separators, and what Unicode calls default-ignorable (DerivedCoreProperties.txt),
except the variation selectors U+FE00 to U+FE0F, which are part of ordinary emoji.
"""

from __future__ import annotations

import re

CONTROL = ((0x00, 0x1F), (0x7F, 0x7F))
"""Harmful characters of ASCII, as ranges that include both ends."""

BEYOND = (
    (0x80, 0x9F),  # C1
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
"""Harmful characters beyond ASCII, as ranges that include both ends."""

_NAMED = {"\t": r"\t", "\n": r"\n", "\r": r"\r"}


def _class(ranges: tuple[tuple[int, int], ...]) -> str:
    return "".join(f"{chr(low)}-{chr(high)}" for low, high in ranges)


_ANY = re.compile(f"[{_class(CONTROL + BEYOND)}]")
_NOT_JSON_S = re.compile(f"[{_class(CONTROL[1:] + BEYOND)}]")
FOUND_BEYOND = re.compile(f"[{_class(BEYOND)}]")
"""Matches a harmful character beyond ASCII."""


def escape(character: str) -> str:
    """How text shows a harmful character: ``\\t``, ``\\x1b``, ``\\u202e``, ``\\U000e0041``."""
    code = ord(character)
    shown = rf"\x{code:02x}" if code < 0x100 else rf"\u{code:04x}" if code < 0x10000 else rf"\U{code:08x}"
    return _NAMED.get(character, shown)


def json_escape(character: str) -> str:
    """How a JSON string shows it (RFC 8259 section 7): beyond U+FFFF as two surrogates."""
    units = character.encode("utf-16-be")
    return "".join(rf"\u{units[n]:02x}{units[n + 1]:02x}" for n in range(0, len(units), 2))


def harmless(text: str) -> str:
    """``text`` with harmful characters escaped, line feeds too."""
    return text if text.isascii() and text.isprintable() else _ANY.sub(lambda match: escape(match[0]), text)


def harmless_json(document: bytes) -> bytes:
    """A serialised JSON document, whose strings may hold harmful characters, with these escaped: the same document."""
    if document.isascii() and b"\x7f" not in document:
        return document
    return _NOT_JSON_S.sub(lambda match: json_escape(match[0]), document.decode()).encode()
