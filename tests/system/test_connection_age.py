"""`receive.max_connection_age`: senders connect again, elsewhere; nothing is lost, nothing doubled."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.certificates import Authority
from tests.support.receiver import Receiver, found_once
from tests.support.relp_client import RelpClient
from tests.support.rsyslog import Rsyslog, relp, tcp
from tests.support.tls_clients import DRIVERS, SINK, relp_tls, settings, tls

SESSIONS = 4

SETTINGS = {"receive__max_connection_age": "1s", "archive__max_age": "1s"}


def lines(over: threading.Event, given: list[int]) -> Iterator[bytes]:
    """Messages until it is ``over``, at a rate that rsyslogd keeps up with; ``given`` counts them."""
    while not over.is_set():
        yield b"<13>1 2026-11-24T03:12:05Z web load - - - message %d" % given[0]
        given[0] += 1
        if given[0] % 50 == 0:
            time.sleep(0.01)


def comes_back(receiver: Receiver, action: str, tmp_path: Path) -> None:
    """rsyslogd sends while its connections come of age; everything is there, once."""
    over, given = threading.Event(), [0]
    (tmp_path / "rsyslog").mkdir()
    with Rsyslog(tmp_path / "rsyslog", action) as rsyslog:
        feeding = threading.Thread(target=rsyslog.send, args=(lines(over, given),))
        feeding.start()
        receiver.wait_for("logsink_connections_accepted_total", SESSIONS)
        over.set()
        feeding.join()
        rsyslog.wait(given[0])
    assert receiver.stop() == 0, receiver.log
    assert len(rsyslog.frames) == given[0]
    found_once(receiver.store, rsyslog.frames)
    assert "WARNING" not in receiver.log


@pytest.mark.parametrize("kind", ["relp", "tcp"])
def test_rsyslog_comes_back(kind: str, tmp_path: Path) -> None:
    with Receiver(f"file://{tmp_path}/store", tmp_path / "serve", **SETTINGS) as receiver:
        port = receiver.port(kind)
        comes_back(receiver, relp(port) if kind == "relp" else tcp(port, octet_counted=True), tmp_path)


@pytest.mark.parametrize("kind", ["relp_tls", "tls"])
def test_rsyslog_comes_back_over_tls(kind: str, tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    server, client = authority.issue(SINK), authority.issue("web-1.example.com", common_name="web-1.example.com")
    tls_settings = settings(authority, server, peers="*.example.com")
    with Receiver(f"file://{tmp_path}/store", tmp_path / "serve", **SETTINGS, **tls_settings) as receiver:
        port = receiver.port(kind)
        if kind == "tls":
            action = tls(port, DRIVERS[0], authority.pem, client, server=SINK)
        else:
            action = relp_tls(port, authority.pem, client, server=SINK)
        comes_back(receiver, action, tmp_path)


async def test_relp_clients_spread_over_two_receivers(tmp_path: Path) -> None:
    """Behind one name, each new session goes to the other one. A window's frames are on their way at any time."""
    url = f"file://{tmp_path}/store"
    receivers = [Receiver(url, tmp_path / f"serve-{n}", **SETTINGS) for n in range(2)]
    for receiver in receivers:
        await asyncio.to_thread(receiver.__enter__)
    clients = [RelpClient(receivers[0].port("relp"), window=window) for window in (1, 128, 10_000)]
    sent = 0
    async with asyncio.timeout(60):
        while min(client.sessions for client in clients) < SESSIONS:
            for number, client in enumerate(clients):
                client.port = receivers[client.sessions % 2].port("relp")
                await client.send(*(b"<13>%d: message %d" % (number, sent + n) for n in range(20)))
            sent += 20
            await asyncio.sleep(0.005)
        for client in clients:
            await client.close()
    for receiver in receivers:
        assert await asyncio.to_thread(receiver.stop) == 0, receiver.log
        assert "relp session" not in receiver.log
    for client in clients:
        assert client.acknowledged == client.sent
    found_once(url, [frame for client in clients for frame in client.sent])


def test_what_a_tcp_sender_sends_after_that_is_read(tmp_path: Path) -> None:
    """One that never looks goes on; one that looks has all that it sent before it closed stored."""
    receiver = Receiver(f"file://{tmp_path}/store", tmp_path / "serve", receive__max_connection_age="1s")
    with receiver, socket.create_connection(("127.0.0.1", receiver.port("tcp"))) as sock:
        sock.sendall(b"<13>before\n<13>hal")
        assert sock.recv(1) == b""
        sock.sendall(b"f\n<13>after\n")
        sock.close()
    assert receiver.exit_code == 0, receiver.log
    found_once(receiver.store, [b"<13>before", b"<13>half", b"<13>after"])
