"""Data files: rows as Parquet, one file for each UTC date of ``received``. A persistent format, within that of Apache Parquet
(https://parquet.apache.org/docs/file-format/).

Layout, version 1 (``logsink.format`` in the file's key-value metadata)::

    name         date=YYYY-MM-DD/<receiver>-<first>-<last>-<random>.parquet, of [A-Za-z0-9._=-]; never written twice
                 <first>, <last>: lowest and highest sequence of its commit over all lanes, for people to read
    rows         runs of at most 2**18 rows, disjoint in time (unless more rows than that share one instant), each sorted
                 by (app, bytes of message, host, time, received, nth), nulls first, strings by their bytes; messages of
                 2**16 - 1 bytes and more count as equally long, a missing message as empty
    row groups   of 65,536 rows; the last of each run is shorter: a row group never straddles two runs
    columns      parse.FILE_SCHEMA; zstd-1, a CRC-32 in the header of each page; dictionaries for the short ones;
                 statistics only for time, received, app, host, severity; sorting column (app) declared for each row
                 group; received by dictionary where a read has eight rows and more on average, else by differences

    logsink.runs    JSON: the number of rows of each run, in order
    logsink.lanes   JSON: {appId: [first, last]} of every lane that the commit of this file covers
    logsink.inputs  instead of logsink.lanes, in a file that compaction made: JSON, the paths of the files whose rows it
                    holds; its name is date=YYYY-MM-DD/compacted-<random>.parquet
    logsink.held    the lanes whose rows it holds (``lanes``), where logsink.lanes does not say so: in a file that compaction
                    made, and in one whose commit passes segments that are lost
    logsink.digests the digests of its rows (``digest``)
    logsink.proof   1: a proof block stands before the footer (``proof``)

Tags of the file in the table's log: ``logsink.tail`` and ``logsink.sha256`` (``proof``), ``logsink.lanes`` (``lanes``),
``logsink.digests``. With those of its footer a file can be added to a log that was lost.

Constraint: an object is written once, under a name that is never used again.

Write path: ``FileWriter``, one row group at a time, so that the memory beside the file itself is small. The file is put first,
and then committed (``rounds``, ``compaction``).

Read path: ``query.read.datafile``, by row groups; ``merge``, by slabs. A reader in order of time holds one run.

Deletion (``retention``): ``logsink.lanes`` and ``logsink.inputs`` decide whether a file that no snapshot holds may still be
committed. Its commit needs each of these lanes to stand right before ``first``, or each of these files to be in the table. When
in a fresh snapshot one lane stands at ``first`` or beyond, or one file is gone, the commit can never win (invariant I7).

Sorting saves a third of the bytes (18.8 against 27 MB for a million rows): messages of one app that are equally long mostly say
the same. Sorted by host before length it is 21.7 MB; without host in the order, columns that depend on it (deploy, sender)
would cost more than that order does.
"""

from __future__ import annotations

import datetime
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from logsink.archive import digest, proof
from logsink.archive import lanes as intervals
from logsink.archive.digest import Digests
from logsink.archive.lanes import Lanes
from logsink.archive.snapshot import DataFile, join_tags
from logsink.parse import CODED_COLUMNS, FORMAT_VERSION, ROWS_SCHEMA, STATISTICS_COLUMNS, counting_sort, renumber_used

RUN = 1 << 18
"""Most rows in a run."""

GROUP = 1 << 16
"""Rows in a row group."""

LANES, INPUTS, HELD = b"logsink.lanes", b"logsink.inputs", b"logsink.held"

NAME = re.compile(r"date=[0-9]{4}-[0-9]{2}-[0-9]{2}/(?:[A-Za-z0-9-]+-[0-9]+-[0-9]+|compacted)-[0-9a-f]+\.parquet")
"""Matches the paths of data files that logsink made."""

_DAY = 86_400_000_000
_CUT = 128
"""Most characters of a string in the log's statistics."""

_INSTANT = 27
"""Characters of an instant of the years 0 to 9999 with microseconds and Z; instants of other years get no statistics."""

_LONGEST = (1 << 16) - 1
"""Bytes of a message beyond which all lengths count as equal in the order of rows."""

_SMALL = ("nth", "facility", "severity", "flags")
"""Columns of numbers with few distinct values, which a dictionary makes smaller."""

_OPTIONS: dict[str, Any] = {
    "compression": "zstd",
    "compression_level": 1,  # level 3 makes the sorted rows no smaller, and takes half as long again
    # Pages of 8 MiB, which no processor's cache holds, make the file no smaller and take a fifth more CPU.
    "data_page_size": 1 << 20,
    "max_rows_per_page": GROUP,  # Arrow's 20,000 make 0.5 % more bytes
    "write_page_checksum": True,  # without it, two of three flipped bits go unnoticed and change rows
    "write_statistics": list(STATISTICS_COLUMNS),
    "store_schema": False,  # it would be of use to Arrow only
}

_DIFFERENCES = "DELTA_BINARY_PACKED"

_PER_READ = 8
"""Rows a read from which on a dictionary of ``received`` is smaller: 0.9 MB a million rows, where differences take 2.2."""

Index = npt.NDArray[np.int64]


class NewFile(NamedTuple):
    """A data file that is not stored yet."""

    file: DataFile
    body: pa.Buffer


class Source(Protocol):
    """Rows to write: ``parse.Rows``, or rows that compaction merges. ``time`` and ``received`` in microseconds since 1970."""

    @property
    def time(self) -> Index: ...
    @property
    def received(self) -> Index: ...
    @property
    def nth(self) -> npt.NDArray[np.int32]: ...
    @property
    def sizes(self) -> npt.NDArray[np.int32]:
        """Bytes of each message, 0 where there is none."""

    def code(self, name: str) -> tuple[npt.NDArray[np.int32], pa.StringArray]:
        """Return each row's code in a column of ``CODED_COLUMNS``, -1 for null, and the distinct values by code."""

    def table(self, order: Index) -> pa.Table:
        """Return these rows in this order, by schema ``ROWS_SCHEMA``, each column in one chunk. Valid until the next call."""


class Observer(Protocol):
    """Gathers something about a data file while it is written."""

    def add(self, group: pa.Table) -> None:
        """Take the next row group: by schema ``ROWS_SCHEMA``, each column in one chunk, no value unused in a dictionary."""


def write_files(
    rows: Source, lanes: Mapping[str, tuple[int, int]], receiver: str, attempt: str, held: Lanes | None = None
) -> Iterator[NewFile]:
    """Yield the data files of ``rows``, one for each date. Takes about 0.5 CPU s a million rows, most of it without the GIL.

    ``lanes``: ``appId`` -> first and last sequence that the commit covers. ``held``: the sequences among them whose rows these
    are; None: all. ``attempt`` makes the names unique, so it must never be the same twice. All ``rows`` must come from
    ``receiver``.
    """
    first, last = min(a for a, _ in lanes.values()), max(b for _, b in lanes.values())
    everything: Lanes = {lane: (interval,) for lane, interval in lanes.items()}
    held = everything if held is None else held
    said = {LANES: orjson.dumps(lanes)} | ({HELD: intervals.encode(held).encode()} if held != everything else {})
    codes = _sort_codes(rows)
    for day, index in _days(rows.received):
        date = datetime.date(1970, 1, 1) + datetime.timedelta(days=day)
        writer = FileWriter()
        for run in _runs(rows, index, codes):
            writer.add(rows, run)
        path = f"date={date}/{receiver}-{first}-{last}-{attempt}.parquet"
        yield writer.finish(path, date, said, held)


def _days(received: Index) -> Iterator[tuple[int, Index]]:
    """Yield days since 1970 with the row numbers of each; nearly always there is one."""
    if len(received) and received.min() // _DAY == received.max() // _DAY:
        yield int(received[0] // _DAY), np.arange(len(received))
        return
    days = received // _DAY
    for day in np.unique(days).tolist():
        yield day, np.flatnonzero(days == day)


def runs(rows: Source) -> Iterator[Index]:
    """Yield the row numbers of each run, in the order of a file that holds all ``rows``."""
    return _runs(rows, np.arange(len(rows.time)), _sort_codes(rows))


class FileWriter:
    """Writes a data file in memory: ``add`` its runs in order of time, then ``finish`` it.

    ``observer`` is shown each row group.
    """

    def __init__(self, observer: Observer | None = None) -> None:
        self._observer = observer
        self._sink = pa.BufferOutputStream()
        self._footer: list[pq.FileMetaData] = []
        self._writer: pq.ParquetWriter | None = None
        self._groups = 0
        self._runs: list[int] = []
        self._bounds: dict[str, list[int]] = {"time": [], "received": []}
        self.digests: Digests = {}
        """Digests of the rows that were added, by hour of ``received``."""

    def add(self, rows: Source, run: Index) -> None:
        """Write one run: the rows with these numbers, in this order."""
        for name, values in (("time", rows.time[run]), ("received", rows.received[run])):
            self._bounds[name] += [int(values.min()), int(values.max())]
        writer = self._writer = self._writer or self._open(rows.received[run])
        for start in range(0, len(run), GROUP):
            group = _compact(rows.table(run[start : start + GROUP]))
            self.digests = digest.total((self.digests, digest.digests_of(group)))
            writer.write_table(group, row_group_size=GROUP)
            if self._observer is not None:
                self._observer.add(group)
            self._groups += 1
        self._runs.append(len(run))

    def _open(self, received: Index) -> pq.ParquetWriter:
        """Open the Parquet writer; ``received`` of the first run decides how that column is encoded."""
        coded, different = [*CODED_COLUMNS, *_SMALL], {"time": _DIFFERENCES}
        if pc.count_distinct(pa.array(received)).as_py() * _PER_READ <= len(received):
            coded.append("received")
        else:
            different["received"] = _DIFFERENCES
        order = pq.SortingColumn.from_ordering(ROWS_SCHEMA, [("app", "ascending")], null_placement="at_start")
        return pq.ParquetWriter(
            self._sink,
            ROWS_SCHEMA,
            sorting_columns=order,
            use_dictionary=coded,
            column_encoding=different,
            metadata_collector=self._footer,
            **_OPTIONS,
        )

    def finish(
        self, path: str, date: datetime.date, metadata: Mapping[bytes, bytes], lanes: Lanes = MappingProxyType({})
    ) -> NewFile:
        """Return the file, which must have a run; ``lanes`` are those whose rows it holds. Nothing can be added afterwards."""
        assert self._writer is not None
        digests = digest.encode(self.digests)
        said = {"logsink.format": str(FORMAT_VERSION), "logsink.runs": orjson.dumps(self._runs)}
        self._writer.add_key_value_metadata(said | dict(metadata) | {digest.TAG: digests, proof.NAMED: "1"})
        body, tail = proof.close(self._sink, self._writer, self._footer, self._groups * len(ROWS_SCHEMA))
        tags = {
            proof.TAIL_TAG: str(proof.tail_of(tail)),
            proof.SHA256_TAG: hashlib.sha256(body).hexdigest(),
            digest.TAG: digests,
        }
        if lanes:
            tags[intervals.TAG] = intervals.encode(lanes)
        statistics = statistics_json(sum(self._runs), self._bounds, self._footer[0])
        return NewFile(DataFile(path, date, body.size, statistics, join_tags(tags.items())), body)


def _sort_codes(rows: Source) -> list[npt.NDArray[np.int32]]:
    """Return small numbers to sort rows by: host, bytes of message and app, the most important last."""
    return [_ranks(rows, "host"), np.minimum(rows.sizes, _LONGEST), _ranks(rows, "app")]


def _ranks(rows: Source, name: str) -> npt.NDArray[np.int32]:
    """Return each row's rank among the column's values in the order of their bytes; null has rank 0."""
    codes, values = rows.code(name)
    ranks = np.zeros(len(values) + 1, np.int32)
    ranks[pc.sort_indices(values).to_numpy()] = np.arange(1, len(values) + 1)
    return ranks[codes]  # the code of null, -1, takes the last entry, which is 0


def _runs(rows: Source, index: Index, codes: Sequence[npt.NDArray[np.int32]]) -> Iterator[Index]:
    """Yield the row numbers of each run, in the order of the file."""
    index = index[_by_time(rows, index)]
    time = rows.time[index]
    start = 0
    while start < len(index):
        end = start + RUN
        if end < len(index):
            cut = start + int(np.searchsorted(time[start:end], time[end]))
            end = cut if cut > start else end
        run = index[start:end]
        for code in codes:
            run = _by_code(run, code)
        yield run
        start = end


def _by_code(run: Index, code: npt.NDArray[np.int32]) -> Index:
    """Return the run sorted by its rows' codes, which are not negative. The sort is stable."""
    found = np.empty_like(run)
    counting_sort(code, run, np.zeros(int(code.max()) + 1, np.int32), found)
    return found


def _by_time(rows: Source, index: Index) -> Index:
    """Return the permutation that sorts by (time, received, nth). Rows nearly always come sorted by the last two."""
    time = rows.time[index]
    order = np.arange(len(index))
    if np.any(time[1:] < time[:-1]):
        order = np.argsort(time, kind="stable")
        time = time[order]
    tied = np.flatnonzero(time[1:] == time[:-1])
    before, after = index[order[tied]], index[order[tied + 1]]
    since = rows.received[after] - rows.received[before]
    later = (since < 0) | ((since == 0) & (rows.nth[before] > rows.nth[after]))
    return np.lexsort((rows.nth[index], rows.received[index], rows.time[index])) if np.any(later) else order


def _compact(group: pa.Table) -> pa.Table:
    """Return the same rows, with dictionaries that hold only values in use: Parquet writes each dictionary whole."""
    columns = [
        _compact_dictionary(column) if pa.types.is_dictionary(column.type) and column.num_chunks == 1 else column
        for column in group.columns
    ]
    return pa.table(columns, schema=ROWS_SCHEMA)


def _compact_dictionary(column: pa.ChunkedArray) -> pa.Array:
    array = column.chunk(0)
    size, rows = len(array.dictionary), len(array)
    if size <= 1:
        return array
    assert not array.offset, "as in ROWS_SCHEMA, but a slice"
    validity, indices = array.buffers()
    valid = np.frombuffer(validity or b"", np.uint8)
    places, used, out = np.full(size, -1, np.int32), np.empty(min(size, rows), np.int32), np.empty(rows, np.int32)
    known = renumber_used(np.frombuffer(indices, np.int32), valid, places, used, out)
    values = array.dictionary.take(pa.array(used[:known]))
    return pa.DictionaryArray.from_buffers(array.type, rows, [validity, pa.py_buffer(out)], values, array.null_count)


def statistics_json(rows: int, instants: Mapping[str, Sequence[int]], footer: pq.FileMetaData) -> str:
    """Return the log's statistics of a file as JSON: instants from their bounds, the other columns from the footer."""
    minimum: dict[str, object] = {}
    maximum: dict[str, object] = {}
    nulls: dict[str, int] = {}
    for name, values in instants.items():
        nulls[name] = 0
        for bounds, value in ((minimum, min(values)), (maximum, max(values))):
            text = f"{np.datetime64(value, 'us')}Z"
            if len(text) == _INSTANT:
                bounds[name] = text
    for name in (column for column in STATISTICS_COLUMNS if column not in nulls):
        chunks = [
            footer.row_group(g).column(footer.schema.names.index(name)).statistics for g in range(footer.num_row_groups)
        ]
        if any(chunk is None or not chunk.has_null_count for chunk in chunks):
            continue
        nulls[name] = sum(chunk.null_count for chunk in chunks)
        valued = [chunk for chunk in chunks if chunk.num_values]
        if valued and all(chunk.has_min_max for chunk in valued):
            minimum[name] = _lower(min(chunk.min for chunk in valued))
            if (upper := _upper(max(chunk.max for chunk in valued))) is not None:
                maximum[name] = upper
    found = {"numRecords": rows, "minValues": minimum, "maxValues": maximum, "nullCount": nulls}
    return orjson.dumps(found).decode()


def _lower(value: Any) -> Any:
    return value[:_CUT] if isinstance(value, str) else value


def _upper(value: Any) -> Any:
    """Return a value no less than this one, of at most ``_CUT`` characters; None when there is none."""
    if not isinstance(value, str) or len(value) <= _CUT:
        return value
    prefix = value[:_CUT].rstrip("\U0010ffff")
    if not prefix:
        return None
    following = ord(prefix[-1]) + 1
    return prefix[:-1] + chr(0xE000 if following == 0xD800 else following)
