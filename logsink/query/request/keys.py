"""Keys of the index that every value that meets a condition has: its words, or itself. So files are passed over unread.

The index (``logsink.index``) knows which words a data file's messages and structured data hold, whole and in any case. A text
that somebody looks for may be a part of longer words, so that only words *within* it are certain: in ``port 8080 closed`` that
is ``8080``, since the message may hold ``export 8080 closedown``. A word is certain where something that is no part of a word
stands on both of its sides.

Texts are given as *runs*: pieces that stand in the value as they are, with anything at all between one and the next. An end of
the value, or what is certainly no part of a word, is written as ``EDGE``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from logsink.index import ESCAPE, VALUE_COLUMNS, token_key, tokens, value_key

EDGE: Final = "\n"
"""A character that is no part of a word."""

MOST_KEYS: Final = 4
"""The most keys that are looked up for one alternative: each costs a read, and the longest words are the rarest."""

MOST_ALTERNATIVES: Final = 64
"""The most alternatives that are looked up."""

_CONTROL = re.compile(r"[\x00-\x1f]")
"""A character that JSON and logfmt may write as a backslash and a letter, which then is a part of the word behind it."""


class Key(NamedTuple):
    """A word, folded; or with ``column`` the whole value of that column."""

    text: str
    column: str = ""

    def __str__(self) -> str:
        return f"{self.column}={self.text}" if self.column else self.text

    @property
    def number(self) -> int:
        """The number that stands for it in the index."""
        return value_key(self.column, self.text) if self.column else token_key(self.text.encode())


Keys = Sequence[Key]
"""Keys that a row has, all of them."""

Requirement = Sequence[Keys]
"""Alternatives: of one of them, every row that meets a condition has all keys."""

ESCAPED: Final = Key(ESCAPE.decode())
"""Each message has it in which JSON may have written a character by its number."""


def words(runs: Iterable[str], *, ignore_case: bool = False) -> list[Key]:
    """Return the words that are certain to be whole in a value that holds these runs, the longest first.

    With ``ignore_case`` the value may hold the runs in other cases. Then only words of ASCII between ASCII are certain: the
    index does not fold other letters, and some characters that are no part of a word have another case that is.
    """
    found = set[bytes]()
    for run in runs:
        for token in tokens(run):
            if token.start > 0 and token.end < len(run):
                around = run[token.start - 1] + run[token.end]
                if not ignore_case or (token.folded.isascii() and around.isascii()):
                    found.add(token.folded)
    return [Key(word.decode()) for word in sorted(found, key=lambda word: (-len(word), word))]


def edged(texts: Sequence[str]) -> list[str]:
    """Return runs whose first begins where a word can begin, and whose last ends where one can end."""
    first, *others = texts
    *others, last = EDGE + first, *others
    return [*others, last + EDGE]


def required(alternatives: Iterable[Keys]) -> Sequence[Requirement]:
    """Return the requirement that one of these alternatives holds; none where one of them is certain of nothing."""
    each = list(dict.fromkeys(tuple(keys[:MOST_KEYS]) for keys in alternatives))
    return [each] if each and all(each) and len(each) <= MOST_ALTERNATIVES else ()


def one_of(column: str, texts: Sequence[str]) -> Sequence[Requirement]:
    """Return the requirement that a column's value is one of these; none where the index does not know the column's values."""
    return required([[Key(text, column)] for text in texts]) if column in VALUE_COLUMNS else ()


def in_member(texts: Iterable[str]) -> Sequence[Requirement]:
    """Return the requirement of messages that have these texts as whole keys or values in JSON or logfmt.

    JSON may write any character as ``\\u`` and four digits instead.
    """
    found = words([run for text in texts for part in _written(text) for run in edged([part])])
    return required([found, [ESCAPED]]) if found else ()


def _written(text: str) -> Iterator[str]:
    """Yield the parts of a text between its control characters, without the words that stand right behind one."""
    first, *others = _CONTROL.split(text)
    yield first
    for part in others:
        yield part[next((token.end for token in tokens(part) if token.start == 0), 0) :]
