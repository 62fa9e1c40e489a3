"""Several coroutines at once, their results in order."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from logsink.errors import Unavailable
from logsink.query.read.prefetch import prefetched


async def test_results_keep_their_order_and_what_is_left_is_cancelled() -> None:
    gates = [asyncio.Event() for _ in range(5)]
    started: list[int] = []
    cancelled: list[int] = []
    numbers = iter(range(5))

    async def work(number: int) -> int:
        started.append(number)
        try:
            await gates[number].wait()
        except asyncio.CancelledError:
            cancelled.append(number)
            raise
        return number

    async with aclosing(
        prefetched(lambda: None if (n := next(numbers, None)) is None else work(n), lambda done: 2)
    ) as results:
        gates[1].set()
        gates[0].set()
        assert await anext(results) == 0
        assert await anext(results) == 1
        gates[2].set()
        assert await anext(results) == 2
        assert started == [0, 1, 2, 3]
    assert cancelled == [3]


async def test_an_error_arrives_in_its_turn() -> None:
    async def fail() -> int:
        raise Unavailable("cannot")

    async def work() -> int:
        return 1

    jobs = iter([work(), fail(), work()])
    async with aclosing(prefetched(lambda: next(jobs, None), lambda done: 3)) as results:
        assert await anext(results) == 1
        with pytest.raises(Unavailable):
            await anext(results)


async def test_jobs_may_come_later_and_more_of_them_run_at_once() -> None:
    running: list[int] = []
    most: list[int] = []
    left = list(range(6))

    async def work(number: int) -> int:
        running.append(number)
        await asyncio.sleep(0)
        most.append(len(running))
        running.remove(number)
        return number

    async with aclosing(prefetched(lambda: work(left.pop(0)) if left else None, lambda done: 1 + done)) as results:
        assert [result async for result in results] == list(range(6))
    assert most[0] == 1
    assert max(most) > 1
