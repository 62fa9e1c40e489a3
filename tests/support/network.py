"""Two machines with a cable between them, which can be pulled: network namespaces. Needs root and Linux.

::

    with Cable() as cable:
        cable.run(cable.far, socket.create_connection, (cable.NEAR, 514))   # a function, run over there
        cable.pull()                                                        # nothing gets through, and nobody is told
"""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar

import pytest

from tests.support.programs import require

P = ParamSpec("P")
T = TypeVar("T")
_NEW_NETWORK = 0x40000000
"""CLONE_NEWNET of setns(2)."""


class Cable:
    """``near`` and ``far`` are names of namespaces, ``NEAR`` and ``FAR`` their addresses on the cable."""

    NEAR, FAR = "192.0.2.1", "192.0.2.2"

    def __init__(self) -> None:
        need_root()
        self.near, self.far = (f"logsink-{side}-{os.getpid()}" for side in ("near", "far"))
        self._threads: dict[str, ThreadPoolExecutor] = {}

    def command(self, where: str) -> list[str]:
        """What stands before a command that is to run there; it becomes that command."""
        return command_in(where)

    def run(self, where: str, function: Callable[P, T], *args: P.args, **options: P.kwargs) -> T:
        """Call a function there; sockets that it makes stay there."""
        return self._threads[where].submit(function, *args, **options).result()

    def pull(self) -> None:
        """Take down the far end: no FIN, no RST, no packet any more."""
        ip("-n", self.far, "link", "set", "cable", "down")

    def __enter__(self) -> Self:
        try:
            for where in (self.near, self.far):
                add_space(where)
            ip("-n", self.near, *["link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns"], self.far)
            for where, address in ((self.near, self.NEAR), (self.far, self.FAR)):
                ip("-n", where, "address", "add", f"{address}/24", "dev", "cable")
                ip("-n", where, "link", "set", "cable", "up")
                self._threads[where] = ThreadPoolExecutor(1, f"at {where}", enter, (where,))
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        for thread in self._threads.values():
            thread.shutdown()
        for name in (self.near, self.far):
            delete_space(name)


def need_root() -> None:
    """Skip the test unless it runs as root."""
    if os.geteuid():
        pytest.skip("network namespaces need root")


def add_space(where: str) -> None:
    """Make a network namespace with a loopback interface."""
    ip("netns", "add", where)
    ip("-n", where, "link", "set", "lo", "up")


def delete_space(where: str) -> None:
    """Delete a network namespace, if it is there."""
    if Path(f"/run/netns/{where}").exists():
        ip("netns", "delete", where)


def command_in(where: str) -> list[str]:
    """Return what stands before a command that is to run in a network namespace; it becomes that command."""
    return [require("ip"), "netns", "exec", where]


def enter(where: str) -> None:
    """Move the calling thread into a network namespace; sockets that it makes from now on are there."""
    libc: Any = ctypes.CDLL(None, use_errno=True)
    with Path(f"/run/netns/{where}").open("rb") as namespace:
        if libc.setns(namespace.fileno(), _NEW_NETWORK):
            raise OSError(ctypes.get_errno(), f"cannot enter network namespace {where}")


def ip(*arguments: str) -> None:
    """Run ``ip``."""
    subprocess.run([require("ip"), *arguments], check=True)
