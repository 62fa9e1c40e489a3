"""Rows that do not fit into memory, in temporary files that vanish with the process: ``Spill`` and ``Backwards``.

Dictionaries are written as plain strings, which lz4 compresses well, and encoded again for each batch that is read. Otherwise
a dictionary of nearly distinct values would hold the strings of a whole file in memory for the sake of one batch.
"""

from __future__ import annotations

import tempfile
import weakref
from collections.abc import Iterator

import pyarrow as pa

from logsink.query.columns import compact, plain, reversed_rows

BATCH = 8192
"""Rows in a batch."""

_OPTIONS = pa.ipc.IpcWriteOptions(compression="lz4", use_threads=False)


class Spill:
    """Batches of rows in a temporary file: first ``write``, then ``finish``, then ``read`` in any order. For one owner."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed when nobody refers to the Spill any more
        weakref.finalize(self, self._file.close)
        self._writer: pa.ipc.RecordBatchFileWriter | None = None
        self._reader: pa.ipc.RecordBatchFileReader | None = None
        self._schema: pa.Schema | None = None
        self._batches = 0

    def __len__(self) -> int:
        """Return the number of batches."""
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
        """End writing; reading begins."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
            self._file.flush()
            self._reader = pa.ipc.open_file(pa.PythonFile(self._file, "r"))

    def read(self, index: int) -> pa.Table:
        """Return a batch, with the types of the columns that were given to ``write``."""
        assert self._reader is not None
        assert self._schema is not None
        batch = self._reader.get_batch(index)
        columns = [
            column.dictionary_encode() if pa.types.is_dictionary(field.type) else column
            for column, field in zip(batch.columns, self._schema, strict=True)
        ]
        return pa.table(columns, schema=self._schema)


class Backwards:
    """Takes tables in descending order and returns their rows in ascending order.

    More than ``memory`` bytes of them wait in temporary files.
    """

    def __init__(self, memory: int) -> None:
        self._memory = memory
        self._held: list[pa.Table] = []
        self._bytes = 0
        self._spills: list[Spill] = []

    def add(self, rows: pa.Table) -> None:
        """Take the next rows of the descending order."""
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
            yield reversed_rows(rows)
        for spill in reversed(self._spills):
            for index in range(len(spill) - 1, -1, -1):
                yield reversed_rows(spill.read(index))
