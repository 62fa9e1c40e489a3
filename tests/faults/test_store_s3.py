"""The S3 store behind a network that loses, breaks and delays: what is said to be stored is, and once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from logsink.errors import Conflict, NotFound, Unavailable
from logsink.place import Bucket
from logsink.store.retry import Retrying, put_once
from logsink.store.s3 import S3Store
from tests.support.proxy import Action, Forward, Land, Lose, Proxy, Reply, Request, Reset, chaos
from tests.support.s3 import BUCKET, Server


@pytest.fixture
async def proxy(s3_environment: Server) -> AsyncIterator[Proxy]:
    async with Proxy(s3_environment.endpoint) as proxy:
        yield proxy


@pytest.fixture
async def store(s3_environment: Server, proxy: Proxy) -> AsyncIterator[S3Store]:
    prefix = s3_environment.fresh_url().rpartition("/")[2]
    async with S3Store(Bucket(BUCKET, f"{prefix}/"), endpoint=proxy.url, page=10) as store:
        yield store


def first(proxy: Proxy, action: Action) -> None:
    """``action`` for the next request, then all pass."""
    actions = [action]
    proxy.decide = lambda _: actions.pop() if actions else Forward()


@pytest.mark.parametrize("action", [Reply(500, "InternalError"), Reply(503), Reset()])
@pytest.mark.parametrize("size", [10, 3_000_000])
async def test_a_put_that_did_not_arrive(store: S3Store, proxy: Proxy, action: Action, size: int) -> None:
    first(proxy, action)
    with pytest.raises(Unavailable):
        await put_once(store, "a", bytes(size))
    with pytest.raises(NotFound):
        await store.get("a")
    assert await put_once(store, "a", bytes(size)) is True


@pytest.mark.parametrize("action", [Lose(), Lose(500)])
@pytest.mark.parametrize("size", [10, 3_000_000])
async def test_a_put_whose_reply_was_lost(store: S3Store, proxy: Proxy, action: Action, size: int) -> None:
    first(proxy, action)
    assert await put_once(store, "a", bytes(size)) is False
    first(proxy, action)
    with pytest.raises(Conflict):
        await put_once(store, "a", b"other bytes")
    assert await store.get("a") == bytes(size)


async def test_a_put_that_lands_after_its_successor(store: S3Store, proxy: Proxy) -> None:
    late = Land()
    first(proxy, late)
    with pytest.raises(Unavailable):
        await put_once(store, "a", b"first")
    assert await put_once(store, "a", b"second") is True
    late.gate.set()
    await proxy.settled()
    assert await store.get("a") == b"second"


async def test_a_put_that_lands_after_the_deletion(store: S3Store, proxy: Proxy) -> None:
    late = Land()
    first(proxy, late)
    with pytest.raises(Unavailable):
        await put_once(store, "a", b"body")
    assert await put_once(store, "a", b"body") is True
    await store.delete(["a"])
    late.gate.set()
    await proxy.settled()
    assert await store.get("a") == b"body"  # it is there again: journal and archive must expect this


@pytest.mark.parametrize("action", [Reply(500), Reply(503), Reset(), Lose(), Lose(500)])
async def test_everything_else_is_tried_again(store: S3Store, proxy: Proxy, action: Action) -> None:
    async def no_wait(_: float) -> None:
        return None

    retrying = Retrying(store, sleep=no_wait)
    first(proxy, action)
    await retrying.put("a", b"x")
    first(proxy, action)
    assert await retrying.get("a") == b"x"
    first(proxy, action)
    assert [entry.key async for entry in retrying.list()] == ["a"]
    first(proxy, action)
    assert await retrying.exists() is True
    first(proxy, action)
    assert await retrying.now() > 0
    first(proxy, action)
    await retrying.delete(["a"])
    assert await retrying.exists() is False


async def test_a_body_that_breaks_off(store: S3Store, proxy: Proxy, s3_environment: Server) -> None:
    """A server that dies in the middle of a reply: never a short object."""
    await store.put("a", bytes(1_000_000))

    async def half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + bytes(500_000))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(half, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, S3Store(Bucket(BUCKET, "x/"), endpoint=f"http://127.0.0.1:{port}") as breaking:
        with pytest.raises(Unavailable, match="cannot get s3://logs/x/a: "):
            await breaking.get("a")


@pytest.mark.parametrize("seed", range(4))
async def test_writers_in_chaos(store: S3Store, proxy: Proxy, seed: int) -> None:
    """Four lanes through a bad network, never giving up: each object is there once, with the right bytes, in order."""
    proxy.decide = chaos(seed, errors=0.2, lost=0.1, resets=0.1)

    async def lane(lane: int) -> None:
        for n in range(15):
            key = f"{lane}/{n:02}"
            while True:
                try:
                    await put_once(store, key, key.encode() * 1000)
                    break
                except Unavailable:
                    continue

    await asyncio.gather(*map(lane, range(4)))
    retrying = Retrying(store, tries=50, base=0)
    keys = [entry.key async for entry in retrying.list()]
    assert keys == [f"{lane}/{n:02}" for lane in range(4) for n in range(15)]
    for key in keys:
        assert await retrying.get(key) == key.encode() * 1000
    await retrying.delete(keys)
    assert await retrying.exists() is False


async def test_racing_writers_in_chaos(store: S3Store, proxy: Proxy) -> None:
    proxy.decide = chaos(7, errors=0.2, lost=0.3)

    async def write(body: bytes) -> bytes | None:
        while True:
            try:
                await put_once(store, "a", body)
            except Unavailable:
                continue
            except Conflict:
                return None
            return body

    told = await asyncio.gather(*(write(bytes([n])) for n in range(10)))
    proxy.decide = lambda _: Forward()
    assert [body for body in told if body is not None] == [await store.get("a")]


async def test_a_slow_put_holds_up_no_other(store: S3Store, proxy: Proxy) -> None:
    gate = asyncio.Event()

    def decide(request: Request) -> Action:
        return Forward(gate=gate) if request.target.endswith("/slow") else Forward()

    proxy.decide = decide
    slow = asyncio.create_task(store.put_absent("slow", b"x"))
    await asyncio.gather(*(store.put_absent(f"fast/{n}", b"x") for n in range(40)))
    assert not slow.done()
    gate.set()
    assert await slow is True
