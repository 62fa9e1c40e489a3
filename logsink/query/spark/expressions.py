"""Regular expressions of RE2 as expressions that RE2, Java and Rust read alike: ``portable``.

Spark searches with Java's expressions, Sail with Rust's, and both differ from RE2: ``\\d`` knows other digits, ``.`` other
ends of lines, ``(?i)`` other letters, ``a*+`` is another repetition. So only what all three agree on is written, and the rest
by what it means in RE2: a class as the list of its characters, a letter in any case as the class of its forms.

====================  ========================================================================
``.``                 ``[^\\x{A}]``; within ``(?s)`` ``(?s:.)``
``^`` ``$``           ``\\A`` ``\\z``
``\\d`` ``\\w`` ``\\s``  classes of ASCII
``[a-z]``             the same class, every character but letters and digits by its number
``k`` within ``(?i)``   ``[Kk\\x{212A}]``
``(`` ``(?P<name>``     ``(?:``; nobody asks what a group holds
====================  ========================================================================

Everything else, such as ``\\b``, ``\\pL``, ``(?m)`` and letters beyond ASCII in any case, has no portable form.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

_Range = tuple[int, int]

_LINE_FEED: Final = 0x0A
_PERL: Final[dict[str, Sequence[_Range]]] = {
    "d": [(0x30, 0x39)],
    "w": [(0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A)],
    "s": [(0x09, 0x0A), (0x0C, 0x0D), (0x20, 0x20)],
}
_CASELESS: Final = "dsDS"
"""Perl classes that ``(?i)`` does not change."""

_CONTROL: Final = {"a": 0x07, "f": 0x0C, "n": 0x0A, "r": 0x0D, "t": 0x09, "v": 0x0B}
_OTHER_FORMS: Final = {"k": 0x212A, "s": 0x17F}
"""Letters of ASCII that have a third form: the Kelvin sign and the long s."""

_PIECE: Final = re.compile(
    r"""
      \\x(?:\{(?P<long>[0-9A-Fa-f]{1,6})\}|(?P<short>[0-9A-Fa-f]{2}))
    | \\(?P<escaped>.)
    | (?P<open>\((?:\?(?:P?<[A-Za-z_][0-9A-Za-z_]*>|(?P<flags>[is]*)(?P<rest>[:)])))?)
    | (?P<close>\))
    | (?P<alternative>\|)
    | (?P<repeat>(?:[*+?]|\{[0-9]+(?:,[0-9]*)?\})\??)
    | (?P<class>\[\^?)
    | (?P<plain>.)
    """,
    re.VERBOSE | re.DOTALL,
)
"""One piece of an expression."""

_MEMBER: Final = re.compile(
    r"\\x(?:\{(?P<long>[0-9A-Fa-f]{1,6})\}|(?P<short>[0-9A-Fa-f]{2}))|\\(?P<escaped>.)|(?P<posix>\[:)|(?P<plain>.)",
    re.DOTALL,
)
"""One character of a class, or a part of it."""


class _Unknown(Exception):
    """The expression has no portable form."""


class _Flags(NamedTuple):
    ignore_case: bool
    dot_all: bool


def portable(pattern: str) -> str | None:
    """Return an expression that matches, in RE2, Java and Rust, in the values in which ``pattern`` matches in RE2.

    ``pattern`` is one that RE2 accepts. None where there is no such expression.
    """
    try:
        return _Writer(pattern).written()
    except _Unknown:
        return None


class _Writer:
    """Writes the portable form of one expression, piece by piece."""

    def __init__(self, pattern: str) -> None:
        self._pattern, self._at = pattern, 0
        self._flags = [_Flags(ignore_case=False, dot_all=False)]
        self._out: list[str] = []
        self._repeatable = False
        """Whether the last piece may be followed by a repetition, in all three."""

    def written(self) -> str:
        while self._at < len(self._pattern):
            found = _PIECE.match(self._pattern, self._at)
            assert found is not None
            self._at = found.end()
            self._repeatable = self._piece(found)
        return "".join(self._out)

    def _piece(self, found: re.Match[str]) -> bool:
        """Write a piece; return whether a repetition may follow it."""
        if (number := found["long"] or found["short"]) is not None:
            return self._ranges([(int(number, 16),) * 2])
        if escaped := found["escaped"]:
            return self._escaped(escaped)
        if opened := found["open"]:
            return self._open(opened, found["flags"], found["rest"])
        if found["close"]:
            self._flags.pop()
            self._out.append(")")
            return True
        if found["alternative"]:
            self._out.append("|")
            return False
        if repeat := found["repeat"]:
            if not self._repeatable:
                raise _Unknown
            self._out.append(repeat)
            return False
        if opened := found["class"]:
            return self._class(negated=opened == "[^")
        return self._plain(found["plain"])

    def _open(self, opened: str, flags: str | None, rest: str | None) -> bool:
        if opened == "(" and self._pattern.startswith("?", self._at):
            raise _Unknown  # a flag that has no portable form
        now = self._flags[-1]
        if flags:
            now = _Flags(now.ignore_case or "i" in flags, now.dot_all or "s" in flags)
        if rest == ")":  # for the rest of the group
            self._flags[-1] = now
        else:
            self._flags.append(now)
            self._out.append("(?:")
        return False

    def _escaped(self, letter: str) -> bool:
        if letter in ("A", "z"):
            self._out.append(f"\\{letter}")
            return False
        if letter.lower() in _PERL:
            self._out.append(_as_class(self._perl(letter.lower()), negated=letter.isupper()))
            return True
        return self._ranges([(_escaped_number(letter),) * 2])

    def _perl(self, letter: str) -> Sequence[_Range]:
        if self._flags[-1].ignore_case and letter not in _CASELESS:
            raise _Unknown
        return _PERL[letter]

    def _plain(self, character: str) -> bool:
        if character in "^$":
            self._out.append(r"\A" if character == "^" else r"\z")
            return False
        if character == ".":
            self._out.append("(?s:.)" if self._flags[-1].dot_all else _as_class([(_LINE_FEED,) * 2], negated=True))
            return True
        return self._ranges([(ord(character),) * 2])

    def _ranges(self, ranges: Sequence[_Range]) -> bool:
        """Write one character, in any case where that counts."""
        ranges = self._in_any_case(ranges)
        (low, high), *more = ranges
        self._out.append(_as_class(ranges) if more or low != high else _as_character(low))
        return True

    def _class(self, *, negated: bool) -> bool:
        ranges, first = list[_Range](), True
        while True:
            found = _MEMBER.match(self._pattern, self._at)
            if found is None or found["posix"]:
                raise _Unknown
            self._at = found.end()
            if found["plain"] == "]" and not first:
                break
            first = False
            if (escaped := found["escaped"]) and escaped in _PERL:
                ranges += self._perl(escaped)
                continue
            low = high = _member(found)
            if self._pattern.startswith("-", self._at) and not self._pattern.startswith("-]", self._at):
                end = _MEMBER.match(self._pattern, self._at + 1)
                if end is None or end["posix"]:
                    raise _Unknown
                self._at, high = end.end(), _member(end)
            ranges.append((low, high))
        self._out.append(_as_class(self._in_any_case(ranges), negated=negated))
        return True

    def _in_any_case(self, ranges: Sequence[_Range]) -> Sequence[_Range]:
        if not self._flags[-1].ignore_case:
            return ranges
        if any(high > 0x7F for _, high in ranges):
            raise _Unknown
        characters = {chr(number) for low, high in ranges for number in range(low, high + 1)}
        letters = {c.lower() for c in characters if c.isalpha()}
        forms = {ord(form) for c in letters for form in (c, c.upper())} | {_OTHER_FORMS[c] for c in letters & {*"ks"}}
        return _joined({ord(c) for c in characters} | forms)


def _member(found: re.Match[str]) -> int:
    """Return the number of one character of a class."""
    if (number := found["long"] or found["short"]) is not None:
        return int(number, 16)
    return _escaped_number(found["escaped"]) if found["escaped"] else ord(found["plain"])


def _escaped_number(letter: str) -> int:
    """Return the number of the character that a backslash and this character stand for."""
    if letter in _CONTROL:
        return _CONTROL[letter]
    if letter.isascii() and not letter.isalnum() and letter != "_":
        return ord(letter)
    raise _Unknown


def _joined(numbers: Iterable[int]) -> Sequence[_Range]:
    """Return these numbers as ranges, in order."""
    ranges = list[_Range]()
    for number in sorted(numbers):
        if ranges and ranges[-1][1] == number - 1:
            ranges[-1] = (ranges[-1][0], number)
        else:
            ranges.append((number, number))
    return ranges


def _as_class(ranges: Sequence[_Range], *, negated: bool = False) -> str:
    members = (_as_character(low) + (f"-{_as_character(high)}" if high > low else "") for low, high in ranges)
    return f"[{'^' if negated else ''}{''.join(members)}]"


def _as_character(number: int) -> str:
    character = chr(number)
    return character if character.isascii() and character.isalnum() else rf"\x{{{number:X}}}"
