"""The rows of a row group that meet a filter, found step by step, so that columns are decoded only where rows are left."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import pyarrow as pa

from logsink.query.columns import Mask, as_array, as_rows, compact, one_chunk
from logsink.query.read.datafile import Chunks
from logsink.query.request import Filter

MESSAGE: Final = "message"
"""The column that is much larger than all others: it is filtered last, and only values that can match are decoded."""


class Selection:
    """The rows of a row group that are left; at first, all of them.

    ``mask`` says which are left, bool[rows]. ``decoded`` has the columns that were decoded, with right values at least in
    these rows. The methods block, and need the bytes of their columns to be in ``chunks``; they raise ``FormatError``
    when these are damaged.
    """

    def __init__(self, chunks: Chunks, rows: int) -> None:
        self.chunks = chunks
        self.mask: Mask = np.ones(rows, np.bool_)
        self.decoded: dict[str, pa.Array] = {}

    def filter_small(self, filter: Filter) -> None:
        """Leave the rows that meet conditions on other columns than the message; to be called first."""
        rows = self.chunks.read(filter.columns())
        self.decoded.update(zip(rows.column_names, map(one_chunk, rows.columns), strict=True))
        self.mask = filter.mask(rows)

    def filter_messages(self, filter: Filter) -> None:
        """Leave the rows that meet conditions on the message.

        Only messages that contain what the filter needs become values, where the pages tell which these are.
        """
        needles = filter.needles()
        candidates = self.chunks.candidates(MESSAGE, self.mask, needles) if needles else None
        mask, values = candidates or (self.mask, self.chunks.array(MESSAGE))
        self.decoded[MESSAGE] = values
        self.mask = np.zeros(len(mask), np.bool_)
        if mask.any():
            values = values if mask.all() else values.filter(as_array(mask))
            self.mask[mask] = filter.mask(pa.table({MESSAGE: values}))

    def column(self, name: str) -> pa.Array:
        """Return a column other than the message, in all rows of the row group."""
        if name not in self.decoded:
            self.decoded[name] = self.chunks.array(name)
        return self.decoded[name]

    def rows(self, columns: Sequence[str]) -> pa.Table:
        """Return ``columns`` of the rows that are left."""
        if MESSAGE in columns and MESSAGE not in self.decoded and not self.mask.all():
            candidates = self.chunks.candidates(MESSAGE, self.mask, ())
            if candidates is not None:
                self.decoded[MESSAGE] = candidates[1]
        missing = [name for name in columns if name not in self.decoded]
        if missing:
            self.decoded.update(zip(missing, map(one_chunk, self.chunks.read(missing).columns), strict=True))
        every = pa.table({name: self.decoded[name] for name in columns})
        return as_rows(every if self.mask.all() else compact(every.filter(as_array(self.mask))), columns)
