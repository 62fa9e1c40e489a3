"""Which rows belong to a match: its neighbours, or the other lines of its record.

A rule sees *candidates*: matches and rows near them in time, sorted by stream and then in the order of the search. It says
which of them are shown, and for which matches more rows have to be read. ``context`` reads them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple, Protocol

import numpy as np
import pyarrow as pa

from logsink.query.columns import Int64, Mask, as_array, joined, one_chunk
from logsink.query.request import Holds

CONTINUES: Final = r"^(\s|Caused by: |Suppressed: |\.\.\. [0-9]+ more|Traceback \(most recent call last\):|[}\])])"
"""RE2 expression that matches lines that continue the record before them, unless the asker gives another one."""

SECOND: Final = 1_000_000
"""Microseconds in a second."""

UNLIMITED: Final = 1 << 60
"""A window, in microseconds, that holds all rows."""


class Candidates(NamedTuple):
    """Rows that may be shown with a match, as arrays with one element a row.

    rows     the columns of the search order and the stream, and the rule's ``extra_columns``
    stream   the number of its stream; each stream holds a match
    time     microseconds since the epoch
    match    the number of the match that the row is, in the order of the search; -1 for rows that are none
    shown    whether the row was shown with earlier matches
    """

    rows: pa.Table
    stream: Int64
    time: Int64
    match: Int64
    shown: Mask

    @property
    def matches(self) -> Int64:
        """The indexes of the matches."""
        return np.flatnonzero(self.match >= 0)

    def take(self, which: Int64 | Mask) -> Candidates:
        """Return the candidates at some indexes, or those of a mask."""
        index = np.flatnonzero(which) if which.dtype == np.bool_ else which
        rows = self.rows.take(as_array(index))
        return Candidates(rows, self.stream[index], self.time[index], self.match[index], self.shown[index])


def concatenate(*parts: Candidates) -> Candidates:
    """Return the candidates of all parts, one part after the other."""
    rows = joined([part.rows for part in parts])
    return Candidates(rows, *(np.concatenate(arrays) for arrays in list(zip(*parts, strict=True))[1:]))


class Rule(Protocol):
    """Which rows belong to a match. Candidates are given in the order of streams, and in each in the order of the search."""

    @property
    def stream(self) -> Sequence[str]:
        """The columns whose values a row shares with its match."""

    @property
    def extra_columns(self) -> Sequence[str]:
        """Further columns that the rule looks at."""

    @property
    def windows(self) -> Sequence[int]:
        """Microseconds before and after a match that are read; each next window is for matches whose last one was too small."""

    @property
    def rows_per_match(self) -> int:
        """How many rows are shown for a match; a guess where nothing limits them."""

    def keep(self, candidates: Candidates) -> Mask:
        """Return which candidates ``choose`` can need: to choose them, or to see gaps. Others are dropped."""

    def choose(self, candidates: Candidates) -> Mask:
        """Return which candidates to show, matches included."""

    def incomplete(self, candidates: Candidates, window: int) -> tuple[Int64, Int64]:
        """Return the matches that need more rows before them than ``window`` holds, and those that need more after them.

        Both are indexes of candidates; before and after mean the order of the search.
        """


class Neighbours:
    """The nearest ``before`` rows before each match in its ``stream`` and the nearest ``after`` rows after it.

    Before and after mean the order of the search.
    """

    extra_columns = ()
    windows = (60 * SECOND, 1800 * SECOND, 86_400 * SECOND, UNLIMITED)

    def __init__(self, before: int, after: int, stream: Sequence[str] = ("host", "app")) -> None:
        self.before, self.after, self.stream = before, after, stream

    def __str__(self) -> str:
        of = f"of each match's {' and '.join(self.stream)} " if self.stream else "of each match "
        return f"{of}{self.before} lines before it and {self.after} after it"

    @property
    def rows_per_match(self) -> int:
        return self.before + self.after + 2

    def keep(self, candidates: Candidates) -> Mask:
        return _near(candidates, self.before + 1, self.after)

    def choose(self, candidates: Candidates) -> Mask:
        return _near(candidates, self.before, self.after)

    def incomplete(self, candidates: Candidates, window: int) -> tuple[Int64, Int64]:
        matches = candidates.matches
        # One row more before a match tells whether its block goes on from the block before it.
        return (
            matches[~_has_neighbour(candidates, matches, -self.before - 1, window)],
            matches[~_has_neighbour(candidates, matches, self.after, window)],
        )


class Record:
    """The lines of a match's record: a line that does not match ``continues``, and the lines after it that do, of one process.

    They are at most ``within`` microseconds from the match. ``reverse`` says that the search goes to older rows.
    ``ArgumentError`` when RE2 refuses ``continues``.
    """

    stream = ("sender", "host", "app", "procid")
    extra_columns = ("message",)
    rows_per_match = 16

    def __init__(self, continues: str = CONTINUES, reverse: bool = False, within: int = 5 * SECOND) -> None:
        self.continues, self.reverse, self.within = continues, reverse, within
        self._condition = Holds("message", (continues,), regex=True)

    def __str__(self) -> str:
        return f"the other lines of each match's record, by {self.continues}"

    @property
    def windows(self) -> Sequence[int]:
        return (self.within,)

    def keep(self, candidates: Candidates) -> Mask:
        return np.ones(len(candidates.time), np.bool_)

    def choose(self, candidates: Candidates) -> Mask:
        # Number the records from the oldest row on: each line that continues nothing begins a new one.
        oldest_first = slice(None, None, -1 if self.reverse else 1)
        stream = candidates.stream[oldest_first]
        continues = self._condition.mask(one_chunk(candidates.rows.column("message")))[oldest_first].copy()
        continues[1:] &= stream[1:] == stream[:-1]
        record = np.cumsum(~continues)[oldest_first]
        # Choose the lines of a match's record that are near the match in time.
        chosen = np.zeros(len(record), np.bool_)
        for match in _nearest_matches(candidates):
            near = abs(candidates.time[match] - candidates.time) <= self.within
            chosen |= (record[match] == record) & near
        return chosen

    def incomplete(self, candidates: Candidates, window: int) -> tuple[Int64, Int64]:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)


def _nearest_matches(candidates: Candidates) -> Iterator[Int64]:
    """Yield for each candidate the index of the match at it or next after it, then of the one at it or next before it.

    Where there is no such match, the index is that of some match; the caller compares streams or records.
    """
    matches, here = candidates.matches, np.arange(len(candidates.match))
    yield matches[np.minimum(np.searchsorted(matches, here), len(matches) - 1)]
    yield matches[np.maximum(np.searchsorted(matches, here, "right") - 1, 0)]


def _near(candidates: Candidates, before: int, after: int) -> Mask:
    """Return which candidates are at most ``before`` rows before a match of their stream, or ``after`` rows after one."""
    here = np.arange(len(candidates.match))
    near: Mask = np.zeros(len(here), np.bool_)
    for match in _nearest_matches(candidates):
        distance = match - here
        near |= (candidates.stream[match] == candidates.stream) & (distance <= before) & (distance >= -after)
    return near


def _has_neighbour(candidates: Candidates, at: Int64, step: int, window: int) -> Mask:
    """Return for each index of ``at`` whether a row of its stream is ``step`` rows away, and at most ``window`` in time."""
    there = at + step
    inside = (there >= 0) & (there < len(candidates.time))
    there = np.where(inside, there, at)
    near = abs(candidates.time[there] - candidates.time[at]) <= window
    found: Mask = inside & near & (candidates.stream[there] == candidates.stream[at])
    return found
