"""Commits to the table's log. A persistent format: the Delta transaction log protocol, reader version 1, writer version 2
(https://github.com/delta-io/delta/blob/master/PROTOCOL.md).

Layout: a commit is the object ``logs/_delta_log/<version, 20 digits>.json``, one JSON action a line::

    commitInfo   timestamp, operation, engineInfo, txnId: a random id of this commit, and logsink: its seal (``chain``)
    protocol, metaData                in version 0 only: (1, 2); the columns of ``parse.TABLE_SCHEMA``, partitioned by date
    txn          appId <receiver>.<lane>, version: the last sequence of that lane whose rows are in the table
    txn          appId lost:<key> or accepted:<key>: an object is lost, and an operator has accepted that
    txn          appId dormant:<SHA-256> names an object of dormant lanes; the same commit gives these the version -1
    remove       path, deletionTimestamp, tags: a data file leaves the table
    add          path, date, size, statistics, tags: a data file enters the table

Constraint: a commit is planned from **one** snapshot and lands right after the last version that anybody wrote, so there is
never a gap.

Write path: put-if-absent of the next version. When that is taken, the commit looks at every version after its snapshot. One
that moved a lane it covers, removed a file it removes, or changed protocol or metadata was planned from the same state: only
one of the two may count, and the earlier does (``Conflict``). Otherwise it tries the version after the last,
once it has waited and looked again: others commit meanwhile, and nearly nobody between the look and the put. By its ``txnId`` a
commit recognises itself when a reply was lost. Nothing is committed on a snapshot that is damaged.

Read path: ``loading``. Deletion: the clean-up of ``maintenance`` deletes commits that a checkpoint covers, 30 days later.

What a failed commit leaves behind is known only after ``Conflict``: it is not in the table and never will be. After any other
error, or when cancelled, it may be there or may still land: load a fresh snapshot, look, and never delete its files.
"""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import NamedTuple
from urllib.parse import quote, unquote

import orjson

from logsink import __version__
from logsink.archive.chain import parse, seal
from logsink.archive.dormant import receiver_of
from logsink.archive.fold import DamagedCheckpoint, Fold
from logsink.archive.foreign import schema_fields
from logsink.archive.loading import follow, load, read_hint
from logsink.archive.snapshot import (
    ACCEPTED,
    ASLEEP,
    DORMANT,
    LOG,
    LOST,
    ROOT,
    DataFile,
    Json,
    Snapshot,
    commit_key,
)
from logsink.archive.waking import wake
from logsink.damage import Damage
from logsink.errors import Conflict, Damaged, NotFound, Unavailable, Withheld
from logsink.parse import STATISTICS_COLUMNS
from logsink.store import Store

MAX_AGE = 3600.0
"""Seconds after which no commit is made from a snapshot: versions after it may have been cleaned up meanwhile."""

TOMBSTONES_KEPT = "delta.deletedFileRetentionDuration"
"""The property that says how long checkpoints name files that have left the table."""

CONFIGURATION = {
    "delta.checkpointInterval": "1000000",  # logsink's maintenance writes them; other writers must not
    "delta.logRetentionDuration": "interval 30 days",
    TOMBSTONES_KEPT: "interval 108000 seconds",  # for the default of maintain.keep_removed
    "delta.dataSkippingStatsColumns": ",".join(STATISTICS_COLUMNS),
}

_TRIES = 100
"""Collisions with other writers before a commit gives up; with each of them another writer's commit succeeded."""

_LONGEST = 1.0
"""Most seconds of a wait after a collision, of which a random part is waited. Somebody's put always succeeds, so a longer wait
only makes some wait for longer than others: of 50 commits at once on S3 the last is done after five seconds."""

_TROUBLES = 5
"""Store errors before a commit gives up; its caller then waits for longer and plans again."""


class Add(NamedTuple):
    """A data file enters the table; ``data_change`` is False when its rows were in it already (compaction)."""

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
        } | _tags(self.file)


class Remove(NamedTuple):
    """A live data file leaves the table; ``data_change`` is False when its rows stay in it (compaction)."""

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
        } | _tags(self.file)


class Txn(NamedTuple):
    """The rows of lane ``app_id`` up to sequence ``version`` are in the table, with the files of the same commit."""

    app_id: str
    version: int

    def line(self, now: int) -> Json:
        return {"appId": self.app_id, "version": self.version, "lastUpdated": now}


class Lost(NamedTuple):
    """The object under ``key`` is lost, with ``rows`` rows (0: nobody knows how many)."""

    key: str
    rows: int = 0

    def line(self, now: int) -> Json:
        return {"appId": LOST + self.key, "version": self.rows, "lastUpdated": now}


class Accepted(NamedTuple):
    """An operator has accepted that the object under ``key`` is lost: it need not be named any more."""

    key: str

    def line(self, now: int) -> Json:
        return {"appId": ACCEPTED + self.key, "version": 1, "lastUpdated": now}


class MakeDormant(NamedTuple):
    """Lane ``app_id``, which is at ``version``, leaves the log's state with all lanes of its receiver: it is dormant."""

    app_id: str
    version: int

    def line(self, now: int) -> Json:
        return {"appId": self.app_id, "version": ASLEEP, "lastUpdated": now}


class Dormant(NamedTuple):
    """The object ``name`` (its SHA-256) has lanes that this commit makes dormant. ``newest``: see ``Snapshot.dormant``."""

    name: str
    newest: int

    def line(self, now: int) -> Json:
        return {"appId": DORMANT + self.name, "version": self.newest, "lastUpdated": now}


class Describe(NamedTuple):
    """The table's ``metaData`` is this from now on."""

    metadata: Json

    def line(self, now: int) -> Json:
        return self.metadata


Action = Add | Remove | Txn | Lost | Accepted | MakeDormant | Dormant | Describe
_NAMES = dict.fromkeys((Txn, Lost, Accepted, MakeDormant, Dormant), "txn") | {
    Add: "add",
    Remove: "remove",
    Describe: "metaData",
}


class DeltaLog:
    """The log of the table in ``store``. Safe for concurrent use by tasks of one event loop.

    ``store_id`` is the id of the store, which commits name; "" where it is not known. For the table of another
    store ``Withheld`` is raised. Tests give the clocks, ``sleep`` (seconds) and ``jitter`` (a number in [0, 1)).
    """

    def __init__(
        self,
        store: Store,
        *,
        store_id: str = "",
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.store = store
        self.store_id = store_id
        self.monotonic = monotonic
        self._wall = wall
        self._sleep = sleep
        self._jitter = jitter
        self.damaged: dict[int, DamagedCheckpoint] = {}
        """Versions of checkpoints that cannot be read, and why; snapshots are right without them."""
        self._known: Snapshot | None = None
        self._reached = -1

    @property
    def newest(self) -> int:
        """The newest version that is known to have been there; -1: none."""
        return self._reached

    def expect(self, version: int, store_id: str) -> None:
        """Take note that the log reached ``version``, as a segment of this store says. A load that ends before is damaged."""
        if store_id in ("", self.store_id) or not self.store_id:
            self._reached = max(self._reached, version)

    async def hint(self) -> int:
        """Return the version from which the next ``load`` begins its listing, if it is given it; it may be wrong."""
        return await read_hint(self.store) if self._known is None else self._known.checkpoint

    async def load(self, hint: int | None = None) -> Snapshot:
        """Return the table as it is now, from a listing made by this call, with what is damaged in it (``Snapshot.damage``).

        ``hint`` is what the method of that name has returned, where that was called before, beside other reads.
        A log that ends before a version that it had has lost commits, unless they are recorded as lost.
        Raises ``FormatError`` when this logsink cannot read it.
        """
        reached = self._reached
        snapshot = await load(self.store, self.monotonic(), self._known, self.damaged, hint)
        self._refuse_other(snapshot)
        self._known = snapshot if snapshot.intact else None
        self._reached = max(self._reached, snapshot.version)
        if snapshot.version < reached and not any(
            key.startswith(LOG) and key >= commit_key(reached) for key in snapshot.lost
        ):
            ends = f"the log ends with version {snapshot.version}" if snapshot.version >= 0 else "there is no log"
            missing = Damage(commit_key(reached), f"is missing: {ends}")
            return snapshot._replace(damage=(*snapshot.damage, missing))
        return snapshot

    async def follow(self) -> Snapshot:
        """Return the table with the commits after those that are known, as ``loading.follow`` finds them: never plan by it."""
        known = self._known
        if known is None:
            return await self.load()
        snapshot = await follow(self.store, known, self.monotonic())
        if not snapshot.intact or snapshot.store != known.store:
            return await self.load()
        self._known, self._reached = snapshot, max(self._reached, snapshot.version)
        return snapshot

    async def wake(self, snapshot: Snapshot, receivers: Iterable[str] | None) -> Snapshot:
        """Return ``snapshot`` with the dormant lanes of these receivers, or of all (None), looked up (``waking``)."""
        return await wake(self.store, snapshot, receivers)

    async def load_for(self, receivers: Iterable[str]) -> Snapshot:
        """Return what ``load`` does, with the dormant lanes of these receivers looked up."""
        return await self.wake(await self.load(), receivers)

    async def recent(self, seconds: float) -> Snapshot:
        """Return the table as it was at most so many seconds ago: enough to see whether work may be due, never to do it."""
        if self._known is not None and self.monotonic() - self._known.loaded <= seconds:
            return self._known
        return await self.load()

    async def load_anew(self) -> Snapshot:
        """Return what ``load`` does, with every object of the log read again that it needs."""
        self._known = None
        return await self.load()

    def refuse_damage(self, snapshot: Snapshot, what: str) -> None:
        """Raise ``Damaged`` unless the snapshot is intact; ``what`` was to be done."""
        if snapshot.intact:
            return
        others = f", and {len(snapshot.damage) - 1} more" if len(snapshot.damage) > 1 else ""
        raise Damaged(
            f"cannot {what} in {self.store.url}: {snapshot.damage[0]}{others}",
            hint=(
                f"`logsink verify` names all damage and `logsink repair` mends the log; or put the objects under {LOG} back "
                "from a backup or from their earlier versions, and exempt them from whatever deleted them (a lifecycle rule?)"
            ),
        )

    def _refuse_other(self, snapshot: Snapshot) -> None:
        """Raise ``Withheld`` when the snapshot is of another store: one is seen until somebody looks at the marker again."""
        if self.store_id and snapshot.store not in ("", self.store_id):
            raise Withheld(
                f"cannot use the table in {self.store.url}: it is of store {snapshot.store}, not {self.store_id}",
                hint="put the store back where it was; or, if only its log was exchanged, `logsink verify` says what is there",
            )

    def here(self) -> float:
        """Return the seconds since the epoch by this machine's clock, to see whether work may be due; ``now`` to do it."""
        return self._wall()

    async def now(self) -> float:
        """Return the seconds since the epoch by the store's clock or this machine's, whichever is behind."""
        return min(await self.store.now(), self.here())

    async def create(self, store_id: str = "") -> Snapshot:
        """Make the table unless there is one, and return it. Of racing calls one writes version 0; all return that table.

        Version 0 names ``store_id`` if the log has none. Raises ``Damaged`` where there was a table, or may have been one.
        """
        snapshot = await self.load()
        if snapshot.version >= 0:
            return snapshot
        self.refuse_damage(snapshot, "make the table")
        await self.store.put_absent(commit_key(0), _version_0(self.store.url, self.store_id or store_id, self._now()))
        return await self.load()

    async def commit(self, snapshot: Snapshot, actions: Sequence[Action], *, operation: str = "WRITE") -> int:
        """Put ``actions``, planned from ``snapshot``, into the table as its next version, and return that version.

        Raises ``Conflict`` when it is not in the table: plan again from a fresh snapshot; ``Damaged`` when the log is damaged.
        After ``Unavailable`` or ``Refused`` the outcome is unknown, as it is after cancelling, which is safe. A version that is
        returned does not yet prove that others see it: before deleting something because of it, load a fresh snapshot and look.
        """
        claim = _Claim(snapshot, actions)
        if self.monotonic() - snapshot.loaded > MAX_AGE:
            raise Conflict(f"cannot commit on version {snapshot.version}: it was loaded more than {MAX_AGE:g} s ago")
        self.refuse_damage(snapshot, "commit")
        self._refuse_other(snapshot)
        now = self._now()
        fold, version, troubles = Fold(snapshot), snapshot.version + 1, 0
        body = self._body(claim, operation, now, fold, version)
        for attempt in range(1, _TRIES + 1):
            try:
                if attempt > 1:  # looked at after the wait, so that nearly nobody is between the look and the put
                    free, done = await self._walk(version, claim, fold)
                    if done:
                        return free
                    if free != version:
                        version, body = free, self._body(claim, operation, now, fold, free)
                if await self.store.put_absent(commit_key(version), body):
                    return version
                delay = min(0.02 * 2**attempt, _LONGEST)
            except Unavailable as error:
                troubles += 1
                if troubles == _TROUBLES:
                    raise Unavailable(
                        f"cannot commit version {version}, whether it is stored is unknown: {error}"
                    ) from error
                delay = 0.1 * 2**troubles
            await self._sleep(delay * self._jitter())
        raise Conflict(f"cannot commit version {version}: {_TRIES} versions were written by others meanwhile")

    async def configure(self, snapshot: Snapshot, properties: Mapping[str, str]) -> None:
        """Commit that the table has these properties, where it has not; all else of its ``metaData`` stays.

        Raises what ``commit`` raises. Commits that were planned before are planned again.
        """
        configuration = snapshot.metadata.get("configuration") or {}
        if snapshot.metadata and not properties.items() <= configuration.items():
            metadata = {**snapshot.metadata, "configuration": {**configuration, **properties}}
            await self.commit(snapshot, [Describe(metadata)], operation="SET TBLPROPERTIES")

    async def _walk(self, version: int, claim: _Claim, fold: Fold) -> tuple[int, bool]:
        """Look at each version from ``version`` on; return this commit's version and True, or the first free one and False.

        The commits of others are applied to ``fold``.
        """
        while True:
            try:
                body = await self.store.get(commit_key(version))
            except NotFound:
                await self._refuse_gap(version)
                return version, False
            if version > fold.version:  # not seen by an earlier walk, which broke off
                fold.commit(version, body)
            if fold.damage:
                raise Damaged(f"cannot commit: {fold.damage[0]}")
            actions = parse(body)
            if claim.made(actions):
                return version, True
            claim.check(version, actions)
            version += 1

    async def _refuse_gap(self, version: int) -> None:
        """Raise ``Conflict`` when ``version`` is missing although later ones are there: the log was cleaned up meanwhile."""
        later = [entry.key async for entry in self.store.list(LOG, f"{LOG}{version:020d}")]
        numbered = [key for key in later if key[len(LOG) :][:20].isdigit()]
        if numbered and commit_key(version) not in numbered:
            raise Conflict(f"cannot commit version {version}: the log goes on without it, at {numbered[0]}")

    def _body(self, claim: _Claim, operation: str, now: int, fold: Fold, version: int) -> bytes:
        """Return the commit's bytes, to be put as ``version`` behind what ``fold`` holds."""
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
        return seal(
            lines, version=version, store=self.store_id or fold.store, previous=fold.head, state=fold.state_after(lines)
        )

    def _now(self) -> int:
        return int(self._wall() * 1000)


class _Claim:
    """One commit's actions, and the test of whether another commit contradicts them. Raises ``Conflict`` when made in vain."""

    def __init__(self, snapshot: Snapshot, actions: Sequence[Action]) -> None:
        self.id = str(uuid.uuid4())
        self.removes = {action.file.path for action in actions if isinstance(action, Remove)}
        if snapshot.version < 0:
            raise Conflict("cannot commit: there is no table yet")
        for action in actions:
            if isinstance(action, Txn) and action.version <= (last := snapshot.last(action.app_id)):
                raise Conflict(f"cannot commit: lane {action.app_id} is in the table up to {last}")
            if isinstance(action, MakeDormant) and action.version != snapshot.txn.get(action.app_id):
                raise Conflict(f"cannot make lane {action.app_id} dormant: it is not at {action.version}")
        if gone := self.removes.difference(snapshot.files):
            raise Conflict(f"cannot commit: {min(gone)} is not in the table at version {snapshot.version}")
        self.actions = [*actions, *_with_them(snapshot, actions)]
        self.lanes = {action.app_id for action in self.actions if isinstance(action, Txn | MakeDormant)}
        self.receivers = {receiver_of(app_id) for app_id in self.lanes}
        self.made_dormant = {receiver_of(action.app_id) for action in actions if isinstance(action, MakeDormant)}

    def made(self, actions: Sequence[Json]) -> bool:
        """Return whether these are the actions of this very commit."""
        return any(action.get("commitInfo", {}).get("txnId") == self.id for action in actions)

    def check(self, version: int, actions: Sequence[Json]) -> None:
        """Raise ``Conflict`` when the commit of ``version`` and this one cannot both count."""
        for action in actions:
            if "protocol" in action or "metaData" in action:
                raise Conflict(f"cannot commit: version {version} changed the table's protocol or metadata")
            if (txn := action.get("txn")) is not None and self._contradicts(txn["appId"], txn["version"]):
                raise Conflict(f"cannot commit: version {version} moved lane {txn['appId']} to {txn['version']}")
            if (remove := action.get("remove")) is not None and unquote(remove["path"]) in self.removes:
                raise Conflict(f"cannot commit: version {version} removed {remove['path']}")

    def _contradicts(self, app_id: str, version: int) -> bool:
        """Return whether a transaction moves a lane of this commit, or one of them makes the receiver of the other dormant."""
        together = self.receivers if version == ASLEEP else self.made_dormant
        return app_id in self.lanes or receiver_of(app_id) in together


def _with_them(snapshot: Snapshot, actions: Sequence[Action]) -> list[Txn]:
    """Return the other lanes of dormant receivers of which a lane moves on: with it they are in the log's state again."""
    moved = {action.app_id for action in actions if isinstance(action, Txn)}
    woken = {receiver_of(app_id) for app_id in moved}.intersection(snapshot.awake)
    lanes = {app_id: last for one in sorted(woken) for app_id, last in snapshot.awake[one].items()}
    return [Txn(app_id, last) for app_id, last in lanes.items() if app_id not in moved and app_id not in snapshot.txn]


def table_metadata(url: str, now: int, schema: str = "") -> Json:
    """Return the ``metaData`` of the table in the store at ``url``: its columns, partition and settings.

    ``now``: milliseconds since the epoch. ``schema``: the columns that the table had, of which those are kept that a newer
    logsink has added.
    """
    fields = schema_fields()
    if schema:
        known = {field["name"] for field in fields}
        fields += [field for field in orjson.loads(schema)["fields"] if field["name"] not in known]
    return {
        "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{url}/{ROOT}")),
        "format": {"provider": "parquet", "options": {}},
        "schemaString": orjson.dumps({"type": "struct", "fields": fields}).decode(),
        "partitionColumns": ["date"],
        "configuration": CONFIGURATION,
        "createdTime": now,
    }


def _version_0(url: str, store_id: str, now: int) -> bytes:
    """Return version 0: protocol (1, 2), which every reader knows, and the table's columns."""
    metadata = table_metadata(url, now)
    info = {"timestamp": now, "operation": "CREATE TABLE", "engineInfo": f"logsink/{__version__}"}
    protocol = {"minReaderVersion": 1, "minWriterVersion": 2}
    lines: list[Json] = [{"commitInfo": info}, {"protocol": protocol}, {"metaData": metadata}]
    return seal(lines, version=0, store=store_id, previous="", state=Fold(Snapshot()).state_after(lines))


def _tags(file: DataFile) -> Json:
    return {"tags": dict(file.tags)} if file.tags else {}


def _encoded(path: str) -> str:
    """Return a path as the log spells it (percent-encoded). Names that logsink gives need no encoding."""
    return quote(path, safe="/=")
