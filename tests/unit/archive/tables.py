"""A store whose calls take turns and may fail, and small tables to put into it."""

from __future__ import annotations

import asyncio
import datetime

import orjson

from logsink.archive.log import Add, DeltaLog
from logsink.archive.snapshot import DataFile, Snapshot, commit_key
from logsink.store.base import Store
from logsink.store.memory import MemoryStore
from tests.support.faulty import Fate, FaultyStore, Pass, Schedule, seeded


def rough(seed: int = 0, **shares: float) -> FaultyStore:
    """A store whose calls give way to other tasks at random, and fail as ``shares`` say (``faulty.seeded``)."""
    return FaultyStore(MemoryStore(), seeded(seed, turns=4, **({"slow": 0.7} | shares)))


def once(verb: str, key: str, fate: Fate) -> Schedule:
    """``fate`` for the first such call, and nothing special afterwards."""
    left = [fate]
    return lambda call: left.pop() if left and (call.verb, call.key) == (verb, key) else Pass()


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


def log_of(store: Store, clock: Clock | None = None) -> DeltaLog:
    """A log that never really waits."""
    clock = clock or Clock()
    return DeltaLog(store, monotonic=clock, sleep=clock.sleep, jitter=lambda: 0.5)


def data_file(name: str, rows: int = 1, day: int = 22) -> DataFile:
    date = datetime.date(2026, 11, day)
    return DataFile(f"date={date}/{name}.parquet", date, 10 * rows, orjson.dumps({"numRecords": rows}).decode())


def add(name: str, rows: int = 1) -> Add:
    return Add(data_file(name, rows))


async def foreign(store: Store, version: int, *actions: dict[str, object]) -> None:
    """A commit as another program would write it."""
    lines = [{"commitInfo": {"operation": "TEST"}}, *actions]
    assert await store.put_absent(commit_key(version), b"\n".join(map(orjson.dumps, lines)))


async def fresh(store: Store) -> Snapshot:
    """The table as somebody sees it who has never looked before."""
    return await log_of(store).load()
