"""Connections that carry syslog over TCP and TLS: frames come in, nothing is answered (RFC 6587, RFC 5425)."""

from __future__ import annotations

import contextlib
import os
import socket

from logsink.net.accepting import half_close
from logsink.net.intake import Intake
from logsink.net.stream import PLAIN, Port, StreamConnection
from logsink.wire import ON_SYSLOG, Batch, Framer, inflated


class TcpConnection(StreamConnection):
    """One connection that carries syslog frames."""

    kinds = ("tcp", "tls")
    foreigners = ON_SYSLOG
    compressible = True

    def __init__(self, intake: Intake, port: Port = PLAIN) -> None:
        self._framer = Framer(intake.scratch, intake.max_message)
        super().__init__(intake, self._framer, port)

    def received(self, batch: Batch) -> int:
        if not len(batch):
            return 0
        if not self._framer.compressed:
            return self.intake.take(batch, self.origin).memory
        parts = inflated(batch, self.intake.max_message, len(self.intake.buffer))
        memory = sum(self.intake.take(part, self.origin).memory for part in parts)
        self._inflated(memory)
        return memory

    def ended(self) -> None:
        self.received(self._framer.close(broken=self._broke))

    def cut(self) -> None:
        self.settle()
        self.received(self._framer.cut())

    def part(self) -> None:
        """Half-close: a sender that looks before it writes sees that and goes elsewhere; what is under way is read.

        Under TLS, too, the socket is half-closed, without close_notify: senders look by peeking at the socket (rsyslog does),
        where an alert that nobody reads would hide its end. No data could be cut off by that, for the receiver sends none.
        """
        assert self._raw is not None
        if self._port.certificates is None:
            half_close(self._raw)
            return
        with (
            contextlib.suppress(OSError),
            socket.socket(fileno=os.dup(self._raw.get_extra_info("socket").fileno())) as own,
        ):
            own.shutdown(
                socket.SHUT_WR
            )  # not write_eof: TLS answers the peer's close_notify, and must be allowed to fail
