"""Accepting connections: who they are from, when there is no file for them, and at the end."""

from __future__ import annotations

import asyncio
import errno
import io
import multiprocessing
import resource
import socket
import struct
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

import pytest
import uvloop

from logsink import telemetry
from logsink.kinds import Address
from logsink.net.accepting import TURN, Acceptor, half_close, keep_alive
from logsink.net.ports import bound
from tests.support.bench import until


class Peers:
    """What an acceptor was told of."""

    def __init__(self) -> None:
        self.senders: list[str | None] = []
        self.lost = 0
        self.refuse = False

    def connect(self, sender: str | None) -> asyncio.BaseProtocol | None:
        self.senders.append(sender)
        return None if self.refuse else Noted(self)


class Noted(asyncio.Protocol):
    def __init__(self, peers: Peers) -> None:
        self._peers = peers

    def connection_lost(self, exc: Exception | None) -> None:
        self._peers.lost += 1


def listening() -> socket.socket:
    (sock,) = bound("tcp", Address("127.0.0.1", 0))
    sock.listen()
    return sock


@contextmanager
def no_more_files() -> Iterator[None]:
    """Nothing can be opened meanwhile."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


async def test_a_peer_that_is_gone_again_has_a_name() -> None:
    sock, peers = listening(), Peers()
    with socket.create_connection(sock.getsockname()) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    acceptor = Acceptor("tcp", sock, peers.connect)
    await until(lambda: peers.lost)
    assert peers.senders == ["127.0.0.1"]
    acceptor.close()


class Parting(Noted):
    """Half-closes a connection that its peer resets at that moment."""

    def __init__(self, peers: Peers, client: socket.socket) -> None:
        super().__init__(peers)
        self._client = client

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        asyncio.get_running_loop().call_later(0.01, self._part, transport)  # once it is being read

    def _part(self, transport: asyncio.Transport) -> None:
        self._client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._client.close()
        half_close(transport)


async def _half_close_what_was_reset() -> list[dict[str, object]]:
    sock, peers = listening(), Peers()
    told: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    client = socket.create_connection(sock.getsockname())
    acceptor = Acceptor("tcp", sock, lambda _: Parting(peers, client))
    await until(lambda: peers.lost)
    acceptor.close()
    await asyncio.sleep(0.01)  # sockets are closed a turn later
    return told


@pytest.mark.parametrize("loop", [asyncio.SelectorEventLoop, uvloop.new_event_loop])
def test_half_closing_what_the_peer_has_reset_is_no_error(loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    with asyncio.Runner(loop_factory=loop) as runner:
        assert runner.run(_half_close_what_was_reset()) == []


async def test_one_that_is_refused_is_closed() -> None:
    sock, peers = listening(), Peers()
    peers.refuse = True
    acceptor = Acceptor("tcp", sock, peers.connect)
    reader, writer = await asyncio.open_connection(*sock.getsockname())
    assert await reader.read() == b""
    writer.close()
    acceptor.close()


class Rested(NamedTuple):
    """What an acceptor did that had no files for a while."""

    port: int
    turns: int
    """of the loop, while it rested"""
    senders_meanwhile: list[str | None]
    senders: list[str | None]
    told: list[str]


async def _without_files() -> Rested:
    sock, peers = listening(), Peers()
    port = sock.getsockname()[1]
    out = io.StringIO()
    telemetry.setup(stream=out)
    acceptor = Acceptor("tcp", sock, peers.connect, rest=0.05)
    client = socket.socket()
    client.setblocking(False)
    turns = 0
    with no_more_files():
        assert client.connect_ex(sock.getsockname()) == errno.EINPROGRESS
        await until(out.getvalue)
        resting = acceptor._rest
        while acceptor._rest is resting or acceptor._rest is None:
            turns += 1
            await asyncio.sleep(0)
        meanwhile = list(peers.senders)
    await until(lambda: peers.senders)
    client.close()
    await until(lambda: peers.lost)
    acceptor.close()
    telemetry.flush(final=True)
    return Rested(port, turns, meanwhile, peers.senders, out.getvalue().splitlines())


def in_its_own_process() -> Rested:
    return asyncio.run(_without_files())


def test_without_files_it_rests_and_goes_on() -> None:
    """It is told once; the loop turns many times before it tries again.

    The limit is the whole process's, and the S3 server of other tests may be a thread of this one.
    """
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        rested = pool.submit(in_its_own_process).result()
    assert rested.turns > 10
    assert rested.senders_meanwhile == []
    assert rested.senders == ["127.0.0.1"]
    first, *rest = rested.told
    assert f"cannot accept connections on 127.0.0.1:{rested.port} (tcp), trying again: [Errno 24]" in first
    assert len(rest) <= 1


async def test_at_the_end_it_takes_what_had_connected() -> None:
    sock, peers = listening(), Peers()
    acceptor = Acceptor("tcp", sock, peers.connect)
    with socket.create_connection(sock.getsockname()):
        acceptor.close()
        assert peers.senders == ["127.0.0.1"]
        acceptor.close()
    await until(lambda: peers.lost)
    assert sock.fileno() < 0


async def test_at_the_end_it_takes_all_that_had_connected() -> None:
    sock, peers = socket.create_server(("127.0.0.1", 0), backlog=1024), Peers()
    acceptor = Acceptor("tcp", sock, peers.connect)
    with ExitStack() as clients:
        for _ in range(3 * TURN + 1):
            clients.enter_context(socket.create_connection(sock.getsockname()))
        acceptor.close()
        assert len(peers.senders) == 3 * TURN + 1
    await until(lambda: peers.lost)


@pytest.mark.parametrize(
    ("seconds", "idle", "interval", "most"),
    [(180.0, 90, 30, 180_000), (3.0, 1, 1, 3000), (43200.0, 21600, 7200, 43_200_000)],
)
def test_what_the_kernel_is_asked_for(seconds: float, idle: int, interval: int, most: int) -> None:
    with listening() as sock:
        keep_alive(sock, seconds)
        with socket.create_connection(sock.getsockname()):
            sock.setblocking(True)
            accepted, _ = sock.accept()
            with accepted:
                assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
                of = [socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT, socket.TCP_USER_TIMEOUT]
                assert [accepted.getsockopt(socket.IPPROTO_TCP, one) for one in of] == [idle, interval, 3, most]
