"""Rebuilding the table's log: a version that holds a table which was found out otherwise, and begins the log anew.

Layout: a commit of the operation ``REBUILD``, at the version after the last one that anybody has seen, and a checkpoint of the
same version; each holds the whole table. Whoever reads the log begins there; what is older is superseded and stays. logsink
begins there even where the checkpoint is lost, because the commit's seal says ``rebuilt`` (``chain``).

Constraint: nothing is replaced, so every other writer is kept out or turned back as by any commit. A commit that was planned
before and lands later is superseded, or meets this one, which holds protocol and metadata and so contradicts every other.

Write path: the commit first, which claims the version, then the checkpoint, then the hint. Killed in between, the log is as
damaged as before, and the next repair takes the version after it.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple
from urllib.parse import quote

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from logsink import __version__
from logsink.archive.chain import seal
from logsink.archive.fold import Fold
from logsink.archive.log import table_metadata
from logsink.archive.snapshot import ACCEPTED, HINT, LOST, DataFile, Json, Snapshot, checkpoint_key, commit_key
from logsink.errors import Conflict
from logsink.store import Store

OPERATION: Final = "REBUILD"
"""``commitInfo.operation`` of a commit with which the log begins anew."""


Tags = tuple[tuple[str, str], ...]


class Table(NamedTuple):
    """A whole table, as ``Snapshot`` has it."""

    files: Mapping[str, DataFile]
    txn: Mapping[str, int]
    tombstones: Mapping[str, int]
    lost: Mapping[str, int]
    accepted: frozenset[str]
    removed: Mapping[str, Tags] = MappingProxyType({})
    schema: str = ""


async def rebuild(store: Store, last: int, table: Table, *, store_id: str, now: float) -> int:
    """Begin the log anew with ``table``, at the version after ``last``, and return that version.

    ``last`` is the last version that is there or that anything names. ``now``: seconds since the epoch. Raises ``Conflict``
    when somebody has written that version: plan again. Cancelling is safe.
    """
    version, milliseconds = last + 1, int(now * 1000)
    metadata = table_metadata(store.url, milliseconds, table.schema)
    protocol = {"minReaderVersion": 1, "minWriterVersion": 2}
    info = {
        "timestamp": milliseconds,
        "operation": OPERATION,
        "engineInfo": f"logsink/{__version__}",
        "txnId": str(uuid.uuid4()),
    }
    txns = _txns(table, milliseconds)
    lines: list[Json] = [{"commitInfo": info}, {"protocol": protocol}, {"metaData": metadata}]
    lines += [{"txn": txn} for txn in txns]
    lines += [{"remove": remove} for remove in _removes(table)]
    lines += [{"add": _add(file, milliseconds)} for file in table.files.values()]
    state = Fold(Snapshot()).state_after(lines)
    if not await store.put_absent(
        commit_key(version), seal(lines, version=version, store=store_id, previous="", state=state, rebuilt=True)
    ):
        raise Conflict(f"cannot rebuild the table's log: another process has written version {version}")
    snapshot = Snapshot(version=version, **table._asdict())
    await write_checkpoint(store, snapshot, protocol, metadata, now=milliseconds)
    return version


async def write_checkpoint(
    store: Store, snapshot: Snapshot, protocol: Json | None = None, metadata: Json | None = None, *, now: int = 0
) -> None:
    """Write the checkpoint of the snapshot's version, in place of one that is there, and the hint that names it.

    ``now``: milliseconds since the epoch, for files and lanes whose times are not known.
    """
    now = now or int(time.time() * 1000)
    table = Table(snapshot.files, snapshot.txn, snapshot.tombstones, snapshot.lost, snapshot.accepted, snapshot.removed)
    rows: list[Json] = [
        {"protocol": protocol or {"minReaderVersion": 1, "minWriterVersion": 2}},
        {"metaData": metadata or table_metadata(store.url, now, snapshot.schema)},
        *({"txn": txn} for txn in _txns(table, now, snapshot.moved)),
        *({"add": _add(file, now)} for file in table.files.values()),
        *({"remove": remove} for remove in _removes(table)),
    ]
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(rows, schema=_SCHEMA), sink, compression="snappy")
    body = sink.getvalue()
    await store.put(checkpoint_key(snapshot.version), memoryview(body))
    await store.put(HINT, orjson.dumps({"version": snapshot.version, "size": len(rows)}))


def _txns(table: Table, now: int, moved: Mapping[str, int] | None = None) -> list[Json]:
    versions = {
        **table.txn,
        **{LOST + key: rows for key, rows in table.lost.items()},
        **{ACCEPTED + key: 1 for key in table.accepted},
    }
    return [
        {"appId": app_id, "version": version, "lastUpdated": (moved or {}).get(app_id, now)}
        for app_id, version in versions.items()
    ]


def _add(file: DataFile, now: int) -> Json:
    return {
        "path": quote(file.path, safe="/="),
        "partitionValues": {"date": file.date.isoformat()},
        "size": file.size,
        "modificationTime": now,
        "dataChange": True,
        "stats": file.statistics,
        "tags": dict(file.tags) or None,
    }


def _removes(table: Table) -> list[Json]:
    return [
        {
            "path": quote(path, safe="/="),
            "deletionTimestamp": deleted,
            "dataChange": True,
            "tags": dict(table.removed.get(path, ())) or None,
        }
        for path, deleted in table.tombstones.items()
    ]


_STRINGS = pa.map_(pa.string(), pa.string())
_SCHEMA = pa.schema(
    [
        pa.field("protocol", pa.struct([("minReaderVersion", pa.int32()), ("minWriterVersion", pa.int32())])),
        pa.field(
            "metaData",
            pa.struct(
                [
                    ("id", pa.string()),
                    ("format", pa.struct([("provider", pa.string()), ("options", _STRINGS)])),
                    ("schemaString", pa.string()),
                    ("partitionColumns", pa.list_(pa.string())),
                    ("configuration", _STRINGS),
                    ("createdTime", pa.int64()),
                ]
            ),
        ),
        pa.field("txn", pa.struct([("appId", pa.string()), ("version", pa.int64()), ("lastUpdated", pa.int64())])),
        pa.field(
            "add",
            pa.struct(
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
        ),
        pa.field(
            "remove",
            pa.struct(
                [
                    ("path", pa.string()),
                    ("deletionTimestamp", pa.int64()),
                    ("dataChange", pa.bool_()),
                    ("tags", _STRINGS),
                ]
            ),
        ),
    ]
)
"""The columns of a checkpoint, by the Delta transaction log protocol."""
