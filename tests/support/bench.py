"""Connections over real sockets, a real journal, a store in memory: what ``net/`` is tested with."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from logsink.config import Journal as Limits
from logsink.journal.segment import Segment
from logsink.journal.writer import Journal
from logsink.kinds import Address
from logsink.net.accepting import Acceptor
from logsink.net.intake import Connection, Intake
from logsink.net.ports import bound
from logsink.net.stream import StreamConnection
from logsink.parse import Origin, Settings
from logsink.store.base import Bytes
from logsink.store.memory import MemoryStore

MAX = 4096


class Held(MemoryStore):
    """Puts wait while it is held."""

    def __init__(self) -> None:
        super().__init__()
        self.free = asyncio.Event()
        self.free.set()

    async def put_absent(self, key: str, body: Bytes) -> bool:
        await self.free.wait()
        return await super().put_absent(key, body)


@dataclass
class Bench:
    """One intake with a journal behind it; ``rows`` is what was stored: frame, flags, sender, transport."""

    store: Held
    intake: Intake
    journal: Journal
    released: list[Segment] = field(default_factory=list)
    acceptors: list[Acceptor] = field(default_factory=list)

    async def listen(self, kind: Callable[[Intake], StreamConnection]) -> int:
        """Accept connections that ``kind`` makes; the port."""

        def connect(sender: str | None) -> StreamConnection | None:
            connection = kind(self.intake)
            return connection if connection.accepted(sender) else None

        (sock,) = bound("tcp", Address("127.0.0.1", 0))
        sock.listen()
        self.acceptors.append(Acceptor("tcp", sock, connect))
        return int(sock.getsockname()[1])

    async def origins(self) -> list[tuple[bytes, Origin]]:
        """Each frame with its origin."""
        await self.journal.flush()
        frames = [segment.frames for segment in self.released]
        return [
            (f.data[f.offsets[i] : f.offsets[i + 1]].tobytes(), f.origins[f.origin[i]])
            for f in frames
            for i in range(len(f))
        ]

    async def rows(self) -> list[tuple[bytes, int, str | None, str]]:
        await self.journal.flush()
        found = []
        for segment in self.released:
            f = segment.frames
            for i in range(len(f)):
                origin = f.origins[f.origin[i]]
                frame = f.data[f.offsets[i] : f.offsets[i + 1]].tobytes()
                found.append((frame, int(f.flags[i]), origin.sender, origin.transport))
        return found


async def make(
    *,
    memory_limit: int = 1 << 22,
    max_connections: int = 100,
    max_message: int = MAX,
    max_per_sender: int | None = None,
) -> Bench:
    store = Held()
    intake = Intake(
        max_message=max_message,
        max_connections=max_connections,
        memory_limit=memory_limit,
        max_per_sender=max_per_sender,
    )
    released: list[Segment] = []
    journal = Journal(
        store,
        "r",
        Settings(),
        Limits(ack_delay=0.0, max_delay=0.01, max_bytes=1 << 16, parallel_puts=2),
        memory_limit=memory_limit,
        largest_batch=len(intake.buffer),
        on_release=released.append,
        on_pressure=intake.pressure,
    )
    intake.attach(journal)
    return Bench(store, intake, journal, released)


async def close(bench: Bench) -> None:
    for acceptor in bench.acceptors:
        acceptor.close()
    for connection in list(bench.intake.connections):
        connection.abort()
    await bench.intake.empty.wait()
    bench.store.free.set()
    await bench.journal.aclose()


async def until(condition: Callable[[], object]) -> None:
    """Let the loop turn until ``condition`` holds: for states that nothing announces."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0)


async def connected(bench: Bench, count: int) -> list[Connection]:
    await until(lambda: len(bench.intake.connections) == count)
    return list(bench.intake.connections)
