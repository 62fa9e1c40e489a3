"""Arrow strings made safe to show: harmful characters (``logsink.characters``) become escapes.

Strings that need it are rare. So the bytes of all strings are searched first, all at once, and only those strings that hold
such a character are rewritten.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from logsink.characters import BEYOND_ASCII, HARMFUL_ASCII, HARMFUL_BEYOND_ASCII, escape, json_escape

Octets = npt.NDArray[np.uint8]

_FIRST_BEYOND_ASCII = 0x80
_WINDOW = 1 << 20
"""Bytes that are searched at once: they stay in the processor's cache."""

_TERMINAL = {character: escape(character) for character in HARMFUL_ASCII}
_JSON_DOCUMENT = {character: json_escape(character) for character in HARMFUL_ASCII}
_JSON_SHORT = {"\\": r"\\", '"': r"\"", "\b": r"\b", "\f": r"\f", "\t": r"\t", "\n": r"\n", "\r": r"\r"}
_JSON_STRING = _JSON_SHORT | {c: e for c, e in _JSON_DOCUMENT.items() if c not in _JSON_SHORT}
"""Escapes inside a JSON string; the backslash comes first, since the other escapes add backslashes."""

_MANY = 32
"""Number of different characters up to which each is replaced in a pass of its own; whoever sends more costs one slow pass."""


def _re2_class(characters: Iterable[str]) -> str:
    """Return a character class as RE2 writes it."""
    return "[" + "".join(rf"\x{{{ord(c):x}}}" for c in characters) + "]"


_BEYOND_ASCII_RE2 = "[" + "".join(rf"\x{{{low:x}}}-\x{{{high:x}}}" for low, high in HARMFUL_BEYOND_ASCII) + "]"


def for_terminal(texts: pa.Array) -> pa.Array:
    """Return the strings with harmful characters as ``\\t``, ``\\x1b``, ``\\u202e``. Null stays null."""
    return _escaped(texts, _TERMINAL, escape)


def for_json(texts: pa.Array) -> pa.Array:
    """Return what goes between the quotes of JSON strings (RFC 8259 section 7), harmless on a terminal too. Null stays null."""
    return _escaped(texts, _JSON_STRING, json_escape)


def json_for_terminal(documents: pa.Array) -> pa.Array:
    """Return JSON documents with the harmful characters of their strings escaped: they mean the same. Null stays null."""
    return _escaped(documents, _JSON_DOCUMENT, json_escape)


def _escaped(texts: pa.Array, ascii_escapes: Mapping[str, str], escape_beyond: Callable[[str], str]) -> pa.Array:
    """Return the strings with the characters of ``ascii_escapes`` and the harmful ones beyond ASCII replaced."""
    data = _data(texts)
    if np.any(data < ord(" ")) or any(np.any(data == ord(c)) for c in ascii_escapes if c >= " "):
        texts = _rewritten(texts, _re2_class(ascii_escapes), lambda affected: _replaced(affected, ascii_escapes))
    if _may_hold_harmful_beyond_ascii(data):
        texts = _rewritten(texts, _BEYOND_ASCII_RE2, lambda affected: _beyond_ascii_replaced(affected, escape_beyond))
    return texts


def _rewritten(texts: pa.Array, pattern: str, rewrite: Callable[[pa.Array], pa.Array]) -> pa.Array:
    """Return the strings, those that match ``pattern`` (RE2) rewritten."""
    matches = pc.fill_null(pc.match_substring_regex(texts, pattern), False)
    affected = texts.filter(matches)
    if not len(affected):
        return texts
    changed = rewrite(affected)
    return changed if len(changed) == len(texts) else pc.replace_with_mask(texts, matches, changed)


def _replaced(texts: pa.Array, escapes: Mapping[str, str]) -> pa.Array:
    """Return the strings with the characters of ``escapes`` replaced, in that order."""
    present = _data(texts).tobytes()
    for character, shown in escapes.items():
        if character.encode() in present:
            texts = pc.replace_substring(texts, character, shown)
    return texts


def _beyond_ascii_replaced(texts: pa.Array, escape: Callable[[str], str]) -> pa.Array:
    """Return the strings with the harmful characters that are not ASCII replaced by ``escape`` of each."""
    present = set(BEYOND_ASCII.findall(_data(texts).tobytes().decode(errors="replace")))
    if len(present) <= _MANY:
        return _replaced(texts, {character: escape(character) for character in present})
    return pa.array([BEYOND_ASCII.sub(lambda match: escape(match[0]), text) for text in texts.to_pylist()], texts.type)


def _may_hold_harmful_beyond_ascii(data: Octets) -> bool:
    """Return whether UTF-8 text has the first bytes of a harmful character that is not ASCII.

    RE2 would take five times as long to search Japanese text, or text with typographic quotation marks.
    """
    if not len(data) or data.max() < _FIRST_BEYOND_ASCII:
        return False
    for start in range(0, len(data), _WINDOW):
        window = data[start : start + _WINDOW + 2]  # the first bytes of a character may lie in two windows
        octets = window.tobytes()
        for prefix, following in _first_bytes().items():
            if prefix[:1] not in octets:
                continue
            found = window[: -len(prefix)] == prefix[0]
            if len(prefix) == 2:
                found &= window[1:-1] == prefix[1]
            if following[window[np.flatnonzero(found) + len(prefix)]].any():
                return True
    return False


@cache
def _first_bytes() -> Mapping[bytes, npt.NDArray[np.bool_]]:
    """Return the one or two bytes with which harmful characters begin, and for each which bytes may follow: bool[256].

    Two bytes and the following one tell all harmful characters of three bytes from all other characters.
    """
    first: dict[bytes, npt.NDArray[np.bool_]] = {}
    for low, high in HARMFUL_BEYOND_ASCII:
        for code in range(low, high + 1):
            encoded = chr(code).encode()
            prefix = encoded[: min(2, len(encoded) - 1)]
            first.setdefault(prefix, np.zeros(256, np.bool_))[encoded[len(prefix)]] = True
    return first


def _data(texts: pa.Array) -> Octets:
    """Return the bytes of all strings, end to end, without a copy."""
    _, offsets, data = texts.buffers()
    if data is None:
        return np.zeros(0, np.uint8)
    ends = np.frombuffer(offsets, np.int32)
    return np.frombuffer(data, np.uint8)[ends[texts.offset] : ends[texts.offset + len(texts)]]
