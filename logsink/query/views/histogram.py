"""How many rows fall into each step of time, and the steps into which none do: ``Histogram``."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from logsink.query.columns import Int64, as_array, as_integers, changes, joined, one_chunk
from logsink.query.order import Runs
from logsink.query.output import local
from logsink.query.read import Sums
from logsink.query.request import EARLIEST, LATEST, add_member_columns, source_columns
from logsink.query.views.counting import COUNT, add_up, count_rows, keys_of

_FILLED_ROWS = 10_000
"""The most rows of a histogram that is filled up with empty steps."""

_INSTANT = pa.timestamp("us", tz="UTC")
_HOUR, _WEEK = 3600 * 1_000_000, 7 * 86_400 * 1_000_000
"""Microseconds in an hour and in a week."""

_UNITS = (_HOUR, 900 * 1_000_000, 60 * 1_000_000, 1_000_000, 1)
"""Units of time that steps are made of: microseconds in an hour, a quarter of it, a minute, a second, and one."""

_MONDAY = 4 * 86_400 * 1_000_000
"""Microseconds from the epoch to the first midnight on a Monday, 5 January 1970."""


class Histogram:
    """How many rows fall into each ``step`` of time, by the values of ``field`` if there is one; oldest first.

    step     microseconds; steps begin at midnight in ``zone``, those of weeks on Monday
    within   beginning and end of the time that is counted, the end excluded; None: the first or the last row
    values   values of ``field`` that are counted even if no row has them

    A step that begins before the year 1 begins with it here: there is no date before.

    Steps without rows have 0 for each value of ``field``. Where that makes more than ``_FILLED_ROWS`` rows, only the first and
    the last of empty steps that follow one another are there, and ``shortened`` is true.
    """

    def __init__(
        self,
        step: int,
        zone: dt.tzinfo,
        field: str | None = None,
        within: tuple[int | None, int | None] = (None, None),
        values: Sequence[str] = (),
    ) -> None:
        self.step, self.field, self._zone, self._within, self._values = step, field, zone, within, values
        self._keys = ("time",) if field is None else ("time", field)
        self.columns = source_columns(self._keys)
        self.shortened = False

    def part(self, rows: pa.Table) -> pa.Table:
        keys = {"time": as_array(self._begin(as_integers(rows.column("time")))).cast(_INSTANT)}
        if self.field is not None:
            keys[self.field] = one_chunk(add_member_columns(rows, self._keys).column(self.field))
        return count_rows(keys, rows.num_rows)

    def merge(self, parts: Sequence[pa.Table]) -> pa.Table:
        return add_up(parts, self._keys)

    def whole(self, parts: Sequence[pa.Table]) -> pa.Table:
        found = self.merge(parts)
        times, counts = (as_integers(found.column(n)) for n in ("time", COUNT))
        values, group = self._groups(found)
        # Add steps without rows, and drop those that have rows after all.
        empty, group_of_empty = self._empty(times, group, 1 if values is None else len(values))
        times, group = np.concatenate((times, empty)), np.concatenate((group, group_of_empty))
        counts = np.concatenate((counts, np.zeros(len(empty), np.int64)))
        order = np.lexsort((-counts, group, times))
        times, group, counts = times[order], group[order], counts[order]
        same = (times[1:] == times[:-1]) & (group[1:] == group[:-1])
        kept = np.flatnonzero(np.append(True, ~same)) if len(times) else order
        columns = {"time": as_array(times[kept]).cast(_INSTANT)}
        if values is not None:
            columns[str(self.field)] = values.take(as_array(group[kept]))
        return pa.table({**columns, COUNT: as_array(counts[kept])})

    def sums(self) -> Sums:
        unit = next(unit for unit in _UNITS if self.step % unit == 0)
        return Sums(self._keys[1:], self._part_of_counts, self._in_one, unit)

    def keyed(self, part: pa.Table) -> pa.Table:
        return part.select([*self._keys[1:], "time", COUNT])

    def arrange(self, sums: Runs, limit: int | None) -> Iterator[Runs | None]:
        extent, sorted = _Extent(self._values), sums.another()
        for rows in sums:
            extent.add(rows)
            yield None
        first, last = self._ends(extent.first, extent.last)
        self.shortened = (last - first) // self.step * extent.groups > _FILLED_ROWS
        every = not self.shortened and extent.groups <= _FILLED_ROWS
        if every:
            sorted.add(self._zeros(*self._every(first, last, extent.groups), extent.values))
        elif extent.missing is not None:
            since, until = (np.full(len(extent.missing), end, np.int64) for end in (first - 1, last + 1))
            sorted.add(self._gaps(since, until, first, last, extent.missing))
        for rows in sums if every else self._with_gaps(sums, first, last):
            sorted.add(rows.select([*self._keys, COUNT]))
            yield None
        yield sorted

    def shown(self, rows: pa.Table) -> pa.Table:
        return rows

    def _part_of_counts(self, rows: pa.Table, each: Int64) -> pa.Table:
        times = as_integers(rows.column("time"))
        hours = times // _HOUR
        if np.array_equal(hours * _HOUR, times):  # many have the same
            rows = count_rows({**keys_of(rows, self._keys), "time": as_array(hours)}, rows.num_rows, each)
            times, each = as_integers(rows.column("time")) * _HOUR, as_integers(rows.column(COUNT))
        begun = as_array(self._begin(times)).cast(_INSTANT)
        return count_rows({**keys_of(rows, self._keys), "time": begun}, rows.num_rows, each)

    def _in_one(self, first: Int64, last: Int64) -> npt.NDArray[np.bool_]:
        """Return which spans of time, of less than an hour, lie in one step each: bool[n]."""
        walls = local(first, self._zone), local(last, self._zone)
        origin = _MONDAY if self.step % _WEEK == 0 else 0
        same_offset = walls[0] - first == walls[1] - last
        same_step = (walls[0] - origin) // self.step == (walls[1] - origin) // self.step
        found: npt.NDArray[np.bool_] = same_offset & same_step & (self._begin(first) == self._begin(last))
        return found

    def _groups(self, found: pa.Table) -> tuple[pa.Array | None, Int64]:
        """Return the values of the field in order (None without a field), and which of them each row has."""
        if self.field is None:
            return None, np.zeros(found.num_rows, np.int64)
        column = one_chunk(found.column(self.field))
        there = pc.unique(pa.concat_arrays([column, pa.array(self._values, pa.string()).cast(column.type)]))
        values = one_chunk(pa.table({"value": there}).sort_by("value").column("value"))
        return values, pc.index_in(column, value_set=values).to_numpy(zero_copy_only=False).astype(np.int64)

    def _empty(self, times: Int64, group: Int64, groups: int) -> tuple[Int64, Int64]:
        """Return the beginnings and groups of steps, among which are all empty ones that are shown."""
        if not groups or not len(times):
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        first, last = self._ends(int(times.min()), int(times.max()))
        if (last - first) // self.step * groups <= _FILLED_ROWS:
            return self._every(first, last, groups)
        self.shortened = True
        return self._edges(times, group, groups, first, last)

    def _ends(self, first: int, last: int) -> tuple[int, int]:
        """Return the first and the last step that are shown, where these are the first and the last with rows."""
        since, until = self._within
        known = [
            min(max(end, EARLIEST), LATEST) for end in (since, None if until is None else until - 1) if end is not None
        ]
        ends = [first, last, *self._begin(np.array(known, np.int64)).tolist()]
        return min(ends), max(ends)

    def _every(self, first: int, last: int, groups: int) -> tuple[Int64, Int64]:
        """Return the beginnings and groups of all steps."""
        inside = np.append(np.arange(first, last, max(1, self.step // 2)), last)  # a day may have 23 hours
        steps = np.unique(self._begin(inside))
        return np.repeat(steps, groups), np.tile(np.arange(groups), len(steps))

    def _edges(self, times: Int64, group: Int64, groups: int, first: int, last: int) -> tuple[Int64, Int64]:
        """Return the beginnings and groups of the first and the last step of each run of empty steps."""
        order = np.lexsort((times, group))
        times, group = times[order], group[order]
        edge = np.searchsorted(group, np.arange(groups + 1))  # where groups begin
        until = np.insert(times, edge[1:], last + 1)  # each is followed by the next of its group, or the end
        since = np.insert(times, edge[:-1], first - 1)
        of = np.insert(group, edge[:-1], np.arange(groups))
        low, high, gap = self._between(since, until, first, last)
        return np.concatenate((low[gap], high[gap])), np.tile(of[gap], 2)

    def _between(self, since: Int64, until: Int64, first: int, last: int) -> tuple[Int64, Int64, npt.NDArray[np.bool_]]:
        """Return the first and the last step between two that have rows, or an end, and whether there is any."""
        low = np.where(since < first, first, self._next(since))
        high = np.where(until > last, last, self._begin(until - 1))
        return low, high, low <= high

    def _with_gaps(self, sums: Runs, first: int, last: int) -> Iterator[pa.Table]:
        """Yield all sums, and the edges of the gaps between them: a group's sums follow each other in order of time."""
        before: pa.Table | None = None
        for rows in sums:
            yield rows
            rows = rows if before is None else joined([before, rows])
            times, new = as_integers(rows.column("time")), np.zeros(rows.num_rows - 1, np.bool_)
            if self.field is not None:
                new = changes(one_chunk(rows.column(self.field)))
            ends, inner = np.flatnonzero(new), np.flatnonzero(~new)
            begins = ends + 1 if before is not None else np.append(0, ends + 1)
            since = np.concatenate((np.full(len(begins), first - 1), times[ends], times[inner]))
            until = np.concatenate((times[begins], np.full(len(ends), last + 1), times[inner + 1]))
            place = as_array(np.concatenate((begins, ends, inner)))
            yield self._gaps(since, until, first, last, self._of(rows.take(place)))
            before = rows.slice(rows.num_rows - 1)
        if before is not None:
            times = as_integers(before.column("time"))
            yield self._gaps(times, np.array([last + 1]), first, last, self._of(before))

    def _of(self, rows: pa.Table) -> pa.Array | None:
        return None if self.field is None else one_chunk(rows.column(self.field))

    def _gaps(self, since: Int64, until: Int64, first: int, last: int, values: pa.Array | None) -> pa.Table:
        """Return rows for the first and last of the steps between two times of a group, whose value is in ``values``."""
        low, high, gap = self._between(since, until, first, last)
        return self._zeros(np.concatenate((low[gap], high[gap])), np.tile(np.flatnonzero(gap), 2), values)

    def _zeros(self, times: Int64, group: Int64, values: pa.Array | None) -> pa.Table:
        """Return rows of steps without rows; their values are ``values[group]``."""
        columns = {"time": as_array(times).cast(_INSTANT)}
        if values is not None:
            columns[str(self.field)] = values.take(as_array(group))
        return pa.table({**columns, COUNT: as_array(np.zeros(len(times), np.int64))})

    def _next(self, begun: Int64) -> Int64:
        """Return when the steps after these begin."""
        following = self._begin(begun + self.step)
        return np.where(following > begun, following, self._begin(begun + self.step + _HOUR))

    def _begin(self, times: Int64) -> Int64:
        """Return when the steps begin that these instants are in."""
        wall = local(times, self._zone)
        begun = times - (wall - _MONDAY) % self.step if self.step % _WEEK == 0 else times - wall % self.step
        ahead = local(begun, self._zone) - begun
        moved: Int64 = begun + (wall - times) - ahead  # where clocks were changed since the step began
        return np.maximum(np.where(moved <= times, moved, begun), EARLIEST)


class _Extent:
    """What is learnt about a large histogram while its sums pass by, sorted by group: its range of time and its groups.

    asked         values that are groups even if no row has them
    first, last   beginnings of the first and the last step that have rows
    """

    def __init__(self, asked: Sequence[str]) -> None:
        self.first, self.last = 1 << 62, -(1 << 62)
        self._asked, self._count = asked, 0
        self._missing: pa.Array | None = None
        self._before: pa.Array | None = None
        self._few: list[pa.Array] = []

    def add(self, rows: pa.Table) -> None:
        """Extend range and groups by the next sums, which follow the ones before in the order of groups."""
        times = as_integers(rows.column("time"))
        self.first, self.last = min(self.first, int(times.min())), max(self.last, int(times.max()))
        if rows.num_columns < 3:  # there is no group
            return
        values = pc.unique(one_chunk(rows.column(0)))
        if self._missing is None:
            self._missing = pc.unique(pa.array(self._asked, pa.string()).cast(values.type))
        self._missing = self._missing.filter(pc.invert(pc.is_in(self._missing, value_set=values)))
        if self._before is not None and self._before.equals(values[:1]):
            values = values[1:]
        if len(values):
            self._before = values[-1:]
            self._count += len(values)
            self._few = [*self._few, values] if self._count <= _FILLED_ROWS else []

    @property
    def groups(self) -> int:
        """The number of groups."""
        return 1 if self._missing is None else self._count + len(self._missing)

    @property
    def missing(self) -> pa.Array | None:
        """The values that no row has though they are asked for; None where there are no groups."""
        return self._missing

    @property
    def values(self) -> pa.Array | None:
        """The values of all groups in any order, as long as they are few; None where there are no groups."""
        return None if self._missing is None else pa.concat_arrays([*self._few, self._missing])
