"""Syslog over TCP: frames in, no answers (RFC 6587)."""

from __future__ import annotations

from logsink.net.intake import Intake
from logsink.net.stream import StreamConnection
from logsink.wire.batch import Batch
from logsink.wire.framing import Framer


class TcpConnection(StreamConnection):
    """One connection that carries syslog frames."""

    kind = "tcp"

    def __init__(self, intake: Intake) -> None:
        self._framer = Framer(intake.scratch, intake.max_message)
        super().__init__(intake, self._framer)

    def received(self, batch: Batch) -> None:
        if len(batch):
            self.intake.take(batch, self.origin)

    def ended(self) -> None:
        self.received(self._framer.close())

    def cut(self) -> None:
        self.received(self._framer.cut())

    def drain(self) -> None:
        """Half-close: a sender that looks before it writes sees it and goes elsewhere; what is under way is read."""
        if self.transport and self.transport.can_write_eof() and not self.transport.is_closing():
            self.transport.write_eof()
