"""Counts: how many rows a data file has for each hour and each combination of values of its short columns.

One row of counts stands for all rows of one data file that agree in the hour of ``time`` (UTC) and in ``COUNTED``. It says how
many they are, how many bytes they hold, and the first and last ``time`` among them. So the rows of a file are counted exactly
once, and a sum over counts is the sum over the rows, as long as it asks for nothing but these columns.

``CountsBuilder`` makes the counts of one file from its row groups, ``join_counts`` joins those of several files. Counts are
small: where a file has nearly as many combinations as rows, they would not be, and there are none.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

COUNTED: Final = ("host", "app", "severity", "environment", "role", "deploy", "instance")
"""Columns of the table whose values counts keep apart."""

HOUR: Final = 3_600_000_000
"""Microseconds of an hour."""

DAY: Final = 24 * HOUR
"""Microseconds of a day."""

_INSTANT = pa.timestamp("us", tz="UTC")
_TEXT = pa.dictionary(pa.int32(), pa.string())

COUNTS_SCHEMA: Final = pa.schema(
    [
        pa.field("first", _INSTANT, nullable=False),
        pa.field("last", _INSTANT, nullable=False),
        pa.field("bytes", pa.int64(), nullable=False),
        pa.field("rows", pa.int64(), nullable=False),
        pa.field("file", _TEXT, nullable=False),
        pa.field("hour", _INSTANT, nullable=False),
        *(pa.field(name, pa.int8() if name == "severity" else _TEXT) for name in COUNTED),
    ]
)
"""Columns of counts. ``bytes``: those of ``message``, ``structured_data`` and ``raw``; ``first``, ``last``: bounds of ``time``.

The columns that most sums need are the last ones, and small: one read of the end of an object has them all.
"""

FEW: Final = 4096
"""Combinations that are counted whatever the number of rows."""

SHARE: Final = 4
"""Least rows a combination, on average, where there are more than ``FEW``."""

_HELD = 1 << 18
"""Rows of counts that wait to be summed up."""

_DENSE = 1 << 20
"""The most combinations of codes for which there is an array with a place for each; more are sorted."""

_MOST = 1 << 62
"""The most combinations of codes that are numbered by place: the numbers stay within 64 bits."""

_HOURS = 1 << 12
"""Hours from the first to the last up to which they are numbered by place."""

_SEVERITIES = 9
"""Codes of ``severity``: 0 to 7, and null."""

Numbers = npt.NDArray[np.int64]


class CountsBuilder:
    """Makes the counts of one data file: ``add`` its row groups in order, then ``finish``. It keeps no reference to them."""

    def __init__(self) -> None:
        self._parts: list[pa.Table] = []
        self._held = self._summed = self._rows = 0

    def add(self, table: pa.Table) -> None:
        """Count the rows of one row group, by schema ``ROWS_SCHEMA``, each column in one chunk."""
        if not table.num_rows:
            return
        self._rows += table.num_rows
        self._parts.append(_counted(table))
        self._held += self._parts[-1].num_rows
        if self._held > max(_HELD, 2 * self._summed):
            self._sum()

    def finish(self, path: str) -> pa.Table | None:
        """Return the counts of the file at ``path``, by ``COUNTS_SCHEMA``; None where they would not be small."""
        if not self._parts:
            return None
        self._sum()
        (counts,) = self._parts
        if counts.num_rows > max(FEW, self._rows // SHARE):
            return None
        path_column = pa.DictionaryArray.from_arrays(pa.array(np.zeros(counts.num_rows, np.int32)), pa.array([path]))
        return _sorted(counts.append_column("file", path_column).select(COUNTS_SCHEMA.names).cast(COUNTS_SCHEMA))

    def _sum(self) -> None:
        self._parts = [_summed(self._parts)]
        self._held = self._summed = self._parts[0].num_rows


def join_counts(tables: Iterable[pa.Table]) -> pa.Table:
    """Return the counts of several files as one table, file by file in order of their paths. Each file is in one table only."""
    parts = [table.cast(COUNTS_SCHEMA) for table in tables]
    return _sorted(pa.concat_tables(parts) if parts else COUNTS_SCHEMA.empty_table())


def by_day(counts: pa.Table) -> pa.Table:
    """Return counts with the day (UTC) in the place of the hour: a row is of all rows that agree in file, day and ``COUNTED``.

    They say what the counts say, in a twentieth of the rows where programs log all day.
    """
    if not counts.num_rows:
        return counts
    days = _integers(counts.column("hour")) // DAY
    groups = _groups([_codes(counts.column("file")), _hours(days), *(_codes(counts.column(name)) for name in COUNTED)])
    order = np.argsort(groups.group, kind="stable")
    starts = np.flatnonzero(np.diff(groups.group[order], prepend=-1))
    rows, first, last = (
        reduce.reduceat(_integers(counts.column(name))[order], starts)
        for name, reduce in (("rows", np.add), ("first", np.minimum), ("last", np.maximum))
    )
    sizes = groups.group, _integers(counts.column("bytes"))
    found = _table(counts, groups, days[groups.row] * DAY, rows, sizes, first, last)
    files = _taken(counts.column("file"), pa.array(groups.row))
    return _sorted(found.append_column("file", files).select(COUNTS_SCHEMA.names).cast(COUNTS_SCHEMA))


class _Groups(NamedTuple):
    """Rows that agree: ``group`` is the number of each row's group, ``row`` one row of each group."""

    group: Numbers
    row: Numbers


def _counted(table: pa.Table) -> pa.Table:
    """Return the counts of some rows, without their file, in any order."""
    times = _integers(table.column("time"))
    hours = times // HOUR
    groups = _groups([_hours(hours), *(_codes(table.column(name)) for name in COUNTED)])
    count = len(groups.row)
    first, last = np.full(count, np.iinfo(np.int64).max), np.full(count, np.iinfo(np.int64).min)
    np.minimum.at(first, groups.group, times)
    np.maximum.at(last, groups.group, times)
    sizes = _sizes(table.column("message")) + _sizes(table.column("structured_data")) + _sizes(table.column("raw"))
    return _table(
        table, groups, hours[groups.row] * HOUR, np.bincount(groups.group), (groups.group, sizes), first, last
    )


def _summed(parts: Sequence[pa.Table]) -> pa.Table:
    """Return the sum of counts of one file."""
    if len(parts) == 1:
        return parts[0]
    table = pa.concat_tables(parts).unify_dictionaries().combine_chunks()
    hours = _integers(table.column("hour")) // HOUR
    groups = _groups([_hours(hours), *(_codes(table.column(name)) for name in COUNTED)])
    order = np.argsort(groups.group, kind="stable")
    starts = np.flatnonzero(np.diff(groups.group[order], prepend=-1))
    rows = np.add.reduceat(_integers(table.column("rows"))[order], starts)
    sizes = _integers(table.column("bytes"))
    first = np.minimum.reduceat(_integers(table.column("first"))[order], starts)
    last = np.maximum.reduceat(_integers(table.column("last"))[order], starts)
    return _table(table, groups, hours[groups.row] * HOUR, rows, (groups.group, sizes), first, last)


def _table(
    table: pa.Table,
    groups: _Groups,
    hours: Numbers,
    rows: Numbers,
    sizes: tuple[Numbers, Numbers],
    first: Numbers,
    last: Numbers,
) -> pa.Table:
    """Return counts as a table: values are those of one row of each group, ``sizes`` is summed by group."""
    group, each = sizes
    total = np.bincount(group, each, len(groups.row)).astype(np.int64)  # as floating point exact up to 2**53 bytes
    taken = pa.array(groups.row)
    columns = {"hour": hours, "rows": rows, "bytes": total, "first": first, "last": last}
    fields = [field for field in COUNTS_SCHEMA if field.name != "file"]
    arrays = [
        pa.array(columns[field.name]).cast(field.type)
        if field.name in columns
        else _taken(table.column(field.name), taken)
        for field in fields
    ]
    return pa.table(arrays, schema=pa.schema(fields))


def _taken(column: pa.ChunkedArray, rows: pa.Array) -> pa.Array:
    """Return some values of a column, with a dictionary of no others: one row group's may be large."""
    taken = column.combine_chunks().take(rows) if column.num_chunks != 1 else column.chunk(0).take(rows)
    if not pa.types.is_dictionary(taken.type):
        return taken
    return taken.dictionary_decode().dictionary_encode().cast(_TEXT)


def _groups(keys: Iterable[tuple[Numbers, int]]) -> _Groups:
    """Return which rows agree in all keys: of each key its codes, and how many codes there may be."""
    (place, size), *others = keys
    for codes, width in others:
        if width == 1:  # all rows agree
            continue
        if size * width >= _MOST:  # number only the combinations that there are
            place, size = np.unique(place, return_inverse=True)[1], len(place)
        place, size = place * width + codes, size * width
    if size > _DENSE:
        _, row, group = np.unique(place, return_index=True, return_inverse=True)
        return _Groups(group, row)
    row = np.full(size, -1)
    row[place] = np.arange(len(place))
    there = np.flatnonzero(row >= 0)
    number = np.zeros(size, np.int64)
    number[there] = np.arange(len(there))
    return _Groups(number[place], row[there])


def _hours(hours: Numbers) -> tuple[Numbers, int]:
    """Return the codes of hours, and how many there may be."""
    low, high = int(hours.min()), int(hours.max())
    if high - low < _HOURS:
        return hours - low, high - low + 1
    found, codes = np.unique(hours, return_inverse=True)
    return codes, len(found)


def _codes(column: pa.ChunkedArray) -> tuple[Numbers, int]:
    """Return the codes of a column's values, null included, and how many there may be."""
    values = column.chunk(0)
    if values.null_count == len(values):
        return np.zeros(len(values), np.int64), 1
    if not pa.types.is_dictionary(values.type):
        return _plain(values, _SEVERITIES - 1), _SEVERITIES
    width = len(values.dictionary) + 1
    return _plain(values.indices, width - 1), width


def _plain(values: pa.Array, null: int) -> Numbers:
    """Return integers as int64[n], with ``null`` for nulls."""
    return _as_int64(values.fill_null(null) if values.null_count else values)


def _integers(column: pa.ChunkedArray) -> Numbers:
    return _as_int64(column.chunk(0).cast(pa.int64()))


def _as_int64(values: pa.Array) -> Numbers:
    found: Numbers = values.to_numpy(zero_copy_only=False).astype(np.int64, copy=False)
    return found


def _sizes(column: pa.ChunkedArray) -> Numbers:
    """Return the bytes of each value, 0 for null."""
    values = column.chunk(0)
    if values.null_count == len(values):
        return np.zeros(len(values), np.int64)
    if pa.types.is_dictionary(values.type):
        sizes = np.append(_plain(pc.binary_length(values.dictionary), 0), 0)
        found: Numbers = sizes[_plain(values.indices, len(sizes) - 1)]
        return found
    return _plain(pc.binary_length(values), 0)


def _sorted(counts: pa.Table) -> pa.Table:
    """Return counts in the order (file, app, severity, hour, host, the other columns), nulls first, text by its bytes."""
    counts = counts.unify_dictionaries().combine_chunks()
    if not counts.num_rows:
        return counts
    names = ("file", "app", "severity", "hour", "host", "environment", "role", "deploy", "instance")
    order = np.lexsort([_ranks(counts.column(name)) for name in reversed(names)])
    return counts.take(pa.array(order)).combine_chunks()


def _ranks(column: pa.ChunkedArray) -> npt.NDArray[Any]:
    """Return numbers in the order of a column's values; null has the least."""
    values = column.chunk(0)
    if pa.types.is_timestamp(values.type):
        return _integers(column)
    if not pa.types.is_dictionary(values.type):
        return _plain(values, -1)
    ranks = np.zeros(len(values.dictionary) + 1, np.int32)
    ranks[pc.sort_indices(values.dictionary).to_numpy()] = np.arange(1, len(values.dictionary) + 1)
    found: npt.NDArray[Any] = ranks[_plain(values.indices, len(values.dictionary))]
    return found
