"""Totals: rows, errors, bytes and the bounds of time of the rows that a query finds, for each combination of some values.

A ``Totals`` is a summary as those of ``summary``, with more numbers in a row of its result: ``MEASURED``. The archive has
counted all of them when it merged a file, so that a sum over a year reads no data file.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from logsink.query.columns import Int64, as_array, as_integers, decoded, one_chunk
from logsink.query.read import Sums

DAY: Final = 86_400_000_000
"""Microseconds of a day."""

MEASURED: Final = ("rows", "errors", "bytes", "first", "last")
"""Columns of totals behind the values that they are of.

``errors`` are rows of severity err and more urgent ones, ``bytes`` those of message, structured data and raw frame,
``first`` and ``last`` the bounds of ``time``.
"""

_ERROR: Final = 3
"""The number of severity err."""

_SPARE: Final = 16
"""Values that make no dictionary too large, however few rows have them."""

_INSTANT = pa.timestamp("us", tz="UTC")
_TEXTS: Final = ("message", "structured_data", "raw")

_DENSE: Final = 1 << 17
"""The most combinations of codes for which there is an array with a place for each, or as many as rows; more are sorted.

An array of a million takes 12 ms, and a year has a sum for each day.
"""


class Totals:
    """The totals of each combination of values of ``fields``, in order of these values; null comes last.

    With ``days``, the column ``day`` before the others has the beginning of the day (UTC), and each day its own totals.
    """

    def __init__(self, fields: Sequence[str] = (), *, days: bool = False) -> None:
        self.fields = tuple(fields)
        self._days = days
        self._keys = ("day", *self.fields) if days else self.fields
        self.columns: Sequence[str] = tuple(dict.fromkeys((*self.fields, "severity", "time", *_TEXTS)))

    def part(self, rows: pa.Table) -> pa.Table:
        """Return the totals of some rows of the archive."""
        times = as_integers(rows.column("time"))
        each = np.ones(rows.num_rows, np.int64)
        nbytes = np.sum([_lengths(one_chunk(rows.column(name))) for name in _TEXTS], axis=0)
        return self._total(rows, times, _Measures(each, _errors(rows, each), nbytes, times, times))

    def merge(self, parts: Sequence[pa.Table]) -> pa.Table:
        """Return the sum of some parts, at least one, as a part."""
        table = pa.concat_tables(parts).unify_dictionaries().combine_chunks()
        days = as_integers(table.column("day")) if self._days else np.zeros(0, np.int64)
        return self._total(table, days, _Measures(*(as_integers(table.column(name)) for name in MEASURED)))

    def whole(self, parts: Sequence[pa.Table]) -> pa.Table:
        """Return the sum of all parts, of which there is at least one."""
        total = self.merge(parts)
        total = pa.table([decoded(one_chunk(column)) for column in total.columns], names=total.column_names)
        return total.sort_by([(name, "ascending") for name in self._keys]) if self._keys else total

    def sums(self) -> Sums:
        """Return how parts are made of rows of counts."""
        columns = tuple(dict.fromkeys((*self.fields, "severity")))
        return Sums(columns, self._of_counts, _same_day if self._days else None, measures=("bytes", "first", "last"))

    def _of_counts(self, rows: pa.Table, each: Int64) -> pa.Table:
        times = as_integers(rows.column("time")) if self._days else np.zeros(0, np.int64)
        nbytes, first, last = (as_integers(rows.column(name)) for name in ("bytes", "first", "last"))
        return self._total(rows, times, _Measures(each, _errors(rows, each), nbytes, first, last))

    def _total(self, rows: pa.Table, times: Int64, measures: _Measures) -> pa.Table:
        """Return the totals of rows; ``times``: an instant of the day of each, where days are told apart."""
        keys = {name: one_chunk(rows.column(name)) for name in self.fields}
        if self._days:
            keys = {"day": as_array(times // DAY * DAY).cast(_INSTANT), **keys}
        group, row = _groups([_coded(values) for values in keys.values()], len(measures.rows))
        order = np.argsort(
            group.astype(np.uint16) if len(row) < 1 << 16 else group, kind="stable"
        )  # of 16 bits: in one pass
        begins = np.flatnonzero(np.diff(group[order], prepend=-1))
        taken = {name: _taken(values, row) for name, values in keys.items()}
        for name, values in zip(MEASURED, measures, strict=True):
            reduce = {"first": np.minimum, "last": np.maximum}.get(name, np.add)
            total = as_array(reduce.reduceat(values[order], begins) if len(begins) else values)
            taken[name] = total.cast(_INSTANT) if name in ("first", "last") else total
        return pa.table(taken)


class _Measures(NamedTuple):
    """Numbers of rows, in the order of ``MEASURED``."""

    rows: Int64
    errors: Int64
    bytes: Int64
    first: Int64
    last: Int64


def _errors(rows: pa.Table, each: Int64) -> Int64:
    """Return how many errors there are among the rows that each row stands for."""
    return np.where(as_integers(rows.column("severity"), _ERROR + 1) <= _ERROR, each, 0)


def _same_day(first: Int64, last: Int64) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Return which spans of time lie in one day (UTC) each: bool[n]."""
    same: np.ndarray[tuple[int], np.dtype[np.bool_]] = first // DAY == last // DAY
    return same


def _lengths(values: pa.Array) -> Int64:
    """Return the bytes of each value, 0 for null."""
    if pa.types.is_dictionary(values.type):
        lengths = np.append(as_integers(pc.binary_length(values.dictionary), 0), 0)
        found: Int64 = lengths[as_integers(values.indices, len(values.dictionary))]
        return found
    return as_integers(pc.binary_length(values), 0)


def _coded(values: pa.Array) -> tuple[Int64, int]:
    """Return the values of a column as numbers, null included, and how many numbers there may be."""
    coded = values if pa.types.is_dictionary(values.type) else values.dictionary_encode()
    return as_integers(coded.indices, len(coded.dictionary)), len(coded.dictionary) + 1


def _groups(keys: Sequence[tuple[Int64, int]], rows: int) -> tuple[Int64, Int64]:
    """Return the number of each row's group, from 0 on without a gap, and one row of each group."""
    place, size = np.zeros(rows, np.int64), 1
    for codes, width in keys:
        if size > 1 and size * width > _DENSE:  # number only the combinations that there are
            place, found = _numbered(place, size)
            size = len(found)
        place, size = place * width + codes, size * width
    return _numbered(place, size)


def _numbered(place: Int64, size: int) -> tuple[Int64, Int64]:
    """Return numbers from 0 on for the different numbers below ``size`` that there are, and one row of each."""
    if size > max(_DENSE, len(place)):
        _, row, group = np.unique(place, return_index=True, return_inverse=True)
        return group, row
    row = np.full(size, -1)
    row[place] = np.arange(len(place))
    there = np.flatnonzero(row >= 0)
    number = np.zeros(size, np.int64)
    number[there] = np.arange(len(there))
    return number[place], row[there]


def _taken(values: pa.Array, rows: Int64) -> pa.Array:
    """Return some values of a column, text as a dictionary without many values that they do not have."""
    taken = values.take(as_array(rows))
    if not pa.types.is_dictionary(taken.type) or len(taken.dictionary) <= 2 * len(rows) + _SPARE:
        return taken
    return taken.dictionary_decode().dictionary_encode()
