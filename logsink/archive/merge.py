"""Merge the rows of several data files into one with the layout of ``file``, in bounded memory.

::

    time of every row -> slabs: ranges of time with at most a run's rows -> of each, rows from the row groups that reach into
    it -> sorted -> a run of the new file

In memory at once: the inputs' bytes, each until its last row was written, and the output's; the time of every row, at the
beginning; the rows of one slab; and row groups that reach beyond it, ``HELD`` bytes of them. Row groups beyond that are decoded
again for the next slab: where very many large files cover the same time, that costs time, and never memory.
"""

from __future__ import annotations

import time as clock
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from logsink.archive import digest, file, proof
from logsink.archive.file import FileWriter, Index, runs
from logsink.archive.lanes import Lanes, lanes_of, union
from logsink.errors import FormatError
from logsink.parse import CODED_COLUMNS, FORMAT_VERSION, ROWS_SCHEMA

HELD = 128 << 20
"""Most bytes of decoded rows that wait for the next slab."""

SLAB = 64 << 20
"""Most bytes of a slab's rows, uncompressed, as estimated from the inputs' averages."""

_LOW = int(np.iinfo(np.int64).min)
_KEY = ("time", "received", "nth")


class Unreadable(FormatError):
    """Raised for a data file, at ``path``, that this version cannot read, or in which it does not know everything."""

    def __init__(self, path: str, cause: Exception) -> None:
        super().__init__(f"cannot merge data file {path}", repr(cause))
        self.path, self.cause = path, cause


class OfNewer(Unreadable):
    """Raised for a data file that proves itself, and that only a newer logsink can merge."""


class _Place(NamedTuple):
    """The first place of a slab: a time and, where one instant has more rows than a run, a ``received``."""

    time: int
    received: int = _LOW

    def after(self, low: int) -> bool:
        """Return whether a row of the time ``low`` can stand before this place."""
        return low < self.time or (low == self.time and self.received > _LOW)

    def reached(self, rows: _Part) -> npt.NDArray[np.bool_]:
        """Return the mask of the rows that stand at this place or after it."""
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
        """Return the rows from ``start`` on and before ``end``."""
        inside = start.reached(self)
        if end is not None:
            inside &= ~end.reached(self)
        return self if inside.all() else _Part(self.table.filter(pa.array(inside)))


class _Group(NamedTuple):
    """A row group whose rows are not all written yet; ``low`` and ``high`` are its first and last time."""

    low: int
    high: int
    number: int
    source: Input

    def read(self) -> _Part:
        return _Part(self.source.read(self.number, ROWS_SCHEMA.names))


class Input:
    """A data file of ``rows`` rows to be merged, all of it in memory; ``tags`` are those that the table's log has of it.

    Making it proves every byte that its rows are made of. Making and reading it raises ``Unreadable``.
    """

    def __init__(self, path: str, body: bytes, rows: int, tags: Sequence[tuple[str, str]] = ()) -> None:
        self.path, self.rows = path, rows
        with self._reading():
            proved = proof.read_tail(path, memoryview(body), proof.tail_tag(tags))
            metadata = pq.read_metadata(pa.BufferReader(proved.footer))
            _prove_chunks(memoryview(body), metadata, proved.proof)
            said = metadata.metadata or {}
            version = int(said[b"logsink.format"])
            self._names = frozenset(metadata.schema.names)
            coded = [name for name in CODED_COLUMNS if name in self._names]
            self._parquet = pq.ParquetFile(
                pa.BufferReader(body),
                metadata=metadata,
                read_dictionary=coded,
                pre_buffer=False,
                page_checksum_verification=proved.proof is None,
            )
            known = version <= FORMAT_VERSION and all(
                one.name in ROWS_SCHEMA.names and one.type == ROWS_SCHEMA.field(one.name).type
                for one in self._parquet.schema_arrow
            )
            what = f"format {version}, {metadata.num_rows} of {rows} rows, columns {sorted(self._names)}"
            if metadata.num_rows != rows or (proved.proof is None and not known):
                raise ValueError(what)
        if not known:
            raise OfNewer(path, ValueError(what))
        with self._reading():
            if not self._names.issuperset(_KEY):
                raise ValueError(what)
            self.lanes: Lanes | None = lanes_of(tags) or _lanes_in(said)
            """The lanes whose rows it holds; None where nothing says them, as of a file that an older version merged."""
            self.digests: digest.Digests | None = digest.digests_tag(tags)
            """The digests of its rows; None for a file of an older version."""
        self.groups: int = metadata.num_row_groups
        self.nbytes = sum(metadata.row_group(number).total_byte_size for number in range(self.groups))
        """Uncompressed bytes of all rows."""

    def read(self, group: int, columns: Sequence[str]) -> pa.Table:
        """Return columns of a row group, one chunk each and typed as in ``ROWS_SCHEMA``; nulls where the file lacks one."""
        with self._reading():
            found = self._parquet.read_row_group(group, [n for n in columns if n in self._names], use_threads=False)
            found = found.unify_dictionaries().combine_chunks()
            if any(found.column(name).null_count for name in _KEY if name in columns):
                raise ValueError("a row without time, received or nth")
        return pa.table(
            [found[n] if n in self._names else pa.nulls(len(found), ROWS_SCHEMA.field(n).type) for n in columns],
            schema=pa.schema([ROWS_SCHEMA.field(n) for n in columns]),
        )

    def check_digests(self) -> None:
        """Read all rows, and compare them with the digests that the table's log has of them."""
        tables = (self.read(group, ROWS_SCHEMA.names) for group in range(self.groups))
        found = digest.total(map(digest.digests_of, tables))
        with self._reading():
            if self.digests is not None and found != self.digests:
                raise ValueError("its rows do not match their digests in the table's log")

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except (FormatError, pa.ArrowException, OSError, KeyError, ValueError, TypeError, AttributeError) as error:
            raise Unreadable(self.path, error) from error


class _Slab:
    """The rows of all parts, as a ``file.Source``."""

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


def _prove_chunks(body: memoryview, metadata: pq.FileMetaData, proved: proof.Proof | None) -> None:
    """Compare every column chunk with its hash. ``ValueError`` for damage."""
    if proved is None:
        return
    chunks = proof.chunk_spans(metadata)
    if len(chunks) != len(proved.hashes):
        raise ValueError("it has not one checksum for each column chunk")
    for number, (start, end) in enumerate(chunks):
        if not proved.holds(number, body[start:end]):
            raise ValueError(f"column chunk {number} does not match its checksum")


def _lanes_in(metadata: Mapping[bytes, bytes]) -> Lanes | None:
    """Return the lanes that a file's own footer says: those of its commit. A merged file's says none."""
    said = orjson.loads(metadata.get(file.LANES, b"{}"))
    return union({lane: [(int(first), int(last))] for lane, (first, last) in said.items()}) or None


def merge(inputs: list[Input], writer: FileWriter, pause: Callable[[float], None] = lambda worked: None) -> None:
    """Write the rows of all ``inputs`` in order of time. The list is emptied: each input is freed after its last row.

    ``pause`` is called after each run with the CPU seconds that it took; an error that it raises ends the merge.
    Raises ``Unreadable`` when an input cannot be read to its end.
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
    """Return all row groups, sorted by first time, and the places where slabs of at most ``most`` rows begin."""
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
        # One instant has more rows than a run may have: cut them by ``received``.
        at = np.sort(np.concatenate([r[t == instant] for t, r in zip(times, received, strict=True)]))
        for number, (first, _) in enumerate(_cut(at, most)):
            yield _Place(instant, int(at[first]) if number else _LOW)


def _cut(values: Index, most: int) -> Iterator[tuple[int, int]]:
    """Yield slices of sorted ``values``, cut between different values: at most ``most`` of them, or all of one value."""
    start = 0
    while start < len(values):
        end = min(start + most, len(values))
        if end < len(values):
            cut = start + int(np.searchsorted(values[start:end], values[end]))
            end = cut if cut > start else int(np.searchsorted(values, values[start], side="right"))
        yield start, end
        start = end


def _numbers(table: pa.Table, name: str) -> Index:
    """Return a column of instants as microseconds since the epoch."""
    column = table[name]
    found: Index = pc.cast(column.chunk(0), pa.int64()).to_numpy() if column.num_chunks else np.zeros(0, np.int64)
    return found
