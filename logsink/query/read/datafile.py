"""One Parquet file of the archive, read in parts: its footer first, then the column chunks that somebody asks for.

The bytes come through a ``Fetch``: ranged reads of the store. pyarrow then reads the fetched parts as if they were the whole
file, by a few calls for a row group and without a copy.

Nothing is believed unproved: the file's end is checked by its tag in the table's log, or where there is none by its own proof
block, and every column chunk by its hash in that block before anything is read from it. A file of an older version has no
block; its pages' checksums are checked, and it must have all columns that every version wrote.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from logsink.archive import Proof, Tail, chunk_span, read_tail, tail_of, tail_size
from logsink.errors import UPGRADE, FormatError
from logsink.parse import CODED_COLUMNS, FILE_SCHEMA, FORMAT_VERSION
from logsink.query.columns import Mask, as_rows
from logsink.query.read.pages import candidates
from logsink.query.request import UNKNOWN, Bounds, Needles

FOOTER = 64 << 10
"""Bytes that are read from a file's end to get its footer, which is about as long when it describes 30 row groups."""

WHOLE = 64 << 10
"""Bytes of a file that is fetched whole, at once; and of columns of a row group that are fetched together, instead of step by
step. So much costs less than the round trips that it saves."""

GAP = 256 << 10
"""Column chunks closer together than this are fetched in one read: so many bytes cost what a round trip to S3 costs."""

Fetch = Callable[[str, int, int], Coroutine[Any, Any, bytes]]
"""Returns the bytes ``[start, end)`` of the object at a key."""

Span = tuple[int, int]
"""First byte, and the byte behind the last."""


class RowGroup(NamedTuple):
    """One row group of a file, with the bounds of some of its columns; instants in microseconds since the epoch."""

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
    """Number of each column that the file has, by name."""
    proof: Proof | None = None
    """Hashes of its column chunks; None for a file of an older version."""
    body: bytes | None = None
    """The whole file, where it was fetched."""

    def row_groups(self, columns: Sequence[str]) -> list[RowGroup]:
        """Return the row groups that have rows, with the bounds of ``columns`` where the footer has them."""
        numbers = [(name, number) for name, number in self.columns.items() if name in columns]
        groups = []
        for number in range(self.metadata.num_row_groups):
            group = self.metadata.row_group(number)
            bounds = {name: _bounds(group.column(column).statistics) for name, column in numbers}
            groups.append(RowGroup(self, number, group.num_rows, bounds))
        return [group for group in groups if group.rows]

    def spans(self, group: int, columns: Sequence[str]) -> list[Span]:
        """Return the bytes that hold these columns of a row group, in order, as few spans as ``GAP`` allows."""
        spans: list[Span] = []
        chunks = self.metadata.row_group(group)
        stored = [chunks.column(self.columns[name]) for name in columns if name in self.columns]
        for start, end in sorted(map(chunk_span, stored)):
            if spans and start - spans[-1][1] <= GAP:
                spans[-1] = (spans[-1][0], max(spans[-1][1], end))
            else:
                spans.append((start, end))
        return spans


async def open_file(
    fetch: Fetch, key: str, size: int, tail: Tail | None = None, known: bytes | None = None
) -> OpenFile:
    """Read the footer of the file at ``key``, in one request where the log has a tag for its ``tail``.

    Nothing is fetched where ``known`` are the bytes of that tail. A small file is fetched whole. ``FormatError`` when it is
    damaged, not ours, or of a later version.
    """
    proved_by_tag = known is not None and tail is not None and tail_of(known) == tail
    end = known if known is not None and proved_by_tag else await _fetch_end(fetch, key, size, tail)
    proved = read_tail(key, end, tail)
    try:
        metadata = pq.read_metadata(pa.BufferReader(proved.footer))
        version = int((metadata.metadata or {}).get(b"logsink.format", b"1"))
        columns = _columns(metadata)
    except (pa.ArrowException, ValueError, OSError) as error:
        raise FormatError(f"cannot read data file {key}", str(error)) from error
    if version > FORMAT_VERSION:
        why = f"it is of format {version}, and this version reads 1 to {FORMAT_VERSION}"
        raise FormatError(f"cannot read data file {key}", why, hint=UPGRADE)
    for name in FILE_SCHEMA.names:  # all are of format 1; a column that is added later may be absent from older files
        if name not in columns:
            raise FormatError(f"cannot read data file {key}", f"it has no column {name!r}")
    if proved.proof is not None and len(proved.proof.hashes) != metadata.num_row_groups * metadata.num_columns:
        raise FormatError(f"cannot read data file {key}", "it has not one checksum for each column chunk")
    return OpenFile(key, size, metadata, columns, proved.proof, end if len(end) == size <= WHOLE else None)


async def _fetch_end(fetch: Fetch, key: str, size: int, tail: Tail | None) -> bytes:
    """Return the last bytes of a file, with its whole tail among them."""
    start = 0 if size <= WHOLE else max(0, size - (FOOTER if tail is None else tail.size))
    end = await fetch(key, start, size)
    try:
        if len(end) != size - start:
            raise ValueError(f"its last bytes are {len(end)}")
        while tail is None and len(end) < min(size, needed := tail_size(end)):
            end = await fetch(key, size - needed, size - len(end)) + end
    except ValueError as error:
        why = f"it does not end as a Parquet file of {size} bytes"
        raise FormatError(f"cannot read data file {key}", why) from error
    return end


class Chunks:
    """Column chunks of one row group: first ``fetch`` them, then decode them, in any number of steps.

    Decoding blocks, so it is for threads. It raises ``FormatError`` for damage.
    """

    def __init__(self, group: RowGroup) -> None:
        self._group = group
        self._fetched: set[str] = set()
        self._proved: set[str] = set()
        body = group.file.body
        self._parts: list[tuple[int, memoryview]] = [] if body is None else [(0, memoryview(body))]

    def missing(self, columns: Sequence[str]) -> int:
        """Return how many bytes have to be fetched of these columns."""
        return sum(end - start for start, end in self._spans(columns))

    async def fetch(self, fetch: Fetch, columns: Sequence[str]) -> None:
        """Fetch the columns that were not fetched yet. ``NotFound`` when the file is gone, ``FormatError`` when it is cut."""
        file, spans = self._group.file, self._spans(columns)
        if len(spans) == 1:  # the usual case, and a task would cost more than the read of a local file
            parts = [await fetch(file.key, *spans[0])]
        else:
            parts = await asyncio.gather(*(fetch(file.key, start, end) for start, end in spans))
        for (start, end), part in zip(spans, parts, strict=True):
            if len(part) != end - start:
                raise FormatError(
                    f"cannot read data file {file.key}", f"it ends at byte {start + len(part)} of {file.size}"
                )
            self._parts.append((start, memoryview(part)))
        self._fetched.update(columns)

    def _spans(self, columns: Sequence[str]) -> list[Span]:
        """Return the spans of columns that were not fetched yet."""
        missing = [name for name in columns if name not in self._fetched]
        return [] if self._group.file.body is not None else self._group.file.spans(self._group.number, missing)

    def candidates(self, column: str, mask: Mask, needles: Sequence[Needles]) -> tuple[Mask, pa.Array] | None:
        """Return which rows of ``mask`` can satisfy ``needles`` in a fetched column, and the column's values in these rows.

        The array has a value for every row, but those of other rows mean nothing. None when only decoding can tell.
        """
        file = self._group.file
        number = file.columns.get(column)
        if number is None:
            return None
        source = pa.PythonFile(FetchedFile(file.size, self._parts), "r")
        field = pq.ParquetFile(source, metadata=file.metadata, pre_buffer=False).schema_arrow.field(column)
        if pa.types.is_nested(field.type):
            return None
        self._prove((column,))
        chunk = file.metadata.row_group(self._group.number).column(number)
        body = FetchedFile(file.size, self._parts).part(*chunk_span(chunk))
        return candidates(body, chunk.compression, field.nullable, mask, needles)

    def array(self, column: str) -> pa.Array:
        """Return the values of one column, in all rows."""
        return self.read((column,)).column(0).chunk(0)

    def read(self, columns: Sequence[str]) -> pa.Table:
        """Return these columns in the types of ``columns.SCHEMA``; nulls for a column that the file does not have."""
        file = self._group.file
        stored = [name for name in columns if name in file.columns]
        coded = [name for name in stored if name in CODED_COLUMNS]
        self._prove(stored)
        source = pa.PythonFile(FetchedFile(file.size, self._parts), "r")
        try:
            parquet = pq.ParquetFile(
                source,
                metadata=file.metadata,
                read_dictionary=coded,
                pre_buffer=False,
                page_checksum_verification=file.proof is None,
            )
            found = parquet.read_row_group(self._group.number, columns=stored, use_threads=False)
        except (pa.ArrowException, OSError) as error:
            raise FormatError(f"cannot read data file {file.key}", str(error)) from error
        return as_rows(found, columns)

    def _prove(self, columns: Sequence[str]) -> None:
        """Compare fetched columns with their hashes, each once. ``FormatError`` for damage."""
        file, number = self._group.file, self._group.number
        if file.proof is None:
            return
        chunks, fetched = file.metadata.row_group(number), FetchedFile(file.size, self._parts)
        for name in (name for name in columns if name not in self._proved):
            at = file.columns[name]
            if not file.proof.holds(
                number * file.metadata.num_columns + at, fetched.part(*chunk_span(chunks.column(at)))
            ):
                raise FormatError(
                    f"cannot read data file {file.key}",
                    f"column {name} of row group {number} does not match its checksum",
                )
            self._proved.add(name)


class FetchedFile(io.RawIOBase):
    """A file of which only some parts were fetched; reading outside of them is an ``OSError``."""

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


def _columns(metadata: pq.FileMetaData) -> dict[str, int]:
    """Return the number of each column by name.

    Once asked for its ``schema``, a footer and that refer to each other, and take memory until Python looks for garbage.
    """
    if not metadata.num_row_groups:
        return {metadata.schema.column(number).path: number for number in range(metadata.num_columns)}
    group = metadata.row_group(0)
    return {group.column(number).path_in_schema: number for number in range(metadata.num_columns)}


def _bounds(statistics: pq.Statistics | None) -> Bounds:
    """Return the bounds that a footer has of a column chunk; instants as microseconds since the epoch."""
    if statistics is None:
        return UNKNOWN
    nulls = statistics.null_count if statistics.has_null_count else None
    if not statistics.has_min_max:
        return Bounds(None, None, nulls)
    raw = statistics.physical_type in ("INT32", "INT64")
    return Bounds(*((statistics.min_raw, statistics.max_raw) if raw else (statistics.min, statistics.max)), nulls)
