"""Literal texts of a regular expression: every match contains them, and searching for them is cheaper.

``literals`` gives texts to look for in bytes, ``runs`` what is certain of the words in a match.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from logsink.index import is_token_character
from logsink.query.request.keys import EDGE

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


class Runs(NamedTuple):
    """What is certain of each match of one alternative of an expression: ``texts`` as ``keys.words`` takes them.

    The first text begins where the match begins, the last one ends where it ends; either may be empty.
    """

    texts: Sequence[str]
    ignore_case: bool


_FLAGS: Final = re.compile(r"\(\?([imsU]+)\)")
"""Flags of a whole expression: in any case, lines, line feeds, short matches."""

_EDGE: Final = re.compile(
    r"""
      \\[Aztnrfvas] | [\^$]
    | \[ (?!\^) -? (?: [ !"\#$%&'()*+,./:;<=>?@^`{|}~] | \\[^A-Za-z0-9] | \\[tnrfvas] )+ -? \]
    """,
    re.VERBOSE,
)
"""A piece that matches an end of the text or of a line, or one character of ASCII that is no part of a word."""


def runs(pattern: str) -> Sequence[Runs]:
    """Return the runs of each alternative of ``pattern``; none where nothing is certain of one of them.

    ``pattern`` is one that RE2 accepts. Groups are taken for anything at all.
    """
    flags = _FLAGS.match(pattern)
    pieces, depth = [list[str | None]()], 0
    for atom in _ATOM.finditer(pattern, flags.end() if flags else 0):
        if atom["unknown"]:
            if atom["unknown"] != "|":
                return ()
            if not depth:
                pieces.append([])
        elif depth or atom["open"] or atom["close"]:
            pieces[-1].append(None)
            depth += bool(atom["open"]) - bool(atom["close"])
        else:
            _add_piece(pieces[-1], atom)
    ignore_case = flags is not None and "i" in flags[1]
    return [Runs(_joined(piece), ignore_case) for piece in pieces]


def _add_piece(piece: list[str | None], atom: re.Match[str]) -> None:
    """Add one piece of an expression to those before it: a character, or None for anything at all."""
    if atom["optional"]:
        piece[-1:] = [None]
    elif atom["more"]:
        if piece and piece[-1] is not None and is_token_character(piece[-1]):
            piece.append(None)
    elif _EDGE.fullmatch(atom[0]):
        piece.append(EDGE)
    else:
        piece.append(atom["plain"] or atom["escaped"])


def _joined(piece: Sequence[str | None]) -> list[str]:
    texts = [""]
    for text in piece:
        if text is None:
            texts.append("")
        else:
            texts[-1] += text
    return texts
