"""Arrow columns and numpy arrays: the schema of the rows that a query handles, and the conversions that every room needs.

Nothing here knows what a query is. Arrays are converted without a copy wherever that is possible.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from logsink.parse import CODED_COLUMNS, FILE_SCHEMA

Mask = npt.NDArray[np.bool_]
"""One boolean a row."""

Int64 = npt.NDArray[np.int64]

SCHEMA = pa.schema(
    [
        pa.field(field.name, pa.dictionary(pa.int32(), field.type) if field.name in CODED_COLUMNS else field.type)
        for field in FILE_SCHEMA
    ]
)
"""Columns of the rows inside a query: those of the archive's files, with dictionaries for columns of few distinct values."""

_SPARE_ENTRIES = 16
"""Unused entries that make no dictionary too large, however few its rows are."""

_SPARE_BYTES = 4096
"""Unused bytes of memory that make no array too large."""


def as_array(values: npt.NDArray[Any]) -> pa.Array:
    """Return a mask or numbers as an Arrow array; numbers are not copied.

    ``pa.array`` would ask numpy.ma first, whose import takes 0.015 s.
    """
    if values.dtype == np.bool_:
        bits = pa.py_buffer(np.packbits(values, bitorder="little"))
        return pa.Array.from_buffers(pa.bool_(), len(values), [None, bits])
    values = np.ascontiguousarray(values)
    return pa.Array.from_buffers(pa.from_numpy_dtype(values.dtype), len(values), [None, pa.py_buffer(values)])


def as_mask(values: pa.Array) -> Mask:
    """Return Arrow booleans as a mask; null becomes false."""
    mask: Mask = values.fill_null(False).to_numpy(zero_copy_only=False)
    return mask


def changes(values: pa.Array) -> Mask:
    """Return which of the values, but for the first, are not the same as the one before: bool[n - 1]."""
    changed = as_mask(pc.not_equal(values[1:], values[:-1]))
    if values.null_count:
        there: Mask = np.asarray(values.is_valid())
        changed |= there[1:] != there[:-1]
    return changed


def as_integers(column: pa.Array | pa.ChunkedArray, null: int | None = None) -> Int64:
    """Return integers or instants (then microseconds since the epoch) as int64[n], with ``null`` for nulls.

    Without ``null`` the column must not have any.
    """
    values = one_chunk(column).cast(pa.int64())
    if null is not None and values.null_count:
        values = values.fill_null(null)
    integers: Int64 = values.to_numpy(zero_copy_only=False)
    return integers


def mapped(values: pa.Array, matches: Callable[[pa.Array], pa.Array]) -> Mask:
    """Return ``matches`` of each value as a mask; each entry of a dictionary is tested only once."""
    if not pa.types.is_dictionary(values.type):
        return as_mask(matches(values))
    entries = as_mask(matches(values.dictionary))
    codes = values.indices.fill_null(len(entries)).to_numpy(zero_copy_only=False)
    mask: Mask = np.append(entries, False)[codes]
    return mask


def one_chunk(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """Return a column's values as one array; they are copied only when the column has several chunks."""
    if not isinstance(column, pa.ChunkedArray):
        return column
    if column.num_chunks == 1:
        return column.chunk(0)
    return column.combine_chunks() if column.num_chunks == 0 else pa.concat_arrays(column.chunks)


def as_rows(table: pa.Table, columns: Sequence[str]) -> pa.Table:
    """Return ``columns`` of a table in the types of ``SCHEMA``, one chunk each; nulls for columns that it does not have."""
    arrays = []
    for name in columns:
        kind = SCHEMA.field(name).type
        if name in table.column_names:
            array = one_chunk(table.column(name))
            arrays.append(array if array.type == kind else array.cast(kind))
        else:
            arrays.append(pa.nulls(table.num_rows, kind))
    return pa.table(arrays, schema=pa.schema([SCHEMA.field(name) for name in columns]))


def plain(rows: pa.Table, columns: Sequence[str]) -> pa.Table:
    """Return ``columns`` of the rows with dictionaries decoded, one chunk each."""
    return pa.table([decoded(one_chunk(rows.column(name))) for name in columns], names=list(columns))


def decoded(column: pa.Array) -> pa.Array:
    """Return an array's values without a dictionary."""
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column


def joined(tables: Sequence[pa.Table]) -> pa.Table:
    """Return the rows of all tables, one table after the other, one chunk a column."""
    return pa.concat_tables(tables).combine_chunks()


def reversed_rows(rows: pa.Table) -> pa.Table:
    """Return the same rows, the last one first."""
    return rows.take(as_array(np.arange(rows.num_rows - 1, -1, -1)))


def compact(rows: pa.Table) -> pa.Table:
    """Return the same rows without the memory of others: the table that they are a slice of, or unused dictionary entries."""
    columns = [_compact(one_chunk(rows.column(name)), rows.num_rows) for name in rows.column_names]
    return pa.table(columns, schema=rows.schema)


def _compact(column: pa.Array, rows: int) -> pa.Array:
    if pa.types.is_dictionary(column.type):
        large = len(column.dictionary) > 2 * rows + _SPARE_ENTRIES
        return decoded(column).dictionary_encode() if large else column
    held = sum(buffer.size for buffer in column.buffers() if buffer is not None)
    return pa.concat_arrays([column]) if held > 2 * column.nbytes + _SPARE_BYTES else column
