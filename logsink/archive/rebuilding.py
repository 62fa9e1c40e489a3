"""Rebuilding the table's log: a version that holds a table which was found out otherwise, and begins the log anew.

Layout: a commit of the operation ``REBUILD``, at the version after the last one that anybody has seen, and a checkpoint of the
same version; each holds the whole table. Whoever reads the log begins there; what is older is superseded and stays. logsink
begins there even where the checkpoint is lost, because the commit's seal says ``rebuilt`` (``chain``).

Constraint: nothing is replaced, so every other writer is kept out or turned back as by any commit. A commit that was planned
before and lands later is superseded, or meets this one, which holds protocol and metadata and so contradicts every other. One
that lands first is taken in where its seal proves that it follows from the very table that is to be written; receivers commit
faster than a large store is verified.

Write path: the commit first, which claims the version, then the checkpoint, then the hint. Killed in between, the log is as
damaged as before, and the next repair takes the version after it.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple
from urllib.parse import quote

from logsink import __version__
from logsink.archive.chain import check, parse, seal
from logsink.archive.checkpointing import write_checkpoint
from logsink.archive.fold import Fold
from logsink.archive.log import table_metadata
from logsink.archive.snapshot import ACCEPTED, DORMANT, LOST, DataFile, Json, Snapshot, commit_key
from logsink.errors import Conflict
from logsink.store import Store

OPERATION: Final = "REBUILD"
"""``commitInfo.operation`` of a commit with which the log begins anew."""

_MEANWHILE: Final = 50
"""Most commits of others that are taken in."""

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
    dormant: Mapping[str, int] = MappingProxyType({})


async def rebuild(store: Store, last: int, table: Table, *, store_id: str, now: float) -> int:
    """Begin the log anew with ``table``, at the version after ``last``, and return that version.

    ``last`` is the last version that is there or that anything names. ``now``: seconds since the epoch. A commit that somebody
    else has made meanwhile is taken in where it follows from ``table``; otherwise ``Conflict`` is raised: plan again.
    Cancelling is safe.
    """
    for version in range(last + 1, last + 1 + _MEANWHILE):
        if await _write(store, version, table, store_id, int(now * 1000)):
            return version
        table = _after(table, version, await store.get(commit_key(version)))
    raise Conflict(f"cannot rebuild the table's log: others have written {_MEANWHILE} versions meanwhile")


async def _write(store: Store, version: int, table: Table, store_id: str, milliseconds: int) -> bool:
    """Write ``table`` as this version; return whether nobody else has written it."""
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
        return False
    snapshot = Snapshot(version=version, metadata=metadata, **table._asdict())
    await write_checkpoint(store, snapshot, now=milliseconds)
    return True


def _after(table: Table, version: int, commit: bytes) -> Table:
    """Return the table after a commit whose seal says that it follows from just this one. ``Conflict`` for any other."""
    fold = Fold(Snapshot(version=version - 1, sealed=True, **table._asdict()))
    fold.commit(version, commit)
    followed = not fold.damage and check(commit, actions := parse(commit), version, sealed=True) is not None
    if not followed or any("metaData" in action for action in actions):  # it began the log anew, or changed the table
        raise Conflict(f"cannot rebuild the table's log: another process has written version {version}")
    found = fold.snapshot(version, -1, 0.0)
    return Table(*(getattr(found, name) for name in Table._fields))


def _txns(table: Table, now: int) -> list[Json]:
    versions = {
        **table.txn,
        **{LOST + key: rows for key, rows in table.lost.items()},
        **{ACCEPTED + key: 1 for key in table.accepted},
        **{DORMANT + name: newest for name, newest in table.dormant.items()},
    }
    return [{"appId": app_id, "version": version, "lastUpdated": now} for app_id, version in versions.items()]


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
