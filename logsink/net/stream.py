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
"""Octets of one read before TLS has taken over: what a TLS protocol takes at a time."""

TURN = 4 << 20
"""Octets inflated for one connection before the others have their turn."""

LINGER = 1.0
"""Seconds in which a peer may take note that the connection is being closed."""


class Port(NamedTuple):
    """What a listener asks of a connection before its session begins."""

    certificates: Certificates | None = None
    """TLS with these, or no TLS."""
    opening_timeout: float = 10.0
    """Seconds for the PROXY header, and for the TLS handshake."""
    proxies: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...] = ()
    """Connections from here begin with a PROXY header, others must not."""
    max_inflation: int = 1000
    """How many times its size a compressed stream may become."""
    max_age: float | None = None
    """Seconds after which a session is asked to end, up to a quarter earlier; None: never."""

    def proxied(self, sender: str | None) -> bool:
        """Whether ``sender`` is a load balancer that names its clients."""
        if not self.proxies or sender is None:
            return False
        address = ipaddress.ip_address(sender.partition("%")[0])
        return any(address in network for network in self.proxies)


PLAIN = Port()


class Session(Protocol):
    """A sans-IO session of ``wire/``."""

    @property
    def carry(self) -> bytes: ...
    @property
    def discarded(self) -> int: ...
    def receive(self, buffer: npt.NDArray[np.uint8], end: int) -> Batch: ...


class StreamConnection(asyncio.BufferedProtocol):
    """One connection. Subclasses say what a batch means, what the end of the stream does, and how to part."""

    kinds: tuple[str, str]
    """The transport's names, as in the column ``transport``: without TLS, with it."""
    foreigners: Foreigners
    """What does not belong on this port."""
    compressible: bool
    """Whether the stream may be compressed."""

    def __init__(self, intake: Intake, session: Session, port: Port) -> None:
        self.kind = self.kinds[port.certificates is not None]
        self.origin = Origin(None, None, self.kind)
        self.intake = intake
        self.transport: asyncio.Transport | None = None
        """What the session writes to; None before it has begun."""
        self._port = port
        self._raw: asyncio.Transport | None = None
        """The socket's transport."""
        self._upper: asyncio.Transport | None = None
        """What the session is going to write to: TLS, or the same as ``_raw``."""
        self._opening = Opening(self.foreigners, compressible=self.compressible, tls=port.certificates is not None)
        self._handshake: asyncio.Task[None] | None = None
        self._session = session
        self._carried = 0
        self._discarded = 0
        self._deadline: asyncio.TimerHandle | None = None
        self._inflater: StreamInflater | None = None
        self._window = 0
        """Octets that a compressed stream has to look back at."""
        self._over = self._lost = self._broke = False
        """Nothing more is read; the connection is closed; it was not its peer that closed it. What is pending in the
        inflater may still come."""
        self._ended = self._aborted = self._rejected = self._parted = self._closing = False
        self._age: asyncio.TimerHandle | None = None
        self._holds = 0
        self._read_at = 0.0

    def begun(self) -> None:
        """``transport`` is there."""

    def received(self, batch: Batch) -> None:
        """Frames of one read, possibly none."""
        raise NotImplementedError

    def ended(self) -> None:
        """Nothing more will be read; called once."""
        raise NotImplementedError

    def cut(self) -> None:
        """Deliver the unfinished frame as it is and drop the rest of it."""
        raise NotImplementedError

    def part(self) -> None:
        """Say that nothing more is wanted; called once, with a transport that is not closing."""
        raise NotImplementedError

    def accepted(self, sender: str | None) -> bool:
        """A connection from this address was accepted, and will be made: whether it may, or is to be closed."""
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
            self._hold(self.transport, True)  # a loop may read once although it was paused before it began to
        else:
            self._advance()
        if self._raw and self._opening.stage is Stage.HANDSHAKE:
            self._raw.pause_reading()  # until TLS takes over

    def _lull(self, nbytes: int) -> None:
        """Leave what comes next to the kernel for a moment, when it comes fast and did not fill the buffer.

        A corked omrelp sends some forty frames at a time (see ``net.relp.SEGMENT``); to read each of these segments as it comes
        costs more than its frames do.
        """
        loop = asyncio.get_running_loop()
        now = loop.time()
        if nbytes < READ and now - self._read_at <= self.intake.lull:
            self.pause()
            loop.call_at(self.intake.next_read(now), self.resume)
        self._read_at = now

    def _cut(self, end: int) -> None:
        """Frames of the buffer up to ``end``: ``_carried`` octets of carry, and what was read behind it."""
        self.received(self._session.receive(self.intake.buffer, end))
        left = len(self._session.carry)
        if left or self._carried:
            self.intake.unfinished(self, left)
        if self._session.discarded != self._discarded:
            telemetry.DISCARDED.labels(self.kind).inc(self._session.discarded - self._discarded)
            self._discarded = self._session.discarded

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
        """Hold reading; holds add up, each needs its ``resume``."""
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
        """Say that nothing more is wanted; go on reading to the peer's end. Nothing was taken yet: close."""
        if self._raw is None:
            return  # it was accepted and is not made yet: it begins with this
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
        """Close when everything written is sent; what is still on its way here is not read."""
        if self.transport and not self.transport.is_closing():
            self._closing = True
            if self._holds:
                self._hold(self.transport, False)  # TLS reads on, for the peer's close_notify
            self.transport.close()

    def reject(self, why: Rejection) -> None:
        """Close at once, count it, and say why if that is news."""
        if not self._rejected:
            self._rejected = True
            self.intake.rejected(self.origin, why.kind, why.reason)
            self.abort()

    def settle(self) -> None:
        """Have the first bytes of the session decided about, if they are not yet: no more of them can be kept."""
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

    def _inflated(self, octets: int) -> bool:
        """Compressed data became ``octets``: wait, if that is faster than its sender may; whether it does."""
        loop = asyncio.get_running_loop()
        wait = self.intake.rates.take(self.origin.sender, octets, loop.time())
        if wait:
            telemetry.INFLATION_LIMITED.labels("stream").inc()
            self.pause()
            loop.call_later(wait, self.resume)
        return wait > 0

    def _look_back(self, inflater: StreamInflater) -> None:
        """Count what the stream has to look back at; give it up if its sender's streams hold too much."""
        before, self._window = self._window, inflater.memory
        if not self.intake.windows.grow(self.origin.sender, self._window - before):
            share = "their share of half of receive.memory_limit"
            reason = f"compressed streams of its address look back at more than {share}"
            inflater.give_up("inflation_memory", reason)
            self._look_back(inflater)

    def _inflate(self) -> None:
        """Cut what the inflater gives, unless reading is held; give way to others now and then."""
        inflater, view, turn = self._inflater, self.intake.view, 0
        if inflater is None:
            return
        while (self._aborted or not self._holds) and (piece := inflater.read(READ)):
            carry, weighed = self._session.carry, self.intake.weighed
            self._carried, end = len(carry), len(carry) + len(piece)
            view[: len(carry)] = carry
            view[len(carry) : end] = piece
            self._cut(end)
            turn += len(piece)
            if self._aborted:
                if turn >= TURN:
                    inflater.give_up("inflation", "its compressed stream went on when its connection was closed")
            elif not self._inflated(max(len(piece), self.intake.weighed - weighed)) and turn >= TURN:
                self.pause()
                asyncio.get_running_loop().call_soon(self.resume)
            self._look_back(inflater)
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
        """Pause or resume. Under TLS it is the socket that is paused: what is decrypted and not delivered yet when a peer

        closes would be thrown away.
        """
        raw = self._raw or transport
        if held:
            raw.pause_reading()
        else:
            raw.resume_reading()

    def _end(self) -> None:
        """Nothing more is read; but what was read has to be inflated first, however long that is held."""
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
            self._window, self._inflater = 0, None  # who may resume this connection later keeps nothing alive
            self.intake.leave(self)
