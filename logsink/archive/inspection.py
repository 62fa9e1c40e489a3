"""Inspection of one data file: that it is there, has its size, and proves itself; with ``deep`` each of its bytes and rows.

Without ``deep`` one request a file fetches its tail, which the table's log binds by a hash, and one byte behind it, which must
not be there. A file of an older logsink has no proof: its footer must be readable and have as many rows as the log says.
"""

from __future__ import annotations

import asyncio
import datetime
import hashlib
from typing import Final, NamedTuple

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from logsink.archive import digest, proof
from logsink.archive.file import HELD, INPUTS, LANES, statistics_json
from logsink.archive.lanes import TAG, encode, parse, union
from logsink.archive.snapshot import ROOT, DataFile
from logsink.errors import FormatError, NotFound
from logsink.parse import CODED_COLUMNS, FILE_SCHEMA
from logsink.store import Store

_END = 64 << 10
_EPOCH: Final = datetime.date(1970, 1, 1)
_DAY: Final = 86_400_000_000
"""Bytes at the end of a file that nearly always hold its whole tail, for files whose log does not say how long that is."""


class Checked(NamedTuple):
    """The result of the check of one file.

    what     what is wrong with it, to follow its key in a sentence; "" for nothing
    rows     how many of its rows are lost
    groups   numbers of the row groups that are damaged, where the others can be read; None where none can
    proved   whether it carries checksums
    """

    what: str = ""
    rows: int = 0
    groups: frozenset[int] | None = frozenset()
    proved: bool = True


def lost(file: DataFile, what: str) -> Checked:
    """Return the result for a file of which nothing can be read."""
    return Checked(what, file.known_rows or 0, None)


async def check_file(store: Store, file: DataFile, *, deep: bool) -> Checked:
    """Check one file. A missing one is a result like any other: whoever asks finds out whether it is still live."""
    try:
        if deep:
            body = await store.get(file.key)
            return await asyncio.to_thread(check_body, file, body)
        return await _check_tail(store, file)
    except NotFound:
        return lost(file, "is missing")
    except FormatError as error:
        return lost(file, f"cannot be read: {error.why}")


async def _check_tail(store: Store, file: DataFile) -> Checked:
    tag = proof.tail_tag(file.tags)
    size = _END if tag is None else tag.size
    start = max(0, file.size - size)
    end = await store.get(file.key, start, file.size + 1)
    if wrong := _wrong_size(file, start + len(end), exact=len(end) <= file.size - start):
        return lost(file, wrong)
    if tag is None and (needed := _needed(file, end)) > len(end):
        start = max(0, file.size - needed)
        end = await store.get(file.key, start, file.size)
        if (needed := _needed(file, end)) > len(end):
            end = await store.get(file.key, max(0, file.size - needed), file.size)
    tail = proof.read_tail(file.key, end, tag)
    _metadata(file, tail)
    return Checked(proved=tail.proof is not None)


def check_body(file: DataFile, body: bytes) -> Checked:
    """Check each byte and row of a file that was read whole. Blocks. Raises ``FormatError`` when nothing of it can be read."""
    if wrong := _wrong_size(file, len(body), exact=True):
        return lost(file, wrong)
    tail = proof.read_tail(file.key, _tail(file, body), proof.tail_tag(file.tags))
    metadata = _metadata(file, tail)
    bad, counted = _read_groups(file, body, metadata, tail.proof)
    if bad:
        rows = sum(metadata.row_group(number).num_rows for number in bad)
        groups = None if len(bad) == metadata.num_row_groups else frozenset(bad)
        return Checked("has damaged rows", rows, groups, tail.proof is not None)
    said = dict(file.tags)
    if (sha := said.get(proof.SHA256_TAG)) is not None and hashlib.sha256(body).hexdigest() != sha:
        return Checked("does not match its SHA-256 in the table's log", 0, frozenset(), tail.proof is not None)
    if (expected := digest.digests_tag(file.tags)) is not None and counted != expected:
        return Checked("does not have the rows that its digests in the table's log say", 0, frozenset())
    return Checked(proved=tail.proof is not None)


def _read_groups(
    file: DataFile, body: bytes, metadata: pq.FileMetaData, proved: proof.Proof | None
) -> tuple[list[int], digest.Digests]:
    """Return the numbers of row groups that are damaged, and the digests of the rows of the others."""
    view = memoryview(body)
    spans = proof.chunk_spans(metadata) if proved is not None else []  # pyarrow may abort on what a damaged footer says
    coded = [name for name in CODED_COLUMNS if name in metadata.schema.names]
    parquet = pq.ParquetFile(
        pa.BufferReader(body),
        metadata=metadata,
        read_dictionary=coded,
        pre_buffer=False,
        page_checksum_verification=proved is None,
    )
    if proved is not None and len(proved.hashes) != len(spans):
        raise proof.damaged(file.key, "its checksums are not those of its columns")
    bad, digests, width = [], list[digest.Digests](), metadata.num_columns
    for group in range(metadata.num_row_groups):
        chunks = range(group * width, (group + 1) * width)
        if proved is not None and not all(proved.holds(n, view[slice(*spans[n])]) for n in chunks):
            bad.append(group)
            continue
        try:
            digests.append(digest.digests_of(parquet.read_row_group(group, use_threads=False)))
        except (pa.ArrowException, OSError, LookupError, TypeError, ValueError):  # of a footer that nothing proves
            bad.append(group)
    return bad, digest.total(digests)


def digests_of_body(key: str, body: bytes) -> digest.Digests:
    """Return the digests of the rows of a file that was read whole, by its rows alone. Blocks. ``FormatError``: damage."""
    try:
        parquet = pq.ParquetFile(pa.BufferReader(body), pre_buffer=False, page_checksum_verification=True)
        groups = (parquet.read_row_group(group, use_threads=False) for group in range(parquet.num_row_groups))
        return digest.total([digest.digests_of(group) for group in groups])
    except (pa.ArrowException, OSError) as error:
        raise proof.damaged(key, str(error)) from error


def _metadata(file: DataFile, tail: proof.ProvedTail) -> pq.FileMetaData:
    """Return the footer. Raises ``FormatError`` unless it can be read, and has all columns and as many rows as the log says."""
    try:
        metadata = pq.read_metadata(pa.BufferReader(b"PAR1" + bytes(tail.footer)))
        missing = sorted({*FILE_SCHEMA.names}.difference(metadata.schema.names))
    except (pa.ArrowException, OSError, ValueError) as error:  # ValueError: a name that is no UTF-8
        raise proof.damaged(file.key, f"its footer cannot be read: {error}") from error
    if missing:
        raise proof.damaged(file.key, f"it has no column {missing[0]!r}")
    if metadata.num_rows != file.rows:
        raise proof.damaged(file.key, f"it has {metadata.num_rows:,} rows, and {file.rows:,} in the table's log")
    return metadata


def _tail(file: DataFile, body: bytes) -> memoryview:
    """Return the end of a whole file that has its tail."""
    view = memoryview(body)
    end = view[max(0, len(view) - _END) :]
    while (needed := _needed(file, end)) > len(end) and len(end) < len(view):
        end = view[max(0, len(view) - needed) :]
    return end


def _needed(file: DataFile, end: bytes | memoryview) -> int:
    try:
        return min(proof.tail_size(end), file.size)
    except ValueError as error:
        raise proof.damaged(file.key, str(error)) from error


def _wrong_size(file: DataFile, size: int, *, exact: bool) -> str:
    """Return what is wrong with a file of ``size`` bytes; ``exact``: whether it has no more than that."""
    if size == file.size and exact:
        return ""
    if size < file.size:
        return f"is cut: it has {'at most ' if not size else ''}{size:,} of {file.size:,} bytes"
    return f"is longer than its {file.size:,} bytes"


class Described(NamedTuple):
    """A data file by what it says itself, without the table's log.

    ``file`` is as the log would have it, with tags. ``merged``: whether compaction made it, of the files at ``inputs``.
    ``file`` has no lanes in its tags where the file does not say them, as merged ones of older versions.
    """

    file: DataFile
    merged: bool
    inputs: tuple[str, ...]
    rows: int


async def describe(store: Store, path: str, size: int) -> Described:
    """Return what a data file says in its tail. ``FormatError`` when it does not prove itself, or is none of logsink's."""
    key = ROOT + path
    file = DataFile(path, _date(path), size, "{}")
    start = max(0, size - _END)
    end = await store.get(key, start, size + 1)
    if wrong := _wrong_size(file, start + len(end), exact=len(end) <= size - start):
        raise proof.damaged(key, wrong)
    while (needed := _needed(file, end)) > len(end):
        end = await store.get(key, max(0, size - needed), size)
    return _described(file, end)


def describe_body(path: str, body: bytes) -> Described:
    """Return what a data file says that was read whole, with its SHA-256, after each of its bytes was checked. Blocks.

    Raises ``FormatError`` when it is damaged, or none of logsink's.
    """
    file = DataFile(path, _date(path), len(body), "{}")
    found = _described(file, _tail(file, body))
    checked = check_body(found.file, body)
    if checked.what:
        raise proof.damaged(ROOT + path, checked.what)
    hashed = (proof.SHA256_TAG, hashlib.sha256(body).hexdigest())
    return found._replace(file=found.file.tagged((*found.file.tags, hashed)))


def _described(file: DataFile, end: bytes | memoryview) -> Described:
    tail = proof.read_tail(file.key, end, None)
    try:
        metadata = pq.read_metadata(pa.BufferReader(b"PAR1" + bytes(tail.footer)))
        said = metadata.metadata or {}
        lanes, inputs = orjson.loads(said.get(LANES, b"{}")), orjson.loads(said.get(INPUTS, b"[]"))
        held = said.get(HELD)
        if b"logsink.format" not in said or not (lanes or inputs):
            raise ValueError("it does not say what it holds")
        tags = {proof.TAIL_TAG: str(proof.tail_of(_exact(end)))} if tail.proof is not None else {}
        if (digests := said.get(digest.TAG.encode())) is not None:
            tags[digest.TAG] = digests.decode()
        if held is not None:
            tags[TAG] = encode(parse(held.decode()))
        elif lanes:
            tags[TAG] = encode(union({lane: [(first, last)] for lane, (first, last) in lanes.items()}))
    except (pa.ArrowException, OSError, LookupError, TypeError, ValueError, AttributeError) as error:
        raise proof.damaged(file.key, f"its footer cannot be read: {error}") from error
    instants = _instants(metadata)
    if days := {value // _DAY for value in instants["received"]} - {(file.date - _EPOCH).days}:
        raise proof.damaged(file.key, f"it has rows that were received on {_EPOCH + datetime.timedelta(min(days))}")
    statistics = statistics_json(metadata.num_rows, {name: some for name, some in instants.items() if some}, metadata)
    found = file._replace(statistics=statistics).tagged(tags.items())
    return Described(found, bool(inputs), tuple(inputs), metadata.num_rows)


def _instants(metadata: pq.FileMetaData) -> dict[str, list[int]]:
    """Return the bounds of ``time`` and ``received`` in each row group that has them, in microseconds since the epoch."""
    names, instants = metadata.schema.names, {}
    for name in ("time", "received"):
        groups = [metadata.row_group(group).column(names.index(name)) for group in range(metadata.num_row_groups)]
        bounds = [chunk.statistics for chunk in groups if chunk.statistics is not None and chunk.statistics.has_min_max]
        instants[name] = [value for one in bounds for value in (one.min_raw, one.max_raw)]
    return instants


def _exact(end: bytes | memoryview) -> memoryview:
    """Return the tail alone."""
    return memoryview(end)[len(end) - proof.tail_size(end) :]


def _date(path: str) -> datetime.date:
    try:
        return datetime.date.fromisoformat(path.partition("/")[0].removeprefix("date="))
    except ValueError as error:
        raise FormatError(f"cannot use data file {path}", "it is in no date's directory") from error
