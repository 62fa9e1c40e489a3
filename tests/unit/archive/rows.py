"""``Rows`` made of plain dictionaries, with every column free to be anything: what the parser would hand over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from logsink.parse import CODED_COLUMNS, FILE_SCHEMA


class TableRows:
    """The attributes of ``parse.Rows`` that the archive uses, over an Arrow table."""

    def __init__(self, rows: Sequence[Mapping[str, Any]]) -> None:
        columns = []
        for field in FILE_SCHEMA:
            column = pa.array([row.get(field.name) for row in rows], field.type)
            columns.append(column.dictionary_encode() if field.name in CODED_COLUMNS else column)
        schema = pa.schema(
            pa.field(field.name, column.type, field.nullable)
            for field, column in zip(FILE_SCHEMA, columns, strict=True)
        )
        self._table = pa.table(columns, schema=schema)
        self.time, self.received = (self._table[name].cast(pa.int64()).to_numpy() for name in ("time", "received"))
        self.nth = self._table["nth"].to_numpy()
        self.sizes = pc.binary_length(self._table["message"]).fill_null(0).to_numpy()

    def __len__(self) -> int:
        return len(self._table)

    def code(self, name: str) -> tuple[npt.NDArray[np.int32], pa.StringArray]:
        column = self._table[name].combine_chunks()
        return column.indices.fill_null(-1).to_numpy(), column.dictionary

    def table(self, order: npt.NDArray[np.int64] | None = None) -> pa.Table:
        return self._table if order is None else self._table.take(pa.array(order, pa.int64()))


def row(**values: Any) -> dict[str, Any]:
    """A row with what no row lacks."""
    return {"time": 0, "received": 0, "nth": 0, "flags": 0, "receiver": "r"} | values
