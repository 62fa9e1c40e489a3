"""``CachedStore``: small reads of objects that never change are kept in a directory of this machine.

A query of S3 reads the same checkpoint, commits, and heads of index objects each time. What was read once is taken from the
directory, as long as a listing shows the object unchanged. Layout, version 1: a file for each range that was read::

    8 bytes    LSCACHE1
    16 bytes   xxh3_128 of everything behind it
    u32        bytes of the identity (little-endian)
    identity   id of the store, key, size, modification time, ETag, start and end of the range, each in a line
    body       the bytes of the range

Its name is the xxh3_128 of the identity. Constraint: a file never changes an answer. It counts only for an object that this
very store has listed with this size, time and ETag, and only if it proves itself. So neither a store made anew, nor an object
that was rewritten or is gone, nor a file that was damaged is mistaken for what it was. Deleting any of it is always safe.

Only keys below ``_delta_log/`` and ``index/`` are kept: both are listed by every query that reads them. Data files and segments
are not. What fails here is silent: then the store is read.

Write path: into a file of its own, which is renamed. Deletion: whoever has written removes at its end what was used longest
ago, until at most ``limit`` bytes and ``FILES`` files are left.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from struct import Struct
from typing import Final

import xxhash

from logsink.errors import FormatError, StoreError
from logsink.store.base import MARKER, Bytes, Entry, Store, check_range
from logsink.store.marker import decode_marker

FILES: Final = 10_000
"""Most files in the directory."""

_MOST: Final = 16
"""Only reads of at most 1/16 of the limit are kept, so that one does not drive out all others."""

_TOUCHED: Final = 600.0
"""Seconds after which a use of a file is noted again."""

_ABANDONED: Final = 3600.0
"""Seconds after which a file that was never finished is deleted."""

_MAGIC: Final = b"LSCACHE1"
_LENGTH: Final = Struct("<I")
_HASH: Final = 16


class CachedStore(Store):
    """``inner``, whose listed objects below ``_delta_log/`` and ``index/`` are read from ``directory`` where that has them.

    ``limit``: bytes of the directory. ``aclose`` closes ``inner`` too.
    """

    def __init__(self, inner: Store, directory: Path, limit: int) -> None:
        self.inner, self.url = inner, inner.url
        self._directory, self._limit = directory, limit
        self._listed: dict[str, Entry] = {}
        self._marker: asyncio.Task[str] | None = None
        self._written = 0

    async def get(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        check_range(start, end)
        entry = self._listed.get(key)
        if entry is None or start < 0 or not (store_id := await self._id()):
            return await self.inner.get(key, start, end)
        last = entry.size if end is None else min(end, entry.size)
        identity = "\n".join(map(str, (store_id, *entry, start, last))).encode()
        path = self._directory / xxhash.xxh3_128_hexdigest(identity)
        kept = _read(path, identity)
        if kept is not None and len(kept) == last - start:
            return kept
        body = await self.inner.get(key, start, end)
        if len(body) == last - start and self._written + len(body) <= self._limit // 2:
            self._keep(path, identity, body)
        return body

    async def list(self, prefix: str = "", after: str = "") -> AsyncIterator[Entry]:
        self._begin()
        for key in [key for key in self._listed if key.startswith(prefix) and key > after]:
            del self._listed[key]
        async for entry in self.inner.list(prefix, after):
            if _is_kept(entry):
                self._listed[entry.key] = entry
            yield entry

    async def put(self, key: str, body: Bytes) -> None:
        self._listed.pop(key, None)
        await self.inner.put(key, body)

    async def put_absent(self, key: str, body: Bytes) -> bool:
        return await self.inner.put_absent(key, body)

    async def put_locked(self, key: str, body: Bytes, *, until: float) -> bool:
        return await self.inner.put_locked(key, body, until=until)

    async def delete(self, keys: Iterable[str]) -> None:
        deleted = tuple(keys)
        for key in deleted:
            self._listed.pop(key, None)
        await self.inner.delete(deleted)

    async def exists(self) -> bool:
        """Return whether the store's marker is there, or else any object: the marker is read anyway."""
        return bool(await self._id()) or await self.inner.exists()

    async def now(self) -> float:
        return await self.inner.now()

    async def hold(self) -> None:
        await self.inner.hold()

    async def probe(self) -> None:
        await self.inner.probe()

    async def aclose(self) -> None:
        if self._marker is not None:
            self._marker.cancel()
            await asyncio.gather(self._marker, return_exceptions=True)
        if self._written:
            _tidy(self._directory, self._limit)
        await self.inner.aclose()

    def _begin(self) -> asyncio.Task[str]:
        """Begin to read which store this is, beside whatever else is read first."""
        if self._marker is None:
            self._marker = asyncio.ensure_future(self._read_id())
        return self._marker

    async def _id(self) -> str:
        """Return the store's id; "" where it has none that can be read: then nothing is kept."""
        return await asyncio.shield(self._begin())

    async def _read_id(self) -> str:
        try:
            return decode_marker(await self.inner.get(MARKER)).id
        except (FormatError, StoreError):
            return ""

    def _keep(self, path: Path, identity: bytes, body: bytes) -> None:
        """Write a file, or nothing: a directory that is full, or not ours to write to, is no cache."""
        if len(body) > self._limit // _MOST:
            return
        self._written += len(body)
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        with contextlib.suppress(OSError):
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(_sealed(identity, body))
                    file.write(body)
                draft.replace(path)
            except OSError:
                draft.unlink()


def _is_kept(entry: Entry) -> bool:
    """Return whether an object never changes without another ETag, and is listed whenever it is read."""
    name = entry.key.rpartition("/")[2]
    if not entry.etag or name.startswith("_"):
        return False
    return "/_delta_log/" in entry.key or entry.key.startswith("index/")


def _sealed(identity: bytes, body: bytes | memoryview) -> bytes:
    """Return what a file has before its body."""
    named = _LENGTH.pack(len(identity)) + identity
    hashed = xxhash.xxh3_128(named)
    hashed.update(body)
    return _MAGIC + hashed.digest() + named


def _read(path: Path, identity: bytes) -> bytes | None:
    """Return the body that a file holds for an identity; None where there is none that proves itself."""
    before = len(_MAGIC) + _HASH + _LENGTH.size + len(identity)
    try:
        content = path.read_bytes()
        if content[:before] != _sealed(identity, memoryview(content)[before:]):
            path.unlink()
            return None
        if time.time() - path.stat().st_mtime > _TOUCHED:
            os.utime(path)
        return content[before:]
    except OSError:
        return None


def _tidy(directory: Path, limit: int) -> None:
    """Delete what was used longest ago, until the rest is within the bounds, and what nobody has finished."""
    found, now = [], time.time()
    with contextlib.suppress(OSError), os.scandir(directory) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                status = entry.stat(follow_symlinks=False)
                if not entry.name.startswith("."):
                    found.append((status.st_mtime, status.st_size, entry.path))
                elif now - status.st_mtime > _ABANDONED:
                    os.unlink(entry.path)
    total = sum(size for _, size, _ in found)
    left = len(found)
    for _, size, path in sorted(found):
        if total <= limit and left <= FILES:
            return
        with contextlib.suppress(OSError):
            os.unlink(path)
        total, left = total - size, left - 1
