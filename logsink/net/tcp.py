"""Syslog over TCP and TLS: frames in, no answers (RFC 6587, RFC 5425)."""

from __future__ import annotations

import asyncio
import ssl

from logsink.net.intake import Intake
from logsink.net.stream import PLAIN, Port, StreamConnection
from logsink.wire.batch import Batch
from logsink.wire.framing import Framer


class TcpConnection(StreamConnection):
    """One connection that carries syslog frames."""

    kinds = ("tcp", "tls")

    def __init__(self, intake: Intake, port: Port = PLAIN) -> None:
        self._framer = Framer(intake.scratch, intake.max_message)
        super().__init__(intake, self._framer, port)

    def received(self, batch: Batch) -> None:
        if len(batch):
            self.intake.take(batch, self.origin)

    def ended(self) -> None:
        self.received(self._framer.close())

    def cut(self) -> None:
        self.received(self._framer.cut())

    def part(self) -> None:
        """Half-close: a sender that looks before it writes sees it and goes elsewhere; what is under way is read."""
        assert self.transport is not None
        assert self._raw is not None
        connection: ssl.SSLObject | None = self.transport.get_extra_info("ssl_object")
        if connection is None:
            self._raw.write_eof()
            return
        try:
            connection.unwrap()  # close_notify, into a buffer that asyncio empties when reading is resumed
        except ssl.SSLWantReadError:
            self.transport.pause_reading()
            self.transport.resume_reading()
            asyncio.get_running_loop().call_soon(self._half_close)
        except ssl.SSLError:
            self.close()

    def _half_close(self) -> None:
        if self._raw and not self._raw.is_closing():
            self._raw.write_eof()
