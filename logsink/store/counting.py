"""Count the reads of a store: a query reports them, and S3 charges for them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from typing import Protocol

from logsink.store.base import Bytes, Entry, Store

PAGE = 1000
"""Most keys in S3's answer to one request of a listing."""


class ReadCounts(Protocol):
    """Counters of a store's reads: GET requests, listing requests, and bytes of objects read."""

    requests: int
    listings: int
    bytes_read: int


class CountingStore(Store):
    """``store``, with its reads added to ``counts``."""

    def __init__(self, store: Store, counts: ReadCounts) -> None:
        self._store, self._counts = store, counts
        self.url = store.url

    async def put(self, key: str, body: Bytes) -> None:
        await self._store.put(key, body)

    async def put_absent(self, key: str, body: Bytes) -> bool:
        return await self._store.put_absent(key, body)

    async def put_locked(self, key: str, body: Bytes, *, until: float) -> bool:
        return await self._store.put_locked(key, body, until=until)

    async def get(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        self._counts.requests += 1
        body = await self._store.get(key, start, end)
        self._counts.bytes_read += len(body)
        return body

    async def list(self, prefix: str = "", after: str = "") -> AsyncIterator[Entry]:
        self._counts.listings += 1
        count = 0
        async for entry in self._store.list(prefix, after):
            count += 1
            if count % PAGE == 1 and count > 1:
                self._counts.listings += 1
            yield entry

    async def delete(self, keys: Iterable[str]) -> None:
        await self._store.delete(keys)

    async def exists(self) -> bool:
        return await self._store.exists()

    async def now(self) -> float:
        return await self._store.now()

    async def hold(self) -> None:
        await self._store.hold()

    async def probe(self) -> None:
        await self._store.probe()

    async def aclose(self) -> None:
        await self._store.aclose()
