"""The table's log: snapshots out, commits in. A commit is one put-if-absent of the next version's JSON, made by us.

The law of a commit. It is planned from **one** snapshot and lands right after the last version anybody wrote: there is never
a gap. On its way it looks at every version after that snapshot; one that moved a lane it covers, took away a file it takes
away, or changed the table's protocol or metadata was planned from the same state, so only one of the two may count, and the
earlier does. It carries an id of its own (``commitInfo.txnId``), by which it knows itself again when a reply was lost.

What a failed commit leaves behind is known only after ``Conflict`` (it is not in the table and never will be). After any
other error, or when cancelled, it may be there or may still land: load a fresh snapshot, look, and never delete its files.
"""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple
from urllib.parse import quote, unquote

import orjson

from logsink import __version__
from logsink.archive.snapshot import LOG, ROOT, DataFile, Json, Snapshot, commit_key, load, parse_commit, schema_fields
from logsink.errors import Conflict, FormatError, NotFound, Unavailable
from logsink.parse import STATISTICS_COLUMNS
from logsink.store import Store

MAX_AGE = 3600.0
"""Seconds after which a snapshot is not committed on: versions after it may have been cleaned away meanwhile."""

CONFIGURATION = {
    "delta.checkpointInterval": "1000000",  # whoever maintains the store makes them; nobody else's writer should
    "delta.logRetentionDuration": "interval 30 days",
    "delta.dataSkippingStatsColumns": ",".join(STATISTICS_COLUMNS),
}

_TRIES = 100
"""Collisions with other writers before a commit gives up; each of them means that somebody else got through."""

_TROUBLES = 5
"""Store errors before a commit gives up; whoever called backs off for longer and plans again."""


class Add(NamedTuple):
    """A new data file; ``data_change`` is False when its rows were in the table already (compaction)."""

    file: DataFile
    data_change: bool = True

    def line(self, now: int) -> Json:
        return {
            "path": _encoded(self.file.path),
            "partitionValues": {"date": self.file.date.isoformat()},
            "size": self.file.size,
            "modificationTime": now,
            "dataChange": self.data_change,
            "stats": self.file.statistics,
        }


class Remove(NamedTuple):
    """A live file leaves the table; ``data_change`` is False when its rows stay in it (compaction)."""

    file: DataFile
    data_change: bool

    def line(self, now: int) -> Json:
        return {
            "path": _encoded(self.file.path),
            "deletionTimestamp": now,
            "dataChange": self.data_change,
            "extendedFileMetadata": True,
            "partitionValues": {"date": self.file.date.isoformat()},
            "size": self.file.size,
        }


class Txn(NamedTuple):
    """The rows of lane ``app_id`` up to sequence ``version`` are in the table, with the files of the same commit."""

    app_id: str
    version: int

    def line(self, now: int) -> Json:
        return {"appId": self.app_id, "version": self.version, "lastUpdated": now}


Action = Add | Remove | Txn
_NAMES = {Add: "add", Remove: "remove", Txn: "txn"}


class DeltaLog:
    """The log of the table in ``store``. Safe for concurrent use by tasks of one event loop.

    The clocks, ``sleep`` (seconds) and ``jitter`` (a number in [0, 1)) are given by tests.
    """

    def __init__(
        self,
        store: Store,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.store = store
        self.monotonic = monotonic
        self._wall = wall
        self._sleep = sleep
        self._jitter = jitter
        self.damaged: dict[int, FormatError] = {}
        """Versions of checkpoints that cannot be read, and why; the snapshots are right without them."""
        self._known: Snapshot | None = None

    async def load(self) -> Snapshot:
        """The table as it is now: the log is listed by this call. ``FormatError`` when this version cannot read it."""
        snapshot = await load(self.store, self.monotonic(), self._known, self.damaged)
        if self._known is None or snapshot.version >= self._known.version:
            self._known = snapshot
        return snapshot

    async def now(self) -> float:
        """Seconds since the epoch: of the store's clock and this machine's the one that is behind."""
        return min(await self.store.now(), self._wall())

    async def create(self) -> Snapshot:
        """Make the table unless there is one. Of racing calls one writes version 0; all return the table as it is then."""
        snapshot = await self.load()
        if snapshot.version >= 0:
            return snapshot
        await self.store.put_absent(commit_key(0), _version_0(self.store.url, self._now()))
        return await self.load()

    async def commit(self, snapshot: Snapshot, actions: Sequence[Action], *, operation: str = "WRITE") -> int:
        """Put ``actions``, planned from ``snapshot``, into the table as its next version, and return that.

        ``Conflict``: it is not in the table, plan again from a fresh snapshot. ``Unavailable`` or ``Refused``: the outcome
        is unknown. Cancelling is safe, with the outcome unknown. That a version was returned does not yet mean that others
        see it: where something is deleted on the strength of it, load a fresh snapshot and look.
        """
        claim = _Claim(snapshot, actions)
        if self.monotonic() - snapshot.loaded > MAX_AGE:
            raise Conflict(f"cannot commit on version {snapshot.version}: it was loaded more than {MAX_AGE:g} s ago")
        body = self._body(claim, operation)
        version, troubles = snapshot.version + 1, 0
        for attempt in range(1, _TRIES + 1):
            try:
                if await self.store.put_absent(commit_key(version), body):
                    return version
                version, done = await self._walk(version, claim)
                if done:
                    return version
                delay = 0.02 * min(attempt, 8)
            except Unavailable as error:
                troubles += 1
                if troubles == _TROUBLES:
                    raise Unavailable(
                        f"cannot commit version {version}, whether it is stored is unknown: {error}"
                    ) from error
                delay = 0.1 * 2**troubles
            await self._sleep(delay * self._jitter())
        raise Conflict(f"cannot commit version {version}: {_TRIES} versions were written by others meanwhile")

    async def _walk(self, version: int, claim: _Claim) -> tuple[int, bool]:
        """Look at each version from ``version`` on: the first that is ours and True, or the first free and False."""
        while True:
            try:
                actions = parse_commit(await self.store.get(commit_key(version)))
            except NotFound:
                await self._refuse_gap(version)
                return version, False
            if claim.made(actions):
                return version, True
            claim.check(version, actions)
            version += 1

    async def _refuse_gap(self, version: int) -> None:
        """``Conflict`` when ``version`` is missing although later ones are there: the log was cleaned beneath us."""
        later = [entry.key async for entry in self.store.list(LOG, f"{LOG}{version:020d}")]
        numbered = [key for key in later if key[len(LOG) :][:20].isdigit()]
        if numbered and commit_key(version) not in numbered:
            raise Conflict(f"cannot commit version {version}: the log goes on without it, at {numbered[0]}")

    def _body(self, claim: _Claim, operation: str) -> bytes:
        now = self._now()
        info = {
            "timestamp": now,
            "operation": operation,
            "operationParameters": {"mode": "Append"} if operation == "WRITE" else {},
            "isBlindAppend": not claim.removes,
            "engineInfo": f"logsink/{__version__}",
            "txnId": claim.id,
        }
        lines: list[Json] = [{"commitInfo": info}]
        lines += [{_NAMES[type(action)]: action.line(now)} for action in claim.actions]
        return _lines(lines)

    def _now(self) -> int:
        return int(self._wall() * 1000)


class _Claim:
    """What one commit wants, and with which other commits that cannot be reconciled."""

    def __init__(self, snapshot: Snapshot, actions: Sequence[Action]) -> None:
        self.id = str(uuid.uuid4())
        self.actions = actions
        self.lanes = {action.app_id for action in actions if isinstance(action, Txn)}
        self.removes = {action.file.path for action in actions if isinstance(action, Remove)}
        if snapshot.version < 0:
            raise Conflict("cannot commit: there is no table yet")
        for action in actions:
            if isinstance(action, Txn) and action.version <= snapshot.txn.get(action.app_id, 0):
                raise Conflict(
                    f"cannot commit: lane {action.app_id} is in the table up to {snapshot.txn[action.app_id]}"
                )
        if gone := self.removes.difference(snapshot.files):
            raise Conflict(f"cannot commit: {min(gone)} is not in the table at version {snapshot.version}")

    def made(self, actions: Sequence[Json]) -> bool:
        """Whether these are the actions of this very commit."""
        return any(action.get("commitInfo", {}).get("txnId") == self.id for action in actions)

    def check(self, version: int, actions: Sequence[Json]) -> None:
        """``Conflict`` when the commit of ``version`` and this one cannot both count."""
        for action in actions:
            if "protocol" in action or "metaData" in action:
                raise Conflict(f"cannot commit: version {version} changed the table's protocol or metadata")
            if (txn := action.get("txn")) is not None and txn["appId"] in self.lanes:
                raise Conflict(f"cannot commit: version {version} moved lane {txn['appId']} to {txn['version']}")
            if (remove := action.get("remove")) is not None and unquote(remove["path"]) in self.removes:
                raise Conflict(f"cannot commit: version {version} removed {remove['path']}")


def _version_0(url: str, now: int) -> bytes:
    """The commit that makes the table: oldest protocol, and our columns."""
    metadata = {
        "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{url}/{ROOT}")),
        "format": {"provider": "parquet", "options": {}},
        "schemaString": orjson.dumps({"type": "struct", "fields": schema_fields()}).decode(),
        "partitionColumns": ["date"],
        "configuration": CONFIGURATION,
        "createdTime": now,
    }
    info = {"timestamp": now, "operation": "CREATE TABLE", "engineInfo": f"logsink/{__version__}"}
    return _lines(
        [{"commitInfo": info}, {"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}}, {"metaData": metadata}]
    )


def _lines(actions: Sequence[Json]) -> bytes:
    return b"".join(orjson.dumps(action) + b"\n" for action in actions)


def _encoded(path: str) -> str:
    """As the log spells paths; nothing changes in the names that logsink gives."""
    return quote(path, safe="/=")
