"""A store whose reads are counted: what a query says of itself, and what S3 charges for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from typing import Protocol

from logsink.store.base import Bytes, Entry, Store

PAGE = 1000
"""Keys in one answer to a listing."""


class ReadCounts(Protocol):
    """Where it is counted."""

    requests: int
    listings: int
    bytes_read: int


class CountingStore(Store):
    """``store``, counting into ``counts``."""

    def __init__(self, store: Store, counts: ReadCounts) -> None:
        self._store, self._counts = store, counts
        self.url = store.url

    async def put(self, key: str, body: Bytes) -> None:
        await self._store.put(key, body)

    async def put_absent(self, key: str, body: Bytes) -> bool:
        return await self._store.put_absent(key, body)

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

    async def probe(self) -> None:
        await self._store.probe()

    async def aclose(self) -> None:
        await self._store.aclose()
