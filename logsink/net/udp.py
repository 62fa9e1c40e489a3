"""Syslog over UDP (RFC 5426): hundreds of datagrams are received at a time (``recvmmsg``) and become one batch.

Nothing here is done for each datagram, and little for each sender of a read: senders are numbered in a compiled loop
(``wire.datagrams``), and what they hold of the memory is settled for each of them now and then (``SETTLE``).
"""

from __future__ import annotations

import asyncio
import socket
import time
from mmap import MAP_ANONYMOUS, MAP_PRIVATE, mmap

import numpy as np
import numpy.typing as npt

from logsink import telemetry
from logsink.flags import Flag
from logsink.journal import FRAME_OVERHEAD
from logsink.kinds import Address
from logsink.net.intake import READ, Intake
from logsink.net.ports import bound
from logsink.net.recvmmsg import ManyDatagrams
from logsink.parse import Origin, Origins
from logsink.wire import READ_LIMIT, REMEMBERED, SLOT, Batch, Datagrams, inflated

MOST = 256
"""Datagrams that the kernel hands over at a time. Their slots have 64 KiB each, but only what is written becomes memory."""

RECEIVE_BUFFER = 8 << 20
"""Bytes asked of the kernel for datagrams that are not read yet; without privileges net.core.rmem_max is the limit."""

LULL = 0.002
"""Seconds to wait before the next read of a busy socket, so that one read gets more datagrams."""

LULL_BUFFER = 4 << 20
"""Least socket buffer for such a wait, at a million datagrams a second, which the kernel counts as 800 bytes each."""

_LEAST = 512
"""Bytes of the kernel's buffer that a datagram takes at least, however short it is."""

SETTLE = 1 / 32
"""Share of ``memory_limit`` up to which memory in use is not yet charged to the senders that use it."""


Codes = npt.NDArray[np.int32]
"""Numbers of senders."""


class UdpListener:
    """One UDP socket. Datagrams that are received together are one batch."""

    kind = "udp"

    def __init__(self, intake: Intake, sock: socket.socket) -> None:
        self._intake, self.socket = intake, sock
        self._loop = asyncio.get_running_loop()
        slots = np.frombuffer(mmap(-1, MOST * SLOT, MAP_PRIVATE | MAP_ANONYMOUS), np.uint8)
        self._datagrams = Datagrams(slots, intake.buffer, intake.scratch, intake.max_message)
        self._origins: list[Origin] = []
        """The origin of each sender, by its number."""
        self._held = np.zeros(REMEMBERED, np.int64)
        """Bytes that each sender holds and is not charged with yet, by its number."""
        self._seen = np.zeros(REMEMBERED, np.float64)
        """When the last datagrams of each sender came, by its number; 0: not since ``last_seen`` was told."""
        intake.last_seen.ask(self._tell_last_seen)
        self._unsettled = 0
        self._ordinal = 0
        self._read_at = 0.0
        self._resume: asyncio.TimerHandle | None = None
        self._many = ManyDatagrams(slots, self._datagrams.addresses)
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        self._lulls = sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) >= LULL_BUFFER
        intake.losses.watch(sock.fileno())
        self._loop.add_reader(sock.fileno(), self._readable)

    @classmethod
    async def bound(cls, intake: Intake, address: Address) -> UdpListener:
        """Return a listener at ``address``, which no other process may have. ``ConfigError``: it cannot be had."""
        return cls(intake, bound("udp", address)[0])

    def close(self) -> None:
        """Take what has arrived, and then nothing more."""
        self._loop.remove_reader(self.socket.fileno())
        if self._resume is not None:
            self._resume.cancel()
        for _ in range(RECEIVE_BUFFER // _LEAST // MOST):  # bounded, in case somebody keeps sending
            if self._receive() < MOST:
                break
        self.socket.close()

    def _readable(self) -> None:
        count = self._receive()
        now = self._loop.time()
        if self._lulls and count < MOST and now - self._read_at <= LULL:
            self._loop.remove_reader(self.socket.fileno())
            self._resume = self._loop.call_at(now + LULL, self._go_on)
        self._read_at = now

    def _go_on(self) -> None:
        self._resume = None
        self._loop.add_reader(self.socket.fileno(), self._readable)

    def _receive(self) -> int:
        """Take what the kernel has, at most ``MOST`` datagrams, and return how many these were."""
        count = self._many.receive(self.socket.fileno())
        if not count:
            return 0
        if self._intake.paused:
            self._intake.losses.add("memory", count)
            return count
        datagrams, at = self._datagrams, 0
        datagrams.lengths[:count] = self._many.lengths[:count]
        before = datagrams.discarded
        if datagrams.crowded:
            self._settle()
            self._tell_last_seen()
            datagrams.forget()
            self._origins = []  # a new list: fills know the old one by its identity
        while at < count:
            at, batch, codes = datagrams.take(at, count)
            self._origins += [self._origin(address) for address in datagrams.senders[len(self._origins) :]]
            self._take(*self._admitted(batch, codes))
        if datagrams.discarded > before:
            telemetry.DISCARDED.labels(self.kind).inc(datagrams.discarded - before)
        return count

    def _admitted(self, batch: Batch, codes: Codes) -> tuple[Batch, Codes]:
        """Return the datagrams of senders that hold no more than their share; drop and count the others."""
        if self._intake.paused:
            self._intake.losses.add("memory", len(batch))
            return batch.of(slice(0)), codes[:0]
        if not self._intake.waiting:
            return batch, codes
        waits = [code for code in np.unique(codes).tolist() if self._origins[code].sender in self._intake.waiting]
        dropped = np.isin(codes, waits)
        if lost := int(np.count_nonzero(dropped)):
            self._intake.losses.add("share", lost)
        return batch.of(~dropped), codes[~dropped]

    def _take(self, batch: Batch, codes: Codes) -> None:
        """Hand datagrams to the journal; those of senders that compress sender by sender: each inflates only its own part."""
        packed = (batch.flags & Flag.INFLATED) != 0
        if packed.any():
            compressing = np.unique(codes[packed])
            for code in compressing.tolist():
                self._inflate(batch.of(codes == code), self._origins[code], READ_LIMIT // len(compressing))
            plain = ~np.isin(codes, compressing)
            batch, codes = self._admitted(batch.of(plain), codes[plain])
        if not len(batch):
            return
        self._ordinal = self._intake.take_mixed(batch, Origins(self._origins, codes))
        self._seen[codes] = time.time()
        weights = batch.ends - batch.starts
        weights += FRAME_OVERHEAD
        self._held[: len(self._origins)] += np.bincount(codes, weights, len(self._origins)).astype(np.int64)
        self._unsettled += int(weights.sum())
        if self._unsettled >= SETTLE * self._intake.memory_limit:
            self._settle()

    def _inflate(self, batch: Batch, origin: Origin, most: int) -> None:
        """Take one sender's datagrams, inflated; beyond ``most`` bytes, or ``max_inflated``, they stay compressed."""
        intake, now, given = self._intake, self._loop.time(), 0
        kept = int(np.count_nonzero(batch.flags & Flag.INFLATED))
        if intake.waits(origin.sender):
            intake.losses.add("memory" if intake.paused else "share", len(batch))
            return
        budget = min(most, intake.rates.left(origin.sender, now))
        for part in inflated(batch, intake.max_message, READ, budget):
            given += len(part.data)
            kept -= int(np.count_nonzero(part.flags & Flag.INFLATED))
            intake.take(part, origin)
        intake.rates.take(origin.sender, given, now)
        if given >= budget:
            telemetry.INFLATION_LIMITED.labels("datagram").inc(kept)

    def _settle(self) -> None:
        """Charge each sender with what it has sent since the last time, unless that is stored already."""
        if self._ordinal > self._intake.durable:
            for code in np.flatnonzero(self._held).tolist():
                self._intake.charge(self._ordinal, self._origins[code].sender, int(self._held[code]))
        self._held[:] = 0
        self._unsettled = 0

    def _tell_last_seen(self) -> None:
        """Tell when the last datagrams of each sender came."""
        for code in np.flatnonzero(self._seen).tolist():
            self._intake.last_seen.see(self._origins[code].sender, float(self._seen[code]))
        self._seen[:] = 0

    def _origin(self, address: Codes) -> Origin:
        """Return the origin of datagrams from ``address``, a ``sockaddr`` as int32[8]."""
        # sockaddr_in has the address first behind family and port, sockaddr_in6 behind flowinfo.
        packed = address.tobytes()[8:24] if self.socket.family == socket.AF_INET6 else address.tobytes()[4:8]
        return Origin(socket.inet_ntop(self.socket.family, packed).removeprefix("::ffff:"), None, self.kind)
