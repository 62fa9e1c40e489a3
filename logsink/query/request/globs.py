"""Text and globs as regular expressions (RE2, which is what Arrow has).

Literals too: ``match_substring_regex`` over an escaped literal is 4.7 times faster than ``match_substring`` (3.6 against
0.77 GB/s a core).
"""

from __future__ import annotations

import re
from collections.abc import Callable

_SPECIAL = re.compile(r"[\\.+*?()|\[\]{}^$]")
_HIGHEST = "\U0010ffff"
_GLOB = re.compile(r"\*|\?|\[(?P<not>!?)(?P<set>\]?[^\]]*)\]", re.DOTALL)


def escape(text: str) -> str:
    """The text as a pattern that matches it."""
    return _SPECIAL.sub(r"\\\g<0>", text).replace("\0", r"\x00")


def glob_to_regex(glob: str, *, quote: Callable[[str], str] = escape, one: str = ".") -> str:
    """The glob as a regular expression: literal parts by ``quote``, any character as ``one``. A lone ``[`` is itself."""
    parts, at = [], 0
    for match in _GLOB.finditer(glob):
        parts.append(quote(glob[at : match.start()]))
        at = match.end()
        if match[0] in "*?":
            parts.append(f"{one}*" if match[0] == "*" else one)
        else:
            characters = re.sub(r"[\\\[\]^]", r"\\\g<0>", match["set"])
            parts.append(f"[{'^' if match['not'] else ''}{characters}]")
    return "".join(parts) + quote(glob[at:])


def literal_prefix(glob: str) -> str:
    """What every match begins with: the glob up to its first wildcard."""
    match = _GLOB.search(glob)
    return glob[: match.start()] if match else glob


def can_match_between(glob: str, low: str, high: str) -> bool:
    """Whether a value that ``glob`` matches may lie in ``[low, high]`` (code points, which is UTF-8's order too)."""
    head = literal_prefix(glob)
    return head <= high and (head if head == glob else head + _HIGHEST) >= low
