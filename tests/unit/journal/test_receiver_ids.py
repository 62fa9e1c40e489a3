"""When a receiver goes on under a new id, and what its lanes do then."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from logsink.errors import Unavailable
from logsink.journal.reader import list_segments
from logsink.journal.receiver_ids import ReceiverIds
from logsink.store.memory import MemoryStore
from tests.unit.journal.test_writer import SOON, Bench

LIMIT = 100.0


class Clocks:
    """The store's clock and this machine's, which need not agree."""

    def __init__(self) -> None:
        self.store = self.machine = 1000.0
        self.trouble = 0

    def pass_both(self, seconds: float) -> None:
        self.store += seconds
        self.machine += seconds


class Asked(MemoryStore):
    def __init__(self, clocks: Clocks) -> None:
        super().__init__(clock=lambda: clocks.store)
        self.clocks, self.asked = clocks, 0

    async def now(self) -> float:
        self.asked += 1
        if self.clocks.trouble:
            self.clocks.trouble -= 1
            raise Unavailable("cannot ask")
        return await super().now()


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


@pytest.fixture
def store(clocks: Clocks) -> Asked:
    return Asked(clocks)


def ids_of(store: Asked) -> ReceiverIds:
    names = (f"r{n}" for n in itertools.count(1))
    return ReceiverIds(store, lambda: next(names), limit=LIMIT, clock=lambda: store.clocks.machine)


async def test_the_id_stays_while_the_store_is_seen_often_enough(store: Asked) -> None:
    one = ids_of(store)
    for _ in range(100):
        assert await one.renew() == "r1"
        store.clocks.pass_both(LIMIT * 0.9)
    assert one.used == ["r1"]


async def test_a_busy_receiver_asks_seldom(store: Asked) -> None:
    one = ids_of(store)
    for _ in range(100):
        await one.renew()
        store.clocks.pass_both(1.0)
    assert store.asked == 2


async def test_a_pause_ends_it(store: Asked) -> None:
    one = ids_of(store)
    await one.renew()
    store.clocks.pass_both(LIMIT + 1)
    assert [await one.renew() for _ in range(3)] == ["r2"] * 3
    assert one.used == ["r1", "r2"]


async def test_a_pause_that_only_the_store_has_seen_ends_it_with_the_first_trouble(store: Asked) -> None:
    """A machine that goes on from a snapshot: its clocks know nothing, its connections are gone."""
    one = ids_of(store)
    await one.renew()
    store.clocks.store += LIMIT + 1
    assert await one.renew() == "r1"
    assert await one.renew(doubtful=True) == "r2"


async def test_without_an_answer_there_is_no_id(store: Asked) -> None:
    one = ids_of(store)
    await one.renew()
    store.clocks.pass_both(LIMIT + 1)
    store.clocks.trouble = 1
    with pytest.raises(Unavailable):
        await one.renew()
    assert await one.renew() == "r2"


async def test_watching_keeps_an_idle_receivers_id(store: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    one, turns = ids_of(store), 0

    async def sleep(seconds: float) -> None:
        nonlocal turns
        turns += 1
        store.clocks.pass_both(seconds)
        store.clocks.trouble = turns % 2
        if turns == 50:
            raise asyncio.CancelledError

    monkeypatch.setattr("logsink.journal.receiver_ids.asyncio.sleep", sleep)
    with pytest.raises(asyncio.CancelledError):
        await one.watch()
    assert one.used == ["r1"]


async def test_lanes_start_again_under_the_new_id(store: Asked) -> None:
    one = ids_of(store)
    bench = Bench(store, SOON, renew=one.renew)
    for _ in range(3):
        bench.append(b"<13>a")
        await bench.journal.flush()
    store.clocks.pass_both(LIMIT + 1)
    for _ in range(2):
        bench.append(b"<13>b")
        await bench.journal.flush()
    names = [stored.name for stored in await list_segments(store)]
    assert [name.sequence for name in names if name.receiver == "r1"] == [1, 2, 3]
    assert [name.sequence for name in names if name.receiver == "r2"] == [1, 2]
    assert len(bench.released) == 5
    await bench.journal.aclose()


async def test_no_segment_is_sent_before_the_store_has_told_the_time(store: Asked) -> None:
    one = ids_of(store)
    bench = Bench(store, SOON, renew=one.renew)
    store.clocks.trouble = 2
    bench.append(b"<13>a")
    await bench.journal.flush()
    assert store.asked == 3
    assert len(await list_segments(store)) == 1
    assert bench.journal.failing is None
    await bench.journal.aclose()
