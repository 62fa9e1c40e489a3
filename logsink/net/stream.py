"""What TCP and RELP connections have in common: opening (TLS), reading into the shared buffer, pausing, leaving.

::

    accepted -> admitted by the intake -> TLS handshake, where the port has certificates -> session

Nothing is read from a connection before its session, and its frames have an origin from the first one on. A connection
that does not get as far is closed, counted and explained.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import NamedTuple, Protocol, cast

import numpy as np
import numpy.typing as npt

from logsink import telemetry
from logsink.net import tls
from logsink.net.intake import READ, Intake
from logsink.net.tls import Certificates, Failure
from logsink.parse.frames import Origin
from logsink.wire.batch import Batch

EARLY = 1 << 16
"""Octets of one read before TLS has taken over: what a TLS protocol takes at a time."""

LINGER = 1.0
"""Seconds in which a peer may take note that the connection is being closed."""


class Port(NamedTuple):
    """What a listener asks of a connection before its session begins."""

    certificates: Certificates | None = None
    """TLS with these, or no TLS."""
    opening_timeout: float = 10.0
    """Seconds until the session must have begun."""


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

    def __init__(self, intake: Intake, session: Session, port: Port) -> None:
        self.kind = self.kinds[port.certificates is not None]
        self.origin = Origin(None, None, self.kind)
        self.intake = intake
        self.transport: asyncio.Transport | None = None
        """What the session writes to; None before it has begun."""
        self._port = port
        self._raw: asyncio.Transport | None = None
        self._opening: asyncio.Task[None] | None = None
        self._session = session
        self._carried = 0
        self._discarded = 0
        self._early = b""
        """What was read before TLS took over."""
        self._ended = False
        self._holds = 0

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

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._raw = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername")
        sender = str(peer[0]).removeprefix("::ffff:") if isinstance(peer, tuple) and peer else None
        self.origin = Origin(sender, None, self.kind)
        if not self.intake.admit(self):
            self._ended = True
            self._raw.abort()
        elif self._port.certificates is None:
            self._begin(self._raw, None)
        else:
            self._opening = asyncio.get_running_loop().create_task(self._secure(self._raw, self._port.certificates))

    def get_buffer(self, sizehint: int) -> memoryview:
        carry, view = self._session.carry, self.intake.view
        if self.transport is None:
            return view[:EARLY]
        self._carried = len(carry)
        if carry:
            view[: len(carry)] = carry
        return view[len(carry) : len(carry) + READ]

    def buffer_updated(self, nbytes: int) -> None:
        if self.transport is None:
            self._early += self.intake.view[:nbytes]
            if self._raw:
                self._raw.pause_reading()
            return
        self.received(self._session.receive(self.intake.buffer, self._carried + nbytes))
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
        self._end()
        self.intake.leave(self)

    def pause(self) -> None:
        """Hold reading; holds add up, each needs its ``resume``."""
        self._holds += 1
        if self._holds == 1 and self.transport and not self.transport.is_closing():
            self._hold(self.transport, True)

    def resume(self) -> None:
        self._holds -= 1
        if self._holds == 0 and self.transport and not self.transport.is_closing():
            self._hold(self.transport, False)

    def drain(self) -> None:
        """Say that nothing more is wanted; go on reading to the peer's end. Nothing was taken yet: close."""
        if self.transport is None:
            self.abort()
        elif not self.transport.is_closing():
            self.part()

    def abort(self) -> None:
        if self._raw:
            self._raw.abort()

    def close(self) -> None:
        """Close when everything written is sent; what is still on its way here is not read."""
        if self.transport and not self.transport.is_closing():
            if self._holds:
                self._hold(self.transport, False)  # TLS reads on, for the peer's close_notify
            self.transport.close()

    def reject(self, why: Failure) -> None:
        """Close at once, count it, and say why if that is news."""
        self.intake.rejected(self.origin, why.kind, why.reason)
        self.abort()

    async def _secure(self, raw: asyncio.Transport, certificates: Certificates) -> None:
        """The TLS handshake, and who that is."""
        loop = asyncio.get_running_loop()
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
            if why := tls.failure(error):
                self.reject(why)
            self.connection_lost(error)
            return
        if transport is None or raw.is_closing():
            self.connection_lost(None)
            return
        identity, refused = certificates.identify(cast(ssl.SSLObject, transport.get_extra_info("ssl_object")))
        if refused:
            self.reject(refused)
        else:
            self._begin(transport, identity)

    def _hand_over(self) -> None:
        """What the loop has read before TLS took over is TLS's."""
        if self._early and self._raw:
            protocol = cast(asyncio.BufferedProtocol, self._raw.get_protocol())
            memoryview(protocol.get_buffer(len(self._early)))[: len(self._early)] = self._early
            protocol.buffer_updated(len(self._early))
            self._early = b""

    def _begin(self, transport: asyncio.Transport, identity: str | None) -> None:
        self.origin = self.origin._replace(identity=identity)
        self.transport = transport
        if self._holds:
            self._hold(transport, True)
        self.begun()
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
        if not self._ended:
            self._ended = True
            self.ended()
