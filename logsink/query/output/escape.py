"""Strings made safe to show: characters that would drive a terminal, or break JSON, written as escapes.

What needs it is rare, so the bytes are looked at first, all at once, and only strings that hold such a character are
rewritten.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from logsink.characters import BEYOND, CONTROL, FOUND_BEYOND, escape, json_escape

Octets = npt.NDArray[np.uint8]


def _class(ranges: tuple[tuple[int, int], ...], further: str = "") -> str:
    """As RE2 writes it."""
    return "[" + "".join(rf"\x{{{low:x}}}-\x{{{high:x}}}" for low, high in ranges) + further + "]"


_LEADS = sorted({chr(end).encode()[:1] for ends in BEYOND for end in ends})
"""First UTF-8 bytes of harmful characters; of harmless ones too. To look for two bytes each takes ten times as long."""

_C0 = [chr(code) for low, high in CONTROL for code in range(low, high + 1)]
_TERMINAL = {character: escape(character) for character in _C0}
_SHORT = {"\\": r"\\", '"': r"\"", "\b": r"\b", "\f": r"\f", "\t": r"\t", "\n": r"\n", "\r": r"\r"}
_JSON = _SHORT | {c: json_escape(c) for c in _C0 if c not in _SHORT}  # the backslash first: others add more of them

_SEVERAL = 32
"""So many different characters are replaced one after the other; more of them in one pass of Python's, whoever sent them."""


def for_terminal(texts: pa.Array) -> pa.Array:
    """Harmful characters as ``\\t``, ``\\x1b``, ``\\u202e``. Null stays null."""
    return _escaped(texts, "", _TERMINAL, escape)


def for_json(texts: pa.Array) -> pa.Array:
    """What goes between the quotes of a JSON string (RFC 8259 section 7), harmless on a terminal too. Null stays null."""
    return _escaped(texts, r'"\\', _JSON, json_escape)


def json_for_terminal(texts: pa.Array) -> pa.Array:
    """JSON that is whole already, with harmful characters in its strings escaped. Null stays null."""
    return _escaped(texts, "", {c: json_escape(c) for c in _C0}, json_escape)


def _escaped(texts: pa.Array, further: str, escapes: Mapping[str, str], beyond: Callable[[str], str]) -> pa.Array:
    data = _data(texts)
    if np.any(data < 0x20) or any(np.any(data == ord(c)) for c in (*further, "\x7f")):
        texts = _rewritten(texts, _class(CONTROL, further), lambda changed: _replaced(changed, escapes))
    if len(data) and data.max() >= 0x80:
        octets = data.tobytes()
        if any(lead in octets for lead in _LEADS):
            texts = _rewritten(texts, _class(BEYOND), lambda changed: _beyond_replaced(changed, beyond))
    return texts


def _rewritten(texts: pa.Array, pattern: str, rewrite: Callable[[pa.Array], pa.Array]) -> pa.Array:
    """``texts`` with those rewritten that match."""
    affected = pc.fill_null(pc.match_substring_regex(texts, pattern), False)
    changed = texts.filter(affected)
    if not len(changed):
        return texts
    changed = rewrite(changed)
    return changed if len(changed) == len(texts) else pc.replace_with_mask(texts, affected, changed)


def _replaced(texts: pa.Array, escapes: Mapping[str, str]) -> pa.Array:
    present = _data(texts).tobytes()
    for character, shown in escapes.items():
        if character.encode() in present:
            texts = pc.replace_substring(texts, character, shown)
    return texts


def _beyond_replaced(texts: pa.Array, shown: Callable[[str], str]) -> pa.Array:
    present = set(FOUND_BEYOND.findall(_data(texts).tobytes().decode(errors="replace")))
    if len(present) <= _SEVERAL:
        return _replaced(texts, {character: shown(character) for character in present})
    return pa.array([FOUND_BEYOND.sub(lambda match: shown(match[0]), text) for text in texts.to_pylist()], texts.type)


def _data(texts: pa.Array) -> Octets:
    """The bytes of all strings, end to end."""
    _, offsets, data = texts.buffers()
    if data is None:
        return np.zeros(0, np.uint8)
    ends = np.frombuffer(offsets, np.int32)
    return np.frombuffer(data, np.uint8)[ends[texts.offset] : ends[texts.offset + len(texts)]]
