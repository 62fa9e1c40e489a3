"""Sums that do not fit into memory, sorted by their keys: ``Runs``.

A table of a sum has columns with keys, and as its last column how many rows have them. ``Runs`` takes such tables in any order,
with the same keys in any number of them, and gives them back as one sorted sum. What is held in memory is added up and sorted
when it becomes too large, and written to a temporary file: a *run*. ``_FAN_IN`` runs are merged into a larger one.

Runs are merged in blocks. Each run has one batch in memory; a block is all rows up to the least of the last keys of these
batches. No other batch can have one of these keys, so that a block is complete. Each row is sorted once, whatever the number
of runs; where the block ends in a batch is found by a binary search.

Order is ascending, null is behind every value.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from logsink.query.columns import as_array, as_integers, changes, compact, decoded, joined, one_chunk
from logsink.query.order.spill import BATCH, Spill

_FAN_IN: Final = 16
"""Runs that are merged into a larger one: of each, a batch is in memory."""

Key = tuple[tuple[bool, Any], ...]
"""The keys of one row, each with whether it is null: two of them compare as the rows are sorted."""


class Runs:
    """A sum of tables, sorted by keys. For one thread at a time, but ``stop`` may be called by another.

    memory   bytes of tables that are held; what is held besides while they are sorted is some four times that
    limit    rows that will be asked for. Then no combination of keys may be added twice.

    Iterate as often as you like over tables with the types of the first one that was added.
    """

    def __init__(self, memory: int, limit: int | None = None, stopped: threading.Event | None = None) -> None:
        self._memory, self._limit = memory, limit
        self._stopped = stopped or threading.Event()
        self._added = 0
        self._held: list[pa.Table] = []
        self._bytes = 0
        self._files: list[_File] = []
        self._schema: pa.Schema | None = None

    @property
    def files(self) -> int:
        """The number of temporary files."""
        return len(self._files)

    def another(self, limit: int | None = None) -> Runs:
        """Return an empty one that holds as much, and is stopped together with this one."""
        return Runs(self._memory, limit, self._stopped)

    @property
    def rows(self) -> int | None:
        """How many rows there are, also behind the limit; None where there is none."""
        return None if self._limit is None else self._added

    def add(self, part: pa.Table) -> None:
        """Add a table. Its columns have the names and types of those that were added before."""
        if not part.num_rows:
            return
        self._schema = self._schema or part.schema
        self._held.append(_sortable(part))
        self._added += part.num_rows
        self._bytes += self._held[-1].nbytes
        if self._bytes > self._memory:
            self._settle()

    def stop(self) -> None:
        """Merge no more files into larger ones, and end a merge that is under way: whoever calls has no time for that."""
        self._stopped.set()

    def resume(self) -> None:
        """Merge files again."""
        self._stopped.clear()

    def __iter__(self) -> Iterator[pa.Table]:
        if self._schema is None:
            return
        heads = [_Head(file.spill) for file in self._files]
        if self._held:
            heads.append(_Head([_summed(self._held)]))
        left = self._limit
        for rows in _merged(heads):
            for start in range(0, rows.num_rows, BATCH):
                piece = rows.slice(start, BATCH).slice(0, left)
                yield _restored(piece, self._schema)
                if left is not None:
                    left -= piece.num_rows
                    if not left:
                        return

    def _settle(self) -> None:
        """Sort what is held and add it up; write it to a file unless that has made it small."""
        rows = compact(_summed(self._held).slice(0, self._limit))
        self._held, self._bytes = [rows], rows.nbytes
        if self._bytes > self._memory // 2:
            self._write([rows], 0)
            self._held, self._bytes = [], 0

    def _write(self, tables: Iterable[pa.Table], level: int) -> None:
        """Make a run in a file, in place of those of the level below. ``_FAN_IN`` runs of a level become one of the next."""
        spill = Spill()
        for rows in tables:
            if level and self._stopped.is_set():
                return  # the runs that were to be merged are still there
            spill.write(rows)
        spill.finish()
        self._files = [file for file in self._files if file.level != level - 1]
        self._files.append(_File(level, spill))
        same = [file.spill for file in self._files if file.level == level]
        if len(same) >= _FAN_IN and not self._stopped.is_set():
            self._write(_merged([_Head(each) for each in same]), level + 1)


class _File(NamedTuple):
    level: int
    spill: Spill


class _Head:
    """The rows of a run that come next: those of one batch."""

    def __init__(self, batches: Spill | Sequence[pa.Table]) -> None:
        self._batches, self._next = batches, 0
        self._at = self._size = 0
        self._read()

    def __bool__(self) -> bool:
        return self._at < self._size

    @property
    def ended(self) -> bool:
        """Whether there is no other batch behind this one."""
        return self._next == len(self._batches)

    def take(self, cut: Key | None) -> pa.Table:
        """Take the rows up to ``cut``, None: all rows of the batch. Read the next batch when this one is used up."""
        end = self._size
        if cut is not None and cut < self.last:
            end = bisect_right(range(end), cut, self._at, key=self._key)
        taken = self._rows.slice(self._at, end - self._at)
        self._at = end
        if not self and not self.ended:
            self._read()
        return taken

    def _read(self) -> None:
        batches = self._batches
        self._rows = batches.read(self._next) if isinstance(batches, Spill) else batches[self._next]
        self._keys = [one_chunk(column) for column in self._rows.columns[:-1]]
        self._at, self._size = 0, self._rows.num_rows
        self._next += 1
        self.last = self._key(self._size - 1)

    def _key(self, row: int) -> Key:
        values = [column[row].as_py() for column in self._keys]
        return tuple((value is None, value) for value in values)


def _merged(heads: list[_Head]) -> Iterator[pa.Table]:
    """Yield the sum of all runs, in order."""
    while heads:
        cut = min((head.last for head in heads if not head.ended), default=None)
        taken = [head.take(cut) for head in heads]
        parts = [rows for rows in taken if rows.num_rows]
        yield parts[0] if len(parts) == 1 else _summed(parts)
        heads = [head for head in heads if head]


def _summed(parts: Sequence[pa.Table]) -> pa.Table:
    """Return the rows of all parts, sorted by keys, with one row for those that have the same."""
    rows = joined(parts)
    keys = rows.column_names[:-1]
    rows = rows.take(pc.sort_indices(rows, [(name, "ascending") for name in keys]))
    begun = np.zeros(rows.num_rows - 1, np.bool_)
    for name in keys:
        begun |= changes(one_chunk(rows.column(name)))
    if begun.all():
        return rows
    begins, last = np.flatnonzero(np.append(True, begun)), rows.num_columns - 1
    counts = np.add.reduceat(as_integers(rows.column(last)), begins)
    return rows.take(as_array(begins)).set_column(last, rows.schema.field(last), as_array(counts))


def _sortable(part: pa.Table) -> pa.Table:
    """Return a table with numbers for instants, which compare faster, and for names: Arrow takes one with dots for a path."""
    columns = [decoded(one_chunk(column)) for column in part.columns]
    columns = [column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column for column in columns]
    return pa.table(columns, list(map(str, range(len(columns)))))


def _restored(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return a table with the names of a schema, and with its instants."""
    columns = [
        one_chunk(column).cast(field.type) if pa.types.is_timestamp(field.type) else one_chunk(column)
        for column, field in zip(rows.columns, schema, strict=True)
    ]
    return pa.table(columns, schema.names)
