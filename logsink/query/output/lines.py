"""How a format of lines becomes a writer: the format makes one string a row, whose bytes end to end are the output."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from logsink.query.columns import one_chunk
from logsink.query.output.fragments import joined

_BYTES = 64 << 20
"""Bytes of rows that become lines at once: even escaped, the lines stay below Arrow's 2 GiB for an array of strings."""


class LineFormat(Protocol):
    """A format that writes each row apart from all others."""

    @property
    def columns(self) -> Sequence[str]:
        """Columns that the tables must have."""

    def lines(self, rows: pa.Table) -> pa.Array:
        """Return strings or bytes, one for each row, with what ends it (LF)."""


class Lines:
    """The ``RowWriter`` of a ``LineFormat``."""

    independent = True

    def __init__(self, format: LineFormat) -> None:
        self._format, self.columns = format, tuple(format.columns)

    def begin(self) -> bytes:
        return b""

    def rows(self, rows: pa.Table) -> Iterator[memoryview]:
        size = rows.nbytes
        step = max(1, rows.num_rows if size <= _BYTES else rows.num_rows * _BYTES // size)
        for start in range(0, rows.num_rows, step):
            yield _bytes(self._format.lines(rows.slice(start, step)))

    def finish(self) -> bytes:
        return b""


class Blocks:
    """Another ``LineFormat``, with a line ``--`` before each row where the column ``gap`` says that a block begins."""

    def __init__(self, format: LineFormat) -> None:
        self._format, self.columns = format, format.columns

    def lines(self, rows: pa.Table) -> pa.Array:
        return joined(pc.if_else(one_chunk(rows.column("gap")), "--\n", ""), self._format.lines(rows))


def _bytes(lines: pa.Array) -> memoryview:
    """Return the bytes of all values, end to end, without a copy."""
    _, offsets, data = lines.buffers()
    if data is None or not len(lines):
        return memoryview(b"")
    ends = np.frombuffer(offsets, np.int32)
    return memoryview(data)[int(ends[lines.offset]) : int(ends[lines.offset + len(lines)])]
