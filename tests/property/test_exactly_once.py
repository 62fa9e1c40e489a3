"""Whole receivers (journal, id, archiver), adopters and compactors over a store that fails, loses replies and is late.

Receivers are killed, and paused for so long that others adopt what is theirs, and go on. Senders send again to the next
receiver what the last one did not acknowledge. Files are merged by several at once, and deleted behind them; with retention,
some leave the table. At every moment a query shows each acknowledged message that was not retired; once, unless it was sent
again. So does one that takes its time, and reads through the same faults.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from logsink.archive.adoption import adopt
from logsink.archive.archiver import Archiver
from logsink.archive.compaction import Compactor
from logsink.archive.log import DeltaLog, Remove
from logsink.archive.retention import remove_files
from logsink.archive.rounds import Rounds
from logsink.archive.snapshot import ROOT
from logsink.config import Journal as JournalLimits
from logsink.errors import LogsinkError, Unavailable
from logsink.journal import writer
from logsink.journal.receiver_ids import ReceiverIds
from logsink.journal.writer import Journal
from logsink.parse import Origin, Settings
from logsink.store.memory import MemoryStore
from logsink.wire.batch import Batch
from tests.support.faulty import FaultyStore, Pass, seeded
from tests.unit.archive.tables import Limits, archived, fresh, journal, messages_of, visible

ORPHAN_AFTER = 60.0
AGES = 1e11
ORIGIN = Origin("10.0.0.1", None, "relp")


def batch(messages: list[str]) -> Batch:
    lines = [f"<13>1 2026-11-22T00:00:00.000001Z web nginx - - - {message}".encode() for message in messages]
    ends = np.cumsum([len(line) for line in lines]).astype(np.int32)
    starts = np.concatenate([np.zeros(1, np.int32), ends[:-1]])
    return Batch(np.frombuffer(b"".join(lines), np.uint8), starts, ends, np.zeros(len(lines), np.int32))


class World:
    """One store, one clock (a turn of anybody moves it), and what senders know."""

    def __init__(self, seed: int, retention: float) -> None:
        self.random = random.Random(seed)
        self.retention = retention
        """How likely a compactor is to retire a file instead of merging some."""
        self.time = 1000.0
        self.objects = MemoryStore(clock=self.clock)
        self.store = FaultyStore(self.objects, seeded(seed, fail=0.03, lose=0.04, late=0.04, slow=0.5, turns=40))
        self.acknowledged: Counter[str] = Counter()
        self.unacknowledged: list[list[str]] = []
        """What dead receivers got, and did not acknowledge: sent again to the next one."""
        self.resent: set[str] = set()
        self.retired: Counter[str] = Counter()
        """Messages whose file has left the table, or may be about to."""
        self.merged = 0
        self.compactors: list[Compactor] = []
        self.said = itertools.count()
        self.names = (f"r{n}" for n in itertools.count())
        self.lives: list[Life] = []
        self.logs: list[Rounds] = []

    def clock(self) -> float:
        self.time += 0.1
        return self.time

    async def turns(self, most: int) -> None:
        for _ in range(self.random.randrange(most)):
            await asyncio.sleep(0)

    async def sleep(self, seconds: float) -> None:
        await self.turns(20)

    def rounds(self, store: FaultyStore) -> Rounds:
        log = DeltaLog(store, monotonic=self.clock, wall=self.clock, sleep=self.sleep, jitter=self.random.random)
        self.logs.append(Rounds(log))
        return self.logs[-1]

    def messages(self) -> Iterator[list[str]]:
        """What senders have for the receiver that is there: first what they owe, then news."""
        while self.unacknowledged:
            again = self.unacknowledged.pop(0)
            self.resent.update(again)
            yield again
        while True:
            yield [f"m{next(self.said)}" for _ in range(self.random.randint(1, 3))]

    async def adopter(self) -> None:
        rounds = self.rounds(self.store)
        while True:
            try:
                await adopt(rounds, Limits(max_segments=self.random.randint(1, 5)), orphan_after=ORPHAN_AFTER)
                if self.random.random() < 0.3:
                    await remove_files(rounds.log, orphan_after=0.0, keep_removed=0.0)
            except LogsinkError:
                pass
            await self.sleep(1)

    async def compactor(self) -> None:
        log = self.rounds(self.store).log
        one = Compactor(log, Limits(compact_after=-AGES), choice=self.random.choice)
        self.compactors.append(one)
        while True:
            try:
                if self.random.random() < self.retention:
                    await self.retire(log)
                elif await one.step():
                    self.merged += 1
                if self.random.random() < 0.3:
                    await remove_files(log, orphan_after=0.0, keep_removed=0.0)
            except LogsinkError:
                pass
            await self.turns(150)

    async def retire(self, log: DeltaLog) -> None:
        """Take any one file out of the table, as retention does."""
        snapshot = await log.load()
        if not snapshot.files:
            return
        file = self.random.choice(sorted(snapshot.files.values(), key=lambda one: one.path))
        self.retired.update(await messages_of(self.objects, file))
        await log.commit(snapshot, [Remove(file, data_change=True)], operation="DELETE")

    async def queries(self) -> None:
        while True:
            self.check(self.acknowledged.copy(), await visible(self.objects))
            await self.turns(400)

    async def slow_queries(self) -> None:
        """Each call of these waits, may fail, and finds what others have done to the store meanwhile."""
        while True:
            expected = self.acknowledged.copy()
            try:
                found = await visible(self.store)
            except Unavailable:
                continue
            self.check(expected, found)
            await self.turns(100)

    def check(self, expected: Counter[str], messages: list[str]) -> None:
        """What a query has found that began when ``expected`` was acknowledged."""
        found = Counter(messages)
        missing = expected - found - self.retired
        assert not missing, missing
        doubled = {message for message, count in found.items() if count > 1}
        assert doubled <= self.resent


class Life:
    """One receiver; its store answers nothing while ``awake`` is cleared, as if the process were stopped."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.awake = asyncio.Event()
        self.awake.set()
        store = FaultyStore(world.store, lambda _: Pass(0, self.awake))
        self.receiver_ids = ReceiverIds(store, lambda: next(world.names), limit=ORPHAN_AFTER / 2, clock=world.clock)
        limits = Limits(max_segments=world.random.randint(1, 4), max_age=world.random.choice([0.0, 5.0, 30.0]))
        self.archiver = Archiver(
            world.rounds(store), limits, hold=world.random.choice([0, 300, 1 << 20]), sleep=world.sleep
        )
        self.journal = Journal(
            store,
            self.receiver_ids.current,
            Settings(),
            JournalLimits(ack_delay=0.0, max_delay=0.0, max_bytes=1 << 16, parallel_puts=world.random.randint(1, 3)),
            memory_limit=1 << 20,
            largest_batch=1 << 12,
            on_release=self.archiver.add,
            on_pressure=lambda paused: None,
            ids=self.receiver_ids,
        )
        self.owed: list[tuple[int, list[str]]] = []
        self.running = asyncio.create_task(self.archiver.run())

    def acknowledge(self) -> None:
        while self.owed and self.owed[0][0] <= self.journal.durable:
            self.world.acknowledged.update(self.owed.pop(0)[1])

    async def serve(self, batches: int) -> None:
        """Take so many batches, and be paused now and then."""
        for messages in itertools.islice(self.world.messages(), batches):
            ordinal = self.journal.append(batch(messages), ORIGIN, self.acknowledge).ordinal
            self.owed.append((ordinal, messages))
            await self.world.turns(60)
            if self.world.random.random() < 0.05:
                self.awake.clear()
                await self.world.turns(200)
                if self.world.random.random() < 0.7:
                    self.world.time += 3 * ORPHAN_AFTER
                    await self.world.turns(1000)
                self.awake.set()
            if self.journal.failed.done():
                return

    async def die(self) -> None:
        self.running.cancel()
        await asyncio.gather(self.running, return_exceptions=True)
        await self.journal.aclose()
        if self.journal.failed.done():
            self.journal.failed.exception()
        self.world.unacknowledged += [messages for _, messages in self.owed]
        self.owed.clear()


async def play(seed: int, lives: int = 5, batches: int = 25, retention: float = 0.0) -> World:
    world = World(seed, retention)
    duties = (world.adopter, world.adopter, world.compactor, world.compactor, world.queries, world.slow_queries)
    others = [asyncio.create_task(duty()) for duty in duties]
    for _ in range(lives):
        life = Life(world)
        world.lives.append(life)
        await life.serve(batches)
        if world.random.random() < 0.3:
            await life.journal.flush()
            assert not life.owed
        await life.die()
    last = Life(world)
    world.lives.append(last)
    await last.serve(len(world.unacknowledged))
    await last.journal.flush()
    await last.die()
    for task in others:
        assert not task.done(), task
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    await world.store.settled()
    world.store.schedule = lambda call: Pass()
    world.check(world.acknowledged, await visible(world.objects))
    rounds = world.rounds(world.store)
    while await journal(world.objects):
        world.time += 10 * ORPHAN_AFTER
        await adopt(rounds, Limits(), orphan_after=1.0)
    await quiet(world, rounds.log)
    for one in (*world.logs, *world.compactors):
        one.close()
    world.check(world.acknowledged, await archived(world.objects))
    return world


def in_turns(
    loop: asyncio.AbstractEventLoop, executor: object, work: Callable[..., object], *args: object
) -> asyncio.Future[object]:
    """``run_in_executor`` without threads, for which a busy machine may have no time while everybody else takes turns.
    A seed plays the same, then, however busy it is.
    """

    async def done() -> object:
        for _ in range(30):
            await asyncio.sleep(0)
        return work(*args)

    return loop.create_task(done())


async def quiet(world: World, log: DeltaLog) -> None:
    """Merge what is left to be merged, and delete; then there is no file that is not in the table."""
    last = Compactor(log, Limits(compact_after=-AGES))
    while await last.step():
        pass
    last.close()
    await remove_files(log, orphan_after=-AGES, keep_removed=-AGES)
    files = {entry.key.removeprefix(ROOT) async for entry in world.objects.list(f"{ROOT}date=")}
    unclaimed = files - (await fresh(world.objects)).files.keys()
    assert not unclaimed


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "_BACKOFF_FIRST", 0.0)
    monkeypatch.setattr(asyncio.BaseEventLoop, "run_in_executor", in_turns)


@pytest.mark.parametrize("seed", range(5))
async def test_exactly_once(seed: int) -> None:
    world = await play(seed)
    assert len(world.acknowledged) > 100
    assert not world.unacknowledged


async def test_exactly_once_beside_retention() -> None:
    worlds = [await play(seed, retention=0.15) for seed in range(3)]
    assert any(world.merged for world in worlds)
    assert any(world.retired for world in worlds)


async def test_everything_happens() -> None:
    """Receivers that went on under a new id, messages sent again and rows that are doubled for it, files merged."""
    worlds = [await play(seed, lives=6) for seed in range(100, 104)]
    assert any(len(life.receiver_ids.used) > 1 for world in worlds for life in world.lives)
    assert any(world.resent for world in worlds)
    assert any(world.merged for world in worlds)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1000, 1100))
async def test_exactly_once_for_long(seed: int) -> None:
    await play(seed, lives=10, batches=60, retention=0.1 * (seed % 2))
