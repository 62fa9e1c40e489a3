"""A store whose calls take turns and may fail, and small tables to put into it."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Callable, Iterable
from random import Random

import orjson

from logsink.archive.log import Add, DeltaLog
from logsink.archive.snapshot import DataFile, Snapshot, commit_key
from logsink.errors import Unavailable
from logsink.store.base import Bytes
from logsink.store.memory import MemoryStore

Trouble = Callable[[str, str], str]


class RoughStore(MemoryStore):
    """Calls give way to other tasks at random; ``trouble(method, key)`` says "fail" (nothing done), "lose" (done, and the
    reply lost) or "" for each put, get and delete. ``calls`` remembers them.
    """

    def __init__(self, seed: int = 0, trouble: Trouble = lambda method, key: "") -> None:
        super().__init__()
        self.random = Random(seed)
        self.trouble = trouble
        self.calls: list[tuple[str, str]] = []

    async def _begin(self, method: str, key: str) -> bool:
        """Whether the reply is to be lost."""
        self.calls.append((method, key))
        for _ in range(self.random.randrange(4)):
            await asyncio.sleep(0)
        verdict = self.trouble(method, key)
        if verdict == "fail":
            raise Unavailable(f"cannot {method} {key}: made to fail")
        return verdict == "lose"

    async def put(self, key: str, body: Bytes) -> None:
        lost = await self._begin("put", key)
        await super().put(key, body)
        if lost:
            raise Unavailable(f"cannot put {key}: reply lost")

    async def put_absent(self, key: str, body: Bytes) -> bool:
        lost = await self._begin("put_absent", key)
        done = False
        if key not in self._objects:
            await MemoryStore.put(self, key, body)
            done = True
        if lost:
            raise Unavailable(f"cannot put {key}: reply lost")
        return done

    async def get(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        await self._begin("get", key)
        return await super().get(key, start, end)

    async def delete(self, keys: Iterable[str]) -> None:
        for key in keys:
            await self._begin("delete", key)
            await super().delete([key])


class Clock:
    """A monotonic clock that moves when told to, and a sleep that only gives way."""

    def __init__(self) -> None:
        self.time = 1000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await asyncio.sleep(0)


def log_of(store: MemoryStore, clock: Clock | None = None) -> DeltaLog:
    """A log that never really waits."""
    clock = clock or Clock()
    return DeltaLog(store, monotonic=clock, sleep=clock.sleep, jitter=lambda: 0.5)


def data_file(name: str, rows: int = 1, day: int = 22) -> DataFile:
    date = datetime.date(2026, 11, day)
    return DataFile(f"date={date}/{name}.parquet", date, 10 * rows, orjson.dumps({"numRecords": rows}).decode())


def add(name: str, rows: int = 1) -> Add:
    return Add(data_file(name, rows))


async def foreign(store: MemoryStore, version: int, *actions: dict[str, object]) -> None:
    """A commit as another program would write it."""
    lines = [{"commitInfo": {"operation": "TEST"}}, *actions]
    assert await store.put_absent(commit_key(version), b"\n".join(map(orjson.dumps, lines)))


async def fresh(store: MemoryStore) -> Snapshot:
    """The table as somebody sees it who has never looked before."""
    return await log_of(store).load()
