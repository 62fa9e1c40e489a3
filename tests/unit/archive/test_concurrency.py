"""Calls at once: order, bounds, errors, and being cancelled at the moment when one fails."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from logsink.archive.concurrency import run_concurrently


async def test_results_come_in_order_and_only_so_many_run_at_once() -> None:
    running = most = 0

    async def call(k: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        for _ in range(7 - k):
            await asyncio.sleep(0)
        running -= 1
        return k

    assert await run_concurrently([partial(call, k) for k in range(7)], 3) == list(range(7))
    assert most == 3
    assert await run_concurrently([], 3) == []


async def test_the_first_error_cancels_the_others() -> None:
    cancelled = asyncio.Event()

    async def wait() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    async def fail() -> None:
        await asyncio.sleep(0)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await run_concurrently([wait, fail, fail], 3)
    await cancelled.wait()


@pytest.mark.parametrize("turns", range(6))
async def test_being_cancelled_when_a_call_fails_is_not_lost(turns: int) -> None:
    gate = asyncio.Event()
    outcome = []

    async def fail() -> None:
        await gate.wait()
        raise ValueError("no")

    async def again() -> None:
        try:
            await run_concurrently([fail, asyncio.Event().wait], 2)
        except ValueError:
            outcome.append("failed")
        await asyncio.Event().wait()

    task = asyncio.create_task(again())
    for _ in range(5):
        await asyncio.sleep(0)
    gate.set()
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        async with asyncio.timeout(10):
            await task
    assert outcome in ([], ["failed"])
