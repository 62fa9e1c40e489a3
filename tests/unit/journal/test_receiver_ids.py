"""When a receiver goes on under a new id, and what its lanes do then."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from logsink.errors import Unavailable
from logsink.journal.reader import list_segments
from logsink.journal.receiver_ids import ReceiverIds
from logsink.journal.segment import Segment
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


async def renewed(one: ReceiverIds, *, doubtful: bool = False) -> str:
    """The id for a segment whose first frame has just come."""
    return await one.renew(doubtful, one.number)


async def test_the_id_stays_while_the_store_is_seen_often_enough(store: Asked) -> None:
    one = ids_of(store)
    for _ in range(100):
        assert await renewed(one) == "r1"
        store.clocks.pass_both(LIMIT * 0.9)
    assert one.used == ["r1"]


async def test_a_busy_receiver_asks_seldom(store: Asked) -> None:
    one = ids_of(store)
    for _ in range(100):
        await renewed(one)
        store.clocks.pass_both(1.0)
    assert store.asked == 2


async def test_a_pause_ends_it(store: Asked) -> None:
    one = ids_of(store)
    await renewed(one)
    store.clocks.pass_both(LIMIT + 1)
    assert [await renewed(one) for _ in range(3)] == ["r2"] * 3
    assert one.used == ["r1", "r2"]


async def test_a_pause_that_only_the_store_has_seen_ends_it_with_the_first_trouble(store: Asked) -> None:
    """A machine that goes on from a snapshot: its clocks know nothing, its connections are gone."""
    one = ids_of(store)
    await renewed(one)
    store.clocks.store += LIMIT + 1
    assert await renewed(one) == "r1"
    assert await renewed(one, doubtful=True) == "r2"


async def test_without_an_answer_there_is_no_id(store: Asked) -> None:
    one = ids_of(store)
    await renewed(one)
    store.clocks.pass_both(LIMIT + 1)
    store.clocks.trouble = 1
    with pytest.raises(Unavailable):
        await renewed(one)
    assert await renewed(one) == "r2"


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
    bench = Bench(store, SOON, ids=one)
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
    bench = Bench(store, SOON, ids=one)
    store.clocks.trouble = 2
    bench.append(b"<13>a")
    await bench.journal.flush()
    assert store.asked == 3
    assert len(await list_segments(store)) == 1
    assert bench.journal.failing is None
    await bench.journal.aclose()


async def test_what_came_before_the_clock_was_put_back_keeps_its_id(store: Asked) -> None:
    one = ids_of(store)
    before = one.number
    one.begin(3.0)
    assert [await one.renew(False, before), await renewed(one)] == ["r1", "r2"]
    store.clocks.pass_both(LIMIT + 1)
    assert [await one.renew(False, before), await renewed(one)] == ["r3", "r3"], "others may have archived its lanes"


def times_of(segment: Segment) -> list[int]:
    return list(map(int, segment.frames.received))


class Wall:
    """The wall clock of this machine, in seconds."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1_800_000_000.0
        monkeypatch.setattr("logsink.journal.writer.time.time_ns", lambda: round(self.now * 1e9))


@pytest.mark.parametrize(("back", "ids"), [(1.5, ["r1"]), (3600.0, ["r1", "r2"])])
async def test_times_are_right_again_when_the_clock_was_put_back(
    store: Asked, monkeypatch: pytest.MonkeyPatch, back: float, ids: list[str]
) -> None:
    wall = Wall(monkeypatch)
    one = ids_of(store)
    bench = Bench(store, SOON, ids=one)
    bench.append(b"<13>a")
    wall.now -= back
    bench.append(b"<13>b")
    bench.append(b"<13>c")
    await bench.journal.flush()
    reads = [(segment.name.receiver, time) for segment in bench.released for time in times_of(segment)]
    begun = 1_800_000_000_000_000
    if len(ids) == 1:
        assert reads == [("r1", begun), ("r1", begun + 1), ("r1", begun + 2)]
    else:
        right = begun - 3_600_000_000
        assert reads == [("r1", begun), ("r2", right), ("r2", right + 1)]
    assert one.used == ids
    assert [segment.name.sequence for segment in bench.released] == [1] * len(ids)
    await bench.journal.aclose()


async def test_a_clock_that_is_put_back_again_and_again_makes_no_more_ids(
    store: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    wall = Wall(monkeypatch)
    one = ids_of(store)
    bench = Bench(store, SOON, ids=one)
    for _ in range(5):
        bench.append(b"<13>a")
        wall.now -= 100
    await bench.journal.flush()
    assert one.used == ["r1", "r2"]
    reads = [(segment.name.receiver, time) for segment in bench.released for time in times_of(segment)]
    assert len(set(reads)) == 5
    await bench.journal.aclose()
