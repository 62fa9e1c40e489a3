"""What TCP and RELP connections have in common: reading into the shared buffer, pausing, leaving."""

from __future__ import annotations

import asyncio
from typing import Protocol, cast

import numpy as np
import numpy.typing as npt

from logsink import telemetry
from logsink.net.intake import READ, Intake
from logsink.parse.frames import Origin
from logsink.wire.batch import Batch


class Session(Protocol):
    """A sans-IO session of ``wire/``."""

    @property
    def carry(self) -> bytes: ...
    @property
    def discarded(self) -> int: ...
    def receive(self, buffer: npt.NDArray[np.uint8], end: int) -> Batch: ...


class StreamConnection(asyncio.BufferedProtocol):
    """One connection. Subclasses say what a batch means and what the end of the stream does."""

    kind: str
    """The transport's name, as in the column ``transport``."""

    def __init__(self, intake: Intake, session: Session) -> None:
        self.origin = Origin(None, None, self.kind)
        self.intake = intake
        self.transport: asyncio.Transport | None = None
        self._session = session
        self._carried = 0
        self._discarded = 0
        self._ended = False
        self._holds = 0

    def received(self, batch: Batch) -> None:
        """Frames of one read, possibly none."""
        raise NotImplementedError

    def ended(self) -> None:
        """Nothing more will be read; called once."""
        raise NotImplementedError

    def cut(self) -> None:
        """Deliver the unfinished frame as it is, or give the connection up."""
        raise NotImplementedError

    def drain(self) -> None:
        """Say that nothing more is wanted; go on reading to the peer's end."""
        raise NotImplementedError

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername")
        sender = str(peer[0]).removeprefix("::ffff:") if isinstance(peer, tuple) and peer else None
        self.origin = Origin(sender, None, self.kind)
        if not self.intake.admit(self):
            self._ended = True
            self.transport.abort()

    def get_buffer(self, sizehint: int) -> memoryview:
        carry, view = self._session.carry, self.intake.view
        self._carried = len(carry)
        if carry:
            view[: len(carry)] = carry
        return view[len(carry) : len(carry) + READ]

    def buffer_updated(self, nbytes: int) -> None:
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
        if self in self.intake.connections:
            self.intake.leave(self)

    def pause(self) -> None:
        """Hold reading; holds add up, each needs its ``resume``."""
        self._holds += 1
        if self._holds == 1 and self.transport and not self.transport.is_closing():
            self.transport.pause_reading()

    def resume(self) -> None:
        self._holds -= 1
        if self._holds == 0 and self.transport and not self.transport.is_closing():
            self.transport.resume_reading()

    def abort(self) -> None:
        if self.transport:
            self.transport.abort()

    def _end(self) -> None:
        if not self._ended:
            self._ended = True
            self.ended()
