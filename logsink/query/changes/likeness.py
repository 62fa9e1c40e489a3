"""Masked messages that differ in single words become one kind, as Drain does it.

Drain (He et al., "Drain: An Online Log Parsing Approach with Fixed Depth Tree", ICWS 2017) looks only at messages with the same
number of words and the same first words, and puts a message into the group most of whose words it has. Here it gets each masked
message once, not each message, and whatever it has put together that differs in few plain words is taken apart again: a place
that has at most ``FEW_WORDS`` different words, none with a digit, says what happened (``opened``, ``closed``), not to whom.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Final, NamedTuple

LIKE: Final = 0.5
"""Share of a group's words that a message must have to join it. Of 0.3 to 0.8 this finds most groups of Loghub's right."""

FIRST_WORDS: Final = 2
"""First words that the messages of a group have in common, but for those that vary."""

FEW_WORDS: Final = 4
"""The most different plain words at one place of a group that make kinds of their own."""

MOST_BRANCHES: Final = 100
"""The most words that the tree tells apart at one place; further ones count as words that vary (Drain's ``maxChild``)."""

MOST_GROUPS: Final = 100
"""The most groups that a message is compared with; then it joins the most similar one, however little they have in common."""

VARIES: Final = "*"
"""Stands for what varies."""

_WORDS = re.compile(r"\S+")
_VARIABLE = re.compile(r"[*0-9]")


class Merged(NamedTuple):
    """Groups of masked messages: ``group[i]`` is the number of message i's group, ``patterns[n]`` the pattern of group n."""

    group: list[int]
    patterns: list[str]


class _Group:
    """Messages that are alike: the words that they have in common, and their numbers."""

    __slots__ = ("members", "words")

    def __init__(self, words: list[str], member: int) -> None:
        self.words, self.members = words, [member]


class _Leaf:
    """Groups that a message may join. For each word at each place it knows which groups have it."""

    __slots__ = ("_having", "groups")

    def __init__(self) -> None:
        self.groups: list[_Group] = []
        self._having: dict[tuple[int, str], list[int]] = {}

    def add(self, words: list[str], member: int) -> None:
        """Add a message to the group that has most of its words, or else to a new one."""
        at = self._most_like(words)
        if at is not None:
            self._join(at, words, member)
            return
        for place, word in enumerate(words):
            if word != VARIES:
                self._having.setdefault((place, word), []).append(len(self.groups))
        self.groups.append(_Group(words, member))

    def _most_like(self, words: Sequence[str]) -> int | None:
        """Return the group that has most words in common with a message; None for a group of its own."""
        having = (self._having.get((place, word), ()) for place, word in enumerate(words))
        same = Counter(chain.from_iterable(having))
        best = max(same, key=lambda at: (same[at], -at), default=0)
        full = len(self.groups) >= MOST_GROUPS
        return best if full or (self.groups and same[best] >= LIKE * len(words)) else None

    def _join(self, at: int, words: Sequence[str], member: int) -> None:
        group = self.groups[at]
        group.members.append(member)
        for place, (mine, other) in enumerate(zip(group.words, words, strict=True)):
            if mine != other and mine != VARIES:
                self._having[place, mine].remove(at)
                group.words[place] = VARIES


def merged(apps: Sequence[str | None], patterns: Sequence[str]) -> Merged:
    """Return the groups of masked messages, each the message of an application; the first of a group gives it its spaces."""
    leaves: dict[tuple[str | int, ...], _Leaf] = {}
    branches: dict[tuple[str | int, ...], set[str]] = {}
    words = [pattern.split() for pattern in patterns]
    for number, (app, split) in enumerate(zip(apps, words, strict=True)):
        leaves.setdefault(_path(app, split, branches), _Leaf()).add(list(split), number)
    found = Merged([0] * len(patterns), [])
    for leaf in leaves.values():
        for group in leaf.groups:
            for members in _apart(group, words):
                for member in members:
                    found.group[member] = len(found.patterns)
                found.patterns.append(_pattern(patterns[members[0]], [words[member] for member in members]))
    return found


def _path(
    app: str | None, words: Sequence[str], branches: dict[tuple[str | int, ...], set[str]]
) -> tuple[str | int, ...]:
    """Return the place of the tree where groups are that a message may join: its application, length and first words."""
    path: tuple[str | int, ...] = (app is not None, app or "", len(words))
    for word in words[:FIRST_WORDS]:
        known = branches.setdefault(path, set())
        if _VARIABLE.search(word) or (word not in known and len(known) >= MOST_BRANCHES):
            word = VARIES
        known.add(word)
        path = (*path, word)
    return path


def _apart(group: _Group, words: Sequence[Sequence[str]]) -> Iterator[list[int]]:
    """Yield the members of a group by the words that say what happened."""
    places = [
        place
        for place, word in enumerate(group.words)
        if word == VARIES and _tells(words[member][place] for member in group.members)
    ]
    parts: dict[tuple[str, ...], list[int]] = {}
    for member in group.members:
        parts.setdefault(tuple(words[member][place] for place in places), []).append(member)
    yield from parts.values()


def _tells(words: Iterator[str]) -> bool:
    """Return whether the words at one place are few and plain."""
    seen: set[str] = set()
    for word in words:
        if word not in seen:
            if _VARIABLE.search(word) or len(seen) == FEW_WORDS:
                return False
            seen.add(word)
    return True


def _pattern(shape: str, members: Sequence[Sequence[str]]) -> str:
    """Return the pattern of messages: words that they have in common, between the spaces that ``shape`` has."""
    if len(members) == 1:
        return shape
    words = iter([at[0] if len(set(at)) == 1 else VARIES for at in zip(*members, strict=True)])
    return _WORDS.sub(lambda _: next(words), shape)
