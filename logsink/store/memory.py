"""A store in memory: the whole contract of ``Store`` except durability, for tests and for trying things out."""

from __future__ import annotations

import time
from bisect import bisect_left, bisect_right, insort
from collections.abc import AsyncIterator, Callable, Iterable

from logsink.errors import NotFound
from logsink.store.base import Bytes, Entry, Store, check_key, check_prefix, check_range
from logsink.store.probe import prove


class MemoryStore(Store):
    """Objects in a dictionary, with times by ``clock``. Users of one instance share its objects, as those of a bucket do."""

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self.url = "memory://"
        self._clock = clock
        self._objects: dict[str, tuple[bytes, float]] = {}
        self._keys: list[str] = []

    async def put(self, key: str, body: Bytes) -> None:
        if check_key(key) not in self._objects:
            insort(self._keys, key)
        self._objects[key] = (bytes(body), self._clock())

    async def put_absent(self, key: str, body: Bytes) -> bool:
        if check_key(key) in self._objects:
            return False
        await self.put(key, body)
        return True

    async def get(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        check_range(start, end)
        if check_key(key) not in self._objects:
            raise NotFound(f"cannot get {self.url}{key}: no such object")
        return self._objects[key][0][start:end]

    async def list(self, prefix: str = "", after: str = "") -> AsyncIterator[Entry]:
        check_prefix(prefix)
        first = max(bisect_right(self._keys, after), bisect_left(self._keys, prefix))
        for key in self._keys[first:]:
            if not key.startswith(prefix):
                return
            if key in self._objects:
                body, modified = self._objects[key]
                yield Entry(key, len(body), modified)

    async def delete(self, keys: Iterable[str]) -> None:
        for key in tuple(map(check_key, keys)):
            if self._objects.pop(key, None) is not None:
                self._keys.pop(bisect_left(self._keys, key))

    async def exists(self) -> bool:
        return bool(self._objects)

    async def now(self) -> float:
        return self._clock()

    async def probe(self) -> None:
        await prove(self, "")

    async def aclose(self) -> None:
        """Do nothing: another user may hold the same instance."""
