"""Retention: old dates leave the table, and data files that no reader needs leave the store.

Dates past their retention leave the table by one commit; no file is read or written again. As after a compaction, the files
stay for ``keep_removed``, because readers that took their snapshot before still read them.

A data file is deleted only when it is not live and either its tombstone is older than ``keep_removed`` or, where it has none,
no commit can bring it into the table any more (I7). Its footer tells: its commit needs each lane of ``logsink.lanes`` to stand
right before a first sequence, or each file of ``logsink.inputs`` to be in the table. When one lane stands at that sequence or
beyond, or one of the files is gone, the commit can never win. A file whose tombstone has left the log was committed once, so
the same rule holds for it.

Retention and the age of tombstones are the two places where a clock decides what is deleted. Whichever is behind counts: the
store's clock or this machine's.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import NamedTuple

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from logsink import telemetry
from logsink.archive.compaction import end_of_date
from logsink.archive.file import INPUTS, LANES, NAME
from logsink.archive.log import DeltaLog, Remove
from logsink.archive.snapshot import ROOT, DataFile, Snapshot
from logsink.errors import FormatError, NotFound
from logsink.store import Entry, Store

_MOST = 10_000
"""Most files that one commit takes out of the table: 3 MB of JSON."""

_TAIL = 1 << 16
"""Bytes at the end of a data file that nearly always hold its whole footer."""


class Retired(NamedTuple):
    """Files that retention took out of the table: their number and bytes, and the first and last of their dates."""

    files: int
    nbytes: int
    first: datetime.date
    last: datetime.date

    @classmethod
    def of(cls, files: Sequence[DataFile]) -> Retired:
        """The summary of ``files``, which are sorted by date and not empty."""
        return cls(len(files), sum(file.size for file in files), files[0].date, files[-1].date)


class Removed(NamedTuple):
    """Number and bytes of data files that were deleted, or would be."""

    files: int = 0
    nbytes: int = 0


def expired_files(snapshot: Snapshot, before: float) -> list[DataFile]:
    """Return the live files of dates that ended by ``before`` (seconds since the epoch), the oldest first."""
    return sorted(
        (file for file in snapshot.files.values() if end_of_date(file.date) <= before), key=lambda one: one.date
    )


async def retire(log: DeltaLog, retention: float) -> Retired | None:
    """Take the oldest files whose date ended more than ``retention`` seconds ago out of the table; None when there is none.

    Raises what ``DeltaLog.commit`` raises.
    """
    snapshot = await log.load()
    log.refuse_damage(snapshot, "take old dates out of the table")
    old = expired_files(snapshot, await log.now() - retention)[:_MOST]
    if not old:
        return None
    await log.commit(snapshot, [Remove(file, data_change=True) for file in old], operation="DELETE")
    done = Retired.of(old)
    telemetry.RETIRED_FILES.inc(done.files)
    telemetry.RETIRED.log(files=done.files, bytes=done.nbytes, first=done.first, last=done.last)
    return done


async def remove_files(log: DeltaLog, *, orphan_after: float, keep_removed: float) -> Removed:
    """Delete the data files that ``removable_files`` returns."""
    found = await removable_files(log, orphan_after=orphan_after, keep_removed=keep_removed)
    if not found:
        return Removed()
    await log.store.delete([entry.key for entry in found])
    done = Removed(len(found), sum(entry.size for entry in found))
    telemetry.REMOVED_FILES.inc(done.files)
    telemetry.REMOVED.log(files=done.files, bytes=done.nbytes)
    return done


async def removable_files(log: DeltaLog, *, orphan_after: float, keep_removed: float) -> list[Entry]:
    """Return the data files to delete: removed from the table over ``keep_removed`` seconds ago, or never to be committed.

    Of files that the log does not know, only those older than ``orphan_after`` seconds are read, because nearly all younger
    ones are about to be committed. Files that say nothing about their commit, or that another program put there, stay.
    """
    now = await log.now()
    # Listed before the snapshot is loaded: what a file's commit was planned on is then in the snapshot, or has left it.
    listed = [entry async for entry in log.store.list(f"{ROOT}date=")]
    snapshot = await log.load()
    log.refuse_damage(snapshot, "delete data files")
    if snapshot.version < 0:  # without a log, nothing tells which files count
        return []
    found = []
    for entry in listed:
        path = entry.key.removeprefix(ROOT)
        if path in snapshot.files:
            continue
        if path in snapshot.tombstones:
            removable = snapshot.tombstones[path] / 1000 < now - keep_removed
        else:
            old = entry.modified < now - orphan_after and NAME.fullmatch(path) is not None
            removable = old and await _cannot_be_committed(log.store, snapshot, entry.key)
        if removable:
            found.append(entry)
    return found


async def _cannot_be_committed(store: Store, snapshot: Snapshot, key: str) -> bool:
    """Return whether no commit can bring this file into the table any more."""
    try:
        needs = await commit_needs(store, key)
    except (FormatError, NotFound):
        return False
    behind = any(snapshot.txn.get(app_id, 0) >= first for app_id, (first, _) in needs.lanes.items())
    return behind or any(path not in snapshot.files for path in needs.inputs)


class CommitNeeds(NamedTuple):
    """What the commit of a data file covers: ``appId`` -> first and last sequence; or the paths of files that it replaces."""

    lanes: dict[str, tuple[int, int]]
    inputs: Sequence[str]


async def commit_needs(store: Store, key: str) -> CommitNeeds:
    """Return what a data file's footer says about its commit. Raises ``FormatError`` when it says nothing."""
    tail = await store.get(key, -_TAIL)
    size = int.from_bytes(tail[-8:-4], "little") + 8
    if size > len(tail):
        tail = await store.get(key, -size)
    try:
        metadata = pq.read_metadata(pa.BufferReader(b"PAR1" + tail[-size:])).metadata
        lanes, inputs = orjson.loads(metadata.get(LANES, b"{}")), orjson.loads(metadata.get(INPUTS, b"[]"))
        if not (lanes or inputs):
            raise ValueError("it names neither lanes nor inputs")
        return CommitNeeds({app_id: (int(first), int(last)) for app_id, (first, last) in lanes.items()}, list(inputs))
    except (pa.ArrowException, OSError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise FormatError(f"cannot read what data file {key} needs: {error!r}") from error
