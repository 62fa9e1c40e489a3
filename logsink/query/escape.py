"""Strings made safe to show: characters that would drive a terminal, or break JSON, written as escapes.

What needs it is rare, so the bytes are looked at first, all at once, and only strings that hold such a character are
rewritten.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Octets = npt.NDArray[np.uint8]

_C0 = [chr(c) for c in range(0x20)]
_FURTHER = [chr(c) for c in (0x7F, *range(0x80, 0xA0), *range(0x2028, 0x202F), *range(0x2066, 0x206A))]
_CLASS = r"[\x00-\x1f\x7f\x{80}-\x{9f}\x{2028}-\x{202e}\x{2066}-\x{2069}%s]"
_LEADS = (0xC2, 0xE2)  # first UTF-8 bytes of those beyond ASCII; of harmless characters too

_NAMED = {"\t": r"\t", "\n": r"\n", "\r": r"\r"}
_TERMINAL = {c: _NAMED.get(c) or (rf"\x{ord(c):02x}" if ord(c) < 0x100 else rf"\u{ord(c):04x}") for c in _C0 + _FURTHER}
_SHORT = {"\\": r"\\", '"': r"\"", "\b": r"\b", "\f": r"\f"} | _NAMED  # the backslash first: others add more of them
_JSON = _SHORT | {c: rf"\u{ord(c):04x}" for c in _C0 + _FURTHER if c not in _SHORT}


def for_terminal(texts: pa.Array) -> pa.Array:
    """Control characters as ``\\t``, ``\\x1b``; those that reorder text or end a line as ``\\u202e``. Null stays null."""
    return _escaped(texts, "", _TERMINAL)


def for_json(texts: pa.Array) -> pa.Array:
    """What goes between the quotes of a JSON string (RFC 8259 section 7), harmless on a terminal too. Null stays null."""
    return _escaped(texts, r'"\\', _JSON)


def _escaped(texts: pa.Array, further: str, escapes: Mapping[str, str]) -> pa.Array:
    data = _data(texts)
    if not (any(np.any(data == ord(c)) for c in (*further, "\x7f")) or np.any(data < 0x20) or _beyond(data)):
        return texts
    affected = pc.fill_null(pc.match_substring_regex(texts, _CLASS % further), False)
    changed = texts.filter(affected)
    if not len(changed):
        return texts
    data = _data(changed)
    present, beyond = data.tobytes(), _beyond(data)
    for character, escape in escapes.items():
        if (beyond or character.isascii()) and character.encode() in present:
            changed = pc.replace_substring(changed, character, escape)
    return changed if len(changed) == len(texts) else pc.replace_with_mask(texts, affected, changed)


def _beyond(data: Octets) -> bool:
    """Whether characters beyond ASCII may be among these."""
    return any(np.any(data == lead) for lead in _LEADS)


def _data(texts: pa.Array) -> Octets:
    """The bytes of all strings, end to end."""
    _, offsets, data = texts.buffers()
    if data is None:
        return np.zeros(0, np.uint8)
    ends = np.frombuffer(offsets, np.int32)
    return np.frombuffer(data, np.uint8)[ends[texts.offset] : ends[texts.offset + len(texts)]]
