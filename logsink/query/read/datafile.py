"""One Parquet file of the archive, read in parts: its footer first, then the column chunks somebody asks for.

The bytes come through ``Fetch`` (ranged reads of the store, counted). pyarrow then reads what was fetched as if it were the
file, by a few calls for a row group and without a copy.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from logsink.errors import FormatError
from logsink.parse import CODED_COLUMNS, FORMAT_VERSION
from logsink.query.columns import Mask, as_rows
from logsink.query.read.pages import candidates
from logsink.query.request.filters import UNKNOWN, Bounds, Needles

FOOTER = 64 << 10
"""Bytes read from a file's end in the hope that they hold its footer: 30 row groups' is about as long."""

GAP = 256 << 10
"""Column chunks closer together than this are fetched at once: as many bytes as a round trip to S3 is worth."""

Fetch = Callable[[str, int, int], Coroutine[Any, Any, bytes]]
"""Bytes ``[start, end)`` of an object."""

Span = tuple[int, int]

_MAGIC = b"PAR1"


class RowGroup(NamedTuple):
    """One row group of a file; ``bounds`` by column, instants in microseconds since the epoch."""

    file: OpenFile
    number: int
    rows: int
    bounds: dict[str, Bounds]


class OpenFile(NamedTuple):
    """A file whose footer was read."""

    key: str
    size: int
    metadata: pq.FileMetaData
    columns: dict[str, int]
    """Places of the columns that it has by their names, in order."""

    def row_groups(self, columns: Sequence[str]) -> list[RowGroup]:
        """Its row groups, with the bounds of ``columns`` where the footer has them."""
        wanted = [(name, place) for name, place in self.columns.items() if name in columns]
        groups = []
        for number in range(self.metadata.num_row_groups):
            group = self.metadata.row_group(number)
            bounds = {name: _bounds(group.column(place).statistics) for name, place in wanted}
            groups.append(RowGroup(self, number, group.num_rows, bounds))
        return [group for group in groups if group.rows]

    def spans(self, group: int, columns: Sequence[str]) -> list[Span]:
        """The bytes that hold these columns of a row group, neighbours together, in order."""
        spans: list[Span] = []
        chunks = self.metadata.row_group(group)
        there = [chunks.column(self.columns[name]) for name in columns if name in self.columns]
        for start, length in sorted(map(_place, there)):
            if spans and start - spans[-1][1] <= GAP:
                spans[-1] = (spans[-1][0], max(spans[-1][1], start + length))
            else:
                spans.append((start, start + length))
        return spans


async def open_file(fetch: Fetch, key: str, size: int) -> OpenFile:
    """Read the footer of the file at ``key``. ``FormatError`` when it is none of ours, or of a later version."""
    start = max(0, size - FOOTER)
    tail = await fetch(key, start, size)
    if len(tail) < 12 or tail[-4:] != _MAGIC or len(tail) != size - start:
        raise FormatError(f"cannot read data file {key}: it does not end as a Parquet file of {size} bytes")
    needed = int.from_bytes(tail[-8:-4], "little") + 8
    if needed > len(tail) and needed <= size:
        tail = await fetch(key, size - needed, start) + tail
    try:
        metadata = pq.read_metadata(pa.BufferReader(tail))
        version = int((metadata.metadata or {}).get(b"logsink.format", b"1"))
    except (pa.ArrowException, ValueError, OSError) as error:
        raise FormatError(f"cannot read data file {key}: {error}") from error
    if version > FORMAT_VERSION:
        message = f"cannot read data file {key} of format {version}: this version reads 1 to {FORMAT_VERSION}"
        raise FormatError(message, hint="upgrade logsink")
    columns = {metadata.schema.column(place).path: place for place in range(metadata.num_columns)}
    return OpenFile(key, size, metadata, columns)


class Chunks:
    """Column chunks of one row group: ``fetch`` them, then ``read`` them (blocking; in a thread), in any number of steps."""

    def __init__(self, group: RowGroup) -> None:
        self._group = group
        self._fetched: set[str] = set()
        self._parts: list[tuple[int, memoryview]] = []

    async def fetch(self, fetch: Fetch, columns: Sequence[str]) -> None:
        """Have these columns' bytes. ``NotFound`` when the file is gone."""
        file, missing = self._group.file, [name for name in columns if name not in self._fetched]
        spans = file.spans(self._group.number, missing)
        if len(spans) == 1:  # mostly: a task for it would take longer than what it does
            parts = [await fetch(file.key, *spans[0])]
        else:
            parts = await asyncio.gather(*(fetch(file.key, start, end) for start, end in spans))
        for (start, end), part in zip(spans, parts, strict=True):
            if len(part) != end - start:
                raise FormatError(
                    f"cannot read data file {file.key}: it ends at byte {start + len(part)} of {file.size}"
                )
            self._parts.append((start, memoryview(part)))
        self._fetched.update(missing)

    def candidates(self, column: str, mask: Mask, needles: Sequence[Needles]) -> tuple[Mask, pa.Array] | None:
        """Which rows of ``mask`` can satisfy ``needles`` in a fetched column, and its values in them; None: it cannot be said.

        The array has a value for each row: what it is in rows that cannot says nothing.
        """
        file = self._group.file
        place = file.columns.get(column)
        if place is None:
            return None
        chunk, kind = file.metadata.row_group(self._group.number).column(place), file.metadata.schema.column(place)
        if kind.max_definition_level > 1 or kind.max_repetition_level:
            return None
        start, length = _place(chunk)
        body = _Fetched(file.size, self._parts).part(start, start + length)
        return candidates(body, chunk.compression, bool(kind.max_definition_level), mask, needles)

    def array(self, column: str) -> pa.Array:
        """The values of one column."""
        return self.read((column,)).column(0).chunk(0)

    def read(self, columns: Sequence[str]) -> pa.Table:
        """These columns' values, as in ``SCHEMA``; nulls for a column that the file does not have."""
        file = self._group.file
        there = [name for name in columns if name in file.columns]
        coded = [name for name in there if name in CODED_COLUMNS]
        source = pa.PythonFile(_Fetched(file.size, self._parts), "r")
        try:
            parquet = pq.ParquetFile(
                source,
                metadata=file.metadata,
                read_dictionary=coded,
                pre_buffer=False,
                page_checksum_verification=True,
            )
            found = parquet.read_row_group(self._group.number, columns=there, use_threads=False)
        except (pa.ArrowException, OSError) as error:
            raise FormatError(f"cannot read data file {file.key}: {error}") from error
        return as_rows(found, columns)


class _Fetched(io.RawIOBase):
    """A file of which only some parts are there; reading outside of them is an ``OSError``."""

    def __init__(self, size: int, parts: Sequence[tuple[int, memoryview]]) -> None:
        self._size, self._parts, self._at = size, parts, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        return self._at

    def read(self, size: int = -1) -> Any:
        start, self._at = self._at, self._at + size
        return self.part(start, self._at)

    def part(self, start: int, end: int) -> memoryview:
        for first, part in self._parts:
            if first <= start and end <= first + len(part):
                return part[start - first : end - first]
        raise OSError(f"bytes {start} to {end} were not fetched")


def _place(chunk: pq.ColumnChunkMetaData) -> Span:
    """First byte and length of a column chunk."""
    start = chunk.data_page_offset
    if chunk.dictionary_page_offset is not None:  # 0 is what some writers say for "none"
        start = min(start, chunk.dictionary_page_offset or start)
    return start, chunk.total_compressed_size


def _bounds(statistics: pq.Statistics | None) -> Bounds:
    if statistics is None:
        return UNKNOWN
    nulls = statistics.null_count if statistics.has_null_count else None
    if not statistics.has_min_max:
        return Bounds(None, None, nulls)
    raw = statistics.physical_type in ("INT32", "INT64")
    return Bounds(*((statistics.min_raw, statistics.max_raw) if raw else (statistics.min, statistics.max)), nulls)
