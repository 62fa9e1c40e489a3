"""Receivers in a simulation: what they store is archived once, and what they ask for does not grow where it need not."""

from __future__ import annotations

import asyncio

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


def test_two_receivers_archive_what_they_store_and_ask_for_no_more_than_the_formula_says() -> None:
    figures = simulate(lambda loop: observe(loop, 2, warm_up=600, seconds=1200, load=Load(20.0)))
    assert figures.stored - 2 * 2 * 8 <= figures.rows <= figures.stored  # the rest waits for at most 60 s and a round
    assert 30 <= figures.versions <= 42  # one commit a receiver and minute
    bill = figures.bill
    assert bill.count("PUT", "log") == figures.versions
    assert bill.count("GET", "log") <= 6 * figures.versions
    assert bill.count("LIST", "data", "index", "ledger") <= 4
