"""Streams: rows that have the same values of some columns, such as those of one app on one host."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from logsink.query.columns import Int64, as_array, one_chunk
from logsink.query.request import Condition, ExactlyOneOf

_OTHER = -1
"""The number of a row that is of no known stream."""


class Streams:
    """Numbers, from 0 on, for the streams of ``rows``: for each combination of values of ``columns`` that these have."""

    def __init__(self, columns: Sequence[str], rows: pa.Table) -> None:
        self._columns = tuple(columns)
        self._values = [pc.unique(one_chunk(rows.column(name))) for name in columns]
        self._keys, first = np.unique(self._key(rows), return_index=True)
        self._examples = rows.select(self._columns).take(as_array(first))

    def of(self, rows: pa.Table) -> Int64:
        """Return the number of each row's stream; -1 for rows of other streams."""
        key = self._key(rows)
        place = np.minimum(np.searchsorted(self._keys, key), len(self._keys) - 1)
        number: Int64 = np.where(self._keys[place] == key, place, _OTHER)
        return number

    def conditions(self, streams: Int64) -> Iterator[Condition]:
        """Yield conditions that all rows of these streams meet, and some rows of others."""
        rows = self._examples.take(as_array(streams))
        for name in self._columns:
            yield ExactlyOneOf(name, tuple(pc.unique(one_chunk(rows.column(name))).to_pylist()))

    def _key(self, rows: pa.Table) -> Int64:
        """Return one number for each combination of known values; -1 where a value is not known."""
        key = np.zeros(rows.num_rows, np.int64)
        for name, values in zip(self._columns, self._values, strict=True):
            index = pc.index_in(one_chunk(rows.column(name)), value_set=values)
            code = index.fill_null(_OTHER).to_numpy(zero_copy_only=False).astype(np.int64)
            key = np.where((key < 0) | (code < 0), _OTHER, key * len(values) + code)
        return key
