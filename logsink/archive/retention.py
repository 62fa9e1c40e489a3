"""Retention: old dates leave the table, and data files that no reader needs leave the store.

Dates past their retention leave the table by one commit; no file is read or written again. As after a compaction, the files
stay for ``keep_removed``, because readers that took their snapshot before still read them.

A data file is deleted only when it is not live and either its tombstone is older than ``keep_removed`` or, where it has none,
no commit can bring it into the table any more (I7). Its footer tells: its commit needs each lane of ``logsink.lanes`` to stand
right before a first sequence, or each file of ``logsink.inputs`` to be in the table. When one lane stands at that sequence or
beyond, or one of the files is gone, the commit can never win. A file whose tombstone has left the log was committed once, so
the same rule holds for it. But no rule takes a file for garbage

- while the log is damaged: the commit that names the file may be what is missing;
- when the log does not know the file and was made or rebuilt after it: an earlier log may have named it;
- when the lanes that it was archived from stand beyond it, and the table does not prove to hold its rows (``coverage``);
- while live files of its date are missing or damaged: it may be all that is left of their rows.

Retention and the age of tombstones are the two places where a clock decides what is deleted. Whichever is behind counts: the
store's clock or this machine's.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from logsink import telemetry
from logsink.archive.compaction import end_of_date
from logsink.archive.coverage import Coverage, receiver_of_file
from logsink.archive.file import INPUTS, LANES, NAME
from logsink.archive.log import DeltaLog, Remove
from logsink.archive.snapshot import ROOT, DataFile, Snapshot
from logsink.damage import Damage
from logsink.errors import Conflict, FormatError, MediumError, NotFound
from logsink.store import Entry, Store

_MOST = 10_000
"""Files that one commit takes out of the table, 3 MB of JSON: it takes no further date when it has so many."""

_ATTEMPTS = 10
"""Most attempts to commit: each that fails shows that somebody else has taken out, or merged, some of the same files."""

OVERDUE = 3600.0
"""Seconds beyond ``keep_removed`` after which a removed file that is still there shows that nobody has looked lately."""

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
    """Number and bytes of data files that were deleted, or would be; live files that are missing or have another size."""

    files: int = 0
    nbytes: int = 0
    damage: tuple[Damage, ...] = ()


def expired_files(snapshot: Snapshot, before: float) -> list[DataFile]:
    """Return the live files of dates that ended by ``before`` (seconds since the epoch), the oldest first."""
    return sorted(
        (file for file in snapshot.files.values() if end_of_date(file.date) <= before), key=lambda one: one.date
    )


async def retire(log: DeltaLog, retention: float) -> Retired | None:
    """Take the oldest dates that ended more than ``retention`` seconds ago out of the table; None when there is none.

    A date goes as a whole: half of it would look as if somebody had taken rows. Raises what ``DeltaLog.commit`` raises.
    """
    for attempt in range(_ATTEMPTS):
        snapshot = await log.load()
        log.refuse_damage(snapshot, "take old dates out of the table")
        old = _whole_dates(expired_files(snapshot, await log.now() - retention), _MOST)
        if not old:
            return None
        try:
            await log.commit(snapshot, [Remove(file, data_change=True) for file in old], operation="DELETE")
            break
        except Conflict:
            if attempt == _ATTEMPTS - 1:
                raise
    done = Retired.of(old)
    telemetry.RETIRED_FILES.inc(done.files)
    telemetry.RETIRED.log(files=done.files, bytes=done.nbytes, first=done.first, last=done.last)
    return done


def _whole_dates(files: Sequence[DataFile], most: int) -> Sequence[DataFile]:
    """Return the first of these files, which are sorted by date: up to the end of the date of the ``most``-th."""
    return files if len(files) <= most else [file for file in files if file.date <= files[most - 1].date]


async def remove_files(log: DeltaLog, *, orphan_after: float, keep_removed: float, thorough: bool = True) -> Removed:
    """Delete the data files that ``removable_files`` returns; not ``thorough``: that ``expired_removals`` returns."""
    if thorough:
        found, damage = await removable_files(log, orphan_after=orphan_after, keep_removed=keep_removed)
    else:
        found, damage = await expired_removals(log, keep_removed=keep_removed)
    done = Removed(len(found), sum(entry.size for entry in found), tuple(damage))
    if found:
        *others, newest = [entry.key for entry in found]
        await log.store.delete(others)
        await log.store.delete([newest])  # whose absence tells others that nothing is left to do
        telemetry.REMOVED_FILES.inc(done.files)
        telemetry.REMOVED.log(files=done.files, bytes=done.nbytes)
    return done


class Removable(NamedTuple):
    """Data files to delete, in the order in which they left the table; live files that are missing or have another size."""

    files: list[Entry]
    damage: list[Damage]


async def removable_files(log: DeltaLog, *, orphan_after: float, keep_removed: float) -> Removable:
    """Return the data files to delete: removed from the table over ``keep_removed`` seconds ago, or never to be committed.

    Of files that the log does not know, only those older than ``orphan_after`` seconds are read, because nearly all younger
    ones are about to be committed. Files that say nothing about their commit, or that another program put there, stay.
    """
    now = await log.now()
    # Listed before the snapshot is loaded: what a file's commit was planned on is then in the snapshot, or has left it.
    listed = [entry async for entry in log.store.list(f"{ROOT}date=")]
    snapshot = await log.load_anew()  # what this process remembers of the log may no longer be there
    log.refuse_damage(snapshot, "delete data files")
    if snapshot.version < 0:  # without a log, nothing tells which files count
        return Removable([], [])
    unknown = {entry.key.removeprefix(ROOT) for entry in listed} - snapshot.files.keys() - snapshot.tombstones.keys()
    snapshot = await log.wake(snapshot, set(map(receiver_of_file, unknown)))
    log.refuse_damage(snapshot, "delete data files")
    damage = await damaged_files(log.store, snapshot, {entry.key: entry.size for entry in listed})
    kept = {key.rpartition("/")[0] for key, _, _ in damage}
    found = []
    coverage: Coverage | None = None
    for entry in listed:
        path, date = entry.key.removeprefix(ROOT), entry.key.rpartition("/")[0]
        if path in snapshot.files or date in kept:
            continue
        if path in snapshot.tombstones:
            removable = snapshot.tombstones[path] / 1000 < now - keep_removed
        else:
            known = now - orphan_after > entry.modified >= snapshot.created / 1000 > 0
            removable = known and NAME.fullmatch(path) is not None
            if removable:
                coverage = coverage or Coverage(snapshot)
                removable = await _cannot_be_committed(log.store, snapshot, coverage, entry.key)
        if removable:
            found.append(entry)
    return Removable(_by_tombstone(found, snapshot), damage)


async def expired_removals(log: DeltaLog, *, keep_removed: float) -> Removable:
    """Return the data files that were removed from the table over ``keep_removed`` seconds ago, as its tombstones say.

    Only the dates of these files are listed, and nothing at all while another process has looked after them: that is so when
    the newest file that has been due for ``OVERDUE`` is gone. Whoever deletes files deletes the newest last, so that a process
    that was stopped leaves the rest to the next one. Files of which the log says nothing are found by ``removable_files`` only.
    """
    before = (await log.now() - keep_removed) * 1000
    snapshot = await log.load()
    log.refuse_damage(snapshot, "delete data files")
    due = [path for path, left in snapshot.tombstones.items() if left < before and path not in snapshot.files]
    overdue = [(snapshot.tombstones[path], path) for path in due if snapshot.tombstones[path] < before - OVERDUE * 1000]
    if not overdue or await _is_gone(log.store, ROOT + max(overdue)[1]):
        return Removable([], [])
    dates = sorted({path.rpartition("/")[0] for path in due})
    listed = [entry for date in dates async for entry in log.store.list(f"{ROOT}{date}/")]
    snapshot = await log.load_anew()  # what this process remembers of the log may no longer be there
    log.refuse_damage(snapshot, "delete data files")
    of_dates = {path: file for path, file in snapshot.files.items() if path.rpartition("/")[0] in dates}
    sizes = {entry.key: entry.size for entry in listed}
    damage = await damaged_files(log.store, snapshot._replace(files=of_dates), sizes)
    kept = {key.rpartition("/")[0] for key, _, _ in damage}
    found = []
    for entry in listed:
        path, date = entry.key.removeprefix(ROOT), entry.key.rpartition("/")[0]
        expired = snapshot.tombstones.get(path, before) < before
        if expired and path not in snapshot.files and date not in kept:
            found.append(entry)
    return Removable(_by_tombstone(found, snapshot), damage)


def _by_tombstone(found: list[Entry], snapshot: Snapshot) -> list[Entry]:
    """Return files in the order in which they left the table, those first of which its log says nothing."""
    ages = {entry.key: snapshot.tombstones.get(entry.key.removeprefix(ROOT), -1) for entry in found}
    return sorted(found, key=lambda entry: (ages[entry.key], entry.key))


async def _is_gone(store: Store, key: str) -> bool:
    try:
        await store.get(key, -1)
    except NotFound:
        return True
    except MediumError:
        return False
    return False


async def damaged_files(store: Store, snapshot: Snapshot, sizes: Mapping[str, int]) -> list[Damage]:
    """Return which live files are missing, or not of their size, by a listing (key -> bytes) made before the snapshot."""
    damage = []
    for file in snapshot.files.values():
        size = sizes.get(file.key)
        if size is None:
            try:
                await store.get(file.key, -1)  # it may have been put after the listing
            except NotFound:
                damage.append(Damage(file.key, "is missing", file.known_rows))
            except MediumError as error:
                damage.append(Damage(file.key, f"cannot be read: {error}", file.known_rows))
        elif size != file.size:
            damage.append(Damage(file.key, f"has {size:,} bytes where the log says {file.size:,}", file.known_rows))
    return damage


async def _cannot_be_committed(store: Store, snapshot: Snapshot, coverage: Coverage, key: str) -> bool:
    """Return whether no commit can bring this file into the table any more, and its rows are archived without it."""
    try:
        needs = await commit_needs(store, key)
        reached = {lane: snapshot.last(lane) for lane in needs.lanes}
    except (FormatError, NotFound):  # or its name does not say whose rows it has, and so they were not looked up
        return False
    behind = False
    for lane, (first, last) in needs.lanes.items():
        txn = reached[lane]
        behind = behind or txn >= first
        if any(coverage.unproved(lane, first, min(last, txn))):  # what is beyond that is in the journal
            return False
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
        raise FormatError(f"cannot read what data file {key} needs", repr(error)) from error
