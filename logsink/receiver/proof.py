"""The proof behind ``/readyz``: an object was put into the store a moment ago, by the journal or to find out.

A receiver that stores segments proves it all the time. One that gets nothing puts an empty object when somebody asks and the
last proof is older than ``FRESH``: at most one request a minute, and none while nobody asks. A store that does not
answer makes the answer wait ``PATIENCE`` seconds at most; the try goes on, and the next answer has its outcome.
"""

from __future__ import annotations

import asyncio

from logsink.errors import StoreError
from logsink.store import GuardedStore

FRESH = 60.0
"""Seconds for which a put that has worked proves that puts work."""

PATIENCE = 2.0
"""Most seconds that an answer waits for a try: checks of load balancers often give up after five."""

KEY = "probe/ready"
"""Key of the empty object that is put: the same for all receivers, so that there is only one of it."""


class PutProof:
    """Finds out whether puts work. ``error`` says why the last one did not; '' when it did, or before the first."""

    def __init__(self, store: GuardedStore) -> None:
        self.error = ""
        self._store = store
        self._try: asyncio.Task[None] | None = None

    async def renew(self) -> None:
        """Put an object unless a put has worked in the last ``FRESH`` seconds, and set ``error``.

        When the store does not answer, return after ``PATIENCE`` seconds; the put goes on, also when this is cancelled.
        """
        if self._store.age <= FRESH:
            self.error = ""
            return
        if self._try is None or self._try.done():
            self._try = asyncio.get_running_loop().create_task(self._put())
        done, _ = await asyncio.wait({self._try}, timeout=PATIENCE)
        if not done:
            self.error = f"cannot put an object into {self._store.url}: no answer for {PATIENCE:g} s"

    def close(self) -> None:
        """Cancel the put that is under way, if there is one."""
        if self._try is not None:
            self._try.cancel()

    async def _put(self) -> None:
        try:
            await self._store.put(KEY, b"")
        except StoreError as error:
            self.error = str(error)
        else:
            self.error = ""
