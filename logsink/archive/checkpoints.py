"""Checkpoints of the table's log, decoded: one part holds some of a version's live files, tombstones, txns, and what it is.

A checkpoint may hold a hundred thousand files, and each load reads one, so its columns are decoded as a whole: 10,000 files
with four tags each take 32 ms, of which 9 are for their digest; one by one they took 135.
"""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from logsink.archive.chain import MODULUS
from logsink.archive.snapshot import DataFile, Json
from logsink.errors import FormatError

_COLUMNS = [
    "add.path",
    "add.partitionValues",
    "add.size",
    "add.stats",
    "add.tags",
    "remove.path",
    "remove.deletionTimestamp",
    "remove.tags",
    "txn.appId",
    "txn.version",
    "txn.lastUpdated",
    "protocol",
    "metaData",
]


class Part(NamedTuple):
    """What one part of a checkpoint holds; ``removed``, ``txns``, ``protocols`` and ``metadata`` as rows of the log.

    ``digest``: the sum of the files' digests (``chain.State``).
    """

    files: Mapping[str, DataFile]
    digest: int
    removed: Sequence[Json]
    txns: Sequence[Json]
    protocols: Sequence[Json]
    metadata: Sequence[Json]


def decode_checkpoint(body: bytes) -> Part:
    """Return what one part holds. ``FormatError`` for a file that makes no sense; for bytes that cannot be decoded also
    ``pa.ArrowException``, ``KeyError``, ``TypeError``, ``ValueError``, ``OSError``.
    """
    # Threads take three times the CPU, for a few milliseconds.
    table = pq.ParquetFile(pa.BufferReader(body)).read(columns=_COLUMNS, use_threads=False).combine_chunks()
    files, digest = _files(_rows(table, "add"))
    metadata = [_described(row) for row in _rows(table, "metaData").to_pylist()]
    removed = _rows(table, "remove").to_pylist()
    for row in removed:
        row["tags"] = dict(row.get("tags") or ())
    return Part(files, digest, removed, _rows(table, "txn").to_pylist(), _rows(table, "protocol").to_pylist(), metadata)


def _described(row: Json) -> Json:
    """Return ``metaData`` as a commit has it: maps as objects, and without members that are null."""
    described = {name: value for name, value in row.items() if value is not None}
    described["configuration"] = dict(row.get("configuration") or ())
    if row.get("format"):
        described["format"] = row["format"] | {"options": dict(row["format"].get("options") or ())}
    return described


def _rows(table: pa.Table, name: str) -> pa.StructArray:
    """Return the rows that hold the action ``name``."""
    if name not in table.column_names:
        return pa.array([], pa.struct([]))
    column = table.column(name)
    return pa.concat_arrays(column.drop_null().chunks) if column.num_chunks else pa.array([], column.type)


def _files(add: pa.StructArray) -> tuple[Mapping[str, DataFile], int]:
    """Return the files by path, and their digest."""
    if not len(add):
        return {}, 0
    paths = add.field("path").to_pylist()
    if any("%" in path for path in paths):
        paths = [unquote(path) for path in paths]
    days = _days(add.field("partitionValues"))
    dates: dict[str, datetime.date] = {}
    for day in pc.unique(days).to_pylist():
        try:
            dates[day] = datetime.date.fromisoformat(day or "")
        except ValueError:
            raise FormatError("cannot read the table", f"a data file has no date, but {day!r}") from None
    for path in paths:
        if "://" in path or path.startswith("/"):
            raise FormatError("cannot read the table", f"data file {path} is outside of it")
    if add.field("size").null_count:
        raise FormatError("cannot read the table", "a data file has no size")
    size, stats, tags = add.field("size"), _statistics(add), _tags(add)
    columns = ((dates[day] for day in days.to_pylist()), size.to_pylist(), stats.to_pylist())
    files = map(DataFile, paths, *columns, tags.fill_null("").to_pylist())
    digest = _digest([pa.array(paths), size.cast(pa.string()), days, stats, tags])
    return dict(zip(paths, files, strict=True)), digest


def _days(values: pa.MapArray) -> pa.StringArray:
    """Return the value of partition column ``date`` of each file."""
    if len(values.items) == len(values) and pc.unique(values.keys).to_pylist() == ["date"]:
        return values.items  # nearly always; to look each one up takes ten times as long
    return pc.map_lookup(values, pa.scalar("date"), "first")


def _statistics(add: pa.StructArray) -> pa.StringArray:
    if add.type.get_field_index("stats") < 0:
        return pa.array(["{}"] * len(add))
    stats = add.field("stats").fill_null("")
    return pc.if_else(pc.equal(stats, ""), "{}", stats)


def _tags(add: pa.StructArray) -> pa.StringArray:
    """Return each file's tags as ``DataFile.packed`` has them; null where there are none."""
    column = add.field("tags") if add.type.get_field_index("tags") >= 0 else None
    if column is None or not len(column.items):
        return pa.nulls(len(add), pa.string())
    offsets = column.offsets.to_numpy()
    held = slice(int(offsets[0]), int(offsets[-1]))
    offsets, counts = offsets - offsets[0], np.diff(offsets)
    names = pc.dictionary_encode(column.keys[held])
    spelled = np.array(names.dictionary.to_pylist(), dtype=object)
    ranks = np.empty(len(spelled), np.int64)
    ranks[np.argsort(spelled, kind="stable")] = np.arange(len(spelled))
    key = np.repeat(np.arange(len(add)), counts) * len(spelled) + ranks[names.indices.to_numpy()]
    order = pa.array(np.argsort(key, kind="stable"))  # within each file by name: deltalake writes them in any order
    keys, items = column.keys[held].take(order), column.items[held].take(order)
    texts = pa.ListArray.from_arrays(
        pa.array(offsets, pa.int32()), pc.binary_join_element_wise(keys, items, "\0", null_handling="replace")
    )
    return pc.if_else(pa.array(counts > 0), pc.binary_join(texts, "\0"), None)


def _digest(columns: Sequence[Any]) -> int:
    """Return the sum of the SHA-256 of each file's text, as ``chain.State`` has it. No text of ``columns`` has a zero byte."""
    texts = pc.binary_join_element_wise("add", *columns, "", "\0", null_handling="skip")
    texts = texts.combine_chunks() if isinstance(texts, pa.ChunkedArray) else texts
    sha256 = hashlib.sha256
    joined = pc.cast(texts, pa.large_binary())
    offsets = np.frombuffer(joined.buffers()[1], np.int64)[joined.offset : joined.offset + len(joined) + 1].tolist()
    data = memoryview(joined.buffers()[2])
    hashes = b"".join([sha256(data[a:b]).digest() for a, b in pairwise(offsets)])
    words = np.frombuffer(hashes, ">u4").reshape(-1, 8).sum(axis=0, dtype=np.uint64).tolist()
    total = sum(int(word) << 32 * (7 - place) for place, word in enumerate(words))
    return total % MODULUS
