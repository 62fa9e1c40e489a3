"""Which rows of a row group a query takes, found out step by step, so that columns are decoded only where something is left."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from logsink.query.columns import Mask, as_array, as_rows, compact, one_chunk
from logsink.query.read.datafile import Chunks
from logsink.query.request.filters import Filter

HEAVY = "message"
"""The one column whose bytes matter: it is looked at last, and only what is wanted of it becomes values."""


class Selection:
    """Rows of a row group: all at first. The methods block, and want the columns that they look at fetched.

    ``mask``: which rows are left, bool[rows]. ``known``: columns that were decoded, in these rows at least.
    """

    def __init__(self, chunks: Chunks, rows: int) -> None:
        self.chunks = chunks
        self.mask: Mask = np.ones(rows, np.bool_)
        self.known: dict[str, pa.Array] = {}

    def meet(self, light: Filter) -> None:
        """Leave those that meet conditions on other columns than the heavy one; first of all."""
        found = self.chunks.read(light.columns())
        self.known.update(zip(found.column_names, map(one_chunk, found.columns), strict=True))
        self.mask = light.mask(found)

    def hold(self, heavy: Filter) -> None:
        """Leave those that meet conditions on the heavy column."""
        needles = heavy.needles()
        found = self.chunks.holding(HEAVY, self.mask, needles) if needles else None
        mask, values = found or (self.mask, self.chunks.array(HEAVY))
        self.known[HEAVY] = values
        self.mask = np.zeros(len(mask), np.bool_)
        if mask.any():
            self.mask[mask] = heavy.mask(pa.table({HEAVY: values if mask.all() else values.filter(as_array(mask))}))

    def column(self, name: str) -> pa.Array:
        """A column of all rows, not the heavy one."""
        if name not in self.known:
            self.known[name] = self.chunks.array(name)
        return self.known[name]

    def rows(self, columns: Sequence[str]) -> pa.Table:
        """These columns of the rows that are left."""
        if HEAVY in columns and HEAVY not in self.known and not self.mask.all():
            found = self.chunks.holding(HEAVY, self.mask, ())
            self.known.update({} if found is None else {HEAVY: found[1]})
        missing = [name for name in columns if name not in self.known]
        if missing:
            self.known.update(zip(missing, map(one_chunk, self.chunks.read(missing).columns), strict=True))
        every = pa.table({name: self.known[name] for name in columns})
        return as_rows(every if self.mask.all() else compact(every.filter(as_array(self.mask))), columns)
