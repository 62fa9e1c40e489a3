"""The proxy itself: bytes pass as they are, connections are kept, and each action does what it says."""

from __future__ import annotations

import asyncio
import urllib.error
import urllib.request
from collections.abc import AsyncIterator

import pytest

from tests.support.proxy import Forward, Land, Lose, Proxy, Reply, Request, Reset, chaos, in_thread

CHUNKED = b"5;chunk-signature=abc\r\nhello\r\n6\r\n world\r\n0\r\nx-trailer: 1\r\n\r\n"


class Upstream:
    """Takes requests with bodies of known length, and answers each with ``replies`` in turn."""

    def __init__(self) -> None:
        self.got: list[bytes] = []
        self.connections = 0
        self.replies = [b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                if b"chunked" in head:
                    body = await reader.readuntil(b"x-trailer: 1\r\n\r\n")
                else:
                    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
                    body = await reader.readexactly(length)
                self.got.append(head + body)
                writer.write(self.replies[min(len(self.got), len(self.replies)) - 1])
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@pytest.fixture
async def upstream() -> Upstream:
    return Upstream()


@pytest.fixture
async def proxy(upstream: Upstream) -> AsyncIterator[Proxy]:
    server = await asyncio.start_server(upstream.serve, "127.0.0.1", 0)
    async with Proxy(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}") as proxy:
        yield proxy
    server.close()
    await server.wait_closed()


@pytest.fixture
async def client(proxy: Proxy) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(proxy.url.rpartition(":")[2]))
    yield reader, writer
    writer.close()


Client = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def exchange(client: Client, request: bytes, reply: bytes) -> None:
    client[1].write(request)
    assert await client[0].readexactly(len(reply)) == reply


async def test_bytes_pass_as_they_are_on_one_connection(upstream: Upstream, client: Client) -> None:
    counted = b"PUT /a?b=%20c HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nX-Odd:  spaced\r\n\r\nhello"
    chunked = b"PUT /b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKED
    plain = b"GET /c HTTP/1.1\r\nHost: x\r\n\r\n"
    head = b"HEAD /d HTTP/1.1\r\nHost: x\r\n\r\n"
    upstream.replies = [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKED,
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    ]
    for request, reply in zip([counted, chunked, plain, head], upstream.replies, strict=False):
        await exchange(client, request, reply)
    await exchange(client, plain, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    assert upstream.got == [counted.replace(b":  ", b": "), chunked, plain, head, plain]
    assert upstream.connections == 1


async def test_large_bodies_stream_both_ways(upstream: Upstream, client: Client) -> None:
    body = bytes(range(256)) * 40_000
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    upstream.replies = [head + body]
    await exchange(client, f"PUT / HTTP/1.1\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body, head + body)
    assert upstream.got[0].endswith(body)


async def test_a_body_that_waits_for_100(upstream: Upstream, client: Client) -> None:
    await exchange(
        client,
        b"PUT / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
    )
    await exchange(client, b"hello", upstream.replies[0])
    assert upstream.got == [b"PUT / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello"]


PUT = b"PUT / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello"


async def test_a_reply_of_its_own_keeps_the_connection(upstream: Upstream, proxy: Proxy, client: Client) -> None:
    proxy.decide = lambda _: Reply(503, "SlowDown")
    client[1].write(PUT)
    head = await client[0].readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 503 ")
    assert b"<Code>SlowDown</Code>" in await client[0].readuntil(b"</Error>")
    assert upstream.got == []
    proxy.decide = lambda _: Forward()
    await exchange(client, PUT, upstream.replies[0])


async def test_a_lost_reply(upstream: Upstream, proxy: Proxy, client: Client) -> None:
    proxy.decide = lambda _: Lose()
    client[1].write(PUT)
    with pytest.raises(ConnectionResetError):
        await client[0].read()
    assert upstream.got == [PUT]


async def test_a_reset(upstream: Upstream, proxy: Proxy, client: Client) -> None:
    proxy.decide = lambda _: Reset()
    client[1].write(PUT)
    with pytest.raises(ConnectionResetError):
        await client[0].read()
    assert upstream.got == []


async def test_a_request_that_lands_late(upstream: Upstream, proxy: Proxy, client: Client) -> None:
    late = Land()
    proxy.decide = lambda _: late
    client[1].write(PUT)
    with pytest.raises(ConnectionResetError):
        await client[0].read()
    assert upstream.got == []
    late.gate.set()
    await proxy.settled()
    assert upstream.got == [PUT]


async def test_headers_left_out(upstream: Upstream, proxy: Proxy, client: Client) -> None:
    proxy.decide = lambda _: Forward(without=("if-none-match",))
    await exchange(client, b"GET / HTTP/1.1\r\nIf-None-Match: *\r\nHost: x\r\n\r\n", upstream.replies[0])
    assert upstream.got == [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"]
    assert proxy.requests == [Request(1, "GET", "/", {"if-none-match": "*", "host": "x"})]


def test_chaos_is_the_same_for_a_seed_and_keeps_its_shares() -> None:
    requests = [Request(n, "PUT" if n % 2 else "GET", "/", {}) for n in range(20_000)]
    shares = {"errors": 0.05, "lost": 0.01, "resets": 0.01, "delayed": 0.02}
    first, second = (list(map(chaos(3, **shares, delay=5.0), requests)) for _ in range(2))
    assert first == second
    assert first.count(Lose()) == pytest.approx(200, abs=60)
    assert first.count(Reset()) == pytest.approx(200, abs=60)
    assert first.count(Forward(delay=5.0)) == pytest.approx(400, abs=90)
    assert sum(isinstance(action, Reply) for action in first) == pytest.approx(1000, abs=150)
    only_puts = list(map(chaos(3, lost=1.0, methods=("PUT",)), requests))
    assert only_puts[:2] == [Forward(), Lose()]


def test_in_a_thread() -> None:
    with in_thread("http://127.0.0.1:1", lambda _: Reply(500)) as proxy:
        with pytest.raises(urllib.error.HTTPError, match="500") as caught:
            urllib.request.urlopen(proxy.url)
        caught.value.close()
