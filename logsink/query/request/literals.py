"""Literal texts of a regular expression: every match contains them, and searching for them is cheaper."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

_ATOM: Final = re.compile(
    r"""
      (?P<unknown> \\[pPxQ] | \\[0-9] | \(\?(?!:|P?<) | \| )  # changes the meaning of what follows, or is an alternative
    | \\(?P<escaped> [^A-Za-z0-9] )
    | \\.
    | (?P<open> \( ) | (?P<close> \) )
    | \[\^?\]?(?: \\. | \[:\^?\w+:\] | [^\]\\] )*\]
    | (?P<optional> [*?] | \{(?:\d+|\d+,\d*)\} )
    | (?P<more> \+ )
    | [.^$]
    | (?P<plain> . )
    """,
    re.VERBOSE | re.DOTALL,
)
"""One piece of an expression in the syntax of RE2. A ``{`` that begins no repetition is itself."""


def literals(pattern: str) -> Sequence[str]:
    """Return texts that every match of ``pattern`` contains, the longest first; none where that is not obvious.

    ``pattern`` is one that RE2 accepts. Texts inside of groups are left out.
    """
    runs, depth = [""], 0
    for atom in _ATOM.finditer(pattern):
        if atom["unknown"]:  # within a group it concerns the group alone
            if depth and atom["unknown"] == "|":
                continue
            return []
        if depth or atom["open"] or atom["close"]:
            depth += bool(atom["open"]) - bool(atom["close"])
            runs.append("")
        elif atom["optional"]:  # the character before it may be absent
            runs[-1] = runs[-1][:-1]
            runs.append("")
        elif text := atom["plain"] or atom["escaped"]:
            runs[-1] += text
        else:
            runs.append("")
    return sorted(filter(None, runs), key=len, reverse=True)
