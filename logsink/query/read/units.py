"""What to read next, and what that leaves: files and row groups in the order in which their rows can be needed.

A *unit* is a file whose footer was not read yet, or one row group of a file whose footer was. Bounds of its times tell where
its rows can stand in the order: none of them precedes its ``near`` end. Units are begun by their near ends. So rows that
stand before the near end of every unit that is not finished (``frontier``) are final, and can be handed out.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Collection, Iterable, Mapping
from functools import partial
from itertools import islice
from types import MappingProxyType
from typing import Final, NamedTuple

from logsink.archive import DataFile
from logsink.query.read.datafile import OpenFile, RowGroup
from logsink.query.read.plan import file_bounds
from logsink.query.request import UNKNOWN, Bounds, Condition, Filter

EARLIEST: Final = -(1 << 62)
"""Microseconds since the epoch: before every time."""


class Unit(NamedTuple):
    """A file or a row group that is read in one step.

    near     no row of it precedes this in the order: microseconds since the epoch, negated when the newest come first
    number   in which units with equal ``near`` are read
    source   what is read
    filter   what is left to be tested of its rows
    """

    near: float
    number: int
    source: DataFile | RowGroup
    filter: Filter


class Units:
    """Units to be read, nearest first, and those being read, in the order in which they were begun.

    ``sort`` is the column of the order; ``descending``: the newest rows come first. ``left``: path of a file -> a further
    condition of its rows. Where rows are not ``ordered``, row groups precede files, so that few footers are held.
    """

    def __init__(
        self,
        files: Iterable[DataFile],
        filter: Filter,
        sort: str,
        *,
        descending: bool,
        left: Mapping[str, Condition] = MappingProxyType({}),
        ordered: bool = True,
    ) -> None:
        self._sort, self._descending, self._ordered = sort, descending, ordered
        self._waiting: list[Unit] = []  # a heap
        self._begun: deque[Unit] = deque()
        self._count = 0
        self.held = 0
        """Bytes of small files that were fetched whole, and whose row groups were not begun yet."""
        for file in files:
            more = (left[file.path],) if left and file.path in left else ()
            self._add(file, Filter((*more, *filter.conditions)) if more else filter, file_bounds(file, sort))

    def __bool__(self) -> bool:
        """Whether any unit is not finished."""
        return bool(self._waiting or self._begun)

    def begin(self, oldest: int | None = None) -> Unit | None:
        """Take the nearest unit; None when there is none, or none that can have rows at or after the time ``oldest``.

        ``oldest`` is only for descending order.
        """
        if not self._waiting or (oldest is not None and self._waiting[0].near > -oldest):
            return None
        unit = heapq.heappop(self._waiting)
        self._begun.append(unit)
        self.held -= _held_by(unit.source)
        return unit

    def finish(self) -> Unit:
        """Take note that the unit that was begun first has been read, and return it."""
        return self._begun.popleft()

    def is_among_first(self, unit: Unit, count: int) -> bool:
        """Whether ``unit`` is one of the first ``count`` that are being read."""
        return unit in islice(self._begun, count)

    def add_row_groups(self, file: OpenFile, filter: Filter, groups: Collection[int] | None = None) -> int:
        """Add the row groups of a file that can hold a row of ``filter``; return the number of rows in the others.

        With ``groups``, only row groups of these numbers can.
        """
        excluded = 0
        for group in file.row_groups((self._sort, *filter.columns())):
            known = groups is None or group.number in groups
            left = filter.within(partial(_group_bounds, group)) if known else None
            if left is None:
                excluded += group.rows
            else:
                self._add(group, left, _group_bounds(group, self._sort))
        return excluded

    @property
    def frontier(self) -> int | None:
        """The time at and beyond which rows may still come; None when none will."""
        nears = [unit.near for unit in (*self._begun, *self._waiting[:1])]
        if not nears:
            return None
        near = min(nears)
        sign = -1 if self._descending else 1
        return sign * (EARLIEST if near == -math.inf else int(near))

    def _add(self, source: DataFile | RowGroup, filter: Filter, order: Bounds) -> None:
        near = -math.inf
        if not self._ordered and isinstance(source, RowGroup):
            pass  # before every file
        elif self._descending and order.high is not None:
            near = -order.high
        elif not self._descending and order.low is not None and not order.nulls:  # nulls come first
            near = order.low
        self._count += 1
        self.held += _held_by(source)
        heapq.heappush(self._waiting, Unit(near, self._count, source, filter))


def _held_by(source: DataFile | RowGroup) -> int:
    return len(source.file.body or b"") if isinstance(source, RowGroup) else 0


def _group_bounds(group: RowGroup, column: str) -> Bounds:
    return group.bounds.get(column, UNKNOWN)
