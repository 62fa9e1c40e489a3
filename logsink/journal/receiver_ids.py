"""The ids of one receiving process: a new one after a pause in which others may have taken the receiver for gone, or when its
clock was put back.

A process that was stopped, or a machine restored from a snapshot, does not know what has become of its lanes meanwhile. Others
may have archived and deleted its segments, and a restored machine may have gone on before, under the same id and numbers: a
segment stored under a number that the table has already would be taken for covered. So the receiver reads the store's clock
again and again, and when that has moved on by more than ``limit`` since it was last read, segments go on under a new id, from
number 1.

A clock that was put back gives times of reads a second time, and an id and such a time name a read. So what comes from then on
has an id of its own (``begin``), while older segments that are not stored yet keep theirs.

A segment keeps the name of its first try: its bytes do not change any more, whoever stores them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from logsink import telemetry
from logsink.errors import StoreError
from logsink.platform.clocks import awake
from logsink.store import Store

_CHECKS = 3
"""How often ``watch`` reads the store's clock within ``limit``."""


class ReceiverIds:
    """The ids of one receiving process. ``new_id`` makes one; ``used`` are all so far, of which the last is current.

    ``limit``: seconds of the store's clock that may pass between two looks at it before the id changes.
    ``clock``: seconds of this machine's clock, suspension included.
    """

    def __init__(
        self, store: Store, new_id: Callable[[], str], *, limit: float, clock: Callable[[], float] = awake
    ) -> None:
        self.used = [new_id()]
        self._valid = 0  # the number of the first id that may still be used
        self._store, self._new_id, self._limit, self._clock = store, new_id, limit, clock
        self._store_time: float | None = None
        self._checked = float("-inf")
        self._lock = asyncio.Lock()

    @property
    def current(self) -> str:
        """The id in use."""
        return self.used[-1]

    @property
    def number(self) -> int:
        """The number of the id in use, from 0 on."""
        return len(self.used) - 1

    def begin(self, seconds: float) -> None:
        """Use another id for what comes from now on, because this machine's clock was put back by ``seconds``."""
        self.used.append(self._new_id())
        telemetry.CLOCK_SET_BACK.log(seconds=seconds, receiver=self.current)

    async def renew(self, doubtful: bool, number: int) -> str:
        """Return the id for a segment, after a look at the store's clock if the last one was too long ago.

        ``number``: that of the id that was in use when the segment's first frame came; it gets this one, or a later one where
        this may not be used any more. ``doubtful``: a segment could not be stored since, so look in any case. Raises what the
        store raises.
        """
        if doubtful or self._clock() - self._checked > self._limit / 2:
            async with self._lock:
                await self._check()
        return self.used[max(number, self._valid)]

    async def watch(self) -> None:
        """Read the store's clock again and again, until cancelled, so that an idle receiver keeps its id."""
        while True:
            with suppress(StoreError):  # whoever stores the next segment reports it
                await self.renew(True, self.number)
            await asyncio.sleep(self._limit / _CHECKS)

    async def _check(self) -> None:
        store_time = await self._store.now()
        before, self._store_time, self._checked = self._store_time, store_time, self._clock()
        if before is not None and store_time - before > self._limit:
            self.used.append(self._new_id())
            self._valid = self.number
            telemetry.RENEWED.log(seconds=store_time - before, receiver=self.current)
