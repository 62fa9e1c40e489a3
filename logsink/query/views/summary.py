"""Summaries: counts of the rows that a query finds, by values, by time, by message pattern.

A summary names the columns that it needs. ``part`` sums some of the rows, in threads and for any number of rows; ``whole`` sums
the parts. The result is a small table whose last column, ``COUNT``, is the number of rows.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from logsink.query.columns import Int64, as_array, as_integers, decoded, one_chunk
from logsink.query.output import local
from logsink.query.read import Sums
from logsink.query.request import add_member_columns, source_columns
from logsink.query.views.patterns import to_patterns

COUNT = "count"
"""Name of the column with the number of rows."""

_DENSE = 1 << 20
"""The most combinations of values that are counted in an array with a place for each; more are sorted."""

_MOST_COMBINATIONS = 1 << 62
"""The most combinations of values that are numbered by place: the numbers stay within 64 bits."""

_NUMBERS = 1 << 12
"""Integers from the least to the greatest up to which they are codes of their own."""

_FILLED_ROWS = 10_000
"""The most rows of a histogram that is filled up with empty steps."""

_INSTANT = pa.timestamp("us", tz="UTC")
_HOUR, _WEEK = 3600 * 1_000_000, 7 * 86_400 * 1_000_000
"""Microseconds in an hour and in a week."""

_UNITS = (_HOUR, 900 * 1_000_000, 60 * 1_000_000, 1_000_000, 1)
"""Units of time that steps are made of: microseconds in an hour, a quarter of it, a minute, a second, and one."""

_MONDAY = 4 * 86_400 * 1_000_000
"""Microseconds from the epoch to the first midnight on a Monday, 5 January 1970."""


class Summary(Protocol):
    """One kind of summary."""

    @property
    def columns(self) -> Sequence[str]:
        """The columns that it needs."""

    def part(self, rows: pa.Table) -> pa.Table:
        """Return the sum of some rows."""

    def merge(self, parts: Sequence[pa.Table]) -> pa.Table:
        """Return the sum of some parts, at least one, as a part."""

    def whole(self, parts: Sequence[pa.Table]) -> pa.Table:
        """Return the sum of all parts, of which there is at least one."""

    def sums(self) -> Sums | None:
        """Return how parts are made of rows of counts, each of which stands for many rows; None where they cannot be."""


class Counts:
    """How many rows have each combination of values of ``fields``, the most frequent first; without fields, of all rows."""

    def __init__(self, fields: Sequence[str] = ()) -> None:
        self.fields = tuple(fields)
        self.columns: Sequence[str] = source_columns(self.fields) or ("severity",)

    def part(self, rows: pa.Table) -> pa.Table:
        rows = add_member_columns(rows, self.fields)
        return _count(_keys(rows, self.fields), rows.num_rows)

    def merge(self, parts: Sequence[pa.Table]) -> pa.Table:
        return _sum(parts, self.fields)

    def whole(self, parts: Sequence[pa.Table]) -> pa.Table:
        total = self.merge(parts)
        numbered = total.rename_columns(
            list(map(str, range(total.num_columns)))
        )  # Arrow takes a name with dots for a path
        last = total.num_columns - 1
        order = pc.sort_indices(numbered, [(str(last), "descending"), *((str(k), "ascending") for k in range(last))])
        return total.take(order)

    def sums(self) -> Sums:
        return Sums(self.fields, lambda rows, each: _count(_keys(rows, self.fields), rows.num_rows, each))


class Histogram:
    """How many rows fall into each ``step`` of time, by the values of ``field`` if there is one; oldest first.

    step     microseconds; steps begin at midnight in ``zone``, those of weeks on Monday
    within   beginning and end of the time that is counted, the end excluded; None: the first or the last row
    values   values of ``field`` that are counted even if no row has them

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
        return _count(keys, rows.num_rows)

    def merge(self, parts: Sequence[pa.Table]) -> pa.Table:
        return _sum(parts, self._keys)

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

    def _part_of_counts(self, rows: pa.Table, each: Int64) -> pa.Table:
        times = as_integers(rows.column("time"))
        hours = times // _HOUR
        if np.array_equal(hours * _HOUR, times):  # many have the same
            rows = _count({**_keys(rows, self._keys), "time": as_array(hours)}, rows.num_rows, each)
            times, each = as_integers(rows.column("time")) * _HOUR, as_integers(rows.column(COUNT))
        begun = as_array(self._begin(times)).cast(_INSTANT)
        return _count({**_keys(rows, self._keys), "time": begun}, rows.num_rows, each)

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
        since, until = self._within
        known = [end for end in (since, None if until is None else until - 1) if end is not None]
        ends = [*times.tolist(), *self._begin(np.array(known, np.int64)).tolist()]
        if not groups or len(ends) < 2:
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        first, last = min(ends), max(ends)
        if (last - first) // self.step * groups <= _FILLED_ROWS:
            inside = np.append(np.arange(first, last, max(1, self.step // 2)), last)  # a day may have 23 hours
            steps = np.unique(self._begin(inside))
            return np.repeat(steps, groups), np.tile(np.arange(groups), len(steps))
        self.shortened = True
        return self._edges(times, group, groups, first, last)

    def _edges(self, times: Int64, group: Int64, groups: int, first: int, last: int) -> tuple[Int64, Int64]:
        """Return the beginnings and groups of the first and the last step of each run of empty steps."""
        order = np.lexsort((times, group))
        times, group = times[order], group[order]
        edge = np.searchsorted(group, np.arange(groups + 1))  # where groups begin
        before = np.insert(times, edge[1:], last + 1)  # each is followed by the next of its group, or the end
        after = np.insert(times, edge[:-1], first - 1)
        of = np.insert(group, edge[:-1], np.arange(groups))
        low = np.where(after < first, first, self._next(after))
        high = np.where(before > last, last, self._begin(before - 1))
        gap = low <= high
        return np.concatenate((low[gap], high[gap])), np.tile(of[gap], 2)

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
        return np.where(moved <= times, moved, begun)


class Patterns:
    """How many messages have each pattern (``patterns``), the most frequent first."""

    columns = ("message",)

    def part(self, rows: pa.Table) -> pa.Table:
        messages = one_chunk(rows.column("message"))
        return _count({"pattern": to_patterns(messages)}, rows.num_rows)

    def merge(self, parts: Sequence[pa.Table]) -> pa.Table:
        return _sum(parts, ("pattern",))

    def whole(self, parts: Sequence[pa.Table]) -> pa.Table:
        return self.merge(parts).sort_by([(COUNT, "descending"), ("pattern", "ascending")])

    def sums(self) -> None:
        """Return None: counts know no messages."""


def _count(keys: dict[str, pa.Array], rows: int, each: Int64 | None = None) -> pa.Table:
    """Return the distinct combinations of the keys' values with the number of rows that have each.

    ``each`` is how many rows each row stands for, at least one, where that is not one.
    """
    if not keys:
        return pa.table({COUNT: pa.array([rows if each is None else int(each.sum())], pa.int64())})
    coded = [_coded(values) for values in keys.values()]
    place, size = coded[0].codes, len(coded[0].values)
    for codes, values in coded[1:]:
        if size * len(values) >= _MOST_COMBINATIONS:  # number only the combinations that there are
            place, size = np.unique(place, return_inverse=True)[1], rows
        place, size = place * len(values) + codes, size * len(values)
    if size <= _DENSE:
        counts = np.bincount(place, each, size)
        found = np.flatnonzero(counts)
        counts = counts[found]
        taken = []
        for _, values in reversed(coded):
            found, codes = np.divmod(found, len(values))
            taken.append(values.take(as_array(codes)))
        columns = dict(zip(keys, reversed(taken), strict=True))
    else:
        _, rows_of, group = np.unique(place, return_index=True, return_inverse=True)
        counts = np.bincount(group, each)
        columns = {name: decoded(values.take(as_array(rows_of))) for name, values in keys.items()}
    return pa.table({**columns, COUNT: as_array(counts.astype(np.int64))})


class _Coded(NamedTuple):
    """A column as numbers: ``values[codes]``. The last of ``values`` is null."""

    codes: Int64
    values: pa.Array


def _coded(column: pa.Array) -> _Coded:
    """Return a column as numbers. Small integers are taken as they are: to hash them takes five times as long."""
    if pa.types.is_integer(column.type) and column.null_count < len(column):
        bounds = pc.min_max(column)
        low, high = bounds["min"].as_py(), bounds["max"].as_py()
        if high - low < _NUMBERS:
            codes = as_integers(column, high + 1) - low
            return _Coded(codes, pa.array([*range(low, high + 1), None], column.type))
    coded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    values = pa.concat_arrays([coded.dictionary, pa.nulls(1, coded.dictionary.type)])
    return _Coded(as_integers(coded.indices, len(coded.dictionary)), values)


def _sum(parts: Sequence[pa.Table], fields: Sequence[str]) -> pa.Table:
    """Return the sum of parts that ``_count`` made. Arrow's ``group_by`` would first load its query planner, for 30 ms."""
    together = pa.concat_tables(parts)
    return _count(_keys(together, fields), together.num_rows, as_integers(together.column(COUNT)))


def _keys(rows: pa.Table, fields: Sequence[str]) -> dict[str, pa.Array]:
    return {name: one_chunk(rows.column(name)) for name in fields}
