"""The journal's writer, by group commit: frames enter, segments are stored, and "durable up to here" leaves.

::

    append -> fill (<= max_bytes) -> sealed, waiting for a lane -> lane: encode, PUT if absent, again until stored -> release
              due by ack_delay,      (bounded by memory_limit:     (parallel_puts lanes, one PUT                    in order of
              max_delay or size       reading pauses)               under way in each)                              the fills

Laws
  - A lane sends sequence n + 1 only after n is stored, so its stored numbers never have a gap (I2).
  - A retry sends the same bytes. When something is there already, it is read: the same bytes mean that the segment is stored,
    other bytes are fatal, and nothing is acknowledged.
  - Fills are released in the order in which they were opened, across lanes; only then are frames durable for anybody (I1).
  - A failed PUT is tried again for as long as the process lives. Nothing is dropped; the memory limit stops reading.
  - A segment is named at its first try, after a receiver id that is valid then (``receiver_ids``), and keeps that name.
  - A read is never split over two fills; under one id, ``received`` strictly increases from read to read.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from logsink import telemetry
from logsink.config import Journal as Limits
from logsink.errors import Conflict, LogsinkError, StoreError
from logsink.journal.fill import Fill, Memory
from logsink.journal.receiver_ids import ReceiverIds
from logsink.journal.segment import Segment, SegmentName, encode_segment
from logsink.parse import Origin, Origins, Settings
from logsink.store import Store, put_once
from logsink.wire import Batch

_BACKOFF_FIRST, _BACKOFF_MOST = 0.05, 5.0
"""Seconds between tries of a failed PUT: doubled each time, then jittered by half."""

_RESUME_AT = 0.75
"""Share of the memory limit to which unstored memory must fall before reading goes on."""

_FAST, _LONGER = 1024, 0.005
"""A fill with this many frames, of which some wait for an acknowledgement, waits this many seconds longer for more frames: at
such a rate the number of segments is what costs. A sender whose window fills up meanwhile waits most of the time anyway."""

_PUT_BACK = 2_000_000
"""Microseconds by which the clock may be put back: until it is there again, each read gets the last time and a microsecond."""

_AGAIN = 60.0
"""Seconds for which an id is kept however often the clock is put back."""

CLOCK_TICK = 0.001
"""Seconds between two ticks of the loop's clock (uvloop's counts milliseconds). A fill that is due within half a tick is due.

Sums of ticks differ in their last digits, and a wake-up in less than a tick comes at once, again and again until the next tick.
"""

_BYTES_PER_ROW = 64
"""A fill has room for one frame for each 64 bytes of ``max_bytes``; shorter frames just make more segments.

So a segment has no more rows than a round of the archive takes (``archive.rounds.most_rows``).
"""


class _Lane:
    """One sequence of segments; ``sequence`` is the last one stored, under the id ``receiver``."""

    def __init__(self, receiver: str, number: int) -> None:
        self.receiver = receiver
        self.number = number
        self.sequence = 0
        self.busy = False


class Appended(NamedTuple):
    """What became of a batch: the ordinal of its fill, the bytes of its frames, and the memory in use for them."""

    ordinal: int
    nbytes: int
    memory: int


class Journal:
    """The journal of one receiver. Belongs to the running event loop; ``append`` must be called from it and never blocks.

    ``ids`` has the receiver id for each segment (None: it is always ``receiver``); when that changes, each lane starts again
    with sequence 1. ``on_release`` is called with each segment once it and all before it are
    stored, ``on_pressure(paused)`` when reading has to stop and when it may go on. ``failed`` gets an exception when the
    journal cannot go on at all. ``memory_limit`` and ``largest_batch`` (the receive buffer) are bytes. Every
    segment names ``store_id``, the id in the store's marker, and what ``newest_commit`` returns: the newest version of the
    table that this process knows of, -1 where it knows none. ``announce`` is called when the first frame of a segment has
    come, which will be stored soon.
    """

    def __init__(
        self,
        store: Store,
        receiver: str,
        settings: Settings,
        limits: Limits,
        *,
        memory_limit: int,
        largest_batch: int,
        on_release: Callable[[Segment], None],
        on_pressure: Callable[[bool], None],
        ids: ReceiverIds | None = None,
        store_id: str = "",
        newest_commit: Callable[[], int] = lambda: -1,
        announce: Callable[[], None] = lambda: None,
    ) -> None:
        self.durable = 0
        """Every fill up to this ordinal is stored."""
        self.taken = 0
        """Bytes of all frames appended so far."""
        self.failing: StoreError | None = None
        """Why segments cannot be stored right now; None while they can."""
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._loop = asyncio.get_running_loop()
        self._store, self._settings, self._limits, self._ids = store, settings, limits, ids
        self._store_id, self._newest_commit, self._announce = store_id, newest_commit, announce
        self._doubtful = False
        self._memory_limit = memory_limit
        most = largest_batch // 2 + 2  # frames of a batch, of one byte each (``wire.batch.Scratch``)
        rows = max(limits.max_bytes // _BYTES_PER_ROW, most)
        self._memory = Memory(limits.max_bytes + largest_batch, rows, largest_batch, most)
        self._on_release, self._on_pressure = on_release, on_pressure
        self._lanes = [_Lane(receiver, k) for k in range(limits.parallel_puts)]
        self._threads = ThreadPoolExecutor(limits.parallel_puts, "journal")
        self._tasks: set[asyncio.Task[None]] = set()
        self._fill: Fill | None = None
        self._sealed: deque[Fill] = deque()
        self._order: deque[Fill] = deque()
        self._opened = 0
        self._last_sent = float("-inf")
        self._last_received = 0
        self._begun = float("-inf")  # loop time at which the last id began because the clock was put back
        self._unstored = 0
        self._paused = False
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = float("inf")
        self._flushing = False
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def unstored(self) -> int:
        """Bytes of memory in use for frames that are not stored yet."""
        return self._unstored

    @property
    def due(self) -> float:
        """Loop time at which the open fill is due; 0 when there is none."""
        return self._due(self._fill) if self._fill is not None else 0.0

    @property
    def paused(self) -> bool:
        """Whether reading has to wait because ``memory_limit`` is reached."""
        return self._paused

    def append(self, batch: Batch, origin: Origin | Origins, waiter: Callable[[], None] | None = None) -> Appended:
        """Copy a batch, and return what became of it.

        With a ``waiter``, a sender waits for an acknowledgement: the fill is due ``ack_delay`` from now at the latest, and
        ``waiter`` is called once, when ``durable`` has reached the ordinal.
        """
        now_us = time.time_ns() // 1000
        if now_us < self._last_received - _PUT_BACK:
            self._begin_id(self._last_received - now_us)
        fill = self._fill
        if fill is None or not fill.takes(batch):
            if fill is not None:
                self._seal()
                self._send()
            fill = self._open()
        self._last_received = max(now_us, self._last_received + 1)
        weight, nbytes = fill.weight, fill.nbytes
        fill.append(batch, self._last_received, origin)
        appended = Appended(fill.ordinal, fill.nbytes - nbytes, fill.weight - weight)
        self._unstored += appended.memory
        self.taken += appended.nbytes
        if waiter is not None:
            fill.waiters.add(waiter)
            fill.owed = True
            fill.due = min(fill.due, self._loop.time() + self._limits.ack_delay)
        if fill.nbytes >= self._limits.max_bytes:
            self._seal()
            self._send()
        else:
            self._arm(self._due(fill))
        if self._unstored > self._memory_limit and not self._paused:
            self._paused = True
            self._on_pressure(True)
        return appended

    def watch(self, ordinal: int, waiter: Callable[[], None]) -> None:
        """Call ``waiter`` when ``durable`` reaches the ordinal of an earlier ``append``; never when it has already."""
        for fill in (*self._order, self._fill):
            if fill is not None and fill.ordinal == ordinal:
                fill.waiters.add(waiter)

    async def flush(self) -> None:
        """Store everything appended without waiting for more, and return when that is done.

        Cancelling loses nothing. Raises the exception of ``failed`` when the journal cannot go on.
        """
        self._flushing = True
        if self._fill is not None:
            self._seal()
        self._send()
        idle = self._loop.create_task(self._idle.wait())
        try:
            ends: set[asyncio.Future[Any]] = {idle, self.failed}
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if not idle.done():
                self.failed.result()
        finally:
            idle.cancel()
            self._flushing = False

    async def aclose(self) -> None:
        """Stop. Frames that are not stored by now will not be; they were not acknowledged."""
        if self._timer:
            self._timer.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _open(self) -> Fill:
        self._opened += 1
        limits, now = self._limits, self._loop.time()
        fill = self._fill = Fill(self._opened, self._memory.loan())
        fill.opened = now
        fill.id_number = 0 if self._ids is None else self._ids.number
        # An idle receiver stores its first frames soon, so that nobody waits a second to see a single line.
        idle = not self._order and now - self._last_sent > limits.max_delay
        fill.due = now + (min(limits.ack_delay, limits.max_delay) if idle else limits.max_delay)
        self._idle.clear()
        self._announce()
        return fill

    def _begin_id(self, microseconds: int) -> None:
        """Go on under another id, with the time that the clock says now, unless it is put back again and again."""
        now = self._loop.time()
        if self._ids is None or now - self._begun < _AGAIN:
            return
        self._begun = now
        self._seal()
        self._send()
        self._ids.begin(microseconds / 1e6)
        self._last_received = 0

    def _seal(self) -> None:
        """Close the open fill: it takes no more frames, and waits for a lane."""
        if self._fill is not None:
            self._memory.give_back(self._fill.rest())
            self._sealed.append(self._fill)
            self._order.append(self._fill)
            self._fill = None

    def _due(self, fill: Fill) -> float:
        """Return the loop time at which ``fill`` is due."""
        return fill.due + _LONGER if fill.owed and len(fill) >= _FAST else fill.due

    def _arm(self, due: float) -> None:
        """Set the timer to ``due``, unless it is set for earlier."""
        if due < self._timer_at:
            if self._timer:
                self._timer.cancel()
            self._timer_at, self._timer = due, self._loop.call_at(due, self._wake)

    def _wake(self) -> None:
        self._timer, self._timer_at = None, float("inf")
        self._send()

    def _send(self) -> None:
        """Give sealed fills, and then the open one when it is due, to free lanes."""
        for lane in self._lanes:
            if lane.busy:
                continue
            if not self._sealed and self._fill is not None:
                due = self._due(self._fill)
                if due - self._loop.time() < CLOCK_TICK / 2 or self._flushing:
                    self._seal()
                else:
                    self._arm(due)
            if not self._sealed:
                return
            lane.busy = True
            task = self._loop.create_task(self._put(lane, self._sealed.popleft()))
            self._tasks.add(task)
            task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) and not self.failed.done():
            self.failed.set_exception(error)

    async def _put(self, lane: _Lane, fill: Fill) -> None:
        """Store ``fill`` as the next segment of ``lane``, however long that takes."""
        began = self._last_sent = self._loop.time()
        await self._until_done(f"of lane {lane.number}", lambda: self._settle_id(lane, fill))
        name = SegmentName(lane.receiver, lane.number, lane.sequence + 1)
        stored = {
            SegmentName(one.receiver, one.number, 1).app_id: one.sequence
            for one in self._lanes
            if one is not lane and one.sequence and one.receiver == name.receiver
        }
        newest = self._newest_commit()
        segment = Segment(name, self._settings, fill.frames(), fill.ordinal, self._store_id, stored, newest)
        body = memoryview(await self._loop.run_in_executor(self._threads, encode_segment, segment)).cast("B")
        await self._until_done(name.key, lambda: self._put_once(name, body))
        now = self._loop.time()
        lane.sequence = name.sequence
        lane.busy = False
        telemetry.SEGMENTS.inc()
        telemetry.SEGMENT_BYTES.inc(len(body))
        telemetry.PUT_SECONDS.observe(now - began)
        if fill.owed:
            telemetry.ACK_SECONDS.observe(now - fill.opened)
        fill.segment = segment
        self._release()
        self._send()

    async def _settle_id(self, lane: _Lane, fill: Fill) -> None:
        """Renew the receiver id for the lane's next segment."""
        if self._ids is None:
            return
        receiver = await self._ids.renew(self._doubtful, fill.id_number)
        self._doubtful = False
        if receiver != lane.receiver:
            lane.receiver, lane.sequence = receiver, 0

    async def _put_once(self, name: SegmentName, body: memoryview) -> None:
        try:
            await put_once(self._store, name.key, body)
        except Conflict as error:
            raise LogsinkError(f"cannot store segment {name.key}: another receiver has written it: {error}") from error

    async def _until_done(self, key: str, act: Callable[[], Awaitable[None]]) -> None:
        """Do ``act`` until it succeeds, waiting longer after each error of the store. ``key`` names the segment in the log."""
        tries, delay = 1, _BACKOFF_FIRST
        while True:
            try:
                await act()
            except StoreError as error:
                self.failing = error
                self._doubtful = True
                telemetry.PUT_FAILURES.inc()
                telemetry.PUT_FAILED.log(key=key, error=error)
                await asyncio.sleep(delay * (0.5 + random.random() / 2))
                tries, delay = tries + 1, min(delay * 2, _BACKOFF_MOST)
            else:
                self.failing = None
                if tries > 1:
                    telemetry.PUT_RECOVERED.log(key=key, tries=tries)
                return

    def _release(self) -> None:
        """Release, in order, each stored fill that has no unstored fill before it: its frames are durable."""
        while self._order and (segment := self._order[0].segment) is not None:
            fill = self._order.popleft()
            self.durable = fill.ordinal
            self._unstored -= fill.weight
            for waiter in fill.waiters:
                waiter()
            self._on_release(segment)
        if self._paused and self._unstored <= self._memory_limit * _RESUME_AT:
            self._paused = False
            self._on_pressure(False)
        if not self._order and self._fill is None:
            self._idle.set()
