"""Try out changes of a store without making them: writes and deletions are kept apart, and reads show what they lead to."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Iterable

from logsink.errors import NotFound
from logsink.store.base import Bytes, Entry, Store, check_key, check_range
from logsink.store.probe import prove


class OverlayStore(Store):
    """``base``, which is only read, with what is written to this store in ``over``, an empty store of its own.

    What others write to ``base`` meanwhile is seen, too. Closing it closes ``over`` alone.
    """

    def __init__(self, base: Store, over: Store) -> None:
        self.url = base.url
        self._base, self._over = base, over
        self._written: set[str] = set()
        self._gone: set[str] = set()
        """Keys that were deleted, and whose objects in ``base`` are hidden from then on."""

    async def put(self, key: str, body: Bytes) -> None:
        await self._over.put(key, body)
        self._written.add(key)

    async def put_absent(self, key: str, body: Bytes) -> bool:
        if check_key(key) not in self._written and key not in self._gone and await self._in_base(key):
            return False
        placed = await self._over.put_absent(key, body)
        self._written.add(key)
        return placed

    async def get(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        if check_key(key) in self._written:
            return await self._over.get(key, start, end)
        check_range(start, end)
        if key in self._gone:
            raise NotFound(f"cannot get {self.url}/{key}: no such object")
        return await self._base.get(key, start, end)

    async def list(self, prefix: str = "", after: str = "") -> AsyncIterator[Entry]:
        over = deque([entry async for entry in self._over.list(prefix, after)])
        async for entry in self._base.list(prefix, after):
            while over and over[0].key < entry.key:
                yield over.popleft()
            if entry.key not in self._written and entry.key not in self._gone:
                yield entry
        for entry in over:
            yield entry

    async def delete(self, keys: Iterable[str]) -> None:
        deleted = set(map(check_key, keys))
        self._gone |= deleted
        self._written -= deleted
        await self._over.delete(deleted)

    async def exists(self) -> bool:
        if not self._gone and await self._base.exists():
            return True
        async for _ in self.list():
            return True
        return False

    async def now(self) -> float:
        return await self._base.now()

    async def probe(self) -> None:
        await prove(self, "")

    async def aclose(self) -> None:
        await self._over.aclose()

    async def _in_base(self, key: str) -> bool:
        try:
            await self._base.get(key, 0, 1)
            return True
        except NotFound:
            return False
