"""Small archives with any rows in them, and what a query of them must give, found by looking at every row.

Frames in segments are the row as JSON (``json_parse`` takes the parser's place), so that rows need not be parseable.
"""

from __future__ import annotations

import asyncio
import datetime
import fnmatch
import io
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from logsink.archive.log import Add, DeltaLog, Remove, Txn
from logsink.archive.snapshot import DataFile
from logsink.journal.segment import Segment, SegmentName, encode_segment
from logsink.parse import CODED_COLUMNS, FILE_SCHEMA, Frames, Origin, Settings
from logsink.query.columns import as_rows
from logsink.store.base import Store
from logsink.store.memory import MemoryStore

Row = dict[str, Any]

START = 1_795_305_600_000_000
"""2026-11-22T00:00:00Z in microseconds."""


def row(time: int = 0, **values: Any) -> Row:
    """A row whose ``time`` (and ``received``) is so many microseconds after ``START``."""
    return {"time": START + time, "received": START + time, "receiver": "r1", "nth": 0, "message": "hello"} | values


def table(rows: Sequence[Row]) -> pa.Table:
    """The rows in the schema of a data file."""
    columns = [pa.array([r.get(f.name) for r in rows], _plain(f.type)).cast(f.type) for f in FILE_SCHEMA]
    return pa.table(columns, schema=FILE_SCHEMA)


def rows_of(tables: Sequence[pa.Table]) -> list[Row]:
    """Found tables as rows: nulls left out, instants as numbers."""
    found = []
    for part in tables:
        plain = pa.table({n: part.column(n).cast(_plain(FILE_SCHEMA.field(n).type)) for n in part.column_names})
        found += [{k: v for k, v in r.items() if v is not None} for r in plain.to_pylist()]
    return found


def parquet(rows: Sequence[Row], group: int = 1 << 16, **metadata: str) -> bytes:
    """A data file of these rows, in this order."""
    sink = io.BytesIO()
    options: dict[str, Any] = {"compression": "zstd", "write_page_checksum": True, "store_schema": False}
    with pq.ParquetWriter(sink, FILE_SCHEMA, use_dictionary=list(CODED_COLUMNS), **options) as writer:
        writer.write_table(table(rows), group)
        writer.add_key_value_metadata({"logsink.format": "1"} | metadata)
    return sink.getvalue()


def statistics(rows: Sequence[Row]) -> str:
    """What the table's log says of a file of these rows."""
    low, high, nulls = {}, {}, {}
    for name in ("time", "received", "app", "host", "severity"):
        values = [r[name] for r in rows if r.get(name) is not None]
        nulls[name] = len(rows) - len(values)
        if values:
            low[name], high[name] = (_logged(name, value) for value in (min(values), max(values)))
    return orjson.dumps({"numRecords": len(rows), "minValues": low, "maxValues": high, "nullCount": nulls}).decode()


async def archive(
    store: Store, files: Sequence[Sequence[Row]], *, group: int = 1 << 16, txn: Sequence[Txn] = ()
) -> None:
    """Make the table if there is none, and commit one data file for each of ``files``."""
    log, actions = DeltaLog(store), []
    snapshot = await log.create()
    for number, rows in enumerate(files):
        body = parquet(rows, group)
        day = datetime.date(2026, 11, 22)
        file = DataFile(f"date={day}/{len(snapshot.files)}-{number}.parquet", day, len(body), statistics(rows))
        await store.put(file.key, body)
        actions.append(Add(file))
    await log.commit(snapshot, [*actions, *txn])


async def compact(store: Store, files: Sequence[Sequence[Row]], *, group: int = 1 << 16) -> None:
    """Replace all data files by one for each of ``files``, and delete the old ones."""
    log = DeltaLog(store)
    old = list((await log.load()).files.values())
    await archive(store, files, group=group)
    await log.commit(await log.load(), [Remove(file, False) for file in old])
    await store.delete([file.key for file in old])


async def journal(store: Store, name: SegmentName, rows: Sequence[Row]) -> None:
    """Store a segment of frames that ``json_parse`` turns into these rows."""
    await store.put(name.key, encode_segment(Segment(name, Settings(), frames([orjson.dumps(r) for r in rows]))))


def frames(bodies: Sequence[bytes], received: Sequence[int] | None = None) -> Frames:
    """These frames, each of a read of its own unless ``received`` says otherwise."""
    n = len(bodies)
    return Frames(
        np.frombuffer(b"".join(bodies), np.uint8),
        np.cumsum([0, *map(len, bodies)]).astype(np.int32),
        np.zeros(n, np.int32),
        START + np.arange(n) if received is None else np.array(received, np.int64),
        np.zeros(n, np.int32),
        (Origin("10.0.0.1", None, "tcp"),),
    )


class Meddled(MemoryStore):
    """Calls ``before(key)`` before each read."""

    def __init__(self) -> None:
        super().__init__()
        self.before: Callable[[str], object] = lambda key: None
        self.reads: list[str] = []

    async def get(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        self.reads.append(key)
        meddling = self.before(key)
        if asyncio.iscoroutine(meddling):
            await meddling
        return await super().get(key, start, end)


class JsonRows:
    """Stands for ``parse.Rows``."""

    def __init__(self, found: Frames) -> None:
        data, ends = bytes(found.data), found.offsets.tolist()
        self.rows = [orjson.loads(data[a:b]) for a, b in pairwise(ends)]

    def table(self) -> pa.Table:
        return as_rows(table(self.rows), FILE_SCHEMA.names)


def json_parse(found: Frames, settings: Settings, receiver: str) -> JsonRows:
    """Stands for ``parse.parse``."""
    return JsonRows(found)


def expected(
    rows: Sequence[Row], *, limit: int | None = None, reverse: bool = False, sort: str = "time", **wanted: Any
) -> list[Row]:
    """What a query must find among ``rows``, and in which order."""
    found = sorted((r for r in rows if meets(r, **wanted)), key=place if sort == "time" else arrival)
    found = found if limit is None else found[len(found) - min(limit, len(found)) :]
    return [{k: v for k, v in r.items() if v is not None} for r in (found[::-1] if reverse else found)]


def meets(
    row: Row,
    *,
    since: int | None = None,
    until: int | None = None,
    severity: tuple[int, int] | None = None,
    host: Sequence[str] = (),
    patterns: Sequence[str] = (),
    ignore_case: bool = False,
) -> bool:
    """Whether one row is wanted."""
    if (since is not None and row["time"] < since) or (until is not None and row["time"] >= until):
        return False
    level = row.get("severity")
    if severity is not None and (level is None or not severity[0] <= level <= severity[1]):
        return False
    if host and (row.get("host") is None or not any(fnmatch.fnmatchcase(row["host"], glob) for glob in host)):
        return False
    message = row.get("message")
    if not patterns:
        return True
    if message is None:
        return False
    if ignore_case:
        return any(p.lower() in message.lower() for p in patterns)
    return any(p in message for p in patterns)


def place(row: Row) -> tuple[Any, ...]:
    """The order of rows; nulls first."""
    key = [row.get(name) for name in ("time", "received", "receiver", "nth")]
    return tuple((value is not None, 0 if value is None else value) for value in key)


def arrival(row: Row) -> tuple[Any, ...]:
    """The order of rows by when they were received; nulls first."""
    key = [row.get(name) for name in ("received", "time", "receiver", "nth")]
    return tuple((value is not None, 0 if value is None else value) for value in key)


def _plain(kind: pa.DataType) -> pa.DataType:
    return pa.int64() if pa.types.is_timestamp(kind) else kind


def _logged(name: str, value: Any) -> Any:
    if name not in ("time", "received"):
        return value
    return str(np.datetime64(value, "us")).ljust(19, "0") + (
        "Z" if "." in str(np.datetime64(value, "us")) else ".000000Z"
    )
