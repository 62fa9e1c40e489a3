"""A store that is moved away and created anew while a receiver runs under load: nothing acknowledged is lost.

The receiver stops acknowledging within five seconds, writes nothing into what is there instead, says why, and goes on by
itself when its store is back. The installed command, a RELP client, a directory and an S3 server.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from logsink.errors import NotFound
from logsink.store import MARKER, open_store
from tests.support.receiver import Receiver, found_once, run, until
from tests.support.relp_client import RelpClient
from tests.support.s3 import Server

QUICK = {"journal__ack_delay": "5ms", "archive__max_age": "1s", "receive__drain_timeout": "60s"}
MOST = 5.0
"""Seconds within which acknowledging stops."""


class Load:
    """A client that sends without end, and remembers when the last acknowledgement came."""

    def __init__(self, port: int) -> None:
        self.client = RelpClient(port, window=200)
        self.acknowledged_at = 0.0
        self._stopped = False

    async def run(self) -> None:
        seen = n = 0
        while not self._stopped:
            if len(self.client.owed) < self.client.window:
                await self.client.send(b"<13>1 2026-11-24T03:12:05Z web app - - - message %d" % n)
                n += 1
            if len(self.client.acknowledged) > seen:
                seen, self.acknowledged_at = len(self.client.acknowledged), time.monotonic()
            await asyncio.sleep(0.002)  # the load, not a synchronisation

    async def more(self, frames: int) -> None:
        """Return when this many more frames are acknowledged."""
        goal = len(self.client.acknowledged) + frames
        async with asyncio.timeout(60):
            while len(self.client.acknowledged) < goal:  # noqa: ASYNC110  nobody is told when it changes
                await asyncio.sleep(0.01)

    def stop(self) -> None:
        self._stopped = True


@asynccontextmanager
async def loaded(receiver: Receiver) -> AsyncIterator[Load]:
    load = Load(receiver.port("relp"))
    running = asyncio.create_task(load.run())
    await load.more(300)
    yield load
    await load.more(300)
    load.stop()
    await running
    await load.client.close()


async def stopped_since(receiver: Receiver, load: Load, moved: float) -> None:
    """Wait until the receiver says that its store is gone; what it acknowledged, it did soon after ``moved``."""
    await until(lambda: receiver.readiness()[0] == 503)
    status, detail = receiver.readiness()
    assert (status, detail["store_error"]) == (503, detail["store_error"] or "something")
    await asyncio.sleep(max(0.0, moved + MOST + 1 - time.monotonic()))  # an acknowledgement would come in this time
    assert load.acknowledged_at - moved <= MOST, receiver.log
    assert "nothing is stored or acknowledged" in receiver.log or "cannot store segment" in receiver.log


@pytest.mark.parametrize("instead", ["nothing", "an empty directory", "a new store", "a copy"])
async def test_a_directory_is_moved_away_and_created_anew(instead: str, tmp_path: Path) -> None:
    store, away = tmp_path / "store", tmp_path / "away"
    with Receiver(f"file://{store}", tmp_path / "receiver", **QUICK) as receiver:
        async with loaded(receiver) as load:
            store.rename(away)
            moved = time.monotonic()
            if instead == "an empty directory":
                store.mkdir()
            elif instead == "a new store":
                assert run("init", "--store", str(store)).returncode == 0
            elif instead == "a copy":
                shutil.copytree(away, store, ignore_dangling_symlinks=True)
            before = sorted(store.rglob("*"))
            await stopped_since(receiver, load, moved)
            assert sorted(store.rglob("*")) == before
            if store.exists():
                store.rename(tmp_path / "wrong")
            away.rename(store)
            await until(lambda: receiver.readiness()[0] == 200)
    assert receiver.exit_code == 0, receiver.log
    assert "Traceback" not in receiver.log
    found_once(f"file://{store}", load.client.acknowledged)


async def wiped(url: str) -> dict[str, bytes]:
    """Delete all that is in the store, its marker first, and return it."""
    kept: dict[str, bytes] = {}
    async with open_store(url) as store:
        while keys := [entry.key async for entry in store.list()]:
            for key in sorted(keys, key=lambda key: key != MARKER):
                with suppress(NotFound):
                    kept[key] = await store.get(key)
                    await store.delete([key])
    return kept


@pytest.mark.parametrize("instead", ["nothing", "a new store"])
async def test_a_bucket_is_emptied_and_made_anew(
    instead: str, s3_server: Server, s3_environment: Server, tmp_path: Path
) -> None:
    url, environ = s3_server.fresh_url(), s3_server.environment
    with Receiver(url, tmp_path, environ=environ, **QUICK) as receiver:
        async with loaded(receiver) as load:
            moved = time.monotonic()
            kept = await wiped(url)
            await until(lambda: receiver.readiness()[0] == 503)
            kept |= await wiped(url)
            if instead == "a new store":
                made = run("init", "--store", url, environ=environ)
                assert made.stdout.startswith(b"made store"), made.stderr
            await stopped_since(receiver, load, moved)
            new = await wiped(url)
            assert [key for key in new if key.startswith("journal/")] == []
            async with open_store(url) as store:
                for key in sorted(kept, key=lambda key: key == MARKER):  # the marker last: then all else is back
                    await store.put(key, kept[key])
            await until(lambda: receiver.readiness()[0] == 200)
    assert receiver.exit_code == 0, receiver.log
    assert "Traceback" not in receiver.log
    found_once(url, load.client.acknowledged, environ)


async def test_a_marker_that_is_deleted_is_missed_and_never_made_anew(tmp_path: Path) -> None:
    store = tmp_path / "store"
    with Receiver(f"file://{store}", tmp_path / "receiver", **QUICK) as receiver:
        async with loaded(receiver) as load:
            marker = (store / MARKER).read_bytes()
            (store / MARKER).unlink()
            moved = time.monotonic()
            await stopped_since(receiver, load, moved)
            assert not (store / MARKER).exists()
            (store / MARKER).write_bytes(marker)
            await until(lambda: receiver.readiness()[0] == 200)
            assert receiver.readiness()[1]["store"] in marker.decode()
    assert receiver.exit_code == 0, receiver.log
    found_once(f"file://{store}", load.client.acknowledged)


async def test_a_receiver_restores_the_marker_that_was_lost(tmp_path: Path) -> None:
    store = tmp_path / "store"
    with Receiver(f"file://{store}", tmp_path / "receiver", **QUICK) as receiver:
        async with loaded(receiver) as load:
            name = receiver.readiness()[1]["store"]
    (store / MARKER).unlink()
    with Receiver(f"file://{store}", tmp_path / "again", **QUICK) as again:
        assert again.readiness()[1]["store"] == name
    assert "was missing: wrote one" in again.log
    found_once(f"file://{store}", load.client.acknowledged)


async def test_a_store_that_must_not_be_made_is_waited_for(tmp_path: Path) -> None:
    """As of a file system that is mounted late."""
    store = tmp_path / "mount" / "store"
    store.parent.mkdir()
    receiver = Receiver(f"file://{store}", tmp_path / "receiver", create="never", **QUICK)
    receiver.launch()
    try:
        await until(lambda: "there is no store, and none may be made" in receiver.log)
        assert list(store.parent.iterdir()) == []
        assert run("init", "--store", str(tmp_path / "elsewhere")).returncode == 0
        (tmp_path / "elsewhere").rename(store)
        await asyncio.to_thread(receiver.await_ready)
        async with loaded(receiver) as load:
            pass
    finally:
        receiver.stop()
    assert receiver.exit_code == 0, receiver.log
    found_once(f"file://{store}", load.client.acknowledged)
