"""A RELP client that behaves as librelp's does: a window, and after a broken session all that is unacknowledged once more.

::

    client = RelpClient(port, window=128)
    await client.send(b"<13>one", b"<13>two")     # returns when they are on their way; reconnects as long as it takes
    await client.settle()                         # until all are acknowledged
    await client.close()                          # RELP's close, answered
    client.sent, client.acknowledged              # frames, in order
    client.resent                                 # how many were sent more than once
"""

from __future__ import annotations

import asyncio
import re
import socket
import struct
from collections import deque
from contextlib import suppress

_OFFERS = b"relp_version=0\nrelp_software=test\ncommands=syslog"
_OPEN = b"1 open %d %b\n" % (len(_OFFERS), _OFFERS)
_ANSWER = re.compile(rb"(\d+) rsp (\d+)(?: (\d{3}))?")

RETRY = 0.02
"""Seconds between tries to connect."""


class RelpClient:
    """``port`` may be changed at any time: the next session goes there. ``source``: the address that it comes from."""

    def __init__(self, port: int, *, window: int = 128, host: str = "127.0.0.1", source: str = "127.0.0.1") -> None:
        self.host, self.port, self.window, self.source = host, port, window, source
        self.sent: list[bytes] = []
        self.acknowledged: list[bytes] = []
        self.sessions = self.resent = 0
        self._owed: deque[bytes] = deque()
        self._reader: asyncio.Task[None] | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._next = 1
        self._moved = asyncio.Condition()
        self._broken = True
        self._closed = False

    async def send(self, *frames: bytes) -> None:
        """Send, within the window; over as many sessions as that takes."""
        for frame in frames:
            while True:
                await self._session()
                async with self._moved:
                    await self._moved.wait_for(lambda: self._broken or len(self._owed) < self.window)
                if not self._broken:
                    break
            self.sent.append(frame)
            self._owed.append(frame)
            self._put(frame)

    async def settle(self) -> None:
        """Until everything sent is acknowledged."""
        while self._owed:
            await self._session()
            async with self._moved:
                await self._moved.wait_for(lambda: self._broken or not self._owed)

    async def close(self) -> None:
        """End the session as agreed, if it is still there."""
        await self.settle()
        if not self._broken and self._writer is not None and self._reader is not None:
            self._writer.write(b"%d close 0\n" % self._next)
            self._closed = True
            await self._reader
        self.drop()

    def drop(self, *, reset: bool = False) -> None:
        """Break the session off. What is unacknowledged is sent again by the next ``send`` or ``settle``."""
        self._broken = True
        if self._reader is not None:
            self._reader.cancel()
        if self._writer is not None:
            if reset:
                sock: socket.socket = self._writer.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._writer.transport.abort() if reset else self._writer.close()
            self._writer = None

    @property
    def owed(self) -> list[bytes]:
        """Frames that are not acknowledged, in order."""
        return list(self._owed)

    async def _session(self) -> None:
        """A session that is open; everything owed is sent again on a new one."""
        while self._broken:
            self.drop()
            try:
                reader, writer = await asyncio.open_connection(self.host, self.port, local_addr=(self.source, 0))
            except OSError:
                await asyncio.sleep(RETRY)
                continue
            self._writer = writer
            writer.write(_OPEN)
            with suppress(OSError, asyncio.IncompleteReadError):
                head = await reader.readuntil(b" rsp ")
                size = int((await reader.readuntil(b" ")).strip())
                offers = await reader.readexactly(size + 1)
                assert head == b"1 rsp ", head
                assert offers.startswith(b"200 OK\n"), offers
                self._broken, self._next = False, 2
                self.sessions += 1
                self.resent += len(self._owed)
                for frame in self._owed:
                    self._put(frame)
                self._reader = asyncio.create_task(self._read(reader))
                return
            await asyncio.sleep(RETRY)

    def _put(self, frame: bytes) -> None:
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(b"%d syslog %d %b\n" % (self._next, len(frame), frame))
        self._next += 1

    async def _read(self, reader: asyncio.StreamReader) -> None:
        """Take acknowledgements, in order, until the session ends."""
        expected = 2
        try:
            while line := await reader.readline():
                if not line.endswith(b"\n") or line == b"0 serverclose 0\n":
                    break
                match = _ANSWER.match(line)
                assert match, line
                assert int(match[1]) == expected, (line, expected)
                expected += 1
                if match[3] is None:
                    continue
                assert match[3] == b"200", line
                self.acknowledged.append(self._owed.popleft())
                async with self._moved:
                    self._moved.notify_all()
        except OSError:
            pass
        self._broken = True
        async with self._moved:
            self._moved.notify_all()
