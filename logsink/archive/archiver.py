"""The archiver: stored segments of this receiver become data files and commits, and are then deleted.

::

    add (in the order of release) -> waiting -> round: a commit -> covered by a fresh snapshot -> 60 s -> deleted
                                     (frames in memory while all of them fit ``hold``, beyond that only names)

Laws
  - Segments are archived in the order in which they were released, so no lane is ever ahead of what is acknowledged.
  - They wait for ``max_age``, and longer beside many other receivers (``crowd.stretch``). Nothing else depends on how long.
  - A segment leaves ``waiting`` only when a fresh snapshot holds its sequence; that its commit succeeded is not enough.
    Behind its own commit a round only reads on (``DeltaLog.follow``): where that misleads, the segment waits again later.
  - It is deleted only when a snapshot that this very step has listed and loaded proves that the table holds its rows (I6,
    ``coverage``), and not before ``LINGER`` seconds.
  - A segment that is gone from the journal is archived from memory. Where it is not in memory either, the commit records it as
    lost, once that is proved (``missing``).
  - Segments that cannot be deleted stop no commit.
  - While the table's log is damaged, nothing is committed or deleted. Segments wait in the journal.
  - After trouble of any kind the archiver waits, loads a fresh snapshot and plans again, for ever. Receiving never waits for
    it: only the journal's objects stay longer in the store.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice, takewhile
from typing import NamedTuple

from logsink import telemetry
from logsink.archive.concurrency import run_concurrently
from logsink.archive.coverage import UNPROVED, UNPROVED_HINT, Coverage
from logsink.archive.crowd import stretch
from logsink.archive.dormant import receiver_of
from logsink.archive.missing import expect_commits, prove_missing
from logsink.archive.rounds import Committed, Limits, Rounds, committable, most_rows
from logsink.archive.snapshot import Snapshot
from logsink.errors import Conflict, Damaged, FormatError, LogsinkError, NotFound
from logsink.journal import Gap, Segment, SegmentName, list_segments, memory_use

LINGER = 60.0
"""Seconds between seeing a segment's rows in the table and deleting it: a reader that has listed it may still read it."""

_BACKOFF_FIRST, _BACKOFF_MOST = 0.5, 30.0
"""Seconds before another try after trouble: doubled each time, then jittered by half."""

_BACKOFF_DOUBLED = 6
"""How many times that is doubled: enough for the most."""

_READS = 4
"""Most segments read again from the journal at the same time."""


class Health(NamedTuple):
    """The archiver's state, for /readyz: segments and bytes of frames that wait.

    ``error`` is what failed last, '' after a success. ``oldest`` (when the oldest waiting segment came) and ``committed`` (the
    last commit) are monotonic seconds, or None.
    """

    segments: int
    nbytes: int
    oldest: float | None
    error: str
    committed: float | None


@dataclass(slots=True)
class _Waiting:
    """A stored segment whose rows are not known to be in the table; ``segment`` is None when it has to be read again.

    ``weight``: bytes of memory that it takes, or would take.
    """

    name: SegmentName
    nbytes: int
    rows: int
    weight: int
    since: float
    segment: Segment | None


class _Covered(NamedTuple):
    """A segment whose rows are in the table; ``since``: monotonic seconds of the first fresh snapshot that held them."""

    name: SegmentName
    nbytes: int
    rows: int
    since: float


class Archiver:
    """Archives what one process receives, through ``rounds``. Belongs to the running event loop; ``add`` never blocks.

    ``hold``: bytes of segments that may wait in memory, those of the round under way included. Beyond that, new segments keep
    only their names, and are read again when their round comes. Tests give ``sleep`` and ``uniform``.
    """

    def __init__(
        self,
        rounds: Rounds,
        limits: Limits,
        *,
        hold: int,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._rounds, self._log, self._limits, self._hold = rounds, rounds.log, limits, hold
        self._sleep, self._uniform = sleep, uniform
        self._waiting: deque[_Waiting] = deque()
        self._covered: deque[_Covered] = deque()
        self._reached: dict[str, int] = {}
        """``appId`` -> the last sequence that was found in the table: a snapshot that holds all of these has lost nothing."""
        self._nbytes = self._rows = self._weight = self._failures = 0
        self._error, self._looked = "", False
        self._max_age = limits.max_age
        self._committed: float | None = None
        self._changed = asyncio.Event()
        self._round = asyncio.Lock()

    @property
    def health(self) -> Health:
        """The state now."""
        oldest = self._waiting[0].since if self._waiting else None
        return Health(len(self._waiting), self._nbytes, oldest, self._error, self._committed)

    def add(self, segment: Segment) -> None:
        """Queue a stored segment. Those of each lane must come in order and without a gap."""
        frames = segment.frames
        one = _Waiting(segment.name, frames.nbytes, len(frames), memory_use(frames), self._log.monotonic(), None)
        self._nbytes += one.nbytes
        self._rows += one.rows
        self._weight += one.weight
        if self._weight <= self._hold:
            one.segment = segment
        self._waiting.append(one)
        self._changed.set()
        self._set_gauges()

    async def run(self) -> None:
        """Archive whenever a limit is reached, and delete archived segments, until cancelled. Cancelling is safe.

        It begins with a round, and tries again while one fails even if nothing waits, so that ``health`` says what is wrong
        with the archive now.
        """
        commit = True
        while True:
            if await self._try(commit):
                commit = await self._due()
            else:
                await self._back_off()
                commit = True

    async def drain(self, deadline: float) -> bool:
        """Archive all that was added, until ``deadline`` (monotonic seconds); return whether all of it is in the table now.

        Segments are not deleted: another receiver does that. Cancelling is safe.
        """
        try:
            async with asyncio.timeout(max(0.0, deadline - self._log.monotonic())):
                while self._waiting:
                    if not await self._try():
                        await self._back_off()
        except TimeoutError:
            return not self._waiting
        return True

    async def step(self, commit: bool = True) -> None:
        """Do one round: load, delete what is due, and ``commit`` the oldest waiting segments. Raises what went wrong."""
        async with self._round:
            if not self._looked:
                await expect_commits(self._log, await list_segments(self._log.store))
                self._looked = True
            snapshot = await self._awake(await self._log.load())
            if snapshot.version < 0:
                snapshot = await self._log.create()
            self._log.refuse_damage(snapshot, "archive")
            self._max_age = self._limits.max_age * stretch(snapshot)
            self._update_covered(snapshot)
            wrong = await self._delete(snapshot)
            if commit and self._waiting:
                began = self._log.monotonic()
                committed = await self._commit(snapshot)
                telemetry.ARCHIVE_SECONDS.observe(self._log.monotonic() - began)
                snapshot = await self._awake(await self._log.follow())
                self._log.refuse_damage(snapshot, "archive")
                self._update_covered(snapshot)
                committed.check(snapshot)
                self._committed = self._log.monotonic()
                committed.report()
            if wrong is not None:  # which stops no commit
                raise wrong

    async def _awake(self, snapshot: Snapshot) -> Snapshot:
        """Return ``snapshot`` with the dormant lanes of this process's receivers looked up."""
        here = {one.name.receiver for one in self._waiting} | set(map(receiver_of, self._reached))
        return await self._log.wake(snapshot, here)

    async def _try(self, commit: bool = True) -> bool:
        """Do one round and return whether it succeeded; an error is kept for ``health`` and logged."""
        try:
            await self.step(commit)
        except Conflict as error:
            telemetry.ARCHIVE_CONFLICTS.inc()
            self._fail(error)
        except Exception as error:  # noqa: BLE001  receiving must go on whatever it is, and the round is tried again
            telemetry.ARCHIVE_FAILURES.inc()
            self._fail(error)
        else:
            self._failures, self._error = 0, ""
        return not self._error

    def _fail(self, error: Exception) -> None:
        self._failures += 1
        self._error = str(error) or type(error).__name__
        telemetry.ARCHIVE_FAILED.log(error=error)

    async def _back_off(self) -> None:
        delay = min(_BACKOFF_MOST, _BACKOFF_FIRST * 2 ** min(self._failures - 1, _BACKOFF_DOUBLED))
        await self._sleep(self._uniform(delay / 2, delay))

    async def _due(self) -> bool:
        """Wait until a limit is reached, or a segment is due to be deleted; return whether to commit what waits.

        A round that deletes commits as well what would be due within ``LINGER`` seconds: that saves a round.
        """
        while True:
            self._changed.clear()
            many = self._rows >= most_rows(self._limits) or len(self._waiting) >= self._limits.max_segments
            if many or self._nbytes >= self._limits.max_bytes:
                return True
            commit = self._waiting[0].since + self._max_age if self._waiting else float("inf")
            delete = self._covered[0].since + LINGER if self._covered else float("inf")
            left = min(commit, delete) - self._log.monotonic()
            if left <= 0:
                return commit <= self._log.monotonic() + LINGER
            timeout = left if left < float("inf") else None
            try:
                async with asyncio.timeout(timeout):  # not wait_for: until Python 3.12 it may swallow being cancelled
                    await self._changed.wait()
            except TimeoutError:
                continue

    async def _commit(self, snapshot: Snapshot) -> Committed:
        """Commit the oldest waiting segments, within the limits."""
        chosen, losses = self._choose(snapshot), dict[str, int]()
        if not chosen:
            snapshot, gaps = await self._prove_missing(self._waiting)
            chosen, losses = self._choose(snapshot, gaps), {gap.key: 0 for gap in gaps}
        if not chosen:
            head = self._waiting[0].name
            raise FormatError(
                f"cannot archive {head.key}",
                f"the table has its lane up to {snapshot.last(head.app_id)} only",
                hint="was the table replaced or rolled back? the segments from there on are needed again",
            )
        gone: list[_Waiting] = []

        async def take(one: _Waiting) -> Segment | None:
            """Hand the segment's memory over to the round; if the round fails, the segment is read again."""
            segment, one.segment = one.segment, None
            try:
                return segment if segment is not None else await self._rounds.read(one.name)
            except NotFound:
                gone.append(one)
                return None

        taken = await run_concurrently([partial(take, one) for one in chosen], _READS)
        if gone:
            await self._refuse_archived(gone)
        losses |= {one.name.key: one.rows for one, segment in zip(chosen, taken, strict=True) if segment is None}
        segments = dict(zip((one.name for one in chosen), taken, strict=True))
        del taken
        return await self._rounds.archive(snapshot, segments, losses)

    async def _prove_missing(self, those: Iterable[_Waiting]) -> tuple[Snapshot, list[Gap]]:
        receiver = self._waiting[0].name.receiver
        held = [one.name for one in self._waiting if one.segment is not None and one.name.receiver == receiver]
        return await prove_missing(self._log, [one.name for one in those if one.name.receiver == receiver], held)

    async def _refuse_archived(self, gone: Sequence[_Waiting]) -> None:
        """Raise ``Conflict`` unless these segments, which are not in the journal, are lost."""
        _, gaps = await self._prove_missing(gone)
        for one in gone:
            lane = (one.name.receiver, one.name.lane)
            if not any(gap[:2] == lane and gap.first <= one.name.sequence <= gap.last for gap in gaps):
                raise Conflict(f"cannot archive {one.name.key}: it is gone, another receiver took this one for gone")

    def _choose(self, snapshot: Snapshot, passed: Sequence[Gap] = ()) -> list[_Waiting]:
        """Return the next segments to commit: of one receiver id, as many as the limits allow, and one in any case."""
        receiver, total, rows = self._waiting[0].name.receiver, 0, 0
        head: dict[SegmentName, _Waiting] = {}
        for one in islice(self._waiting, self._limits.max_segments):
            total += one.nbytes
            rows += one.rows
            if one.name.receiver != receiver or (
                head and (total > self._limits.max_bytes or rows > most_rows(self._limits))
            ):
                break
            head[one.name] = one
        return [head[name] for name in committable(snapshot, head, passed)]

    def _update_covered(self, snapshot: Snapshot) -> None:
        """Move segments that a fresh ``snapshot`` holds from waiting to covered, and back those that it no longer holds."""
        now = self._log.monotonic()
        lost: list[_Covered] = []
        if any(snapshot.last(lane) < last for lane, last in self._reached.items()):
            lost = [one for one in self._covered if not snapshot.covers(one.name)]
            self._covered = deque(one for one in self._covered if snapshot.covers(one.name))
            self._reached = {one.name.app_id: one.name.sequence for one in self._covered}
        waiting = [_Waiting(one.name, one.nbytes, one.rows, one.nbytes, now, None) for one in lost]
        for one in self._waiting:
            if snapshot.covers(one.name):
                self._covered.append(_Covered(one.name, one.nbytes, one.rows, now))
                self._reached[one.name.app_id] = one.name.sequence
            else:
                waiting.append(one)
        self._waiting = deque(waiting)
        self._nbytes = sum(one.nbytes for one in waiting)
        self._rows = sum(one.rows for one in waiting)
        self._weight = sum(one.weight for one in waiting)
        self._set_gauges()

    async def _delete(self, snapshot: Snapshot) -> LogsinkError | None:
        """Delete segments covered for ``LINGER`` seconds that ``snapshot``, loaded just now, proves to be archived (I6).

        Return what went wrong, if anything did: the store may refuse, or ``snapshot`` cover segments that it does not prove.
        """
        before = self._log.monotonic() - LINGER
        due = [one.name for one in takewhile(lambda one: one.since <= before, self._covered)]
        if not due:
            return None
        coverage = Coverage(snapshot, {name.receiver for name in due})
        proved = {name for name in due if coverage.proves(name)}
        if proved:
            try:
                await self._log.store.delete([name.key for name in due if name in proved])
            except LogsinkError as error:
                return error
            telemetry.DELETED.inc(len(proved))
            self._covered = deque(one for one in self._covered if one.name not in proved)
        unproved = [name for name in due if snapshot.covers(name) and name not in proved]
        if not unproved:
            return None
        return Damaged(f"cannot delete segment {unproved[0].key}: {UNPROVED}", hint=UNPROVED_HINT)

    def _set_gauges(self) -> None:
        telemetry.BACKLOG_BYTES.set(self._nbytes)
        telemetry.BACKLOG_SEGMENTS.set(len(self._waiting))
