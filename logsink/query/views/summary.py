"""Answers that are not rows: how many, by what, when, which patterns. Parts of the rows are summed apart, then together.

A summary is asked for the columns it needs, for the sum of some rows (``part``; in threads, any number of rows), and for the
sum of all parts. What comes out is a small table.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from logsink.query.columns import Int64, as_array, one_chunk
from logsink.query.output import local
from logsink.query.request.members import add_member_columns, source_columns
from logsink.query.views.patterns import to_patterns

COUNT = "count"

_DENSE = 1 << 20
"""Combinations of values that are counted by place; more are sorted."""

_MOST = 1 << 62
"""Combinations that fit into a number, with room."""

_EMPTY = 10_000
"""Rows of a histogram that empty steps may fill up."""

_INSTANT = pa.timestamp("us", tz="UTC")
_HOUR, _WEEK = 3600 * 1_000_000, 7 * 86_400 * 1_000_000
_MONDAY = 4 * 86_400 * 1_000_000  # 5 January 1970


class Summary(Protocol):
    """One kind of answer."""

    @property
    def columns(self) -> Sequence[str]:
        """The columns it needs."""

    def part(self, rows: pa.Table) -> pa.Table:
        """Of some rows."""

    def whole(self, parts: Sequence[pa.Table]) -> pa.Table:
        """Of all parts (at least one)."""


class Counts:
    """How many rows have each combination of values of ``fields``; most first. Without fields: how many there are."""

    def __init__(self, fields: Sequence[str] = ()) -> None:
        self.fields = tuple(fields)
        self.columns: Sequence[str] = source_columns(self.fields) or ("severity",)

    def part(self, rows: pa.Table) -> pa.Table:
        rows = add_member_columns(rows, self.fields)
        return _counted({name: one_chunk(rows.column(name)) for name in self.fields}, rows.num_rows)

    def whole(self, parts: Sequence[pa.Table]) -> pa.Table:
        total = _summed(parts, self.fields)
        numbered = total.rename_columns(
            list(map(str, range(total.num_columns)))
        )  # Arrow takes a name with dots for a path
        last = total.num_columns - 1
        order = pc.sort_indices(numbered, [(str(last), "descending"), *((str(k), "ascending") for k in range(last))])
        return total.take(order)


class Histogram:
    """How many rows fall into each ``step`` microseconds, by ``field`` if there is one; oldest first.

    Steps begin at midnight in ``zone``, those of weeks on Monday. Steps without rows are there too, with 0 for each value of
    ``field`` that there is, and for ``values``: those of ``within`` (since and until; None is the first or last row).
    Where that makes more than ``_EMPTY`` rows, of empty steps that follow one another only the first and the last are there
    (``shortened`` says so).
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
        times: Int64 = one_chunk(rows.column("time")).cast(pa.int64()).to_numpy(zero_copy_only=False)
        keys = {"time": as_array(self._begin(times)).cast(_INSTANT)}
        if self.field is not None:
            keys[self.field] = one_chunk(add_member_columns(rows, self._keys).column(self.field))
        return _counted(keys, rows.num_rows)

    def whole(self, parts: Sequence[pa.Table]) -> pa.Table:
        found = _summed(parts, self._keys)
        times, counts = (one_chunk(found.column(n)).cast(pa.int64()).to_numpy() for n in ("time", COUNT))
        if self.field is None:
            values, group = None, np.zeros(len(times), np.int64)
        else:
            column = one_chunk(found.column(self.field))
            there = pc.unique(pa.concat_arrays([column, pa.array(self._values, pa.string()).cast(column.type)]))
            values = one_chunk(pa.table({"value": there}).sort_by("value").column("value"))
            group = pc.index_in(column, value_set=values).to_numpy(zero_copy_only=False).astype(np.int64)
        empty, of = self._empty(times, group, 1 if values is None else len(values))
        times, group = np.concatenate((times, empty)), np.concatenate((group, of))
        counts = np.concatenate((counts, np.zeros(len(empty), np.int64)))
        order = np.lexsort((-counts, group, times))
        times, group, counts = times[order], group[order], counts[order]
        same = (times[1:] == times[:-1]) & (group[1:] == group[:-1])  # steps that are not empty after all
        kept = np.flatnonzero(np.append(True, ~same)) if len(times) else order
        columns = {"time": as_array(times[kept]).cast(_INSTANT)}
        if values is not None:
            columns[str(self.field)] = values.take(as_array(group[kept]))
        return pa.table({**columns, COUNT: as_array(counts[kept])})

    def _empty(self, times: Int64, group: Int64, groups: int) -> tuple[Int64, Int64]:
        """Steps and groups that may be empty."""
        since, until = self._within
        known = [end for end in (since, None if until is None else until - 1) if end is not None]
        ends = [*times.tolist(), *self._begin(np.array(known, np.int64)).tolist()]
        if not groups or len(ends) < 2:
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        first, last = min(ends), max(ends)
        if (last - first) // self.step * groups <= _EMPTY:
            inside = np.append(np.arange(first, last, max(1, self.step // 2)), last)  # a day may have 23 hours
            steps = np.unique(self._begin(inside))
            return np.repeat(steps, groups), np.tile(np.arange(groups), len(steps))
        self.shortened = True
        return self._edges(times, group, groups, first, last)

    def _edges(self, times: Int64, group: Int64, groups: int, first: int, last: int) -> tuple[Int64, Int64]:
        """Of each run of empty steps the first and the last."""
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
        """When the steps that follow these begin."""
        following = self._begin(begun + self.step)
        return np.where(following > begun, following, self._begin(begun + self.step + _HOUR))

    def _begin(self, times: Int64) -> Int64:
        """When the steps begin in which these instants are."""
        wall = local(times, self._zone)
        begun = times - (wall - _MONDAY) % self.step if self.step % _WEEK == 0 else times - wall % self.step
        ahead = local(begun, self._zone) - begun
        moved: Int64 = begun + (wall - times) - ahead  # clocks were changed since
        return np.where(moved <= times, moved, begun)


class Patterns:
    """Messages with numbers, ids and addresses collapsed (see ``collapse``), and how many have each; most first."""

    columns = ("message",)

    def part(self, rows: pa.Table) -> pa.Table:
        messages = one_chunk(rows.column("message"))
        return _counted({"pattern": to_patterns(messages)}, rows.num_rows)

    def whole(self, parts: Sequence[pa.Table]) -> pa.Table:
        return _summed(parts, ("pattern",)).sort_by([(COUNT, "descending"), ("pattern", "ascending")])


def _counted(keys: dict[str, pa.Array], rows: int, each: Int64 | None = None) -> pa.Table:
    """Distinct combinations of the keys' values, each with the number of its rows; or of what ``each`` row stands for."""
    if not keys:
        return pa.table({COUNT: pa.array([rows if each is None else int(each.sum())], pa.int64())})
    place, size = np.zeros(rows, np.int64), 1
    for values in keys.values():
        coded = values if pa.types.is_dictionary(values.type) else values.dictionary_encode()
        width = len(coded.dictionary) + 1
        if size * width >= _MOST:  # number those there are
            place, size = np.unique(place, return_inverse=True)[1], rows
        place = place * width + coded.indices.fill_null(width - 1).to_numpy(zero_copy_only=False)
        size *= width
    if size <= _DENSE:
        found = np.flatnonzero(np.bincount(place, minlength=size))
        counts = np.bincount(place, each, size)[found]
        first = np.zeros(size, np.int64)
        first[place[::-1]] = np.arange(rows - 1, -1, -1)
        rows_of = first[found]
    else:
        _, rows_of, group = np.unique(place, return_index=True, return_inverse=True)
        counts = np.bincount(group, each)
    taken = as_array(rows_of)
    columns = {name: _decoded(values.take(taken)) for name, values in keys.items()}
    return pa.table({**columns, COUNT: as_array(counts.astype(np.int64))})


def _decoded(values: pa.Array) -> pa.Array:
    return values.dictionary_decode() if pa.types.is_dictionary(values.type) else values


def _summed(parts: Sequence[pa.Table], fields: Sequence[str]) -> pa.Table:
    """Parts that ``_counted`` made, together. (Arrow's ``group_by`` would first load what it plans queries with, 30 ms.)"""
    together = pa.concat_tables(parts)
    keys = {name: one_chunk(together.column(name)) for name in fields}
    return _counted(keys, together.num_rows, one_chunk(together.column(COUNT)).to_numpy(zero_copy_only=False))
