"""Upkeep of the store, by any receiver, again and again: adoption, retention, checkpoints and log clean-up, deletion of data
files that nobody needs, compaction.

Everything here may be done by several processes at once, stopped anywhere and done again. ``deltalake`` writes checkpoints
and cleans the log; it is imported when the first one is due, and nothing else of it is ever used: its ``optimize.*`` doubles
rows when raced, its ``to_pyarrow_*`` abort the interpreter at exit, and a full vacuum deletes files about to be committed.

A checkpoint is read back by our own reader and must hold what the commits held, before the clean-up deletes any of them. On a
local directory it is forced to the disk first: a power cut must not leave neither.
"""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple, Protocol

from logsink import telemetry
from logsink.archive.adoption import Adopted, adopt
from logsink.archive.compaction import Compacted, Compactor, Group, Sizes
from logsink.archive.log import DeltaLog
from logsink.archive.retention import Removed, Retired, expired_files, removable_files, remove_files, retire
from logsink.archive.rounds import QUARANTINE, Limits, Rounds
from logsink.archive.snapshot import HINT, ROOT, Snapshot, checkpoint_key, read_checkpoint
from logsink.errors import Conflict, FormatError, LogsinkError, NotFound, StoreError, Unavailable, Withheld
from logsink.journal import list_segments
from logsink.place import Bucket, Directory, parse
from logsink.store import FILE_MODE, Store


class Upkeep(Sizes, Protocol):
    """The settings of section [maintain], in seconds, commits and bytes."""

    @property
    def every(self) -> float: ...
    @property
    def orphan_after(self) -> float: ...
    @property
    def checkpoint_every(self) -> int: ...
    @property
    def retention(self) -> float | None: ...
    @property
    def keep_removed(self) -> float: ...


class Maintained(NamedTuple):
    """What was done: segments archived and deleted, dates retired, files merged, version of the checkpoint (-1: none was
    due), data files deleted; and what failed.
    """

    adopted: Adopted = Adopted()
    retired: Retired | None = None
    compacted: Sequence[Compacted] = ()
    checkpoint: int = -1
    removed: Removed = Removed()
    failed: Sequence[LogsinkError] = ()


class Due(NamedTuple):
    """What a round would do now: segments of receivers that are gone, dates to retire, version of the checkpoint (-1: none),
    data files to delete, files to merge.
    """

    segments: int = 0
    retired: Retired | None = None
    checkpoint: int = -1
    removed: Removed = Removed()
    groups: Sequence[Group] = ()


class Maintenance:
    """The upkeep that one process does. ``rest``: see ``Compactor``."""

    def __init__(self, rounds: Rounds, limits: Limits, upkeep: Upkeep, *, rest: float = 0.0) -> None:
        self.compactor = Compactor(rounds.log, upkeep, rest=rest)
        self._rounds, self._log, self._limits, self._upkeep = rounds, rounds.log, limits, upkeep
        self._failed: list[LogsinkError] = []

    def close(self) -> None:
        """Wait for computations that were left behind by cancelling."""
        self.compactor.close()

    async def once(self, *, own: Collection[str] = (), thorough: bool = False) -> Maintained:
        """Do what is due now; ``own`` are the receivers of this process, whose segments others may adopt, but not it.

        Data files to delete are looked for after a checkpoint, or when ``thorough``: it takes a listing of all of them.
        A duty that fails is logged and left for the next time; the others are done all the same. Cancelling is safe.
        """
        upkeep, self._failed = self._upkeep, []
        adopted, dates, checkpointed, removed, compacted = Adopted(), None, -1, Removed(), list[Compacted]()
        with self._failing_alone():
            adopted = await adopt(self._rounds, self._limits, orphan_after=upkeep.orphan_after, own=own)
        if upkeep.retention is not None:
            with self._failing_alone():
                dates = await retire(self._log, upkeep.retention)
        with self._failing_alone():
            checkpointed = await checkpoint(self._log, upkeep.checkpoint_every)
        if checkpointed >= 0 or thorough:
            with self._failing_alone():
                removed = await remove_files(
                    self._log, orphan_after=upkeep.orphan_after, keep_removed=upkeep.keep_removed
                )
        with self._failing_alone():
            await self._compact(compacted)
        return Maintained(adopted, dates, tuple(compacted), checkpointed, removed, tuple(self._failed))

    async def due(self) -> Due:
        """What a thorough round would do; nothing is changed. What it does not see: work that comes of other work."""
        upkeep, log = self._upkeep, self._log
        before = await log.store.now() - upkeep.orphan_after
        segments = sum(one.modified < before for one in await list_segments(log.store))
        snapshot = await log.load()
        if snapshot.version < 0:
            return Due(segments)
        old = expired_files(snapshot, await log.now() - upkeep.retention) if upkeep.retention is not None else []
        files = await removable_files(log, orphan_after=upkeep.orphan_after, keep_removed=upkeep.keep_removed)
        return Due(
            segments,
            Retired.of(old) if old else None,
            snapshot.version if snapshot.version - snapshot.checkpoint >= upkeep.checkpoint_every else -1,
            Removed(len(files), sum(entry.size for entry in files)),
            await self.compactor.due(snapshot),
        )

    async def _compact(self, done: list[Compacted]) -> None:
        """Merge what is due, until the next round of everything is, or until somebody else is found to be at it."""
        until = self._log.monotonic() + self._upkeep.every
        while self._log.monotonic() < until:
            try:
                merged = await self.compactor.step()
            except Conflict:
                telemetry.COMPACTION_CONFLICTS.inc()
                return
            if merged is None:
                return
            done.append(merged)

    @contextmanager
    def _failing_alone(self) -> Iterator[None]:
        try:
            yield
        except LogsinkError as error:
            telemetry.MAINTENANCE_FAILED.log(error=error)
            self._failed.append(error)


async def checkpoint(log: DeltaLog, every: int) -> int:
    """Write a checkpoint when ``every`` commits stand behind the last one, and clean the log up; its version, or -1.

    ``FormatError`` when what was written is not what the commits hold: it is taken away again, and nothing is cleaned.
    """
    snapshot = await log.load()
    if snapshot.version - snapshot.checkpoint < every or "://" not in log.store.url:
        return -1
    place = parse(log.store.url)
    options = await _s3_options(place) if isinstance(place, Bucket) else {}
    table = f"{log.store.url}/{ROOT}"
    await _set_aside(log)
    await asyncio.to_thread(_write_checkpoint, table, options, snapshot.version)
    if isinstance(place, Directory):
        await asyncio.to_thread(_force_to_disk, place.path, snapshot.version)
    await _verify(log.store, snapshot)
    await asyncio.to_thread(_clean_up, table, options)
    telemetry.CHECKPOINTS.inc()
    telemetry.CHECKPOINTED.log(version=snapshot.version)
    return snapshot.version


async def _set_aside(log: DeltaLog) -> None:
    """Move damaged checkpoints to quarantine: the log was read without them, and deltalake cannot begin at one."""
    for version in list(log.damaged):
        key = checkpoint_key(version)
        with suppress(NotFound):
            body = await log.store.get(key)
            try:
                await asyncio.to_thread(read_checkpoint, body, version)
            except FormatError as error:
                await log.store.put_absent(QUARANTINE + key, body)
                await log.store.delete([key, HINT])  # the hint may name it; it is only one
                telemetry.QUARANTINE.log(key=key, error=error)
        del log.damaged[version]


def _write_checkpoint(table: str, options: dict[str, str], version: int) -> None:
    from deltalake import DeltaTable  # 35 ms and 30 MB, for whoever maintains only
    from deltalake.exceptions import DeltaError

    try:
        DeltaTable(table, version=version, storage_options=options).create_checkpoint()
    except (DeltaError, OSError) as error:
        raise _trouble(f"cannot write a checkpoint of version {version}", error) from error


def _clean_up(table: str, options: dict[str, str]) -> None:
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError

    try:
        DeltaTable(table, storage_options=options).cleanup_metadata()
    except (DeltaError, OSError) as error:
        raise _trouble("cannot clean up the table's log", error) from error


def _trouble(what: str, error: Exception) -> StoreError:
    """What deltalake says, without the colours and the body of the reply in it."""
    cause = (str(error).splitlines() or [type(error).__name__])[0]
    if "necessary privileges" in cause:
        hint = "s3:ListBucket needs the condition StringLikeIfExists: see the policy in docs/storage.md"
        return Withheld(f"{what}: {cause}", hint=hint)
    return Unavailable(f"{what}: {cause}")


def _force_to_disk(root: Path, version: int) -> None:
    """fsync the checkpoint, the hint, and the directory that names them; files get the permissions of all others."""
    for key in (checkpoint_key(version), HINT, os.path.dirname(HINT)):
        descriptor = os.open(root / key, os.O_RDONLY)
        try:
            mode = os.fstat(descriptor).st_mode
            if stat.S_ISREG(mode):
                os.fchmod(descriptor, stat.S_IMODE(mode) & FILE_MODE)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


async def _verify(store: Store, snapshot: Snapshot) -> None:
    """Read the checkpoint of the snapshot's version back. Its tombstones may be fewer: the old ones are left out."""
    key = checkpoint_key(snapshot.version)
    try:
        written = await asyncio.to_thread(read_checkpoint, await store.get(key), snapshot.version)
        same = written.files == snapshot.files and written.txn == snapshot.txn
    except FormatError:
        same = False
    if not same:
        await store.delete([key])
        raise FormatError(f"cannot rely on checkpoint {key}: it is not what the commits say, and was deleted again")


async def _s3_options(bucket: Bucket) -> dict[str, str]:
    """What deltalake needs to reach the same bucket as the same user, from the same chain as the store."""
    from aiobotocore.session import get_session

    session = get_session()
    region = session.get_config_variable("region") or "us-east-1"
    credentials = await session.get_credentials()
    async with session.create_client("s3", region_name=region) as client:
        endpoint = client.meta.endpoint_url
    options = {"AWS_REGION": region}
    if not endpoint.endswith(".amazonaws.com"):
        options["AWS_ENDPOINT_URL"] = endpoint
        options["AWS_ALLOW_HTTP"] = str(endpoint.startswith("http://")).lower()
    if credentials is not None:
        frozen = await credentials.get_frozen_credentials()
        options |= {"AWS_ACCESS_KEY_ID": frozen.access_key, "AWS_SECRET_ACCESS_KEY": frozen.secret_key}
        if frozen.token:
            options["AWS_SESSION_TOKEN"] = frozen.token
    return options
