"""A store in trouble, seen from a sender: nothing is acknowledged that is not stored, and after the trouble all goes on.

The installed command, a RELP client over real sockets, an S3 server behind a proxy that makes the trouble, a full disk.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.proxy import Action, Forward, Lose, Reply, Request, Reset, in_thread
from tests.support.receiver import Receiver, found_once, until
from tests.support.relp_client import RelpClient
from tests.support.s3 import Server

MIB = 1 << 20


def frames(count: int, first: int = 0, size: int = 0) -> list[bytes]:
    return [
        b"<13>1 2026-11-24T03:12:05Z web app - - - message %d %b" % (n, b"x" * size)
        for n in range(first, first + count)
    ]


class Trouble:
    """What becomes of requests: ``action`` for those that ``meets`` chooses, while there is one."""

    def __init__(self, meets: Callable[[Request], bool]) -> None:
        self.meets, self.action, self.met = meets, None, 0
        self.action: Action | None

    def __call__(self, request: Request) -> Action:
        if self.action is None or not self.meets(request):
            return Forward()
        self.met += 1
        return self.action


def storing(request: Request) -> bool:
    return request.method == "PUT" and "/journal/" in request.target


def anything(request: Request) -> bool:
    return True


TROUBLES: dict[str, tuple[Action, Callable[[Request], bool]]] = {
    "500": (Reply(500, "InternalError"), storing),
    "503 SlowDown": (Reply(503, "SlowDown"), storing),
    "reset": (Reset(), storing),
    "everything is reset": (Reset(), anything),
    "credentials expired": (Reply(403, "ExpiredToken"), anything),
    "access denied": (Reply(403, "AccessDenied"), storing),
}


async def test_trouble_with_puts_holds_acknowledgements_back_until_it_is_over(
    s3_server: Server, tmp_path: Path
) -> None:
    """One trouble after the other."""
    trouble, url = Trouble(storing), s3_server.fresh_url()
    with in_thread(s3_server.endpoint, trouble) as proxy:
        environ = s3_server.at(proxy.url).environment
        settings = {"journal__ack_delay": "5ms", "archive__max_age": "1s"}
        with Receiver(url, tmp_path / "serve", environ=environ, **settings) as receiver:
            client = RelpClient(receiver.port("relp"), window=1000)
            for kind, (action, meets) in TROUBLES.items():
                await client.send(*frames(50, len(client.sent)))
                await client.settle()
                assert (await asyncio.to_thread(receiver.readiness))[0] == 200
                stored = len(client.acknowledged)
                failed = await asyncio.to_thread(receiver.metric, "logsink_journal_put_failures_total")
                trouble.action, trouble.meets = action, meets
                await client.send(*frames(50, stored))
                await until(lambda failed=failed: receiver.metric("logsink_journal_put_failures_total") >= failed + 2)
                assert len(client.acknowledged) == stored, kind
                status, detail = await asyncio.to_thread(receiver.readiness)
                assert status == 503, kind
                assert detail["store_error"], kind
                trouble.action = None
                await client.settle()
                assert client.acknowledged == client.sent
                assert client.sessions == 1
                await until(lambda: receiver.readiness()[0] == 200)
            await client.close()
        assert receiver.exit_code == 0, receiver.log
    found_once(url, client.sent, s3_server.environment)


@pytest.mark.parametrize("status", [None, 500])
async def test_lost_replies_are_found_out(status: int | None, s3_server: Server, tmp_path: Path) -> None:
    """Stored, and the reply lost: found out by reading, acknowledged, and stored once."""
    trouble, url = Trouble(storing), s3_server.fresh_url()
    with in_thread(s3_server.endpoint, trouble) as proxy:
        environ = s3_server.at(proxy.url).environment
        with Receiver(url, tmp_path / "serve", environ=environ, journal__ack_delay="5ms") as receiver:
            client = RelpClient(receiver.port("relp"), window=1000)
            trouble.action = Lose(status)
            await client.send(*frames(50))
            await client.settle()
            assert trouble.met
            await client.close()
        assert receiver.exit_code == 0, receiver.log
    found_once(url, client.sent, s3_server.environment)


async def test_a_slow_store_fills_the_memory_to_its_limit_and_no_further(s3_server: Server, tmp_path: Path) -> None:
    """PUTs that take for ever: a sender waits when it holds its share of 32 MiB, and goes on when they are through."""
    gate = asyncio.Event()
    trouble, url = Trouble(storing), s3_server.fresh_url()
    limit, each = 32 * MIB, 3000
    with in_thread(s3_server.endpoint, trouble) as proxy:
        environ = s3_server.at(proxy.url).environment
        settings = {"receive__memory_limit": "32MiB", "journal__max_bytes": "1MiB", "archive__max_bytes": "4MiB"}
        with Receiver(url, tmp_path / "serve", environ=environ, **settings) as receiver:
            flood = [RelpClient(receiver.port("relp"), window=1_000_000, source=f"127.0.0.{n}") for n in range(2, 6)]
            for n, one in enumerate(flood):
                await one.send(*frames(100, each * n, size=7000))
            for one in flood:
                await one.settle()
            before = receiver.resident
            trouble.action = Forward(gate=gate)
            for n, one in enumerate(flood):
                await one.send(*frames(each - 100, each * n + 100, size=7000))
            await until(lambda: receiver.metric("logsink_share_exceeded_total") >= len(flood))
            assert limit / 2 < receiver.metric("logsink_journal_unstored_bytes") <= limit
            assert receiver.resident - before < 3 * limit
            assert not any(len(one.acknowledged) > 100 for one in flood)
            trouble.action = None
            proxy.loop.call_soon_threadsafe(gate.set)
            for one in flood:
                await one.settle()
                await one.close()
        assert receiver.exit_code == 0, receiver.log
    found_once(url, [frame for one in flood for frame in one.sent], s3_server.environment)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    if (
        os.geteuid()
        or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "none", str(place)], check=False).returncode
    ):
        pytest.skip("mounting a small file system needs root")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


async def test_a_full_disk(small_disk: Path, tmp_path: Path) -> None:
    url = f"file://{small_disk}/store"
    with Receiver(url, tmp_path / "serve", journal__ack_delay="5ms", archive__max_age="60s") as receiver:
        client = RelpClient(receiver.port("relp"), window=1000)
        await client.send(*frames(50))
        await client.settle()
        filler = small_disk / "filler"
        with filler.open("wb") as file, contextlib.suppress(OSError):
            while True:
                os.write(file.fileno(), bytes(1024))
        await client.send(*frames(50, 50))
        await until(lambda: receiver.metric("logsink_journal_put_failures_total") >= 2)
        assert len(client.acknowledged) == 50
        status, detail = await asyncio.to_thread(receiver.readiness)
        assert status == 503
        assert "no space left" in str(detail["store_error"])
        filler.unlink()
        await client.settle()
        await until(lambda: receiver.readiness()[0] == 200)
        await client.close()
    assert receiver.exit_code == 0, receiver.log
    found_once(url, client.sent)
