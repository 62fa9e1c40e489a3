"""Several coroutines at once, their results one after the other: ``prefetched``."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def prefetched(
    next_job: Callable[[], Coroutine[Any, Any, T] | None], width: Callable[[int], int]
) -> AsyncGenerator[T, None]:
    """Yield the results of the coroutines that ``next_job`` returns, in order; ``width(results so far)`` of them run at once.

    ``next_job`` is asked again after each result, even when it returned None before. Closing the generator cancels what runs.
    """
    tasks: deque[asyncio.Task[T]] = deque()
    done = 0
    try:
        while True:
            while len(tasks) < width(done) and (job := next_job()) is not None:
                tasks.append(asyncio.ensure_future(job))
            if not tasks:
                return
            result = await tasks[0]
            tasks.popleft()
            done += 1
            yield result
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
