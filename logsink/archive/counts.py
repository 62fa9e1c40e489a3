"""Objects with counts: for some data files of one date, the counts of ``index.counts``. A persistent format, within Parquet.

Layout, version 1::

    name         index/date=YYYY-MM-DD/<16 hex digits, random>.counts.parquet; never written twice
    rows         index.COUNTS_SCHEMA, in the order (file, app, severity, hour, host, environment, role, deploy, instance), nulls
                 first, strings by their bytes; one row group, zstd-1, a CRC-32 in the header of each page
    days         between the row group and the proof block, where it has at most half as many rows: a Parquet file of the same
                 columns, whose rows stand for a day of ``hour`` (``index.by_day``)
    proof        a proof block before the footer (``proof``), and ``logsink.proof`` in the footer

    logsink.counts  JSON: {"format": 1, "files": {path: [size, tail, rows]}, "days": [start, bytes, hash]}: the data files, as
                    the table's log describes them: bytes, the tag ``logsink.tail`` ("" where there is none), and number of
                    rows; where the days stand, with their XXH3 (64 bits) in hex, absent where there are none

Counts are facts about immutable files. They count for a live file of the same path, size and tail, and for nothing else. An
object that does not prove itself, or whose rows do not add up, is as if it were not there (invariant I13).

Write path: ``encode_counts``, for one file before the commit that adds it, and for all files of a date when that is over.
Read path: ``query.read.counted``, only the columns that a sum needs; ``decode_counts`` reads all.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple, Self

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import xxhash

from logsink.archive import proof
from logsink.archive.snapshot import DataFile
from logsink.errors import UPGRADE, FormatError
from logsink.index import COUNTS, COUNTS_SCHEMA, INDEX_REMEDY, by_day, index_date, join_counts

FORMAT_VERSION: Final = 1

SAID: Final = b"logsink.counts"
"""Key in the footer under which the data files stand."""

_END = 128 << 10
"""Bytes that are read from an object's end: the head, and the columns that most sums need, of 300,000 rows of counts."""

FEWER: Final = 2
"""Counts have days only where these have at most the reciprocal of their rows: others would save nothing."""

_CODED = [name for name in COUNTS_SCHEMA.names if name not in ("first", "last", "bytes")]
_DIFFERENCES = "DELTA_BINARY_PACKED"

_OPTIONS: dict[str, Any] = {
    "compression": "zstd",
    "compression_level": 1,
    "use_dictionary": _CODED,
    # 9.2 bytes a row, decoded at 8 ns a row and three columns; with plain numbers 12.9 bytes, and 67 ns.
    "column_encoding": dict.fromkeys(("first", "last", "bytes"), _DIFFERENCES),
    "data_page_size": 1 << 20,
    "max_rows_per_page": 1 << 20,
    "write_page_checksum": True,
    "write_statistics": False,
    "store_schema": False,
}


class CountedFile(NamedTuple):
    """How the table's log describes a data file: counts are of exactly this file."""

    size: int
    tail: str
    rows: int

    @classmethod
    def of(cls, file: DataFile) -> Self:
        """Return the description of a live file. ``FormatError`` where the log does not say how many rows it has."""
        return cls(file.size, dict(file.tags).get(proof.TAIL_TAG, ""), file.rows)


class Counts(NamedTuple):
    """Counts of the data files in ``files``, by path; ``table`` is of ``COUNTS_SCHEMA``."""

    files: Mapping[str, CountedFile]
    table: pa.Table

    def only(self, paths: Collection[str]) -> Counts:
        """Return the counts of those files that are in ``paths``."""
        if all(path in paths for path in self.files):
            return self
        kept = {path: described for path, described in self.files.items() if path in paths}
        mask = pc.is_in(self.table.column("file").cast(pa.string()), pa.array(kept, pa.string()))
        return Counts(kept, self.table.filter(mask))


def union_counts(parts: Iterable[Counts]) -> Counts:
    """Return the counts of all parts; of a file that several of them have, those of the first."""
    files: dict[str, CountedFile] = {}
    tables = []
    for part in parts:
        new = part.only([path for path in part.files if path not in files])
        files |= new.files
        tables.append(new.table)
    return Counts(files, join_counts(tables))


def encode_counts(counts: Counts) -> pa.Buffer:
    """Return the object with these counts, of one file at least."""
    sink, footer = pa.BufferOutputStream(), list[pq.FileMetaData]()
    writer = pq.ParquetWriter(sink, COUNTS_SCHEMA, metadata_collector=footer, **_OPTIONS)
    writer.write_table(counts.table, row_group_size=max(1, counts.table.num_rows))
    said: dict[str, Any] = {"format": FORMAT_VERSION}
    said["files"] = {path: list(described) for path, described in counts.files.items()}
    days = _encode_days(counts.table)
    if days is not None:
        said["days"] = list(Days(sink.tell(), days.size, xxhash.xxh3_64_hexdigest(days)))
    writer.add_key_value_metadata({SAID: orjson.dumps(said), proof.NAMED: "1"})
    return proof.close(sink, writer, footer, len(COUNTS_SCHEMA), days if days is not None else b"")[0]


def _encode_days(counts: pa.Table) -> pa.Buffer | None:
    """Return the days of counts as a Parquet file; None where they would save nothing."""
    days = by_day(counts)
    if not days.num_rows or FEWER * days.num_rows > counts.num_rows:
        return None
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(sink, COUNTS_SCHEMA, **_OPTIONS) as writer:
        writer.write_table(days, row_group_size=days.num_rows)
    return sink.getvalue()


def decode_counts(key: str, body: bytes | memoryview) -> Counts:
    """Return the counts of an object that was read whole. ``FormatError`` for one that does not prove itself, or add up."""
    head = read_counts_head(key, body)
    spans = proof.chunk_spans(head.metadata)
    whole = memoryview(body).cast("B")
    if not all(head.proof.holds(number, whole[start:end]) for number, (start, end) in enumerate(spans)):
        raise _damaged(key, "a column does not match its checksum")
    try:
        read = pq.ParquetFile(pa.BufferReader(pa.py_buffer(body)), read_dictionary=_CODED, pre_buffer=False)
        table = read.read(COUNTS_SCHEMA.names, use_threads=False).cast(COUNTS_SCHEMA).combine_chunks()
    except (pa.ArrowException, OSError) as error:
        raise _damaged(key, str(error)) from error
    check_sums(key, head.files, table)
    if head.days is not None:
        check_sums(
            key, head.files, decode_days(key, head.days, whole[head.days.start : head.days.end], ["file", "rows"])
        )
    return Counts(head.files, table)


class Days(NamedTuple):
    """The place of the counts by day in an object with counts: first byte, number of bytes, and XXH3 (64 bits) in hex."""

    start: int
    size: int
    hash: str

    @property
    def end(self) -> int:
        """The position of the first byte behind the counts by day."""
        return self.start + self.size


class CountsHead(NamedTuple):
    """The end of an object with counts: its footer, its checksums, the data files that it is about, and where its days are."""

    metadata: pq.FileMetaData
    proof: proof.Proof
    files: Mapping[str, CountedFile]
    days: Days | None = None


def decode_days(key: str, days: Days, body: bytes | memoryview, names: Sequence[str]) -> pa.Table:
    """Return some columns of the days of an object, one chunk each. ``FormatError`` where they do not prove themselves."""
    if len(body) != days.size or xxhash.xxh3_64_hexdigest(body) != days.hash:
        raise _damaged(key, "its days do not match their checksum")
    try:
        read = pq.ParquetFile(pa.BufferReader(pa.py_buffer(body)), read_dictionary=_CODED, pre_buffer=False)
        table = read.read_row_group(0, columns=list(names), use_threads=False).select(names)
        return table.cast(pa.schema([COUNTS_SCHEMA.field(name) for name in names])).combine_chunks()
    except (pa.ArrowException, OSError) as error:
        raise _damaged(key, str(error)) from error


async def fetch_counts_end(get: Callable[[str, int, int], Awaitable[bytes]], key: str, size: int) -> bytes:
    """Return the last bytes of an object of ``size`` bytes, by ``get(key, start, end)``: all that its head is read from.

    ``FormatError`` for an object that does not end as it must, and the errors of ``get``.
    """
    end, needed = b"", min(size, _END)
    try:
        while len(end) < needed:
            start, stop = size - needed, size - len(end)
            end = await get(key, start, stop) + end
            if len(end) != needed:
                raise ValueError(f"it has not the {size:,} bytes that it had")
            needed = min(size, proof.tail_size(end))
    except ValueError as error:
        raise _damaged(key, str(error)) from error
    return end


def read_counts_head(key: str, end: bytes | memoryview) -> CountsHead:
    """Return what stands at the end of an object: ``end`` has its whole tail, perhaps more before it.

    ``FormatError`` for an object that does not prove itself, or of a later version.
    """
    if index_date(key, COUNTS) is None:
        raise _damaged(key, "that is no name of counts")
    try:
        footer, proved = _proved_tail(key, end)
        metadata = pq.read_metadata(pa.BufferReader(pa.py_buffer(footer)))
        said = orjson.loads((metadata.metadata or {}).get(SAID, b""))
        if said["format"] != FORMAT_VERSION:
            raise FormatError(f"cannot read counts {key}", f"they are of format {said['format']}", hint=UPGRADE)
        files = {path: CountedFile(*described) for path, described in said["files"].items()}
        days = Days(*said["days"]) if "days" in said else None
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _damaged(key, str(error)) from error
    if metadata.num_row_groups != 1 or _columns(metadata.row_group(0)) != COUNTS_SCHEMA.names:
        raise _damaged(key, "it has other columns or row groups")
    if proved is None or len(proved.hashes) != len(COUNTS_SCHEMA):
        raise _damaged(key, "it has not one checksum for each column chunk")
    return CountsHead(metadata, proved, files, days)


def _columns(group: pq.RowGroupMetaData) -> list[str]:
    """Return the names of the columns. A footer whose ``schema`` was asked for stays until Python looks for garbage."""
    return [group.column(number).path_in_schema for number in range(group.num_columns)]


def _proved_tail(key: str, end: bytes | memoryview) -> proof.ProvedTail:
    try:
        return proof.read_tail(key, end, None)
    except FormatError as error:
        raise ValueError(error.why) from error


def check_sums(key: str, files: Mapping[str, CountedFile], table: pa.Table) -> None:
    """Raise ``FormatError`` unless the rows of each file add up to the number that is said of it.

    ``table`` has the columns ``file``, dictionary-encoded, and ``rows``.
    """
    column = table.column("file").combine_chunks()
    column = column.chunk(0) if isinstance(column, pa.ChunkedArray) else column
    rows = table.column("rows").to_numpy()
    paths = column.dictionary.to_pylist()
    if column.null_count or (len(rows) and rows.min() < 1):
        raise _damaged(key, "a row has no file, or counts nothing")
    codes = column.indices.to_numpy()
    begins = np.flatnonzero(np.append(True, codes[1:] != codes[:-1])) if len(codes) else np.zeros(0, np.int64)
    sums = dict.fromkeys(paths, 0)
    for code, total in zip(
        codes[begins].tolist(), np.add.reduceat(rows, begins).tolist() if len(rows) else (), strict=True
    ):
        sums[paths[code]] += total
    if {path: total for path, total in sums.items() if total} != {path: said.rows for path, said in files.items()}:
        raise _damaged(key, "its rows do not add up")


def _damaged(key: str, what: str) -> FormatError:
    return FormatError(f"cannot read counts {key}", what, hint=INDEX_REMEDY)
