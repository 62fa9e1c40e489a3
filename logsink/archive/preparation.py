"""A receiver's first contact with its store: prove it, make the table, and wait for what can mend itself.

A store that is down, slow or cannot be resolved, credentials that are refused or have expired, rights that are not there yet
and a full disk may all be mended without this process: they are tried again, as they are while it receives. What cannot mend
itself is raised: no credentials at all, no such bucket, an endpoint that is none, a server that lets two conditional puts of
one key succeed, a table that cannot be read or has lost its log.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

from logsink import telemetry
from logsink.archive.log import DeltaLog
from logsink.errors import StoreError, Unavailable, Withheld

SLOW = 10.0
"""Seconds without an outcome after which a try is said to have none yet."""

LONGEST_PAUSE = 10.0
"""Seconds between two tries at most; the first pause is one, each later one twice the one before."""


class Preparation:
    """What is known of the store until it can be used: ``error``, or None before the first try has an outcome."""

    def __init__(
        self,
        log: DeltaLog,
        *,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        slow: float = SLOW,
    ) -> None:
        self.error: StoreError | None = None
        self._log, self._sleep, self._slow = log, sleep, slow
        self._failed = 0

    async def run(self) -> None:
        """Return when the store can be used and has a table. Raises what cannot mend itself. Cancelling is safe."""
        pause = 1.0
        while True:
            try:
                await self._try()
                break
            except (Unavailable, Withheld) as error:
                self._trouble(error)
            await self._sleep(pause * random.uniform(0.5, 1))
            pause = min(2 * pause, LONGEST_PAUSE)
        if self._failed:
            telemetry.STORE_REACHED.log(tries=self._failed + 1)
        self.error = None

    async def _try(self) -> None:
        """One try, however long it takes; one that takes long is told of."""
        attempt = asyncio.ensure_future(self._use())
        try:
            done, _ = await asyncio.wait({attempt}, timeout=self._slow)
            if not done:
                self._say(Unavailable(f"cannot reach {self._log.store.url}: no answer in {self._slow:g} s"))
            await attempt
        finally:
            attempt.cancel()

    async def _use(self) -> None:
        await self._log.store.probe()
        await self._log.create()

    def _trouble(self, error: StoreError) -> None:
        self._failed += 1
        self._say(error)

    def _say(self, error: StoreError) -> None:
        """Log what is wrong: new trouble at once, the same again as a count (``telemetry.Event.matter``)."""
        self.error = error
        telemetry.STORE_NOT_REACHED.log(tries=max(1, self._failed), error=error)
