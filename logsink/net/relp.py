"""RELP connections: the acknowledgement of a frame leaves when the journal says that its segment is stored, and not before.

When a session breaks, the acknowledgements that the transport had handed to the system count as written. What the transport
still held when the client closed does not; after a reset that cannot be asked any more, and all that it was given counts.
"""

from __future__ import annotations

import asyncio
import fcntl
import socket
import sys
import termios
from collections import deque
from typing import NamedTuple

from logsink import telemetry
from logsink.net.accepting import half_close
from logsink.net.intake import Intake
from logsink.net.resends import REPEATS, Read, ResendGuard
from logsink.net.senders import Sender
from logsink.net.stream import LINGER, PLAIN, Port, StreamConnection
from logsink.wire import ON_RELP, Batch, Digests, History, RelpSession, RelpState, Taken, digests

UNSENT = 1 << 20
"""Bytes of answers that a client may leave unread (about 50,000 acknowledgements) before nothing more is read from it."""

SEGMENT = 8192
"""Bytes of a TCP segment at most, so that one is always full before a client's window of unacknowledged frames is.

librelp corks its socket while rsyslog hands over a batch, and Linux keeps a segment that is not full in a corked socket for
200 ms. With the usual window of 128 frames and segments of 64 KiB (loopback) the whole window is waiting in one, and the client
for its acknowledgements: 580 frames a second instead of 5,000. Smaller ones cost the client: with 1,400 bytes (six frames) it
spends 11 s of CPU on a million frames over loopback, with these 6.5 s.
"""


_OPEN_THERE = frozenset({1, 2, 3, 4, 5})
"""States of a TCP socket (Linux) in which the peer has not closed: ESTABLISHED, SYN_*, FIN_WAIT*."""


def small_segments(listener: socket.socket) -> None:
    """Have all that connect to ``listener`` send segments of ``SEGMENT`` bytes at most."""
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, SEGMENT)


def _unconfirmed(sock: socket.socket) -> int:
    """Return how many bytes the peer's system has not confirmed, plus how many are here to be read; 1 where nobody knows."""
    try:
        counts = [fcntl.ioctl(sock, request, bytes(4)) for request in (termios.TIOCOUTQ, termios.FIONREAD)]
    except OSError:  # it is closed, or not Linux: nobody knows
        return 1
    return sum(int.from_bytes(count, sys.byteorder) for count in counts)


class _Written(NamedTuple):
    """Bytes given to the transport at once; ``before`` frames were answered before them."""

    before: int
    size: int


class RelpConnection(StreamConnection):
    """One RELP connection. Reading goes on while acknowledgements wait for the store."""

    kinds = ("relp", "relp-tls")
    foreigners = ON_RELP
    compressible = False

    def __init__(self, intake: Intake, port: Port = PLAIN) -> None:
        self._relp = RelpSession(intake.scratch, intake.max_message)
        super().__init__(intake, self._relp, port)
        self._waiting: deque[tuple[int, int]] = deque()
        """Reads that are not acknowledged, oldest first: the segment to wait for, and how many frames were taken with it."""
        self._acknowledged = 0
        self._taken = 0
        self._left = self._closed = False
        self._sender: Sender | None = None
        self._guard: ResendGuard | None = None
        self._begins: Digests | None = None
        """The digest of the session's first frame."""
        self._repeated = False
        self._history = History()
        self._written: deque[_Written] = deque()
        self._reached: int | None = None
        """Frames whose acknowledgement was written, asked at the stream's end; None before."""
        self._socket: socket.socket | None = None
        """The transport's own socket, to be asked and not closed: a new session asks all others of its sender."""

    def begun(self) -> None:
        if self.transport:
            self.transport.set_write_buffer_limits(UNSENT)
        if self._raw:
            self._socket = socket.socket(fileno=self._raw.get_extra_info("socket").fileno())
        self._sender = self.intake.senders.enter(self.origin, self)
        self._guard = ResendGuard(self.intake.senders, self._sender, self)

    def received(self, batch: Batch) -> int:
        read = Read(batch, self._taken, self._relp.taken, digests(batch, self.intake.senders.key))
        self._taken = self._relp.taken
        self.intake.senders.unacknowledged(self._taken - self._relp.answered, self.origin)
        self._flag_repeat(batch, read.digests)
        if self._relp.state is RelpState.CLOSING and not self._parted:
            self._closed = True
        if read.after > read.before and self._guard and not self._guard.take(read):
            self.fresh(read)
        if self._closed and self._guard:
            self._guard.end(closed=True)
        self._stored()
        return 0

    def fresh(self, read: Read) -> None:
        """Store the frames of a read. Empty ones are not stored: they are acknowledged with those before them."""
        if len(read.batch):
            if self._guard:
                self._guard.flag(read)
            ordinal = self.intake.take(read.batch, self.origin, self._stored).ordinal
            self._remember(read, ordinal)
        else:
            ordinal = self._waiting[-1][0] if self._waiting else self.intake.durable
        self._waiting.append((ordinal, read.after))

    def resent(self, read: Read, ordinal: int) -> None:
        """Acknowledge the frames of a read when their first copies are stored."""
        self._remember(read, ordinal)
        self._waiting.append((ordinal, read.after))
        self.intake.watch(ordinal, self._stored)

    def hung_up(self) -> bool:
        if self._socket is None or self._raw is None or self._raw.is_closing():
            return True
        try:
            state = self._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
        except OSError:  # it is closed already
            return True
        except AttributeError:  # not Linux: nobody knows
            return False
        return state not in _OPEN_THERE

    def older_left(self) -> None:
        if self._guard:
            self._guard.look()
            self._stored()

    def stalled(self) -> bool:
        return self.intake.waits(self.origin.sender)

    def idle(self) -> bool:
        if self._socket is None or self.transport is None or self._holds or self._relp.carry:
            return False
        unsent = self.transport.get_write_buffer_size() + (self._raw.get_write_buffer_size() if self._raw else 0)
        return not unsent and self._relp.answered == self._taken and not _unconfirmed(self._socket)

    def unconfirmed(self) -> Digests:
        last = self._history.last(self.intake.senders.window, self._doubtful())
        return last if len(last) and self._socket and _unconfirmed(self._socket) else last[:0]

    def eof_received(self) -> bool:
        self._reached = self._reach()
        return super().eof_received()

    def abort(self) -> None:
        if self._reached is None:
            self._reached = self._reach()
        super().abort()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._socket:
            self._socket.detach()
            self._socket = None
        if self._guard:
            self._guard.doubt.close()
        if self._sender:
            self._history.answered(self._relp.answered if self._reached is None else self._reached)
            now = asyncio.get_running_loop().time()
            self.intake.senders.leave(
                self._sender, self, self._history, closed=self._closed, now=now, doubtful=self._doubtful()
            )
            self._sender = None

    def ended(self) -> None:
        self._relp.eof()
        if self._guard:
            self._guard.end(closed=self._closed)
        if self._relp.error:
            telemetry.SESSIONS_FAILED.inc()
            telemetry.SESSION_FAILED.log(transport=self.kind, sender=self.origin.sender, error=self._relp.error)

    def cut(self) -> None:
        """Close at once: an unfinished frame is not acknowledged, so the client sends it again on its next connection."""
        self.abort()

    def part(self) -> None:
        """Take nothing more; when all that was taken is acknowledged, say ``serverclose`` and close."""
        self._relp.shutdown()
        if self._guard:
            self._guard.end(closed=True)
        self._stored()

    def pause_writing(self) -> None:
        self.pause()

    def resume_writing(self) -> None:
        self.resume()

    def _stored(self) -> None:
        """Acknowledge what has become durable, and send whatever is due."""
        durable = self.intake.durable
        if self._waiting and self._waiting[0][0] > durable and not self._relp.replies:
            return
        while self._waiting and self._waiting[0][0] <= durable:
            self._acknowledged = self._waiting.popleft()[1]
        self._relp.acknowledge(self._acknowledged)
        self._answer()

    def _answer(self) -> None:
        transport = self.transport
        if transport is None or transport.is_closing():
            return
        if not transport.get_write_buffer_size():
            self._written.clear()
            self.intake.senders.release(self._history.answered(self._relp.answered))
        before = self._relp.answered
        while output := self._relp.take_output():
            transport.write(output)
            self._written.append(_Written(before, len(output)))
            before = self._relp.answered
        if self._guard and before == self._taken:
            self._guard.doubt.answered()
        if not self._relp.finished or self._left:
            return
        self._left = True
        if self._parted and transport.can_write_eof():
            # Closing on bytes that were not read would reset the connection, and the acknowledgements on their way with it.
            half_close(transport)
            asyncio.get_running_loop().call_later(LINGER, self.close)
        else:
            self.close()

    def _flag_repeat(self, batch: Batch, known: Digests) -> None:
        """Flag the frame that repeats the session's first one, once.

        After a connection that failed, rsyslog may have a message twice: among librelp's unacknowledged frames, which open the
        session, and still in the queue of the action, behind whatever is in that.
        """
        if self._repeated or not len(batch):
            return
        first, self._begins = self._begins, known[:2].copy() if self._begins is None else self._begins
        same = (known[::2] == self._begins[0]) & (known[1::2] == self._begins[1])
        if first is None:
            same[0] = False
        if same.any():
            self._repeated = True
            batch.flags[same.argmax()] |= REPEATS

    def _remember(self, read: Read, ordinal: int) -> None:
        self._history.add(Taken(read.before, read.after, ordinal, read.digests))
        self.intake.senders.remember(self._history, len(read.batch))

    def _doubtful(self) -> int:
        return self._guard.doubt.flagged if self._guard else 0

    def _reach(self) -> int:
        """Return of how many frames the acknowledgement was written, as far as the transport tells: not what it still holds."""
        unsent = self.transport.get_write_buffer_size() if self.transport and not self.transport.is_closing() else 0
        reached = self._relp.answered
        while self._written and unsent >= self._written[-1].size:
            reached, size = self._written.pop()
            unsent -= size
        return reached
