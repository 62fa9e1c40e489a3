"""A rolling replacement of the log server under RELP load: nothing is lost, nothing is doubled."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.receiver import Receiver, found_once
from tests.support.relp_client import RelpClient
from tests.support.rsyslog import Rsyslog, relp

REPLACEMENTS = 3


@pytest.mark.parametrize("window", [pytest.param(128, marks=pytest.mark.slow), 10_000])
def test_on_the_same_port(window: int, tmp_path: Path) -> None:
    """The next receiver listens beside the last one before that drains; rsyslogd moves when it is told serverclose."""
    url, over = f"file://{tmp_path}/store", threading.Event()
    given = 0

    def lines() -> Iterator[bytes]:
        nonlocal given
        while not over.is_set():
            yield b"<13>1 2026-11-24T03:12:05Z web load - - - message %d" % given
            given += 1
            if given % 50 == 0:
                time.sleep(0.01)  # a rate that rsyslogd keeps up with

    (tmp_path / "rsyslog").mkdir()
    settings = {"archive__max_age": "1s", "listen__share_ports": "true"}
    old = Receiver(url, tmp_path / "serve-0", **settings)
    with old:
        port = old.port("relp")
        with Rsyslog(tmp_path / "rsyslog", relp(port, window=window)) as rsyslog:
            feeding = threading.Thread(target=rsyslog.send, args=(lines(),))
            feeding.start()
            for n in range(REPLACEMENTS):
                old.wait_for("logsink_frames_total", 1000)
                new = Receiver(url, tmp_path / f"serve-{n + 1}", **settings)
                new.listen["relp"] = port
                new.__enter__()
                assert old.stop() == 0, old.log
                old = new
            old.wait_for("logsink_frames_total", 1000)
            over.set()
            feeding.join()
            rsyslog.wait(given)
        assert old.stop() == 0, old.log
    assert len(rsyslog.frames) == given
    found_once(url, rsyslog.frames)


async def test_on_another_port(tmp_path: Path) -> None:
    """As behind one name: the next session goes somewhere else."""
    url, batch = f"file://{tmp_path}/store", 500
    old = Receiver(url, tmp_path / "serve-0", archive__max_age="1s")
    await asyncio.to_thread(old.__enter__)
    clients = [RelpClient(old.port("relp"), window=window) for window in (1, 128, 100_000)]
    over = asyncio.Event()

    async def load(client: RelpClient, name: int) -> None:
        sent = 0
        while not over.is_set():
            await client.send(*(b"<13>load %d %d" % (name, sent + n) for n in range(batch if name else 5)))
            sent += batch
            if len(client.owed) > 5 * batch:
                await client.settle()
            await asyncio.sleep(0.01)
        await client.close()

    loads = [asyncio.create_task(load(client, name)) for name, client in enumerate(clients)]
    for n in range(REPLACEMENTS):
        await asyncio.sleep(0.5)
        new = Receiver(url, tmp_path / f"serve-{n + 1}", archive__max_age="1s")
        await asyncio.to_thread(new.__enter__)
        for client in clients:
            client.port = new.port("relp")
        assert await asyncio.to_thread(old.stop) == 0, old.log
        old = new
    over.set()
    await asyncio.gather(*loads)
    assert await asyncio.to_thread(old.stop) == 0, old.log
    for client in clients:
        assert client.sessions == REPLACEMENTS + 1
        assert client.acknowledged == client.sent
    found_once(url, [frame for client in clients for frame in client.sent])
