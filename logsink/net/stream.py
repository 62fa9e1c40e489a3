"""What TCP and RELP connections have in common: they are opened, read into the shared buffer, paused, drained and closed.

What comes before the session (PROXY header, TLS, foreign protocols, compression) is decided by ``wire.opening``; here its
actions are carried out, and bytes and time-outs are moved. A connection that does not get as far as its session is closed,
counted and explained; its frames have an origin from the first one on.
"""

from __future__ import annotations

import asyncio
import ipaddress
import random
import ssl
from typing import NamedTuple, Protocol, cast

import numpy as np
import numpy.typing as npt

from logsink import telemetry
from logsink.net import tls
from logsink.net.intake import READ, Intake
from logsink.net.tls import Certificates
from logsink.parse import Origin
from logsink.wire import (
    Admit,
    Batch,
    Deliver,
    Foreigners,
    Inflate,
    Opening,
    Rejection,
    Stage,
    StartSession,
    StartTls,
    StreamInflater,
)

EARLY = 1 << 16
"""Bytes of one read before TLS has taken over: what a TLS protocol takes at a time."""

TURN = 4 << 20
"""Bytes that are inflated for one connection before the event loop does something else."""

LINGER = 1.0
"""Seconds that a peer has to take note that the connection is being closed."""


class Port(NamedTuple):
    """What a listener asks of a connection before its session begins."""

    certificates: Certificates | None = None
    """Certificates for TLS; None: no TLS."""
    opening_timeout: float = 10.0
    """Seconds for the PROXY header, and for the TLS handshake."""
    proxies: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...] = ()
    """Networks of load balancers: connections from these begin with a PROXY header, others must not."""
    max_inflation: int = 1000
    """How many times its size a compressed stream may become."""
    max_age: float | None = None
    """Seconds after which a session is drained, or up to a quarter of that earlier; None: never."""

    def proxied(self, sender: str | None) -> bool:
        """Return whether ``sender`` is a load balancer that names its clients."""
        if not self.proxies or sender is None:
            return False
        address = ipaddress.ip_address(sender.partition("%")[0])
        return any(address in network for network in self.proxies)


PLAIN = Port()


class Session(Protocol):
    """A session of ``wire/``: ``Framer`` or ``RelpSession``."""

    @property
    def carry(self) -> bytes: ...
    @property
    def discarded(self) -> int: ...
    def receive(self, buffer: npt.NDArray[np.uint8], end: int) -> Batch: ...


class StreamConnection(asyncio.BufferedProtocol):
    """One connection. Subclasses say what happens to a batch, at the end of the stream, and to drain."""

    kinds: tuple[str, str]
    """Names of the transport as in the column ``transport``: without TLS, and with it."""
    foreigners: Foreigners
    """Protocols that do not belong on this port."""
    compressible: bool
    """Whether the stream may be compressed."""

    def __init__(self, intake: Intake, session: Session, port: Port) -> None:
        self.kind = self.kinds[port.certificates is not None]
        self.origin = Origin(None, None, self.kind)
        self.intake = intake
        self.transport: asyncio.Transport | None = None
        """What the session writes to; None before the session begins."""
        self._port = port
        self._raw: asyncio.Transport | None = None
        """The socket's transport."""
        self._upper: asyncio.Transport | None = None
        """What the session will write to: TLS, or the socket's transport."""
        self._opening = Opening(self.foreigners, compressible=self.compressible, tls=port.certificates is not None)
        self._handshake: asyncio.Task[None] | None = None
        self._session = session
        self._carried = 0
        self._discarded = 0
        self._deadline: asyncio.TimerHandle | None = None
        self._inflater: StreamInflater | None = None
        self._window = 0
        """Bytes of the window to which a compressed stream refers back, as they are counted for its sender."""
        self._over = self._lost = self._broke = False
        """Whether nothing more is read (what is in the inflater may still come); the connection is closed; it broke."""
        self._ended = self._aborted = self._rejected = self._parted = self._closing = False
        self._age: asyncio.TimerHandle | None = None
        self._holds = 0
        self._read_at = 0.0

    def begun(self) -> None:
        """Begin the session: ``transport`` can be written to."""

    def received(self, batch: Batch) -> int:
        """Take the frames of one read, possibly none; return the memory in use for them, where the stream may be compressed."""
        raise NotImplementedError

    def ended(self) -> None:
        """End the session, for nothing more will be read; called once."""
        raise NotImplementedError

    def cut(self) -> None:
        """Deliver the unfinished frame as it is and drop the rest of it."""
        raise NotImplementedError

    def part(self) -> None:
        """Tell the peer that nothing more is wanted; called once, with a transport that is not closing."""
        raise NotImplementedError

    def accepted(self, sender: str | None) -> bool:
        """Take note of the peer's address before the connection is made; return False where it has to be closed."""
        self.origin = Origin(sender, None, self.kind)
        return self.intake.admit(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._raw = cast(asyncio.Transport, transport)
        if self._aborted:
            self._raw.abort()
            return
        self._upper = self._raw
        from_proxy = self._port.proxied(self.origin.sender)
        if from_proxy:
            loop = asyncio.get_running_loop()
            self._deadline = loop.call_later(self._port.opening_timeout, self._header_late)
        self._opening.connected(from_proxy=from_proxy)
        self._advance()

    def get_buffer(self, sizehint: int) -> memoryview:
        view = self.intake.view
        if self._opening.stage is not Stage.PLAIN_SESSION:
            return view[: READ if self.transport else EARLY]
        carry = self._session.carry
        self._carried = len(carry)
        if carry:
            view[: len(carry)] = carry
        return view[len(carry) : len(carry) + READ]

    def buffer_updated(self, nbytes: int) -> None:
        if self._opening.stage is Stage.PLAIN_SESSION:
            self._cut(self._carried + nbytes)
            self._lull(nbytes)
            return
        data = self.intake.view[:nbytes].tobytes()
        if self._inflater:
            self._inflater.feed(data)
            self._inflate()
            return
        self._opening.receive(data)
        if self.transport and self._holds:
            self._hold(self.transport, True)  # a loop may deliver one read after pause_reading
        else:
            self._advance()
        if self._raw and self._opening.stage is Stage.HANDSHAKE:
            self._raw.pause_reading()  # until TLS takes over

    def _lull(self, nbytes: int) -> None:
        """Pause reading for a moment where reads follow each other fast and do not fill the buffer, so that one read gets more.

        A corked omrelp sends some forty frames at a time (see ``net.relp.SEGMENT``): a read for each of these TCP segments
        would cost more than its frames do.
        """
        loop = asyncio.get_running_loop()
        now = loop.time()
        if nbytes < READ and now - self._read_at <= self.intake.lull:
            self.pause()
            loop.call_at(self.intake.next_read(now), self.resume)
        self._read_at = now

    def _cut(self, end: int) -> int:
        """Frame the buffer up to ``end``: ``_carried`` bytes of carry and what was read behind it. Returns as ``received``."""
        memory = self.received(self._session.receive(self.intake.buffer, end))
        left = len(self._session.carry)
        if left or self._carried:
            self.intake.unfinished(self, left)
        if self._session.discarded != self._discarded:
            telemetry.DISCARDED.labels(self.kind).inc(self._session.discarded - self._discarded)
            self._discarded = self._session.discarded
        return memory

    def eof_received(self) -> bool:
        self._end()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True
        self._broke = exc is not None and not (
            self._closing or self._rejected
        )  # a peer need not answer our close_notify
        for timer in (self._deadline, self._age):
            if timer:
                timer.cancel()
        if self._broke and not isinstance(exc, ConnectionError | ssl.SSLError):
            telemetry.BROKEN.log(transport=self.kind, sender=self.origin.sender, error=exc)
        self._end()

    def pause(self) -> None:
        """Hold reading back; calls add up, each needs its ``resume``."""
        self._holds += 1
        if self._holds == 1 and self.transport and not self.transport.is_closing():
            self._hold(self.transport, True)

    def resume(self) -> None:
        self._holds -= 1
        if self._holds == 0 and self.transport and not self.transport.is_closing():
            self._hold(self.transport, False)
        if self._inflater or self._opening.undecided:
            asyncio.get_running_loop().call_soon(self._go_on)

    def drain(self) -> None:
        """Tell the peer that nothing more is wanted, and go on reading until it ends; before a session begins, close."""
        if self._raw is None:
            return  # not connected yet: it drains when its session begins
        if self.transport is None:
            self.abort()
        elif not self.transport.is_closing() and not self._parted:
            self._parted = True
            self.part()

    def abort(self) -> None:
        self._aborted = True
        if self._raw:
            self._raw.abort()

    def close(self) -> None:
        """Close once everything written is sent; what is still on its way here is not read."""
        if self.transport and not self.transport.is_closing():
            self._closing = True
            if self._holds:
                self._hold(self.transport, False)  # TLS reads on, for the peer's close_notify
            self.transport.close()

    def reject(self, why: Rejection) -> None:
        """Close at once and count it; log why, unless that was logged lately."""
        if not self._rejected:
            self._rejected = True
            self.intake.rejected(self.origin, why.kind, why.reason)
            self.abort()

    def settle(self) -> None:
        """Decide what the session's first bytes are, if that is open: no more of them can be kept."""
        self._opening.settle()
        self._advance()

    def _advance(self) -> None:
        """Do what the opening asks for, until it waits for something."""
        opening = self._opening
        while (action := opening.next_action()) is not None:
            match action:
                case Admit(client):
                    self._admit(client)
                case StartTls():
                    self._handshake = asyncio.get_running_loop().create_task(self._secure())
                case StartSession():
                    self._begin()
                case Deliver(first):
                    self.intake.unfinished(self, 0)
                    if first:
                        self.intake.view[: len(first)] = first
                        self._carried = 0
                        self._cut(len(first))
                case Inflate(first):
                    self.intake.unfinished(self, 0)
                    self._inflater = StreamInflater(self._port.max_inflation)
                    self._inflater.feed(first)
                    self._inflate()
                case Rejection():
                    self.reject(action)
        if opening.undecided:
            self.intake.unfinished(self, opening.undecided)

    def _go_on(self) -> None:
        """Go on with what was read and had to wait."""
        if not self._holds:
            self._advance()
            self._inflate()

    def _admit(self, client: str | None) -> None:
        """Check the limits of who the connection comes from."""
        if self._deadline:
            self._deadline.cancel()
        if client is not None:
            self.origin = self.origin._replace(sender=client)
        if refused := self.intake.identify(self):
            self._opening.reject(Rejection("sender_connections", refused))
        else:
            self._opening.admitted()

    def _header_late(self) -> None:
        self._opening.timed_out()
        self._advance()

    def _inflated(self, size: int) -> bool:
        """Count that compressed data became ``size`` bytes; pause and return True where that is too fast."""
        loop = asyncio.get_running_loop()
        wait = self.intake.rates.take(self.origin.sender, size, loop.time())
        if wait:
            telemetry.INFLATION_LIMITED.labels("stream").inc()
            self.pause()
            loop.call_later(wait, self.resume)
        return wait > 0

    def _count_window(self, inflater: StreamInflater) -> None:
        """Count the window of the stream, and give the stream up if the windows of its sender are too large."""
        before, self._window = self._window, inflater.memory
        if not self.intake.windows.grow(self.origin.sender, self._window - before):
            share = "their share of half of receive.memory_limit"
            reason = f"compressed streams of its address look back at more than {share}"
            inflater.give_up("inflation_memory", reason)
            self._count_window(inflater)

    def _inflate(self) -> None:
        """Frame what the inflater gives, unless reading is held back; let others have their turn now and then."""
        inflater, view, turn = self._inflater, self.intake.view, 0
        if inflater is None:
            return
        while (self._aborted or not self._holds) and (piece := inflater.read(READ)):
            carry = self._session.carry
            self._carried, end = len(carry), len(carry) + len(piece)
            view[: len(carry)] = carry
            view[len(carry) : end] = piece
            memory = self._cut(end)
            turn += len(piece)
            if self._aborted:
                if turn >= TURN:
                    inflater.give_up("inflation", "its compressed stream went on when its connection was closed")
            elif not self._inflated(max(len(piece), memory)) and turn >= TURN:
                self.pause()
                asyncio.get_running_loop().call_soon(self.resume)
            self._count_window(inflater)
        if inflater.error:
            self.reject(Rejection(*inflater.error))
        if self._over:
            self._end()

    async def _secure(self) -> None:
        """Make the TLS handshake, and find out who the client is."""
        raw, certificates, loop = self._raw, self._port.certificates, asyncio.get_running_loop()
        assert raw is not None
        assert certificates is not None
        loop.call_soon(self._hand_over)
        try:
            transport = await loop.start_tls(
                raw,
                self,
                certificates.context,
                server_side=True,
                ssl_handshake_timeout=self._port.opening_timeout,
                ssl_shutdown_timeout=LINGER,
            )
        except OSError as error:  # every ssl.SSLError, time-out and reset is one
            if why := tls.rejection(error):
                self._opening.reject(why)
            else:
                self._opening.abandoned()
            self._advance()
            self.connection_lost(error)
            return
        if transport is None or raw.is_closing():
            self._opening.abandoned()
            self.connection_lost(None)
            return
        identity, refused = certificates.identify(cast(ssl.SSLObject, transport.get_extra_info("ssl_object")))
        if refused:
            self._opening.reject(refused)
        else:
            self._upper, self.origin = transport, self.origin._replace(identity=identity)
            self._opening.secured()
        self._advance()

    def _hand_over(self) -> None:
        """Give TLS what the loop has read before TLS took over."""
        early = self._opening.take_encrypted()
        if early and self._raw:
            protocol = cast(asyncio.BufferedProtocol, self._raw.get_protocol())
            memoryview(protocol.get_buffer(len(early)))[: len(early)] = early
            protocol.buffer_updated(len(early))

    def _begin(self) -> None:
        """Let the session write; end it soon where the receiver drains."""
        transport = self.transport = self._upper
        assert transport is not None
        if self._holds:
            self._hold(transport, True)
        self.begun()
        if self._port.max_age is not None:
            age = self._port.max_age * random.uniform(0.75, 1.0)
            self._age = asyncio.get_running_loop().call_later(age, self.drain)
        if self.intake.draining:
            self.drain()

    def _hold(self, transport: asyncio.Transport, held: bool) -> None:
        """Pause or resume reading.

        Under TLS the socket is paused: what TLS has decrypted and not delivered would be lost when the peer closes.
        """
        raw = self._raw or transport
        if held:
            raw.pause_reading()
        else:
            raw.resume_reading()

    def _end(self) -> None:
        """Take note that nothing more is read; end once all that was read is inflated, however long that is held back."""
        self._over = True
        self._opening.end()
        self._advance()
        if self._inflater and self._inflater.pending:
            if self._aborted:
                self._inflate()  # which comes back here
            return
        if not self._ended:
            self._ended = True
            self.ended()
        if self._lost:
            self.intake.windows.grow(self.origin.sender, -self._window)
            self._window, self._inflater = 0, None  # a late resume() may still refer to self: free these
            self.intake.leave(self)
