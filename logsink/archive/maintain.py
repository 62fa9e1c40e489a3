"""Upkeep of the store, by any receiver, again and again: adoption, checkpoints and log clean-up, files nobody committed.

Everything here may be done by several processes at once, stopped anywhere and done again. ``deltalake`` writes checkpoints
and cleans the log; it is imported when the first one is due, and nothing else of it is ever used: its ``optimize.*`` doubles
rows when raced, its ``to_pyarrow_*`` abort the interpreter at exit, and a full vacuum deletes files about to be committed.

A checkpoint is read back by our own reader and must hold what the commits held, before the clean-up deletes any of them. On a
local directory it is forced to the disk first: a power cut must not leave neither.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator, Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, Protocol

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from logsink import telemetry
from logsink.archive.adopt import Adopted, adopt
from logsink.archive.file import LANES
from logsink.archive.log import DeltaLog
from logsink.archive.rounds import Limits, Rounds
from logsink.archive.snapshot import HINT, ROOT, Snapshot, checkpoint_key, read_checkpoint
from logsink.errors import FormatError, LogsinkError, NotFound, Unavailable
from logsink.store.base import Store
from logsink.store.url import Bucket, Directory, parse

_TAIL = 1 << 16
"""Octets at a data file's end that nearly always hold its whole footer."""

_NAME = re.compile(r"logs/date=[0-9]{4}-[0-9]{2}-[0-9]{2}/[A-Za-z0-9-]+-[0-9]+-[0-9]+-[0-9a-f]+\.parquet")


class Upkeep(Protocol):
    """The settings of section [maintain] that are used here, in seconds and commits."""

    @property
    def orphan_after(self) -> float: ...
    @property
    def checkpoint_every(self) -> int: ...


class Maintained(NamedTuple):
    """What was done: segments archived and deleted, version of the checkpoint (-1: none was due), data files removed."""

    adopted: Adopted = Adopted()
    checkpoint: int = -1
    removed: int = 0


async def maintain_once(rounds: Rounds, limits: Limits, upkeep: Upkeep, *, own: Collection[str] = ()) -> Maintained:
    """Do what is due now; ``own`` are the receivers of this process, whose segments others may adopt, but not it.

    A duty that fails is logged and left for the next time; the others are done all the same. Cancelling is safe.
    """
    adopted, checkpointed, removed = Adopted(), -1, 0
    with _failing_alone():
        adopted = await adopt(rounds, limits, orphan_after=upkeep.orphan_after, own=own)
    with _failing_alone():
        checkpointed = await checkpoint(rounds.log, upkeep.checkpoint_every)
    if checkpointed >= 0:
        with _failing_alone():
            removed = await remove_orphans(rounds.log, upkeep.orphan_after)
    return Maintained(adopted, checkpointed, removed)


@contextmanager
def _failing_alone() -> Iterator[None]:
    try:
        yield
    except LogsinkError as error:
        telemetry.MAINTENANCE_FAILED.log(error=error)


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
    await asyncio.to_thread(_write_checkpoint, table, options, snapshot.version)
    if isinstance(place, Directory):
        await asyncio.to_thread(_force_to_disk, place.path, snapshot.version)
    await _verify(log.store, snapshot)
    await asyncio.to_thread(_clean_up, table, options)
    telemetry.CHECKPOINTS.inc()
    telemetry.CHECKPOINTED.log(version=snapshot.version)
    return snapshot.version


def _write_checkpoint(table: str, options: dict[str, str], version: int) -> None:
    from deltalake import DeltaTable  # 35 ms and 30 MB, for whoever maintains only
    from deltalake.exceptions import DeltaError

    try:
        DeltaTable(table, version=version, storage_options=options).create_checkpoint()
    except (DeltaError, OSError) as error:
        raise Unavailable(f"cannot write a checkpoint of version {version}: {error}") from error


def _clean_up(table: str, options: dict[str, str]) -> None:
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError

    try:
        DeltaTable(table, storage_options=options).cleanup_metadata()
    except (DeltaError, OSError) as error:
        raise Unavailable(f"cannot clean up the table's log: {error}") from error


def _force_to_disk(root: Path, version: int) -> None:
    """fsync the checkpoint, the hint, and the directory that names them."""
    for key in (checkpoint_key(version), HINT, os.path.dirname(HINT)):
        descriptor = os.open(root / key, os.O_RDONLY)
        try:
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


async def remove_orphans(log: DeltaLog, older_than: float) -> int:
    """Delete data files that no snapshot holds and no commit can bring in any more (I7); how many.

    A file's footer names the lanes its commit needs, each right before a first sequence: one lane at that sequence or beyond,
    and the commit can never win. Only files older than ``older_than`` seconds are looked at, because nearly all younger ones
    are about to be committed. Files without lanes, and those that another program put there, stay.
    """
    store = log.store
    before = await store.now() - older_than
    old = [entry.key async for entry in store.list(f"{ROOT}date=") if entry.modified < before]
    snapshot = await log.load()
    known = snapshot.files.keys() | snapshot.tombstones.keys()
    candidates = [key for key in old if _NAME.fullmatch(key) and key.removeprefix(ROOT) not in known]
    orphans = [key async for key in _never_committed(store, snapshot, candidates)]
    if orphans:
        await store.delete(orphans)
    return len(orphans)


async def _never_committed(store: Store, snapshot: Snapshot, keys: Iterable[str]) -> AsyncIterator[str]:
    for key in keys:
        try:
            lanes = await file_lanes(store, key)
        except (FormatError, NotFound):
            continue
        if any(snapshot.txn.get(app_id, 0) >= first for app_id, (first, _) in lanes.items()):
            yield key


async def file_lanes(store: Store, key: str) -> dict[str, tuple[int, int]]:
    """What the commit of a data file covers: ``appId`` -> first and last sequence. ``FormatError`` when it does not say."""
    tail = await store.get(key, -_TAIL)
    size = int.from_bytes(tail[-8:-4], "little") + 8
    if size > len(tail):
        tail = await store.get(key, -size)
    try:
        footer = pq.read_metadata(pa.BufferReader(b"PAR1" + tail[-size:]))
        lanes = orjson.loads(footer.metadata[LANES])
        return {app_id: (int(first), int(last)) for app_id, (first, last) in lanes.items()}
    except (pa.ArrowException, OSError, KeyError, TypeError, ValueError) as error:
        raise FormatError(f"cannot read lanes of data file {key}: {error!r}") from error
