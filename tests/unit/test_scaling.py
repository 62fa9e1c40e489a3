"""Receivers in a simulation: what they store is archived once, and what they ask for does not grow where it need not."""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from logsink.archive.log import DeltaLog, Txn
from logsink.store.base import Bytes
from logsink.store.memory import MemoryStore
from tests.support.bill import formula, per_day
from tests.support.fleet import Load, observe
from tests.support.virtual import BEGAN, Bill, CountedStore, VirtualLoop, simulate


def test_time_jumps_to_the_next_timer_and_stands_still_for_threads() -> None:
    async def main(loop: VirtualLoop) -> list[float]:
        times = [loop.time()]
        await asyncio.sleep(86_400)
        times.append(loop.time())
        await asyncio.to_thread(sum, range(1000))
        times.append(loop.time())
        return [*times, loop.wall() - BEGAN]

    assert simulate(main) == [0.0, 86_400.0, 86_400.0, 86_400.0]


def test_a_bill_has_a_request_for_each_page_and_each_kind() -> None:
    async def main(loop: VirtualLoop) -> Bill:
        store = CountedStore(loop.wall)
        for number in range(1001):
            await store.put(f"journal/r/0/{number:020d}.arrow", b"12")
        assert len([entry async for entry in store.list("journal/")]) == 1001
        await store.get(f"journal/r/0/{0:020d}.arrow")
        await store.aclose()
        return store.bill

    bill = simulate(main)
    assert bill.requests == {("PUT", "journal"): 1001, ("LIST", "journal"): 2, ("GET", "journal"): 1}
    assert (bill.nbytes["PUT", "journal"], bill.nbytes["GET", "journal"]) == (2002, 2)
    assert round(bill.dollars("journal"), 7) == 0.0050154


class DistantStore(MemoryStore):
    """A store of which each request takes 15 to 45 ms: a put happens in the middle of that."""

    def __init__(self, random: Random) -> None:
        super().__init__()
        self._random = random

    async def get(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        await asyncio.sleep(self._random.uniform(0.015, 0.045))
        return await super().get(key, start, end)

    async def put_absent(self, key: str, body: Bytes) -> bool:
        await asyncio.sleep(self._random.uniform(0.008, 0.022))
        done = await super().put_absent(key, body)
        await asyncio.sleep(self._random.uniform(0.008, 0.022))
        return done


def test_of_fifty_commits_at_once_none_waits_for_long() -> None:
    async def main(loop: VirtualLoop) -> list[float]:
        random = Random(7)
        store = DistantStore(random)
        logs = [DeltaLog(store, monotonic=loop.time, wall=loop.wall, jitter=random.random) for _ in range(50)]
        snapshot = await logs[0].create()

        async def commit(number: int) -> float:
            await logs[number].commit(snapshot, [Txn(f"r{number}.0", 1)])
            return loop.time()

        began = loop.time()
        times = await asyncio.gather(*(commit(number) for number in range(50)))
        assert (await logs[0].load()).txn == {f"r{number}.0": 1 for number in range(50)}
        return [time - began for time in times]

    assert max(simulate(main)) <= 10


@pytest.mark.parametrize(("receivers", "seconds"), [(2, 3600.0), (12, 1200.0)])
def test_receivers_archive_what_they_store_and_ask_for_what_the_formula_says(receivers: int, seconds: float) -> None:
    """Within two times, alone and where each waits longer for the others' sake (docs/scaling.md).

    In the time of some 100 commits there are one or two checkpoints, by chance, for each of which the commits are read again.
    """
    load = Load(20.0)
    figures = simulate(lambda loop: observe(loop, receivers, warm_up=900, seconds=seconds, load=load))
    waiting = 60 * max(1.0, receivers / 5) + 60
    assert figures.stored - receivers * 2 * waiting / 10 <= figures.rows <= figures.stored
    measured, said = per_day(figures)._asdict(), formula(receivers, hours=(900 + seconds) / 3600, load=load)._asdict()
    if not figures.checkpoint_bytes:
        del said["checkpoint_kb"]
    off = {
        name: (measured[name], value) for name, value in said.items() if not value / 2 <= measured[name] <= 2 * value
    }
    assert not off, "measured, and by the formula"
