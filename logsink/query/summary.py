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

from logsink.query.collapse import collapsed
from logsink.query.filters import as_array, one_chunk
from logsink.query.stamps import Int64, local

COUNT = "count"

_DENSE = 1 << 20
"""Combinations of values that are counted by place; more are sorted."""

_MOST = 1 << 62
"""Combinations that fit into a number, with room."""

_SMALL = 1000
"""Messages that become patterns without the compiled kernel, which takes 0.07 s to load."""


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
        self.columns: Sequence[str] = self.fields or ("severity",)

    def part(self, rows: pa.Table) -> pa.Table:
        return _counted({name: one_chunk(rows.column(name)) for name in self.fields}, rows.num_rows)

    def whole(self, parts: Sequence[pa.Table]) -> pa.Table:
        total = _summed(parts, self.fields)
        return total.sort_by([(COUNT, "descending"), *((name, "ascending") for name in self.fields)])


class Histogram:
    """How many rows fall into each ``step`` microseconds, by ``field`` if there is one; oldest first, empty steps left out.

    Steps begin at midnight in ``zone``.
    """

    def __init__(self, step: int, zone: dt.tzinfo, field: str | None = None) -> None:
        self.step, self.field, self._zone = step, field, zone
        self.columns = ("time",) if field is None else ("time", field)

    def part(self, rows: pa.Table) -> pa.Table:
        times: Int64 = one_chunk(rows.column("time")).cast(pa.int64()).to_numpy(zero_copy_only=False)
        begun = times - local(times, self._zone) % self.step
        keys = {"time": as_array(begun).cast(pa.timestamp("us", tz="UTC"))}
        if self.field is not None:
            keys[self.field] = one_chunk(rows.column(self.field))
        return _counted(keys, rows.num_rows)

    def whole(self, parts: Sequence[pa.Table]) -> pa.Table:
        return _summed(parts, self.columns).sort_by([(name, "ascending") for name in self.columns])


class Patterns:
    """Messages with numbers, ids and addresses collapsed (see ``collapse``), and how many have each; most first."""

    columns = ("message",)

    def part(self, rows: pa.Table) -> pa.Table:
        messages = one_chunk(rows.column("message"))
        return _counted({"pattern": collapsed(messages, compiled=len(messages) > _SMALL)}, rows.num_rows)

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
