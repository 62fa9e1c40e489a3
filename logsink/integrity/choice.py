"""Choice of the data files that count, where the table's log does not say: each row once, and as many as there are.

Pure functions. Files of one date compete; those whose lanes overlap hold the same rows, as a merged file and its inputs do.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from logsink.archive import DataFile, Lanes

_TRIES = 100
"""Most times that a choice is made again to hold more rows."""


class Candidate(NamedTuple):
    """A data file that proves itself and holds the rows of ``lanes``; ``live``: what is left of the log says that it counts."""

    file: DataFile
    lanes: Lanes
    live: bool = False

    @property
    def sequences(self) -> int:
        """The number of segments whose rows it holds."""
        return sum(last - first + 1 for intervals in self.lanes.values() for first, last in intervals)


def choose(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Return files of one date that hold no row twice, and together as many segments as possible.

    Live files come first, then those that hold more: a merged file wins over its inputs. Where that leaves rows out that a file
    holds which was not chosen, that file is tried in the first place.
    """
    order = sorted(candidates, key=lambda one: (not one.live, -one.sequences, one.file.path))
    best, kept = [], -1
    first: list[Candidate] = []
    for _ in range(_TRIES):
        chosen = _greedy([*first, *order])
        held = sum(one.sequences for one in chosen)
        if held > kept:
            best, kept = chosen, held
        left = next(_left_out(best, order, tried=first), None)
        if left is None:
            break
        first = [left, *first]
    return best


def _greedy(order: Sequence[Candidate]) -> list[Candidate]:
    """Return each candidate that overlaps none before it."""
    taken, chosen, paths = _Taken(), [], set()
    for one in order:
        if one.file.path not in paths and taken.free(one.lanes):
            taken.add(one.lanes)
            chosen.append(one)
            paths.add(one.file.path)
    return chosen


def _left_out(
    chosen: Sequence[Candidate], order: Sequence[Candidate], tried: Sequence[Candidate]
) -> Iterator[Candidate]:
    """Yield candidates that hold a segment which no chosen one holds."""
    taken = _Taken()
    for one in chosen:
        taken.add(one.lanes)
    for one in order:
        if one not in tried and not taken.all_of(one.lanes):
            yield one


class _Taken:
    """Disjoint intervals of each lane, sorted."""

    def __init__(self) -> None:
        self._lanes: dict[str, list[tuple[int, int]]] = {}

    def add(self, lanes: Lanes) -> None:
        for app_id, intervals in lanes.items():
            held = self._lanes.setdefault(app_id, [])
            for interval in intervals:
                insort(held, interval)

    def free(self, lanes: Lanes) -> bool:
        """Return whether none of these sequences is taken."""
        return not any(self._near(app_id, *interval) for app_id, intervals in lanes.items() for interval in intervals)

    def all_of(self, lanes: Lanes) -> bool:
        """Return whether each of these sequences is taken."""
        for app_id, intervals in lanes.items():
            for first, last in intervals:
                near = self._near(app_id, first, last)
                if sum(min(b, last) - max(a, first) + 1 for a, b in near) < last - first + 1:
                    return False
        return True

    def _near(self, app_id: str, first: int, last: int) -> list[tuple[int, int]]:
        """Return the intervals that overlap this one."""
        held = self._lanes.get(app_id, [])
        start = max(0, bisect_left(held, (first,)) - 1)
        near = []
        for a, b in held[start:]:
            if a > last:
                break
            if b >= first:
                near.append((a, b))
        return near
