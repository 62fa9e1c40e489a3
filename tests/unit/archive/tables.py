"""A store whose calls take turns and may fail, and small tables to put into it."""

from __future__ import annotations

import asyncio
import datetime
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from logsink.archive.file import NewFile, write_files
from logsink.archive.log import Add, DeltaLog, Txn
from logsink.archive.snapshot import DataFile, Snapshot, commit_key
from logsink.errors import NotFound
from logsink.journal.reader import list_segments, read_segment
from logsink.journal.segment import Segment, SegmentName, encode_segment
from logsink.parse import Frames, Origin, Settings
from logsink.store.base import Store
from logsink.store.memory import MemoryStore
from tests.support.faulty import Fate, FaultyStore, Pass, Schedule, seeded
from tests.unit.archive.rows import TableRows, row


def rough(seed: int = 0, **shares: float) -> FaultyStore:
    """A store whose calls give way to other tasks at random, and fail as ``shares`` say (``faulty.seeded``)."""
    return FaultyStore(MemoryStore(), seeded(seed, turns=4, **({"slow": 0.7} | shares)))


def once(verb: str, key: str, fate: Fate) -> Schedule:
    """``fate`` for the first such call, and nothing special afterwards."""
    left = [fate]
    return lambda call: left.pop() if left and (call.verb, call.key) == (verb, key) else Pass()


class Clock:
    """A monotonic clock that moves when told to, and a sleep that only gives way."""

    def __init__(self) -> None:
        self.time = 1000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await asyncio.sleep(0)


async def until(happened: Callable[[], Awaitable[bool]]) -> None:
    """Let other tasks run until something has happened; fail when it never does."""
    async with asyncio.timeout(30):
        while not await happened():  # noqa: ASYNC110  what happens is anything, so there is no event to wait for
            await asyncio.sleep(0)


def log_of(store: Store, clock: Clock | None = None, *, wall: Callable[[], float] = time.time) -> DeltaLog:
    """A log that never really waits."""
    clock = clock or Clock()
    return DeltaLog(store, monotonic=clock, wall=wall, sleep=clock.sleep, jitter=lambda: 0.5)


def data_file(name: str, rows: int = 1, day: int = 22) -> DataFile:
    date = datetime.date(2026, 11, day)
    return DataFile(f"date={date}/{name}.parquet", date, 10 * rows, orjson.dumps({"numRecords": rows}).decode())


def add(name: str, rows: int = 1) -> Add:
    return Add(data_file(name, rows))


async def foreign(store: Store, version: int, *actions: dict[str, object]) -> None:
    """A commit as logsink 0.2 would write it, without a seal."""
    members = ("timestamp", "operation", "operationParameters", "isBlindAppend", "txnId")
    info = dict.fromkeys(members, "TEST") | {"engineInfo": "logsink/0.2.0"}
    lines: list[dict[str, object]] = [{"commitInfo": info}, *actions]
    assert await store.put_absent(commit_key(version), b"\n".join(map(orjson.dumps, lines)))


async def fresh(store: Store) -> Snapshot:
    """The table as somebody sees it who has never looked before."""
    return await log_of(store).load()


async def put_file(
    store: Store,
    name: str,
    lanes: dict[str, tuple[int, int]],
    rows: Sequence[dict[str, Any]] = (),
) -> DataFile:
    """A data file that the commit of these lanes would add; it is stored and not committed."""
    source = TableRows(rows or [row(time=MIDNIGHT, received=MIDNIGHT, host=name)])
    (new,) = write_files(source, lanes, "r", name)
    await store.put(new.file.key, memoryview(new.body))
    return new.file


def as_by_an_older_version(new: NewFile) -> bytes:
    """The same rows in a file without a proof."""
    table, said = pq.read_table(pa.BufferReader(new.body)), pq.read_metadata(pa.BufferReader(new.body)).metadata
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(
        sink, table.schema, use_dictionary=False, write_page_checksum=True, store_schema=False
    ) as writer:
        writer.write_table(table)
        older = (b"logsink.format", b"logsink.runs", b"logsink.lanes", b"logsink.inputs")
        writer.add_key_value_metadata({name: value for name, value in said.items() if name in older})
    return bytes(sink.getvalue().to_pybytes())


def rows_of(lane: int, count: int = 5, at: int = 0) -> list[dict[str, Any]]:
    """Rows that came in at ``at`` (microseconds since the epoch; MIDNIGHT) and the microseconds after."""
    at = at or MIDNIGHT
    return [
        row(time=at + 10 * k + lane, received=at + k, host=f"h{k % 2}", message=f"m{lane}.{k}", app="a")
        for k in range(count)
    ]


async def table_of(store: Store, lanes: int = 3, at: int = 0, *, tagged: bool = True) -> list[DataFile]:
    """A table of one file for each lane, committed one after the other; the table was made yesterday.

    Not ``tagged``: as older versions did it.
    """
    await log_of(store, wall=lambda: time.time() - 86_400).create()
    log = log_of(store)
    files = []
    for lane in range(lanes):
        (new,) = write_files(TableRows(rows_of(lane, at=at)), {f"r.{lane}": (1, 1)}, "r", f"{lane}")
        body = new.body.to_pybytes() if tagged else as_by_an_older_version(new)
        file = new.file if tagged else new.file._replace(size=len(body), packed="")
        await store.put(file.key, body)
        files.append(file)
        await log.commit(await log.load(), [Add(files[-1]), Txn(f"r.{lane}", 1)])
    return files


# --- segments

MIDNIGHT = 1_795_305_600_000_000
"""2026-11-22T00:00:00Z, microseconds since the epoch."""


DEFAULTS = Settings()


class Limits(NamedTuple):
    """Section [archive] (and [maintain]) of a configuration."""

    max_bytes: int = 1 << 20
    max_segments: int = 100
    max_age: float = 60.0
    every: float = 60.0
    orphan_after: float = 300.0
    checkpoint_every: int = 50
    compact_after: float = 3600.0
    target_file: int = 128 << 20
    retention: float | None = None
    keep_removed: float = 86_400.0
    index: bool = True  # type: ignore[assignment]


def segment(
    name: SegmentName, messages: Iterable[str], *, received: int = MIDNIGHT, settings: Settings = DEFAULTS
) -> Segment:
    """One read of RFC 5424 frames with these messages."""
    lines = [f"<13>1 2026-11-22T00:00:00.000001Z web nginx - - - {message}".encode() for message in messages]
    n = len(lines)
    frames = Frames(
        np.frombuffer(b"".join(lines), np.uint8),
        np.cumsum([0, *map(len, lines)]).astype(np.int32),
        np.zeros(n, np.int32),
        np.full(n, received, np.int64),
        np.zeros(n, np.int32),
        (Origin("10.0.0.1", None, "tcp"),),
    )
    return Segment(name, settings, frames)


async def store_segment(store: Store, one: Segment) -> Segment:
    await store.put_absent(one.name.key, memoryview(encode_segment(one)))
    return one


async def journal(store: Store) -> list[SegmentName]:
    return [one.name for one in await list_segments(store)]


async def archived(store: Store) -> list[str]:
    """The messages of all rows in the table, sorted."""
    return sorted(await _messages(store, await fresh(store)))


async def visible(store: Store) -> list[str]:
    """The messages that a query shows, sorted: journal listed first, then one snapshot, then what it does not cover."""
    while True:
        names, snapshot = await journal(store), await fresh(store)
        try:
            tail = [await read_segment(store, name) for name in names if not snapshot.covers(name)]
            found = await _messages(store, snapshot)
        except NotFound:
            continue
        for one in tail:
            data, offsets = one.frames.data.tobytes(), one.frames.offsets.tolist()
            found += [data[a:b].rpartition(b" ")[2].decode() for a, b in pairwise(offsets)]
        return sorted(found)


async def _messages(store: Store, snapshot: Snapshot) -> list[str]:
    return [message for file in snapshot.files.values() for message in await messages_of(store, file)]


async def messages_of(store: Store, file: DataFile) -> list[str]:
    """The messages of the rows in one file."""
    body = await store.get(file.key)
    table = pq.read_table(pa.BufferReader(body))
    assert (len(table), len(body)) == (file.rows, file.size)
    return table["message"].to_pylist()
