"""The store ``file:///dir``: objects as files of a local directory, by calls of ``disk`` in threads."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import TypeVar

from logsink.place import Directory
from logsink.store.base import Bytes, Entry, Store, check_key, check_prefix, check_range
from logsink.store.disk import Disk
from logsink.store.probe import prove

THREADS = 16
"""Most files read and written at the same time: enough for all parallel puts to wait for the disk, and for readers beside."""

CACHED = 1 << 21
"""Most bytes read without a thread when the page cache has them: that takes as long as a thread would take to begin."""

LISTED = 1000
"""Entries fetched from a thread at a time."""

_REMEDY = "choose a directory on a local file system with hard links"

_T = TypeVar("_T")


class LocalStore(Store):
    """Objects as files below one directory. The directory is made by the first write, never by reading, and never again."""

    def __init__(self, place: Directory | Path) -> None:
        directory = place if isinstance(place, Directory) else Directory(place.absolute())
        self.root = directory.path
        self.url = directory.url
        self._disk = Disk(str(self.root).rstrip("/"))
        self._threads = ThreadPoolExecutor(THREADS, "logsink-store")
        self._room = bytearray(CACHED)
        self._closed = False

    async def put(self, key: str, body: Bytes) -> None:
        check_key(key)
        await self._run(lambda: self._disk.write(key, body, replace=True))

    async def put_absent(self, key: str, body: Bytes) -> bool:
        check_key(key)
        return await self._run(lambda: self._disk.write(key, body, replace=False))

    async def get(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        check_key(key)
        check_range(start, end)
        found = self._disk.read_cached(key, start, end, self._room)
        if found is None:
            return await self._run(lambda: self._disk.read(key, start, end))
        await asyncio.sleep(0)  # other tasks take their turn, as after any read
        return found

    async def list(self, prefix: str = "", after: str = "") -> AsyncIterator[Entry]:
        entries = self._disk.walk(check_prefix(prefix), after)
        while some := await self._run(lambda: tuple(islice(entries, LISTED))):
            for entry in some:
                yield entry

    async def delete(self, keys: Iterable[str]) -> None:
        checked = tuple(map(check_key, keys))
        if checked:
            await self._run(lambda: self._disk.remove(checked))

    async def exists(self) -> bool:
        return await self._run(self._disk.exists)

    async def now(self) -> float:
        """Return the time of the machine's clock, from which files get their times too."""
        return time.time()

    async def hold(self) -> None:
        await self._run(self._disk.hold)

    async def probe(self) -> None:
        await prove(self, _REMEDY)

    async def aclose(self) -> None:
        if not self._closed:
            self._closed = True
            await self._run(self._disk.close)
            await asyncio.to_thread(self._threads.shutdown)

    async def _run(self, call: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)
