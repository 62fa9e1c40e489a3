"""Syslog over UDP (RFC 5426): a frame a datagram. The one place with a call per datagram, into one batch a loop turn."""

from __future__ import annotations

import asyncio
import socket
from typing import cast

import numpy as np

from logsink import telemetry
from logsink.flags import Flag
from logsink.net.intake import Intake
from logsink.parse.frames import Origin
from logsink.wire.batch import Batch
from logsink.wire.inflate import inflated, packed

RECEIVE_BUFFER = 8 << 20
"""Octets asked of the kernel for datagrams not read yet; without privileges net.core.rmem_max cuts it."""

_BATCH = 256 * 1024
"""Octets after which a batch is handed on within a loop turn."""


class UdpListener(asyncio.DatagramProtocol):
    """One UDP socket. Datagrams of a loop turn that come from one sender in a row are one read."""

    kind = "udp"

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self._loop = asyncio.get_running_loop()
        self._data = bytearray()
        self._starts: list[int] = []
        self._senders: list[str] = []
        self._packed: list[int] = []
        """Which of them are compressed."""
        self._scheduled = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        sock = cast(socket.socket, transport.get_extra_info("socket"))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        self._intake.losses.watch(sock.fileno())

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if self._intake.paused:
            self._intake.losses.add("memory", 1)
            return
        if packed(data):
            self._packed.append(len(self._starts))
        else:
            data = _without_end(data)
        if not data:
            return
        self._starts.append(len(self._data))
        self._senders.append(addr[0])
        self._data += data
        if len(self._data) >= _BATCH:
            self.flush()
        elif not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self.flush)

    def flush(self) -> None:
        """Hand on what has arrived."""
        self._scheduled = False
        if not self._starts:
            return
        data = np.frombuffer(self._data, np.uint8)
        starts = np.array(self._starts, np.int32)
        ends = np.append(starts[1:], np.int32(len(data)))
        flags = np.zeros(len(starts), np.int32)
        flags[self._packed] = Flag.INFLATED
        limit = self._intake.max_message
        long = (ends - starts > limit) & (flags == 0)
        if long.any():
            telemetry.DISCARDED.labels(self.kind).inc(int((ends - starts - limit)[long].sum()))
            flags[long] = Flag.TRUNCATED
            ends = np.minimum(ends, starts + np.int32(limit))
        senders = self._senders
        self._data, self._starts, self._senders, self._packed = bytearray(), [], [], []
        first = 0
        for i in range(1, len(senders) + 1):
            if i == len(senders) or senders[i] != senders[first]:
                run = Batch(data, starts[first:i], ends[first:i], flags[first:i])
                self._take(run, Origin(senders[first].removeprefix("::ffff:"), None, self.kind))
                first = i

    def _take(self, run: Batch, origin: Origin) -> None:
        """Datagrams of one sender: dropped and counted while it holds more than its share."""
        if self._intake.waits(origin.sender):
            self._intake.losses.add("memory" if self._intake.paused else "share", len(run))
        elif (run.flags & Flag.INFLATED).any():
            for part in inflated(run, self._intake.max_message, _BATCH):
                self._intake.take(part, origin)
        else:
            self._intake.take(run, origin)


def _without_end(data: bytes) -> bytes:
    """The message of a datagram: one LF, CRLF or NUL at its end belongs to the framing."""
    if data.endswith(b"\n"):
        return data[:-2] if data.endswith(b"\r\n") else data[:-1]
    return data[:-1] if data.endswith(b"\0") else data
