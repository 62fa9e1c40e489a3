"""Text and globs as regular expressions of RE2, which is what Arrow has.

A glob matches a value whole and case-sensitively:

===============  ====================================================================================
``*``            any characters, or none
``?``            one character
``[abc]``        one of these characters; ``[a-z]``: one of a range; ``]`` is one where it stands first
``[!abc]``       one character that is none of these
anything else    itself, and so is ``[`` without ``]``; ``[*]`` is a literal ``*``
===============  ====================================================================================

Plain text becomes an expression, too: ``match_substring_regex`` over an escaped literal is 4.7 times faster than
``match_substring`` (3.6 against 0.77 GB/s a core).
"""

from __future__ import annotations

import re
from collections.abc import Callable

_SPECIAL = re.compile(r"[\\.+*?()|\[\]{}^$]")
"""Characters that mean something in RE2."""

_WILDCARD = re.compile(r"\*|\?|\[(?P<not>!?)(?P<set>\]?[^\]]*)\]", re.DOTALL)
"""A part of a glob that is no text."""

_LAST_CHARACTER = "\U0010ffff"
"""The greatest character of all, which no text holds."""


def escape(text: str) -> str:
    """Return the expression that matches ``text``."""
    return _SPECIAL.sub(r"\\\g<0>", text).replace("\0", r"\x00")


def glob_to_regex(glob: str, *, quote: Callable[[str], str] = escape, one: str = ".") -> str:
    """Return the expression that matches what ``glob`` matches.

    ``quote`` makes expressions of its text, ``one`` is the expression for any one character.
    """
    parts, at = [], 0
    for match in _WILDCARD.finditer(glob):
        parts.append(quote(glob[at : match.start()]))
        at = match.end()
        if match[0] in "*?":
            parts.append(f"{one}*" if match[0] == "*" else one)
        else:
            characters = re.sub(r"[\\\[\]^]", r"\\\g<0>", match["set"])
            parts.append(f"[{'^' if match['not'] else ''}{characters}]")
    return "".join(parts) + quote(glob[at:])


def literal_prefix(glob: str) -> str:
    """Return the text that every match begins with: the glob up to its first wildcard."""
    match = _WILDCARD.search(glob)
    return glob[: match.start()] if match else glob


def literal_texts(glob: str) -> list[str]:
    """Return the texts around the wildcards of a glob, in order; a match begins with the first and ends with the last."""
    texts, at = [], 0
    for match in _WILDCARD.finditer(glob):
        texts.append(glob[at : match.start()])
        at = match.end()
    return [*texts, glob[at:]]


def can_match_between(glob: str, low: str, high: str) -> bool:
    """Return whether a value that ``glob`` matches may lie in ``[low, high]``, by code points (which is UTF-8's order, too)."""
    prefix = literal_prefix(glob)
    greatest = prefix if prefix == glob else prefix + _LAST_CHARACTER
    return prefix <= high and greatest >= low
