"""Archivers, adopters and removal of orphans over a store that fails, loses replies and does things late; receivers die.

At every moment a query shows what was acknowledged exactly once and nothing twice; in the end all of it is in the table.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter

import pytest

from logsink.archive.adoption import adopt
from logsink.archive.archiver import Archiver
from logsink.archive.log import DeltaLog
from logsink.archive.retention import remove_files
from logsink.archive.rounds import Rounds
from logsink.errors import LogsinkError, StoreError
from logsink.journal.segment import SegmentName, encode_segment
from logsink.store import put_once
from logsink.store.memory import MemoryStore
from tests.support.faulty import FaultyStore, Pass, seeded
from tests.unit.archive.tables import MIDNIGHT, Limits, archived, journal, segment, visible


class World:
    """One store, one clock (a turn of anybody moves it), and what was acknowledged."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.time = 1000.0
        self.objects = MemoryStore(clock=self.clock)
        chaos = seeded(seed, fail=0.03, lose=0.04, late=0.04, slow=0.5, turns=40)
        self.store = FaultyStore(self.objects, chaos)
        self.acknowledged: Counter[str] = Counter()
        self.made: list[Rounds] = []
        self.said = 0

    def clock(self) -> float:
        self.time += 0.3
        return self.time

    async def sleep(self, seconds: float) -> None:
        for _ in range(self.random.randrange(20)):
            await asyncio.sleep(0)

    def rounds(self) -> Rounds:
        log = DeltaLog(self.store, monotonic=self.clock, wall=self.clock, sleep=self.sleep, jitter=self.random.random)
        self.made.append(Rounds(log))
        return self.made[-1]

    async def receiver(self, name: str, segments: int) -> None:
        """Two lanes fill, each with one put under way; segments are released in the order they were begun."""
        limits = Limits(max_segments=self.random.randint(1, 4), max_age=self.random.choice([0.0, 5.0, 30.0]))
        archiver = Archiver(self.rounds(), limits, hold=self.random.choice([0, 300, 1 << 20]), sleep=self.sleep)
        order: list[tuple[asyncio.Task[object], list[str]]] = []

        async def put(lane: int, sequence: int, messages: list[str]) -> object:
            one = segment(SegmentName(name, lane, sequence), messages, received=MIDNIGHT + self.said)
            body = memoryview(encode_segment(one))
            while True:
                try:
                    await put_once(self.store, one.name.key, body)
                except StoreError:
                    await self.sleep(1)
                else:
                    return one

        async def release() -> None:
            while order:
                stored, messages = order[0]
                archiver.add(await stored)  # type: ignore[arg-type]
                self.acknowledged.update(messages)
                order.pop(0)

        async with asyncio.TaskGroup() as group:
            group.create_task(archiver.run())
            last: dict[int, asyncio.Task[object]] = {}
            for k in range(segments):
                lane, sequence = k % 2, k // 2 + 1
                if lane in last:
                    await asyncio.wait([last[lane]])
                self.said += 2
                messages = [f"{name}-{self.said - 1}", f"{name}-{self.said}"]
                last[lane] = group.create_task(put(lane, sequence, messages))
                order.append((last[lane], messages))
                if len(order) >= 2 or self.random.random() < 0.5:
                    await release()
                await self.sleep(1)
            await release()

    async def adopter(self, orphan_after: float) -> None:
        rounds = self.rounds()
        while True:
            try:
                await adopt(rounds, Limits(max_segments=self.random.randint(1, 5)), orphan_after=orphan_after)
                if self.random.random() < 0.3:
                    await remove_files(rounds.log, orphan_after=0.0, keep_removed=0.0)
            except LogsinkError:
                pass
            await self.sleep(1)

    async def query(self) -> None:
        """A query reads the store as it is between two turns: it never waits."""
        while True:
            await self.check()
            for _ in range(self.random.randrange(200)):
                await asyncio.sleep(0)

    async def check(self) -> None:
        expected = self.acknowledged.copy()
        found = Counter(await visible(self.objects))
        assert max(found.values(), default=0) <= 1
        assert expected <= found


@pytest.mark.parametrize("seed", range(12))
async def test_exactly_once(seed: int) -> None:
    world = World(seed)
    others = [asyncio.create_task(world.adopter(after)) for after in (5.0, 40.0)]
    queries = asyncio.create_task(world.query())
    receivers = []
    for life in range(5):
        receivers.append(asyncio.create_task(world.receiver(f"r{life}", 12)))
        for _ in range(world.random.randrange(300, 900)):
            await asyncio.sleep(0)
        receivers[-1].cancel()
    await asyncio.gather(*receivers, return_exceptions=True)
    for task in (*others, queries):
        assert not task.done(), task
        task.cancel()
    await asyncio.gather(*others, queries, return_exceptions=True)
    await world.store.settled()
    world.store.schedule = lambda call: Pass()
    await world.check()
    rounds = world.rounds()
    while await journal(world.objects):
        world.time += 1000.0
        await adopt(rounds, Limits(), orphan_after=1.0)
    await world.check()
    found = Counter(await archived(world.objects))
    assert world.acknowledged <= found
    assert max(found.values()) == 1
    assert world.acknowledged
    for one in world.made:
        one.close()
