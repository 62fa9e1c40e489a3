"""How long a receiver may keep its id: not beyond a pause in which others may have taken it for gone.

A process that was stopped, or a machine restored from a snapshot, does not know what has become of its lanes meanwhile. Others
may have archived and deleted its segments, and a restored machine may have gone on before, under the same id and numbers: a
segment stored under a number that the table has already would be taken for covered. So the store's clock is looked at all the
time, and when it has moved on by more than ``limit`` since it was last seen, segments go on under a new id, from number 1.

A segment that was tried once keeps its name: its bytes do not change any more, whoever stores them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress

from logsink import telemetry
from logsink.errors import StoreError
from logsink.store.base import Store

_LOOKS = 4
"""Looks at the store's clock within ``limit``."""


def awake() -> float:
    """Seconds since the machine started, those in which it was suspended included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


class Tenure:
    """The id of one receiver. ``new`` makes ids; ``ids`` are all this process has had, the last is in use."""

    def __init__(
        self, store: Store, new: Callable[[], str], *, limit: float, clock: Callable[[], float] = awake
    ) -> None:
        self.ids = [new()]
        self._store, self._new, self._limit, self._clock = store, new, limit, clock
        self._date: float | None = None
        self._seen = float("-inf")
        self._lock = asyncio.Lock()

    @property
    def id(self) -> str:
        """The id in use."""
        return self.ids[-1]

    async def current(self, doubtful: bool = False) -> str:
        """The id for the next segment; ``doubtful``: a segment could not be stored since. Raises what the store raises."""
        if doubtful or self._clock() - self._seen > self._limit / 2:
            async with self._lock:
                await self._look()
        return self.id

    async def watch(self) -> None:
        """Look at the store's clock again and again, until cancelled. An idle receiver keeps its id by this."""
        while True:
            with suppress(StoreError):  # what has to be stored says so
                await self.current(doubtful=True)
            await asyncio.sleep(self._limit / _LOOKS)

    async def _look(self) -> None:
        date = await self._store.now()
        before, self._date, self._seen = self._date, date, self._clock()
        if before is not None and date - before > self._limit:
            self.ids.append(self._new())
            telemetry.RENEWED.log(seconds=date - before, receiver=self.id)
