"""Accepts the connections of one listening socket.

asyncio's own servers name no peer that has left again before its turn, and report nothing when the process has no file left to
accept with: libuv then closes whatever connects. Here the peer's address comes with the connection, a connection can be
refused before anything is built for it, and without files nothing is accepted for a while: connections wait in the kernel.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import Callable
from typing import Final

from logsink import telemetry
from logsink.kinds import Address
from logsink.net.ports import BACKLOG

TURN: Final = 64
"""Connections that are accepted before the event loop does something else."""

REST: Final = 0.5
"""Seconds for which nothing is accepted after the system had no file or memory left for a connection."""

_FULL: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

Connect = Callable[[str | None], asyncio.BaseProtocol | None]
"""Returns the protocol for a connection from an address, or None to refuse it."""


class Acceptor:
    """Accepts connections of ``sock``, which ``close`` closes. Without files it tries again after ``rest`` seconds."""

    def __init__(self, kind: str, sock: socket.socket, connect: Connect, *, rest: float = REST) -> None:
        self.socket = sock
        self._kind, self._connect, self._pause = kind, connect, rest
        self._loop = asyncio.get_running_loop()
        self._rest: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        sock.setblocking(False)
        self._loop.add_reader(sock.fileno(), self._readable)

    def close(self) -> None:
        """Accept what waits in the kernel already, and then nothing more."""
        if self.socket.fileno() < 0:
            return
        for _ in range(BACKLOG // TURN + 1):  # bounded, in case somebody keeps connecting
            if self._rest is not None or not self._readable():
                break
        if self._rest is not None:
            self._rest.cancel()
        self._loop.remove_reader(self.socket.fileno())
        self.socket.close()

    def _readable(self) -> bool:
        """Accept up to ``TURN`` connections, and return whether there may be more."""
        for _ in range(TURN):
            try:
                sock, peer = self.socket.accept()
            except (BlockingIOError, InterruptedError):
                return False
            except OSError as error:
                if error.errno in _FULL:
                    self._wait(error)
                    return False
                continue  # the peer has gone again
            sender = str(peer[0]).removeprefix("::ffff:") if isinstance(peer, tuple) and peer else None
            protocol = self._connect(sender)
            if protocol is None:
                sock.close()
                continue
            sock.setblocking(False)
            task = self._loop.create_task(self._begin(sock, protocol))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return True

    async def _begin(self, sock: socket.socket, protocol: asyncio.BaseProtocol) -> None:
        try:
            await self._loop.connect_accepted_socket(lambda: protocol, sock)
        except OSError as error:
            sock.close()
            protocol.connection_lost(error)

    def _wait(self, error: OSError) -> None:
        """Log that nothing can be accepted, and do not look at the socket for a while."""
        telemetry.ACCEPT_FAILED.log(
            address=str(Address(*self.socket.getsockname()[:2])), transport=self._kind, error=error
        )
        self._loop.remove_reader(self.socket.fileno())
        self._rest = self._loop.call_later(self._pause, self._again)

    def _again(self) -> None:
        self._rest = None
        self._loop.add_reader(self.socket.fileno(), self._readable)


def half_close(transport: asyncio.WriteTransport) -> None:
    """Send nothing more to a peer, and go on reading. One that has reset the connection is gone; its protocol hears of that."""
    with contextlib.suppress(OSError):  # asyncio's own loop raises ENOTCONN, uvloop does not
        transport.write_eof()


def keep_alive(sock: socket.socket, seconds: float) -> None:
    """Have the kernel end connections to a listening socket whose peer gives no sign of life for so many seconds.

    It probes after half of that, and then every sixth of it; data that was sent and is not acknowledged by then counts, too.
    """
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (
        ("TCP_KEEPIDLE", max(1, int(seconds / 2))),
        ("TCP_KEEPINTVL", max(1, int(seconds / 6))),
        ("TCP_KEEPCNT", 3),
        ("TCP_USER_TIMEOUT", int(1000 * seconds)),
    ):
        if hasattr(socket, option):  # Linux has them all
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
