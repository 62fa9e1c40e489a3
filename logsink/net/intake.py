"""What all listeners of a receiver share: the buffer to read into, the way to the journal, and the limits.

An event loop has one receive buffer. A connection's unfinished frame is put at its front before each read, so that framing
always sees one contiguous stretch and a connection keeps nothing but that frame.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from typing import Protocol

import numpy as np

from logsink import telemetry
from logsink.flags import Flag
from logsink.journal import CLOCK_TICK, Appended, Journal
from logsink.net.last_seen import LastSeen
from logsink.net.losses import Losses
from logsink.net.rates import Rates, Windows
from logsink.net.senders import WINDOW, Senders
from logsink.net.shares import Shares
from logsink.parse import Origin, Origins
from logsink.wire import Batch, Framer, RelpSession, Scratch

READ = 256 * 1024
"""Bytes of one read at most: enough that a read of a busy connection costs little beside its frames."""

LULL = 0.02
"""Seconds to wait before the next read of a connection whose reads follow each other fast, so that one read gets more.

It is ``ack_delay`` at most. Where a segment is sent within twice that time, the read comes just before, so that nothing
misses it.
"""

EARLY = (0.003, 0.001)
"""Seconds before a segment is sent at which there are reads for it. The first has the sender's system send what it kept back
until the rest was read, and that comes with the second: without it a window of 128 frames lost 10 % of its rate."""

_UNFINISHED_SHARE = 0.25
"""Share of ``memory_limit`` that unfinished frames may hold before the largest are cut."""

_AROUND = 64
"""Most bytes that an unfinished frame has around its message: a RELP header, a count, a line end. One frame always has room."""

_HELD_SHARE = 0.125
"""Share of ``memory_limit`` for frames that are held back until it is known whether they are resends."""

_WINDOW_SHARE = 0.5
"""Share of ``memory_limit``, in addition to it, for the windows to which compressed streams refer back."""


class Connection(Protocol):
    """A connection, as the intake sees it."""

    origin: Origin

    def pause(self) -> None:
        """Stop reading; calls add up."""

    def resume(self) -> None:
        """Undo one ``pause``."""

    def cut(self) -> None:
        """Deliver the unfinished frame as it is and drop the rest of it."""

    def drain(self) -> None:
        """Tell the peer that nothing more is wanted, and go on reading until it ends."""

    def abort(self) -> None:
        """Close at once."""


class Intake:
    """Hands batches of all listeners of one event loop to the journal, and pauses reading where limits are reached."""

    def __init__(
        self,
        *,
        max_message: int,
        max_connections: int,
        memory_limit: int,
        max_per_sender: int | None = None,
        relp_window: int = WINDOW,
        max_inflated: int = 64 << 20,
        ack_delay: float = LULL,
    ) -> None:
        self.max_message = max_message
        self.lull = min(LULL, ack_delay)
        carry = max(Framer.longest_carry(max_message), RelpSession.longest_carry(max_message))
        size = -(-(carry + READ) // 8) * 8
        self.buffer = np.zeros(size, np.uint8)
        self.view = self.buffer.data
        self.scratch = Scratch(size)
        self.connections: set[Connection] = set()
        self.empty = asyncio.Event()
        """Set while no connection is open."""
        self.empty.set()
        self.paused = False
        self.draining = False
        self.losses = Losses()
        self.last_seen = LastSeen()
        self._journal: Journal | None = None
        self._max_connections = max_connections
        self._max_per_sender = max_per_sender or max_connections
        self._by_sender: dict[str | None, set[Connection]] = {}
        self.memory_limit = memory_limit
        self.rates = Rates(max_inflated)
        self.windows = Windows(int(memory_limit * _WINDOW_SHARE))
        self._shares = Shares(memory_limit)
        self._unfinished: dict[Connection, int] = {}
        self._unfinished_total = 0
        self._unfinished_limit = max(int(memory_limit * _UNFINISHED_SHARE), max_message + _AROUND)
        self.senders = Senders(int(memory_limit * _HELD_SHARE), relp_window)

    def attach(self, journal: Journal) -> None:
        """Hand batches to this journal from now on."""
        self._journal = journal

    @property
    def durable(self) -> int:
        """The ordinal up to which every segment of the journal is stored."""
        return self._journal.durable if self._journal else 0

    def take(self, batch: Batch, origin: Origin, waiter: Callable[[], None] | None = None) -> Appended:
        """Hand a read's frames to the journal, and charge their sender (see ``Journal.append``)."""
        appended = self._append(batch, origin, waiter)
        self.last_seen.see(origin.sender)
        self.charge(appended.ordinal, origin.sender, appended.memory)
        return appended

    def take_mixed(self, batch: Batch, origins: Origins) -> int:
        """Hand frames of several origins to the journal; return their segment. The caller ``charge``s each sender for them, and
        tells ``last_seen``.
        """
        return self._append(batch, origins, None).ordinal

    def charge(self, ordinal: int, sender: str | None, memory: int) -> None:
        """Count ``memory`` bytes more for ``sender`` until segment ``ordinal`` is stored; beyond its share, pause it."""
        if self._shares.take(ordinal, sender, memory):
            telemetry.SHARE_EXCEEDED.inc()
            telemetry.SHARE.log(sender=sender)
            for connection in self._by_sender.get(sender, ()):
                connection.pause()
            self.watch(self._shares.oldest or ordinal, self._stored)

    def _append(self, batch: Batch, origin: Origin | Origins, waiter: Callable[[], None] | None) -> Appended:
        assert self._journal is not None, "connections are accepted only after attach"
        if np.count_nonzero(batch.flags):
            for flag in (Flag.TRUNCATED, Flag.INCOMPLETE, Flag.MAYBE_RESENT, Flag.SENT_TWICE):
                telemetry.count_flags({int(flag): int(np.count_nonzero(batch.flags & flag))})
        appended = self._journal.append(batch, origin, waiter)
        telemetry.count_frames(origin.transport, len(batch), appended.nbytes)
        self._stored()
        return appended

    def next_read(self, now: float) -> float:
        """Return the loop time for the next read of what comes fast: just before a segment is sent, or after ``lull``."""
        assert self._journal is not None, "connections are accepted only after attach"
        due = self._journal.due
        soon = now + CLOCK_TICK / 2
        return next((due - early for early in EARLY if soon < due - early < now + 2 * self.lull), now + self.lull)

    @property
    def waiting(self) -> Collection[str | None]:
        """The senders from which nothing more is to be taken for now; while ``paused``, nothing is from any."""
        return self._shares.waiting

    def waits(self, sender: str | None) -> bool:
        """Return whether nothing more is to be taken from ``sender`` for now."""
        return self.paused or sender in self._shares.waiting

    def _stored(self) -> None:
        """Count off what has become durable, and resume the senders that waited for that."""
        for sender in self._shares.stored(self.durable):
            for connection in self._by_sender.get(sender, ()):
                connection.resume()
        if self._shares.waiting and self._shares.oldest is not None:
            self.watch(self._shares.oldest, self._stored)

    def watch(self, ordinal: int, waiter: Callable[[], None]) -> None:
        """Have ``waiter`` called when ``durable`` reaches an ordinal that ``take`` returned (see ``Journal.watch``)."""
        assert self._journal is not None, "connections are accepted only after attach"
        self._journal.watch(ordinal, waiter)

    def admit(self, connection: Connection) -> bool:
        """Count a new connection, or return False where it has to be closed because ``max_connections`` is reached."""
        transport, full = connection.origin.transport, len(self.connections) >= self._max_connections
        if full:
            telemetry.REFUSED.labels(transport).inc()
            telemetry.REFUSED_FULL.log(sender=connection.origin.sender, limit=self._max_connections)
            return False
        self.connections.add(connection)
        self.empty.clear()
        telemetry.ACCEPTED.labels(transport).inc()
        telemetry.CONNECTIONS.labels(transport).inc()
        if self.paused:
            connection.pause()
        return True

    def identify(self, connection: Connection) -> str | None:
        """Count an admitted connection for its sender; return why it has to be closed, if it is one too many."""
        sender = connection.origin.sender
        mine = self._by_sender.setdefault(sender, set())
        mine.add(connection)
        if len(mine) > self._max_per_sender:
            return f"receive.max_connections_per_sender {self._max_per_sender} reached"
        if sender in self._shares.waiting:
            connection.pause()
        return None

    def rejected(self, origin: Origin, kind: str, reason: str) -> None:
        """Count a connection that is closed for what its peer did, and log ``reason``."""
        telemetry.REJECTED.labels(origin.transport, kind).inc()
        telemetry.REJECTION.log(transport=origin.transport, sender=origin.sender, kind=kind, reason=reason)

    def leave(self, connection: Connection) -> None:
        """Forget a connection that is closed; nothing happens if it was not admitted or is forgotten already."""
        if connection not in self.connections:
            return
        self.connections.discard(connection)
        if not self.connections:
            self.empty.set()
        telemetry.CONNECTIONS.labels(connection.origin.transport).dec()
        sender = connection.origin.sender
        mine = self._by_sender.get(sender, set())
        mine.discard(connection)
        if not mine:
            self._by_sender.pop(sender, None)
        self.unfinished(connection, 0)

    def unfinished(self, connection: Connection, size: int) -> None:
        """Note that ``connection`` keeps ``size`` bytes of an unfinished frame; beyond the limit, cut the largest of all."""
        before = self._unfinished.pop(connection, 0)
        if size:
            self._unfinished[connection] = size
        self._unfinished_total += size - before
        telemetry.UNFINISHED.set(self._unfinished_total)
        while self._unfinished_total > self._unfinished_limit:
            largest = max(self._unfinished, key=self._unfinished.__getitem__)
            telemetry.UNFINISHED_CUT.log(
                bytes=self._unfinished[largest],
                sender=largest.origin.sender,
                total=self._unfinished_total,
                limit=self._unfinished_limit,
            )
            self._unfinished_total -= self._unfinished.pop(largest)
            largest.cut()

    def pressure(self, paused: bool) -> None:
        """Pause or resume reading on all connections."""
        self.paused = paused
        telemetry.PAUSED.set(paused)
        for connection in self.connections:
            if paused:
                connection.pause()
            else:
                connection.resume()

    def drain(self) -> None:
        """Drain all connections, and those that are still to come."""
        self.draining = True
        for connection in list(self.connections):
            connection.drain()
