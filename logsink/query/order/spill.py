"""Rows that do not fit into memory, in temporary files that vanish with the process: ``Spill`` and ``Backwards``.

Dictionaries are written as plain strings, which lz4 compresses well, and encoded again for each batch that is read. Otherwise
a dictionary of nearly distinct values would hold the strings of a whole file in memory for the sake of one batch.
"""

from __future__ import annotations

import tempfile
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import pyarrow as pa

from logsink.errors import SpillError
from logsink.query.columns import compact, plain, reversed_rows

BATCH = 8192
"""Most rows in a batch."""

_BATCH_BYTES: Final = 2 << 20
"""Most bytes in a batch, unless it is a single row: a few messages of 256 KiB are a lot."""

_OPTIONS = pa.ipc.IpcWriteOptions(compression="lz4", use_threads=False)


class Spill:
    """Batches of rows in a temporary file: first ``write``, then ``finish``, then ``read`` in any order. For one owner."""

    def __init__(self) -> None:
        with _written():
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
        """Append rows, as batches of at most ``BATCH``. ``SpillError`` when they cannot be written."""
        decoded = plain(rows, rows.column_names)
        with _written():
            if self._writer is None:
                self._schema = rows.schema
                self._writer = pa.ipc.new_file(pa.PythonFile(self._file, "w"), decoded.schema, options=_OPTIONS)
            for batch in _batches(decoded):
                self._writer.write_table(batch)
                self._batches += 1

    def finish(self) -> None:
        """End writing; reading begins. ``SpillError`` when it cannot be written."""
        if self._writer is not None:
            with _written():
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


@contextmanager
def _written() -> Iterator[None]:
    """Raise ``SpillError`` for what the disk refuses."""
    try:
        yield
    except OSError as error:
        where = tempfile.tempdir or "any directory for temporary files"
        raise SpillError(
            f"cannot write what does not fit into memory to {where}: {(error.strerror or str(error)).lower()}",
            hint="set TMPDIR to a directory with more space, or narrow the query by time or conditions",
        ) from error


def _batches(rows: pa.Table) -> Iterator[pa.Table]:
    """Yield the rows in batches that are not too large, halved until they are not."""
    if rows.num_rows <= BATCH and (rows.num_rows < 2 or rows.nbytes <= _BATCH_BYTES):
        if rows.num_rows:
            yield rows
    elif rows.num_rows > BATCH:
        for start in range(0, rows.num_rows, BATCH):
            yield from _batches(rows.slice(start, BATCH))
    else:
        half = rows.num_rows // 2
        yield from _batches(rows.slice(0, half))
        yield from _batches(rows.slice(half))


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
