"""Tells a service manager that the receiver is ready, stops, and lives (sd_notify(3), systemd.service(5): ``Type=notify``).

::

    NOTIFY_SOCKET   the datagram socket that takes messages; an abstract one begins with @
    WATCHDOG_USEC   microseconds within which it wants a sign of life, each time; WATCHDOG_PID: of which process

Signs of life come from the event loop that receives: when that hangs, they stop, and the service is started again.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from contextlib import suppress

READY, STOPPING, ALIVE = "READY=1", "STOPPING=1", "WATCHDOG=1"

_SIGNS = 3
"""Signs of life in the time within which one is wanted."""


class ServiceManager:
    """The service manager of process ``pid``, if its environment names one; otherwise nobody is told."""

    def __init__(self, environ: Mapping[str, str], pid: int) -> None:
        address = environ.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        wanted = environ.get("WATCHDOG_USEC", "")
        ours = environ.get("WATCHDOG_PID", str(pid)) == str(pid)
        self.every = int(wanted) / 1e6 / _SIGNS if wanted.isdigit() and ours and self._address else 0.0
        """Seconds between two signs of life; 0: none are wanted."""

    def tell(self, state: str) -> None:
        """Send a message. One that cannot be sent is lost: a receiver goes on without its service manager."""
        if not self._address:
            return
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
            sock.setblocking(False)
            sock.sendto(state.encode(), self._address)

    async def keep_alive(self) -> None:
        """Send signs of life until cancelled, if any are wanted."""
        while self.every:
            self.tell(ALIVE)
            await asyncio.sleep(self.every)
