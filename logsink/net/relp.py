"""RELP: the acknowledgement of a frame leaves when the journal says that its fill is stored, and not before."""

from __future__ import annotations

import asyncio
from collections import deque

from logsink import telemetry
from logsink.net.intake import Intake
from logsink.net.stream import StreamConnection
from logsink.wire.batch import Batch
from logsink.wire.relp import RelpSession

UNSENT = 1 << 20
"""Octets of answers that a client may leave unread (about 50,000 acknowledgements) before nothing more is read from it."""

LINGER = 1.0
"""Seconds in which a client may take note of ``serverclose`` before its connection is closed."""


class RelpConnection(StreamConnection):
    """One RELP connection. Reading goes on while acknowledgements wait for the store."""

    kind = "relp"

    def __init__(self, intake: Intake) -> None:
        self._relp = RelpSession(intake.scratch, intake.max_message)
        super().__init__(intake, self._relp)
        self._waiting: deque[tuple[int, int]] = deque()
        """(ordinal of a fill, frames taken by the time it got its batch): oldest first."""
        self._acknowledged = 0
        self._left = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if self.transport:
            self.transport.set_write_buffer_limits(UNSENT)

    def received(self, batch: Batch) -> None:
        taken = self._waiting[-1][1] if self._waiting else self._acknowledged
        if len(batch):
            self._waiting.append((self.intake.take(batch, self.origin, self._stored), self._relp.taken))
        elif self._relp.taken > taken:  # only empty frames, which are not stored: they wait for those before them
            ordinal = self._waiting[-1][0] if self._waiting else self.intake.durable
            self._waiting.append((ordinal, self._relp.taken))
        self._stored()

    def ended(self) -> None:
        self._relp.eof()
        if self._relp.error:
            telemetry.SESSIONS_FAILED.inc()
            telemetry.SESSION_FAILED.log(transport=self.kind, sender=self.origin.sender, error=self._relp.error)

    def cut(self) -> None:
        """An unfinished frame is not acknowledged: the client sends it again on its next connection."""
        self.abort()

    def drain(self) -> None:
        """Take nothing more; when all that was taken is acknowledged, say ``serverclose`` and leave."""
        self._relp.shutdown()
        self._answer()

    def pause_writing(self) -> None:
        self.pause()

    def resume_writing(self) -> None:
        self.resume()

    def _stored(self) -> None:
        """Acknowledge what has become durable, and send whatever is due."""
        durable = self.intake.durable
        while self._waiting and self._waiting[0][0] <= durable:
            self._acknowledged = self._waiting.popleft()[1]
        self._relp.acknowledge(self._acknowledged)
        self._answer()

    def _answer(self) -> None:
        transport = self.transport
        if transport is None or transport.is_closing():
            return
        while output := self._relp.take_output():
            transport.write(output)
        if not self._relp.finished or self._left:
            return
        self._left = True
        if self.intake.draining and transport.can_write_eof():
            # Closing on octets that were not read would reset the connection, and the acknowledgements on their way with it.
            transport.write_eof()
            asyncio.get_running_loop().call_later(LINGER, transport.close)
        else:
            transport.close()
