"""Round trips to a store: ``Trips`` counts how many reads of another store go out one after the other.

Reads that are under way together are one trip: none is answered until no other has come for a while. What a query asks for at
once is therefore answered at once, and what it asks for next, because of an answer, is the next trip.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from logsink.store import OverlayStore, Store
from logsink.store.base import Entry
from logsink.store.memory import MemoryStore

QUIET = 0.05
"""Seconds without another read that end a trip."""


class Trips(OverlayStore):
    """``store``, whose reads are answered trip by trip. ``asked`` has the reads of each trip: keys, or prefixes with ``*``."""

    def __init__(self, store: Store) -> None:
        super().__init__(store, MemoryStore())
        self.asked: list[list[str]] = []
        self._departure: asyncio.Event | None = None
        self._timer: asyncio.TimerHandle | None = None

    @property
    def requests(self) -> int:
        """How many reads there were."""
        return sum(map(len, self.asked))

    @property
    def most_at_once(self) -> int:
        """The most reads of one trip."""
        return max(map(len, self.asked), default=0)

    async def get(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        await self._travel(key)
        return await super().get(key, start, end)

    async def list(self, prefix: str = "", after: str = "") -> AsyncIterator[Entry]:
        await self._travel(f"{prefix}*")
        async for entry in super().list(prefix, after):
            yield entry

    async def _travel(self, read: str) -> None:
        if self._departure is None:
            self._departure = asyncio.Event()
            self.asked.append([])
        self.asked[-1].append(read)
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(QUIET, self._depart)
        await self._departure.wait()

    def _depart(self) -> None:
        assert self._departure is not None
        self._departure.set()
        self._departure = None
