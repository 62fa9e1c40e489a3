"""Writing checkpoints of the table's log, when one is due: a persistent format, which ``checkpoints`` decodes.

Any receiver may write one, and there is no lock: two that do it at the same time do work that one could have done, and each
object is right. So that this is rare, each of several receivers lets a part of ``_SPREAD`` more commits pass, which it draws
anew after each checkpoint: the first one to find its number reached writes, and the others see that.

Constraint: every commit and checkpoint that counts is read again, and proved, before it is written down; then what was written
is read back, and must hold the same. A checkpoint leaves out tombstones older than ``keep``: the files that they name are
deleted by then, or are found by a listing. It is the only place where anything leaves the log's memory.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final
from urllib.parse import quote

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from logsink import telemetry
from logsink.archive.chain import digest
from logsink.archive.crowd import committers
from logsink.archive.loading import read_checkpoint
from logsink.archive.log import DeltaLog, table_metadata
from logsink.archive.rounds import QUARANTINE
from logsink.archive.snapshot import (
    ACCEPTED,
    DORMANT,
    HINT,
    LOG,
    LOST,
    DataFile,
    Json,
    Snapshot,
    Tags,
    checkpoint_key,
    commit_key,
)
from logsink.errors import FormatError, NotFound
from logsink.store import Store

_SPREAD: Final = 0.5
"""Share of ``every`` by which the number of commits that a receiver lets pass may be higher, where there are several."""

_WORTH: Final = 1 / 32
"""Bytes of commits that are worth a checkpoint, as a share of the bytes of the last one ..."""

_OLDEST: Final = 600.0
"""... and its age in seconds from which on fewer are."""

_KEPT_BEYOND: Final = 6 * 3600.0
"""Seconds that tombstones outlive the files that they name: hourly clean-up finds by them what it has to delete."""

_PROTOCOL: Final[Json] = {"minReaderVersion": 1, "minWriterVersion": 2}


def tombstones_kept(keep_removed: float) -> float:
    """Return the seconds for which tombstones stay in checkpoints when removed files stay in the store for ``keep_removed``."""
    return max(0.0, keep_removed) + _KEPT_BEYOND


def many_commits(snapshot: Snapshot, every: int, *, draw: float = 0.0) -> bool:
    """Return whether so many commits follow the last checkpoint that another one may be due (``checkpoint_due``)."""
    patience = 1 + _SPREAD * draw if committers(snapshot) > 1 else 1.0
    return snapshot.version - snapshot.checkpoint >= every * patience


async def checkpoint_due(log: DeltaLog, snapshot: Snapshot, every: int, *, draw: float = 0.0) -> bool:
    """Return whether a checkpoint is to be written: ``every`` commits follow the last one, and are worth it or it is old.

    ``draw`` is a number in [0, 1), which spreads the checkpoints of several receivers. So a table of few files is read with at
    most some ``every`` requests, and one of a hundred thousand is not written anew for each few kilobytes.
    """
    if not many_commits(snapshot, every, draw=draw):
        return False
    if snapshot.checkpoint < 0:
        return True
    commits = nbytes = 0
    written = 0.0
    async for entry in log.store.list(LOG, commit_key(snapshot.checkpoint).removesuffix(".json")):
        if entry.key.endswith(".json"):
            commits += entry.size
        elif entry.key == checkpoint_key(snapshot.checkpoint):
            nbytes, written = entry.size, entry.modified
    return commits >= nbytes * _WORTH or await log.now() - written >= _OLDEST


async def checkpoint(log: DeltaLog, every: int, *, keep: float = float("inf"), draw: float = 0.0) -> int:
    """Write a checkpoint when one is due (``checkpoint_due``); return its version, or -1.

    ``keep``: seconds for which it names files that have left the table. Raises ``Damaged`` when the log is damaged: nothing is
    written; ``FormatError`` when the checkpoint does not hold what the commits hold: it is deleted.
    """
    snapshot = await log.load()
    log.refuse_damage(snapshot, "write a checkpoint")
    if not await checkpoint_due(log, snapshot, every, draw=draw):
        return -1
    snapshot = await log.load_anew()  # every commit and checkpoint that counts is read again, and proved
    log.refuse_damage(snapshot, "write a checkpoint")
    if snapshot.version - snapshot.checkpoint < every:
        return -1  # another process has written one meanwhile
    await _set_aside(log)
    since = (await log.now() - keep) * 1000
    kept = {path: deleted for path, deleted in snapshot.tombstones.items() if deleted >= since}
    removed = {path: tags for path, tags in snapshot.removed.items() if path in kept}
    await write_checkpoint(log.store, snapshot._replace(tombstones=kept, removed=removed))
    await _verify(log.store, snapshot)
    telemetry.CHECKPOINTS.inc()
    telemetry.CHECKPOINTED.log(version=snapshot.version)
    return snapshot.version


async def _set_aside(log: DeltaLog) -> None:
    """Move damaged checkpoints to quarantine: logsink read the log without them, but other readers would begin at one."""
    for version, error in list(log.damaged.items()):
        key = checkpoint_key(version)
        with suppress(NotFound):
            body = await log.store.get(key)
            if digest(body) == error.digest:  # otherwise somebody has written a new one
                await log.store.put_absent(QUARANTINE + key, body)
                await log.store.delete([key, HINT])  # the hint, which only saves time, may name it
                telemetry.QUARANTINE.log(key=key, error=error)
        del log.damaged[version]


async def _verify(store: Store, snapshot: Snapshot) -> None:
    """Read the checkpoint of the snapshot's version back and compare. It may have fewer tombstones: old ones are left out."""
    key = checkpoint_key(snapshot.version)
    try:
        written = await asyncio.to_thread(read_checkpoint, await store.get(key), snapshot.version)
        same = _settled(written) == _settled(snapshot)
        same = same and written.tombstones.items() <= snapshot.tombstones.items()
        same = same and written.removed.items() <= snapshot.removed.items()
    except FormatError:
        same = False
    if not same:
        await store.delete([key])
        raise FormatError(f"cannot rely on checkpoint {key}", "it is not what the commits say, and was deleted again")


def _settled(snapshot: Snapshot) -> tuple[object, ...]:
    """Return all that a checkpoint must hold exactly."""
    settled = snapshot.files, snapshot.txn, snapshot.moved, snapshot.lost, snapshot.accepted, snapshot.created
    return *settled, snapshot.dormant


async def write_checkpoint(store: Store, snapshot: Snapshot, *, now: int = 0) -> None:
    """Write the checkpoint of the snapshot's version, in place of one that is there, and the hint that names it.

    ``now``: milliseconds since the epoch, for files, and for lanes whose times are not known.
    """
    now = now or int(time.time() * 1000)
    metadata = snapshot.metadata or table_metadata(store.url, now, snapshot.schema)
    body = await asyncio.to_thread(encode_checkpoint, snapshot, metadata, now)
    await store.put(checkpoint_key(snapshot.version), memoryview(body))
    size = 2 + len(_transactions(snapshot)) + len(snapshot.files) + len(snapshot.tombstones)
    await store.put(HINT, orjson.dumps({"version": snapshot.version, "size": size}))


def encode_checkpoint(snapshot: Snapshot, metadata: Mapping[str, Any], now: int) -> pa.Buffer:
    """Return the table at the snapshot's version as Parquet. ``metadata``: its ``metaData``; ``now``: see ``write_checkpoint``.

    The rows of each action are made a column at a time: 10,000 files with four tags take 110 ms.
    """
    rows = {
        "protocol": pa.array([_PROTOCOL], _TYPES["protocol"]),
        "metaData": pa.array([metadata], _TYPES["metaData"]),
        "txn": _txns(snapshot, now),
        "add": _adds(list(snapshot.files.values()), now),
        "remove": _removes(snapshot),
    }
    total, before, columns = sum(map(len, rows.values())), 0, {}
    for name, those in rows.items():
        after = total - before - len(those)
        columns[name] = pa.chunked_array([pa.nulls(before, those.type), those, pa.nulls(after, those.type)])
        before += len(those)
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink, compression="zstd", row_group_size=total)
    return sink.getvalue()


def _transactions(snapshot: Snapshot) -> Mapping[str, int]:
    """Return the versions of lanes and of what is recorded about lost objects and dormant lanes, by ``appId``."""
    lost = {LOST + key: rows for key, rows in snapshot.lost.items()}
    dormant = {DORMANT + name: newest for name, newest in snapshot.dormant.items()}
    return {**snapshot.txn, **lost, **{ACCEPTED + key: 1 for key in snapshot.accepted}, **dormant}


def _txns(snapshot: Snapshot, now: int) -> pa.StructArray:
    versions = _transactions(snapshot)
    updated = [snapshot.moved.get(app_id, now) for app_id in versions]
    return _struct("txn", [list(versions), list(versions.values()), updated])


def _adds(files: Sequence[DataFile], now: int) -> pa.StructArray:
    columns: list[Iterable[object]] = [
        [quote(file.path, safe="/=") for file in files],
        [[("date", file.date.isoformat())] for file in files],
        [file.size for file in files],
        [now] * len(files),
        [False] * len(files),
        [file.statistics for file in files],
        [file.tags or None for file in files],
    ]
    return _struct("add", columns)


def _removes(snapshot: Snapshot) -> pa.StructArray:
    none: Tags = ()
    columns: list[Iterable[object]] = [
        [quote(path, safe="/=") for path in snapshot.tombstones],
        snapshot.tombstones.values(),
        [False] * len(snapshot.tombstones),
        [snapshot.removed.get(path, none) or None for path in snapshot.tombstones],
    ]
    return _struct("remove", columns)


def _struct(name: str, columns: Sequence[Iterable[object]]) -> pa.StructArray:
    fields = list(_TYPES[name])
    arrays = [pa.array(list(column), field.type) for column, field in zip(columns, fields, strict=True)]
    return pa.StructArray.from_arrays(arrays, fields=fields)


_STRINGS = pa.map_(pa.string(), pa.string())
_TYPES: Final = {
    "protocol": pa.struct([("minReaderVersion", pa.int32()), ("minWriterVersion", pa.int32())]),
    "metaData": pa.struct(
        [
            ("id", pa.string()),
            ("name", pa.string()),
            ("description", pa.string()),
            ("format", pa.struct([("provider", pa.string()), ("options", _STRINGS)])),
            ("schemaString", pa.string()),
            ("partitionColumns", pa.list_(pa.string())),
            ("configuration", _STRINGS),
            ("createdTime", pa.int64()),
        ]
    ),
    "txn": pa.struct([("appId", pa.string()), ("version", pa.int64()), ("lastUpdated", pa.int64())]),
    "add": pa.struct(
        [
            ("path", pa.string()),
            ("partitionValues", _STRINGS),
            ("size", pa.int64()),
            ("modificationTime", pa.int64()),
            ("dataChange", pa.bool_()),
            ("stats", pa.string()),
            ("tags", _STRINGS),
        ]
    ),
    "remove": pa.struct(
        [("path", pa.string()), ("deletionTimestamp", pa.int64()), ("dataChange", pa.bool_()), ("tags", _STRINGS)]
    ),
}
"""The actions that a checkpoint has, a column each, by the Delta transaction log protocol."""
