"""Run several calls of a store at the same time, without losing a cancellation as ``asyncio.gather`` does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

T = TypeVar("T")


async def run_concurrently(calls: Iterable[Callable[[], Awaitable[T]]], at_once: int) -> list[T]:
    """Run ``calls``, at most ``at_once`` of them at the same time, and return their results in order.

    When a call fails, its error is raised and the other calls are cancelled. Cancelling this is never lost: ``asyncio.gather``
    alone forgets it when one of its calls fails at the same moment, and a caller that tries again on errors would never end.
    """
    slots = asyncio.Semaphore(at_once)

    async def run(call: Callable[[], Awaitable[T]]) -> T:
        async with slots:
            return await call()

    me = asyncio.current_task()
    before = me.cancelling() if me else 0
    tasks = [asyncio.ensure_future(run(call)) for call in calls]
    try:
        return await asyncio.gather(*tasks)
    except Exception:
        if me and me.cancelling() > before:
            raise asyncio.CancelledError from None
        raise
    finally:
        for task in tasks:
            task.cancel()
