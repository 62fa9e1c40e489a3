"""The rows of several data files put into one, laid out as ``file`` has it; in bounded memory, a batch of rows at a time.

::

    time of every row -> slabs: ranges of time with at most a run's rows -> of each, rows from the row groups that reach into
    it -> sorted -> a run of the new file

In memory at once: the inputs' bytes, each until its last row was written, and the output's; the time of every row, at the
beginning; the rows of one slab; and row groups that reach beyond it, ``HELD`` bytes of them. Those that do not fit are decoded
again for the next slab, which costs time where very many large files are of one time, and never memory.
"""

from __future__ import annotations

import time as clock
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from logsink.archive import file
from logsink.archive.file import FileWriter, Index, runs
from logsink.errors import FormatError
from logsink.parse import CODED_COLUMNS, FORMAT_VERSION, ROWS_SCHEMA

HELD = 128 << 20
"""Bytes of decoded rows that wait for the next slab."""

SLAB = 64 << 20
"""Bytes that the rows of a slab have, uncompressed and as far as the inputs' averages tell."""

_LOW = int(np.iinfo(np.int64).min)
_KEY = ("time", "received", "nth")


class _Place(NamedTuple):
    """Where a slab begins: at this time and, where one instant has more rows than a run, at this ``received``."""

    time: int
    received: int = _LOW

    def after(self, low: int) -> bool:
        """Whether a row of the time ``low`` can stand before this place."""
        return low < self.time or (low == self.time and self.received > _LOW)

    def reached(self, rows: _Part) -> npt.NDArray[np.bool_]:
        """Which of the rows do not stand before this place."""
        reached: npt.NDArray[np.bool_] = rows.time >= self.time
        if self.received > _LOW:
            reached &= (rows.time > self.time) | (rows.received >= self.received)
        return reached


class _Part:
    """Rows of one row group."""

    def __init__(self, table: pa.Table) -> None:
        self.table = table
        self.time, self.received = (_numbers(table, name) for name in ("time", "received"))

    def within(self, start: _Place, end: _Place | None) -> _Part:
        """Those from ``start`` on and before ``end``."""
        wanted = start.reached(self)
        if end is not None:
            wanted &= ~end.reached(self)
        return self if wanted.all() else _Part(self.table.filter(pa.array(wanted)))


class _Group(NamedTuple):
    """A row group that was not written yet, or not all of it; ``low``, ``high`` are its first and last time."""

    low: int
    high: int
    number: int
    source: Input

    def read(self) -> _Part:
        return _Part(self.source.read(self.number, ROWS_SCHEMA.names))


class Input:
    """A data file of ``rows`` rows to be merged, all of it in memory.

    ``FormatError`` when this version does not know all that is in it, or cannot read it, now or later; its path is then put
    into ``unreadable``.
    """

    def __init__(self, path: str, body: bytes, rows: int, unreadable: set[str]) -> None:
        self.path, self.rows = path, rows
        self._unreadable = unreadable
        with self._reading():
            source = pa.BufferReader(body)
            metadata = pq.read_metadata(source)
            version = int((metadata.metadata or {})[b"logsink.format"])
            self._names = frozenset(metadata.schema.names)
            coded = [name for name in CODED_COLUMNS if name in self._names]
            self._parquet = pq.ParquetFile(
                source, metadata=metadata, read_dictionary=coded, pre_buffer=False, page_checksum_verification=True
            )
            fields = list(self._parquet.schema_arrow)
            known = all(
                one.name in ROWS_SCHEMA.names and one.type == ROWS_SCHEMA.field(one.name).type for one in fields
            )
            if version > FORMAT_VERSION or not known or not self._names.issuperset(_KEY) or metadata.num_rows != rows:
                raise ValueError(f"format {version}, {metadata.num_rows} of {rows} rows, columns {sorted(self._names)}")
        self.groups: int = metadata.num_row_groups
        self.nbytes = sum(metadata.row_group(number).total_byte_size for number in range(self.groups))
        """Of all its rows, uncompressed."""

    def read(self, group: int, columns: Sequence[str]) -> pa.Table:
        """These columns of a row group, each one chunk and as in ``ROWS_SCHEMA``; nulls for a column that it does not have."""
        with self._reading():
            found = self._parquet.read_row_group(group, [n for n in columns if n in self._names], use_threads=False)
            found = found.unify_dictionaries().combine_chunks()
            if any(found.column(name).null_count for name in _KEY if name in columns):
                raise ValueError("a row without time, received or nth")
        return pa.table(
            [found[n] if n in self._names else pa.nulls(len(found), ROWS_SCHEMA.field(n).type) for n in columns],
            schema=pa.schema([ROWS_SCHEMA.field(n) for n in columns]),
        )

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except (pa.ArrowException, OSError, KeyError, ValueError) as error:
            self._unreadable.add(self.path)
            raise FormatError(f"cannot merge data file {self.path}: {error!r}") from error


class _Slab:
    """The rows of all parts, as ``file.Source``."""

    def __init__(self, parts: Sequence[_Part]) -> None:
        self._table = pa.concat_tables([part.table for part in parts]).unify_dictionaries().combine_chunks()
        self.time, self.received = (_numbers(self._table, name) for name in ("time", "received"))
        self.nth: npt.NDArray[np.int32] = self._table["nth"].chunk(0).to_numpy()
        sizes = pc.binary_length(self._table["message"].chunk(0))
        self.sizes: npt.NDArray[np.int32] = sizes.fill_null(0).to_numpy()

    def code(self, name: str) -> tuple[npt.NDArray[np.int32], pa.StringArray]:
        column = self._table[name].chunk(0)
        return column.indices.fill_null(-1).to_numpy(zero_copy_only=False), column.dictionary

    def table(self, order: Index) -> pa.Table:
        return self._table.take(pa.array(order))


def merge(inputs: list[Input], writer: FileWriter, pause: Callable[[float], None] = lambda worked: None) -> None:
    """Write the rows of all ``inputs``, which are taken out of the list and let go one after the other.

    ``pause`` is called after each run with the CPU seconds that it took; what it raises ends the merge. ``FormatError``: an
    input cannot be read to its end.
    """
    total, nbytes = sum(one.rows for one in inputs), sum(one.nbytes for one in inputs)
    most = max(1, min(file.RUN, SLAB * total // max(nbytes, 1)))
    groups, places = _survey(inputs, most)
    inputs.clear()
    held: dict[tuple[str, int], _Part] = {}
    began = clock.thread_time()
    for start, end in zip(places, [*places[1:], None], strict=True):
        parts = []
        for group in [one for one in groups if end is None or end.after(one.low)]:
            key = (group.source.path, group.number)
            part = held.pop(key, None) or group.read()
            if end is not None and group.high >= end.time:
                rest = part.within(end, None)
                if sum(one.table.nbytes for one in held.values()) + rest.table.nbytes <= HELD:
                    held[key] = rest
            if len((rows := part.within(start, end)).time):
                parts.append(rows)
        groups = [one for one in groups if end is not None and one.high >= end.time]
        slab = _Slab(parts)
        del parts, part, rows
        for run in runs(slab):
            writer.add(slab, run)
        del slab
        pause(clock.thread_time() - began)
        began = clock.thread_time()


def _survey(inputs: Sequence[Input], most: int) -> tuple[list[_Group], list[_Place]]:
    """All row groups, and where slabs begin that have no more than ``most`` rows."""
    groups, times, received = list[_Group](), list[Index](), list[Index]()
    for one in inputs:
        for number in range(one.groups):
            table = one.read(number, _KEY)
            if len(table):
                times.append(_numbers(table, "time"))
                received.append(_numbers(table, "received"))
                groups.append(_Group(int(times[-1].min()), int(times[-1].max()), number, one))
    return sorted(groups, key=lambda group: group[:3]), list(_places(times, received, most))


def _places(times: Sequence[Index], received: Sequence[Index], most: int) -> Iterator[_Place]:
    time = np.concatenate(times)
    time.sort()
    for start, end in _cut(time, most):
        instant = int(time[start])
        if end - start <= most:
            yield _Place(instant)
            continue
        # More rows of one instant than a run has: of those, ``received`` cuts them.
        at = np.sort(np.concatenate([r[t == instant] for t, r in zip(times, received, strict=True)]))
        for number, (first, _) in enumerate(_cut(at, most)):
            yield _Place(instant, int(at[first]) if number else _LOW)


def _cut(values: Index, most: int) -> Iterator[tuple[int, int]]:
    """Slices of sorted ``values``, cut where they change: of at most ``most`` values, or all of one value."""
    start = 0
    while start < len(values):
        end = min(start + most, len(values))
        if end < len(values):
            cut = start + int(np.searchsorted(values[start:end], values[end]))
            end = cut if cut > start else int(np.searchsorted(values, values[start], side="right"))
        yield start, end
        start = end


def _numbers(table: pa.Table, name: str) -> Index:
    """A column of instants as microseconds since the epoch."""
    column = table[name]
    found: Index = pc.cast(column.chunk(0), pa.int64()).to_numpy() if column.num_chunks else np.zeros(0, np.int64)
    return found
