"""A receiver prepares its store before it listens: it probes the store, settles which one it is, and tries again where that may
help.

Somebody else may bring a store up, mount it, let its name resolve, renew credentials, grant rights or free a full disk: such
trouble is tried again, as it is while the receiver runs. What stays wrong until somebody restarts the receiver is raised: no
credentials at all, no such bucket, an endpoint that is no URL, a server that lets two conditional puts of one key succeed, a
table of a later version. A table whose log is damaged or gone is no reason to receive nothing: segments wait in the journal.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

from logsink import telemetry
from logsink.archive.identity import require, settle
from logsink.archive.log import DeltaLog
from logsink.errors import Damaged, StoreError, Unavailable, Withheld
from logsink.store import Marker

SLOW = 10.0
"""Seconds after which a try that has no outcome yet is logged."""

LONGEST_PAUSE = 10.0
"""Most seconds between two tries; the first pause is one second, each later one twice the one before."""


class Preparation:
    """The tries of one receiver to use its store. ``error`` is what the last one failed with; None: nothing failed yet.

    ``create``: whether to make the store where there is none. ``sleep`` and ``slow`` (seconds) are given by tests.
    """

    def __init__(
        self,
        log: DeltaLog,
        *,
        create: bool = True,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        slow: float = SLOW,
    ) -> None:
        self.error: StoreError | None = None
        self._log, self._create, self._sleep, self._slow = log, create, sleep, slow
        self._failed = 0

    async def run(self) -> Marker:
        """Return the store's marker once it can be used. Raises trouble that another try cannot end. Cancelling is safe."""
        pause = 1.0
        while True:
            try:
                marker = await self._try()
                break
            except (Unavailable, Withheld) as error:
                self._failed += 1
                self._report(error)
            await self._sleep(pause * random.uniform(0.5, 1))
            pause = min(2 * pause, LONGEST_PAUSE)
        if self._failed:
            telemetry.STORE_REACHED.log(tries=self._failed + 1)
        self.error = None
        return marker

    async def _try(self) -> Marker:
        """Try once, however long it takes, and log after ``slow`` seconds that there is no answer yet."""
        attempt = asyncio.ensure_future(self._use())
        try:
            done, _ = await asyncio.wait({attempt}, timeout=self._slow)
            if not done:
                self._report(Unavailable(f"cannot reach {self._log.store.url}: no answer in {self._slow:g} s"))
            return await attempt
        finally:
            attempt.cancel()

    async def _use(self) -> Marker:
        if not self._create:
            await require(self._log.store)
        await self._log.store.probe()
        marker = await settle(self._log, create=self._create)
        try:
            self._log.refuse_damage(await self._log.load(), "archive")
        except Damaged as error:  # messages are received and stored all the same; only archiving waits
            telemetry.ARCHIVE_DAMAGED.log(error=error)
        return marker

    def _report(self, error: StoreError) -> None:
        """Log ``error``: a new one at once, the same again as a count (``telemetry.Event.matter``)."""
        self.error = error
        telemetry.STORE_NOT_REACHED.log(tries=max(1, self._failed), error=error)
