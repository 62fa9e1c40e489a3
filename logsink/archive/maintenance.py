"""Maintenance of the store, which any receiver does again and again: adoption, retention, checkpoints and log clean-up,
deletion of data files that nobody needs, compaction, ledgers, the index.

Several processes may do all of this at once, be stopped anywhere, and do it again. Of many receivers, each does what the others
would do as well only so often that about one of them does it in the time in which a single receiver would (``_turn``): what is
listed does not grow with the square of their number. Safety never depends on it.

The log is cleaned up behind a checkpoint, which was read back and holds what the commits held (``checkpointing``, ``tidying``).

While the table's log is damaged, all of this stands still: nothing is committed, deleted or cleaned up on what may be wrong.
Any other damage that a duty finds is passed over and named, and the rest is done.
"""

from __future__ import annotations

import datetime
import random
from collections.abc import Awaitable, Collection, Sequence
from typing import NamedTuple, Protocol, TypeVar

from logsink import telemetry
from logsink.archive.adoption import Adopted, adopt
from logsink.archive.checkpointing import checkpoint, checkpoint_due, many_commits, tombstones_kept
from logsink.archive.closing import Evidence, close_dates, dates_due
from logsink.archive.compaction import Compacted, Compactor, Group, Sizes
from logsink.archive.crowd import committers, stretch
from logsink.archive.dormancy import IDLE, LEAST, idle_lanes, make_dormant
from logsink.archive.indexing import Indexing, Tended
from logsink.archive.log import TOMBSTONES_KEPT, DeltaLog
from logsink.archive.missing import expect_commits
from logsink.archive.retention import Removed, Retired, expired_files, removable_files, remove_files, retire
from logsink.archive.rounds import Limits, Rounds
from logsink.archive.snapshot import Snapshot, checkpoint_key
from logsink.archive.tidying import clean_log
from logsink.damage import Damage
from logsink.errors import Conflict, Damaged, LogsinkError
from logsink.journal import list_segments

_T = TypeVar("_T")

LEDGERS_EVERY = 3600.0
"""Seconds between two looks at whether a ledger is due."""

INDEX_EVERY = 3600.0
"""Seconds between two looks at the objects of the index."""

CLEAN_EVERY = 3600.0
"""Seconds between two looks at what can be deleted: old commits, and data files that have left the table."""

LISTINGS = 1 / 24
"""Share of these looks, of all receivers together, that list all data files, and so find those that no commit names."""


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
    """What one round of maintenance did, the errors of the duties that failed, and what is damaged, lost or missing.

    ``compacted``: one entry for each merge. ``checkpoint``: version of the checkpoint written, -1 when none was due.
    ``closed``: dates whose ledger was written. ``tended``: what was done to the index. ``made_dormant``: how many lanes were.
    """

    adopted: Adopted = Adopted()
    retired: Retired | None = None
    compacted: Sequence[Compacted] = ()
    checkpoint: int = -1
    removed: Removed = Removed()
    failed: Sequence[LogsinkError] = ()
    damage: Sequence[Damage] = ()
    closed: Sequence[datetime.date] = ()
    tended: Tended = Tended()
    made_dormant: int = 0


class Due(NamedTuple):
    """What a round of maintenance would do now.

    ``segments``: number of segments to adopt or delete. ``checkpoint``: version of the checkpoint to write, -1: none.
    ``groups``: data files to merge, each group into one. ``damage``: what is damaged, lost or missing; while that is the
    table's log, nothing is due. ``idle_lanes``: lanes to make dormant. ``ledgers``: dates whose ledger is to be
    written. What is to be done to the index and to old commits is not in it.
    """

    segments: int = 0
    retired: Retired | None = None
    checkpoint: int = -1
    removed: Removed = Removed()
    groups: Sequence[Group] = ()
    damage: Sequence[Damage] = ()
    idle_lanes: int = 0
    ledgers: Sequence[datetime.date] = ()


class Maintenance:
    """The maintenance that one process does. ``rest``: see ``Compactor``; ``evidence``: how ledgers are written.

    ``close`` it at the end.
    """

    def __init__(
        self, rounds: Rounds, limits: Limits, upkeep: Upkeep, evidence: Evidence | None = None, *, rest: float = 0.0
    ) -> None:
        self.compactor = Compactor(rounds.log, upkeep, rest=rest)
        self.indexing, self._index_looked_at = Indexing(rounds.log, upkeep), float("-inf")
        self._evidence, self._ledgers_looked_at = evidence or Evidence(), float("-inf")
        self._rounds, self._log, self._limits, self._upkeep = rounds, rounds.log, limits, upkeep
        self._looked = self._configured = False
        self._newest, self._draw = -1, random.random()
        """The newest checkpoint, and how far this process holds back when the next is due."""
        self._stretch = 1.0
        self._cleaned_at = self._log.monotonic() - random.uniform(0, CLEAN_EVERY)

    def close(self) -> None:
        """End the threads, without waiting for computations that cancelling left behind. No method may be called afterwards."""
        self.compactor.close()
        self.indexing.close()

    async def once(self, *, own: Collection[str] = (), thorough: bool = False) -> Maintained:
        """Do what is due now, and return what was done.

        ``own``: ids of this process, whose segments others may adopt, but not it; a process without ids shares no work with
        others. ``thorough``: look for everything that can be deleted, because nobody does it later. A duty that fails is logged
        and left for the next time; the others are done all the same. Cancelling is safe.
        """
        log, upkeep = self._log, self._upkeep
        failed: list[LogsinkError] = []

        async def attempt(duty: Awaitable[_T], otherwise: _T) -> _T:
            """Return the duty's result, or ``otherwise`` when it fails."""
            try:
                return await duty
            except LogsinkError as error:
                telemetry.MAINTENANCE_FAILED.log(error=error)
                failed.append(error)
                return otherwise

        first = not self._looked
        await self._look()
        snapshot = await (log.recent(upkeep.every * self._stretch) if own else log.load())
        self._stretch = stretch(snapshot)
        if not snapshot.intact:
            return _standing_still(log, snapshot)
        alone = thorough or not own
        adopted = Adopted()
        if first or alone or _turn(snapshot, 1 / self._stretch):
            adoption = adopt(self._rounds, self._limits, orphan_after=self._orphan_after(snapshot), own=own)
            adopted = await attempt(adoption, adopted)
        dates = await attempt(self._retire(snapshot), None)
        await attempt(self._configure(snapshot), None)
        checkpointed = await attempt(self._checkpoint(snapshot, alone), -1)
        made_dormant = 0
        if len(snapshot.txn) >= LEAST and (alone or _turn(snapshot)):
            made_dormant = await attempt(make_dormant(log), 0)
        removed = await attempt(self._remove(snapshot, thorough), Removed())
        await attempt(self._clean_log(thorough), 0)
        compacted = list[Compacted]()
        until = log.monotonic() + upkeep.every
        due = True if alone else bool(await attempt(self.compactor.due(snapshot), list[Group]()))
        while due and log.monotonic() < until and (merged := await attempt(self._compact(), None)):
            compacted.append(merged)
        closed = await attempt(self._close_dates(alone or _turn(snapshot)), ())
        tended = await attempt(self._tend_index(alone or _turn(snapshot)), Tended())
        found = (*adopted.damage, *removed.damage, *self.compactor.damage)
        damage = _named(snapshot, log, found)
        return Maintained(
            adopted,
            dates,
            tuple(compacted),
            checkpointed,
            removed,
            tuple(failed),
            damage,
            tuple(closed),
            tended,
            made_dormant,
        )

    async def due(self) -> Due:
        """Return what a thorough round would do, without work that only other work makes due. Changes nothing."""
        upkeep, log = self._upkeep, self._log
        await self._look()
        now, stored = await log.store.now(), await list_segments(log.store)
        snapshot = await log.load()
        if not snapshot.intact:
            return Due(damage=_standing_still(log, snapshot).damage)
        segments = sum(one.modified < now - self._orphan_after(snapshot) for one in stored)
        if snapshot.version < 0:
            return Due(segments)
        old = expired_files(snapshot, await log.now() - upkeep.retention) if upkeep.retention is not None else []
        files, damage = await removable_files(log, orphan_after=upkeep.orphan_after, keep_removed=upkeep.keep_removed)
        retired = {file.date for file in old}
        unclosed = await dates_due(log, compact_after=upkeep.compact_after, target=upkeep.target_file)
        idle = idle_lanes(snapshot, IDLE, await log.now(), LEAST, {one.name.receiver for one in stored})
        return Due(
            segments,
            Retired.of(old) if old else None,
            snapshot.version if await checkpoint_due(log, snapshot, upkeep.checkpoint_every) else -1,
            Removed(len(files), sum(entry.size for entry in files)),
            await self.compactor.due(snapshot),
            _named(snapshot, log, (*damage, *unclosed.snapshot.damage)),
            sum(map(len, idle.values())),
            tuple(date for date in unclosed.dates if date not in retired),
        )

    def _orphan_after(self, snapshot: Snapshot) -> float:
        """Return the age at which segments count as left behind: more where receivers wait longer before they commit."""
        return self._upkeep.orphan_after + (stretch(snapshot) - 1) * self._limits.max_age

    async def _retire(self, snapshot: Snapshot) -> Retired | None:
        """Take dates past their retention out of the table, where ``snapshot``, a recent one, has any."""
        retention = self._upkeep.retention
        if retention is None or not expired_files(snapshot, self._log.here() - retention):
            return None
        return await retire(self._log, retention)

    async def _configure(self, snapshot: Snapshot) -> None:
        """Have the table say how long tombstones are kept, once in this process: others may have other settings."""
        if self._configured or snapshot.version < 0:
            return
        seconds = round(tombstones_kept(self._upkeep.keep_removed))
        try:
            await self._log.configure(snapshot, {TOMBSTONES_KEPT: f"interval {seconds} seconds"})
            self._configured = True
        except Conflict:
            return  # next time

    async def _checkpoint(self, snapshot: Snapshot, alone: bool) -> int:
        """Write a checkpoint when one is due; return its version, or -1. ``snapshot``, a recent one, says whether to look."""
        if snapshot.checkpoint != self._newest:
            self._newest, self._draw = snapshot.checkpoint, random.random()
        every, draw = self._upkeep.checkpoint_every, self._draw
        if not (alone or many_commits(snapshot, every, draw=draw)):
            return -1
        return await checkpoint(self._log, every, keep=tombstones_kept(self._upkeep.keep_removed), draw=draw)

    async def _remove(self, snapshot: Snapshot, thorough: bool) -> Removed:
        """Delete data files that have left the table, every ``CLEAN_EVERY`` seconds or when ``thorough``."""
        if not thorough and self._log.monotonic() - self._cleaned_at < CLEAN_EVERY:
            return Removed()
        return await remove_files(
            self._log,
            orphan_after=self._upkeep.orphan_after,
            keep_removed=self._upkeep.keep_removed,
            thorough=thorough or _turn(snapshot, LISTINGS),
        )

    async def _clean_log(self, thorough: bool) -> int:
        """Delete old commits and checkpoints, as often; return how many."""
        now = self._log.monotonic()
        if not thorough and now - self._cleaned_at < CLEAN_EVERY:
            return 0
        self._cleaned_at = now
        return await clean_log(self._log, thorough=thorough)

    async def _close_dates(self, turn: bool) -> Sequence[datetime.date]:
        """Put the ledgers that are due, every ``LEDGERS_EVERY`` seconds, when it is this process's ``turn``."""
        now = self._log.monotonic()
        if now - self._ledgers_looked_at < LEDGERS_EVERY:
            return ()
        if not turn:
            self._ledgers_looked_at = now
            return ()
        closed = await close_dates(
            self._log, self._evidence, compact_after=self._upkeep.compact_after, target=self._upkeep.target_file
        )
        self._ledgers_looked_at = now
        return closed

    async def _tend_index(self, turn: bool) -> Tended:
        """Look after the index, where there is to be one, every ``INDEX_EVERY`` seconds, when it is this process's ``turn``."""
        now = self._log.monotonic()
        if not self._upkeep.index or now - self._index_looked_at < INDEX_EVERY:
            return Tended()
        if not turn:
            self._index_looked_at = now
            return Tended()
        tended = await self.indexing.tend()
        self._index_looked_at = now
        return tended

    async def _look(self) -> None:
        """Before anything else, see which commits the journal knows of: those that are lost must not be made anew."""
        if not self._looked:
            await expect_commits(self._log, await list_segments(self._log.store))
            self._looked = True

    async def _compact(self) -> Compacted | None:
        """Merge one group; return None when none is due, or when another process is found to merge the same files."""
        try:
            return await self.compactor.step()
        except Conflict:
            telemetry.COMPACTION_CONFLICTS.inc()
            return None


def _turn(snapshot: Snapshot, share: float = 1.0) -> bool:
    """Return whether to do what all receivers together are to do in a ``share`` of their rounds: at random, so that restarts,
    and receivers that are gone, put nothing off for long.
    """
    return random.random() * max(1, committers(snapshot)) < share


def _standing_still(log: DeltaLog, snapshot: Snapshot) -> Maintained:
    """Return, and log, that nothing is done because the table's log is damaged."""
    for one in snapshot.damage:
        telemetry.DAMAGE.log(damage=one)
    try:
        log.refuse_damage(snapshot, "do any upkeep")
    except Damaged as error:
        telemetry.MAINTENANCE_FAILED.log(error=error)
        return Maintained(failed=(error,), damage=snapshot.damage)
    raise AssertionError("an intact snapshot")


def _named(snapshot: Snapshot, log: DeltaLog, found: Sequence[Damage]) -> tuple[Damage, ...]:
    """Return, and log, the damage that is to be named: what was found, each object once, and losses not yet accepted."""
    checkpoints = [Damage(checkpoint_key(version), f"cannot be used: {why}") for version, why in log.damaged.items()]
    named = {one.key: one for one in (*found, *checkpoints)}
    for key in sorted(snapshot.lost.keys() - snapshot.accepted):
        named.setdefault(key, Damage(key, "is recorded as lost", snapshot.lost[key] or None))
    for one in named.values():
        telemetry.DAMAGE.log(damage=one)
    return tuple(named.values())
