"""An HTTP/1.1 proxy between a client and a server that can do to each request what a network and a busy server do.

``decide(request)`` says what happens: ``Forward``, ``Reply``, ``Lose``, ``Reset`` or ``Land``. Bodies pass as they are, whether
counted or chunked, and connections are kept alive. ``chaos`` decides by a seeded chance::

    async with Proxy(server.endpoint) as proxy:
        proxy.decide = lambda request: Reply(503) if request.method == "PUT" else Forward()

``in_thread`` runs one beside a test that has no event loop of its own.
"""

from __future__ import annotations

import asyncio
import random
import socket
import struct
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email.utils import formatdate
from types import MappingProxyType
from typing import Self
from urllib.parse import urlsplit

HEAD = 1 << 16
"""Most bytes of a request's or reply's head."""

PIECE = 1 << 16
"""Bytes of a body moved at a time."""

INJECTED = 1_800_000_000
"""Seconds since 1970 that replies of the proxy itself are dated."""


@dataclass(frozen=True)
class Request:
    """What a decision is made upon: ``nth`` counts the proxy's requests from 1; header names are in lower case."""

    nth: int
    method: str
    target: str
    headers: dict[str, str]


@dataclass(frozen=True)
class Forward:
    """Pass it on, after ``gate`` is set (and ``delay`` seconds), without the headers named.

    A reply with a status in ``instead`` is kept back, and that is answered.
    """

    gate: asyncio.Event | None = None
    delay: float = 0.0
    without: tuple[str, ...] = ()
    instead: Mapping[int, Reply] = field(default_factory=dict)


@dataclass(frozen=True)
class Reply:
    """Answer ``status`` with an S3 error body, or with ``body``; the server never hears of the request. '' is no ``date``."""

    status: int = 503
    code: str = "SlowDown"
    body: bytes | None = None
    date: str = formatdate(INJECTED, usegmt=True)


@dataclass(frozen=True)
class Lose:
    """Pass it on, wait for the reply, and drop it: the client's connection is reset, or it is told ``status``."""

    status: int | None = None


@dataclass(frozen=True)
class Reset:
    """Reset the client's connection; the server never hears of the request."""


@dataclass(frozen=True)
class Land:
    """Reset the client's connection now, and pass the request on once ``gate`` is set."""

    gate: asyncio.Event = field(default_factory=asyncio.Event)


NOTHING: Mapping[int, Reply] = MappingProxyType({})

Action = Forward | Reply | Lose | Reset | Land
Decide = Callable[[Request], Action]


def chaos(
    seed: int,
    *,
    errors: float = 0.0,
    lost: float = 0.0,
    resets: float = 0.0,
    delayed: float = 0.0,
    delay: float = 0.0,
    methods: tuple[str, ...] = (),
) -> Decide:
    """A decision by chance: shares of requests (of ``methods``, or all) that meet each fate; the rest pass."""
    chance = random.Random(seed)

    def decide(request: Request) -> Action:
        if methods and request.method not in methods:
            return Forward()
        drawn = chance.random()
        fates: list[tuple[float, Action]] = [
            (errors / 2, Reply(500, "InternalError")),
            (errors / 2, Reply(503, "SlowDown")),
            (lost, Lose()),
            (resets, Reset()),
            (delayed, Forward(delay=delay)),
        ]
        for share, fate in fates:
            drawn -= share
            if drawn < 0:
                return fate
        return Forward()

    return decide


class Proxy:
    """Listens on a free port of 127.0.0.1 while entered. ``decide`` may be exchanged at any time."""

    def __init__(self, upstream: str, decide: Decide = lambda _: Forward()) -> None:
        parts = urlsplit(upstream)
        self._upstream = (parts.hostname or "127.0.0.1", parts.port or 80)
        self._late: set[asyncio.Task[None]] = set()
        self._clients: set[asyncio.Task[None]] = set()
        self.decide = decide
        self.requests: list[Request] = []
        self.url = ""

    async def __aenter__(self) -> Self:
        self.loop = asyncio.get_running_loop()
        self._server = await asyncio.start_server(self._client, "127.0.0.1", 0, limit=HEAD)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        tasks = [*self._clients, *self._late]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def settled(self) -> None:
        """Wait until all requests that were to land late have landed."""
        await asyncio.gather(*self._late)

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._clients.add(task)
        server = _Upstream(*self._upstream)
        try:
            while await self._exchange(_Side(reader, writer), server):
                pass
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # one side has gone; so does the other
        finally:
            server.close()
            writer.close()
            self._clients.discard(task)

    async def _exchange(self, client: _Side, server: _Upstream) -> bool:
        """One request and its reply; whether another may follow on this connection."""
        try:
            head = await client.head()
        except asyncio.IncompleteReadError:
            return False
        method, target, _ = head.start.split(" ", 2)
        request = Request(len(self.requests) + 1, method, target, head.named)
        self.requests.append(request)
        action = self.decide(request)
        if head.named.get("expect", "").lower() == "100-continue":
            head = head.without(("expect",))
            client.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        match action:
            case Forward(gate, delay, without, instead):
                if gate is not None:
                    await gate.wait()
                await asyncio.sleep(delay)
                return await server.relay(method, head.without(without), client, client, instead)
            case Reply():
                await client.skip(head)
                client.writer.write(_reply(method, action))
                return not head.closes
            case Lose(None):
                await server.relay(method, head, client, None)
                return client.reset()
            case Lose(status):
                await server.relay(method, head, client, None)
                client.writer.write(_reply(method, Reply(status or 0, "InternalError")))
                return not head.closes
            case Reset():
                return client.reset()
            case Land(gate):
                body = b"".join([piece async for piece in client.body(head)])
                self._late.add(asyncio.create_task(self._land(method, head, body, gate)))
                return client.reset()

    async def _land(self, method: str, head: _Head, body: bytes, gate: asyncio.Event) -> None:
        await gate.wait()
        source = asyncio.StreamReader()
        source.feed_data(body)
        server = _Upstream(*self._upstream)
        try:
            await server.relay(method, head, _Side(source, None), None)
        finally:
            server.close()


@contextmanager
def in_thread(upstream: str, decide: Decide = lambda _: Forward()) -> Iterator[Proxy]:
    """A proxy on an event loop in a thread of its own; ``decide`` is called there."""
    started: list[Proxy] = []
    ready, done = threading.Event(), threading.Event()

    async def serve() -> None:
        async with Proxy(upstream, decide) as proxy:
            started.append(proxy)
            ready.set()
            await asyncio.to_thread(done.wait)

    thread = threading.Thread(target=asyncio.run, args=(serve(),), daemon=True)
    thread.start()
    ready.wait()
    try:
        yield started[0]
    finally:
        done.set()
        thread.join()


@dataclass(frozen=True)
class _Head:
    """Start line and headers, as they came, of a request or a reply."""

    start: str
    headers: tuple[tuple[str, str], ...]

    @classmethod
    def parse(cls, raw: bytes) -> _Head:
        start, *lines = raw.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
        pairs = (line.partition(":") for line in lines)
        return cls(start, tuple((name, value.strip()) for name, _, value in pairs))

    @property
    def raw(self) -> bytes:
        lines = [self.start, *(f"{name}: {value}" for name, value in self.headers), "", ""]
        return "\r\n".join(lines).encode("latin-1")

    @property
    def named(self) -> dict[str, str]:
        return {name.lower(): value for name, value in self.headers}

    @property
    def closes(self) -> bool:
        connection = self.named.get("connection", "").lower()
        return connection == "close" or ("HTTP/1.0" in self.start and connection != "keep-alive")

    @property
    def chunked(self) -> bool:
        return self.named.get("transfer-encoding", "").lower().endswith("chunked")

    @property
    def length(self) -> int | None:
        length = self.named.get("content-length")
        return None if length is None else int(length)

    def without(self, names: tuple[str, ...]) -> _Head:
        return _Head(self.start, tuple(pair for pair in self.headers if pair[0].lower() not in names))


class _Side:
    """One connection's two directions."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter | None) -> None:
        self.reader = reader
        self._writer = writer

    @property
    def writer(self) -> asyncio.StreamWriter:
        assert self._writer is not None
        return self._writer

    async def head(self) -> _Head:
        return _Head.parse(await self.reader.readuntil(b"\r\n\r\n"))

    async def body(self, head: _Head, *, to_end: bool = False) -> AsyncIterator[bytes]:
        """The body's bytes as they come, heads of chunks and trailers included.

        One that says no length is empty, or with ``to_end`` ends with the connection.
        """
        if head.chunked:
            async for piece in self._chunks():
                yield piece
        elif head.length is not None or not to_end:
            async for piece in self._counted(head.length or 0):
                yield piece
        else:
            while piece := await self.reader.read(PIECE):
                yield piece

    async def _counted(self, left: int) -> AsyncIterator[bytes]:
        while left:
            piece = await self.reader.read(min(left, PIECE))
            if not piece:
                raise asyncio.IncompleteReadError(b"", left)
            left -= len(piece)
            yield piece

    async def _chunks(self) -> AsyncIterator[bytes]:
        size = -1
        while size:
            line = await self.reader.readuntil(b"\r\n")
            yield line
            size = int(line.partition(b";")[0], 16)
            if size:
                async for piece in self._counted(size + 2):
                    yield piece
        line = b""
        while line != b"\r\n":  # trailers
            line = await self.reader.readuntil(b"\r\n")
            yield line

    async def skip(self, head: _Head) -> None:
        async for _ in self.body(head):
            pass

    def reset(self) -> bool:
        """Make the other end see "connection reset by peer"."""
        raw: socket.socket = self.writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()
        return False


class _Upstream:
    """The connection to the server, kept alive from request to request."""

    def __init__(self, host: str, port: int) -> None:
        self._address = (host, port)
        self._side: _Side | None = None

    async def relay(
        self, method: str, head: _Head, source: _Side, target: _Side | None, instead: Mapping[int, Reply] = NOTHING
    ) -> bool:
        """Send a request with its body from ``source``, and the reply to ``target`` or nowhere; False: close."""
        if self._side is None or self._side.reader.at_eof():
            self.close()
            self._side = _Side(*await asyncio.open_connection(*self._address, limit=HEAD))
        server = self._side
        sending = asyncio.create_task(_send(head, source, server.writer))
        try:
            reply = await server.head()
            while reply.start.split(" ")[1].startswith("1"):
                reply = await server.head()
            whole = sending.done()
            replaced = instead.get(int(reply.start.split(" ")[1]))
            if target is not None and replaced is not None:
                target.writer.write(_reply(method, replaced))
                target = None
            if target is not None:
                target.writer.write(reply.raw)
            bare = method == "HEAD" or reply.start.split(" ")[1] in ("204", "304")
            if not bare:
                async for piece in server.body(reply, to_end=True):
                    if target is not None:
                        target.writer.write(piece)
                        await target.writer.drain()
        finally:
            sending.cancel()
            with suppress(OSError, asyncio.CancelledError, asyncio.IncompleteReadError):
                await sending
        counted = bare or reply.chunked or reply.length is not None
        if reply.closes or not counted or not whole:
            self.close()
        return whole and counted and not head.closes and not reply.closes

    def close(self) -> None:
        if self._side is not None:
            self._side.writer.close()
            self._side = None


async def _send(head: _Head, source: _Side, target: asyncio.StreamWriter) -> None:
    target.write(head.raw)
    async for piece in source.body(head):
        target.write(piece)
        await target.drain()


def _reply(method: str, reply: Reply) -> bytes:
    status, body = reply.status, reply.body
    if body is None:
        body = f"<?xml version='1.0'?><Error><Code>{reply.code}</Code><Message>injected</Message></Error>".encode()
    head = f"HTTP/1.1 {status} Injected\r\nContent-Type: application/xml\r\nContent-Length: {len(body)}\r\n"
    date = f"Date: {reply.date}\r\n" if reply.date else ""
    return f"{head}{date}\r\n".encode() + (b"" if method == "HEAD" or status in (204, 304) else body)
