"""What a service manager is told: datagrams, when it asks for them."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from logsink.receiver import READY, ServiceManager


def listen(path: str) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sock.bind(path)
    sock.settimeout(10)
    return sock


def test_messages_reach_the_socket(tmp_path: Path) -> None:
    with listen(str(tmp_path / "notify")) as sock:
        ServiceManager({"NOTIFY_SOCKET": str(tmp_path / "notify")}, 1).tell(READY)
        assert sock.recv(100) == b"READY=1"


def test_an_abstract_socket() -> None:
    with listen("\0logsink-test-notify") as sock:
        ServiceManager({"NOTIFY_SOCKET": "@logsink-test-notify"}, 1).tell(READY)
        assert sock.recv(100) == b"READY=1"


async def test_nobody_is_told_where_nobody_asks(tmp_path: Path) -> None:
    none = ServiceManager({}, 1)
    none.tell(READY)
    await none.keep_alive()
    ServiceManager({"NOTIFY_SOCKET": str(tmp_path / "gone")}, 1).tell(READY)


@pytest.mark.parametrize(
    ("environ", "every"),
    [
        ({"WATCHDOG_USEC": "3000000"}, 1.0),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "7"}, 1.0),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "8"}, 0.0),
        ({"WATCHDOG_USEC": "nonsense"}, 0.0),
        ({}, 0.0),
    ],
)
def test_signs_of_life_are_for_one_process(environ: dict[str, str], every: float) -> None:
    assert ServiceManager(environ | {"NOTIFY_SOCKET": "/x"}, 7).every == every


async def test_signs_of_life(tmp_path: Path) -> None:
    with listen(str(tmp_path / "notify")) as sock:
        manager = ServiceManager({"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "3000"}, 1)
        task = asyncio.create_task(manager.keep_alive())
        for _ in range(3):
            assert await asyncio.to_thread(sock.recv, 100) == b"WATCHDOG=1"
        task.cancel()
