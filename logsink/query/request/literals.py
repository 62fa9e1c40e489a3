"""What every match of a regular expression holds as it stands: texts whose absence says that there is no match."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

_ATOM: Final = re.compile(
    r"""
      (?P<unknown> \\[pPxQ] | \\[0-9] | \(\?(?!:|P?<) | \| )  # may change the meaning of what follows, or is an alternative
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
"""One piece of an expression in the syntax of RE2. A ``{`` that is no repetition is itself."""


def literals(pattern: str) -> Sequence[str]:
    """Texts that every match of ``pattern`` holds, the longest first; none where that is not obvious.

    ``pattern`` is one that RE2 takes. Only what stands outside of groups is looked at.
    """
    runs, depth = [""], 0
    for atom in _ATOM.finditer(pattern):
        if atom["unknown"]:
            if depth and atom["unknown"] == "|":
                continue
            return []
        if depth or atom["open"] or atom["close"]:
            depth += bool(atom["open"]) - bool(atom["close"])
            runs.append("")
        elif atom["optional"]:
            runs[-1] = runs[-1][:-1]
            runs.append("")
        elif text := atom["plain"] or atom["escaped"]:
            runs[-1] += text
        else:
            runs.append("")
    return sorted(filter(None, runs), key=len, reverse=True)
