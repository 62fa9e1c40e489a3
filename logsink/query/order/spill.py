"""Rows that do not fit in memory: a temporary file that vanishes with the process, read back a batch at a time.

Dictionaries are written out as plain strings (lz4 makes up for it) and made anew for each batch read: a dictionary of
nearly distinct values would otherwise hold a whole file's strings in memory for the sake of one batch.
"""

from __future__ import annotations

import tempfile
import weakref
from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from logsink.query.columns import as_array, compact, plain

BATCH = 8192
"""Rows in a batch."""

_OPTIONS = pa.ipc.IpcWriteOptions(compression="lz4", use_threads=False)


class Spill:
    """Batches of rows in a temporary file: written in order, then finished, then read in any order. One owner."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed when nobody holds this any more
        weakref.finalize(self, self._file.close)
        self._writer: pa.ipc.RecordBatchFileWriter | None = None
        self._reader: pa.ipc.RecordBatchFileReader | None = None
        self._schema: pa.Schema | None = None
        self._batches = 0

    def __len__(self) -> int:
        """Batches written."""
        return self._batches

    def write(self, rows: pa.Table) -> None:
        """Append rows, as batches of at most ``BATCH``."""
        decoded = plain(rows, rows.column_names)
        if self._writer is None:
            self._schema = rows.schema
            self._writer = pa.ipc.new_file(pa.PythonFile(self._file, "w"), decoded.schema, options=_OPTIONS)
        self._writer.write_table(decoded, BATCH)
        self._batches += -(-decoded.num_rows // BATCH)

    def finish(self) -> None:
        """Nothing more will be written; from now on it can be read."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
            self._file.flush()
            self._reader = pa.ipc.open_file(pa.PythonFile(self._file, "r"))

    def read(self, index: int) -> pa.Table:
        """Batch ``index``, its columns as they were given to ``write``."""
        assert self._reader is not None
        assert self._schema is not None
        batch = self._reader.get_batch(index)
        columns = [
            column.dictionary_encode() if pa.types.is_dictionary(field.type) else column
            for column, field in zip(batch.columns, self._schema, strict=True)
        ]
        return pa.table(columns, schema=self._schema)


class Backwards:
    """Tables in, newest first; rows out, oldest first. More than ``memory`` bytes of them wait in a temporary file."""

    def __init__(self, memory: int) -> None:
        self._memory = memory
        self._held: list[pa.Table] = []
        self._bytes = 0
        self._spills: list[Spill] = []

    def add(self, rows: pa.Table) -> None:
        """Take rows that stand before (in output: after) all taken so far, in descending order."""
        self._held.append(compact(rows))
        self._bytes += self._held[-1].nbytes
        if self._bytes > self._memory:
            spill = Spill()
            for held in self._held:
                spill.write(held)
            spill.finish()
            self._spills.append(spill)
            self._held, self._bytes = [], 0

    def __iter__(self) -> Iterator[pa.Table]:
        for rows in reversed(self._held):
            yield _reversed(rows)
        for spill in reversed(self._spills):
            for index in range(len(spill) - 1, -1, -1):
                yield _reversed(spill.read(index))


def _reversed(rows: pa.Table) -> pa.Table:
    return rows.take(as_array(np.arange(rows.num_rows - 1, -1, -1)))
