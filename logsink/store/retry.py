"""Retries: ``Retrying`` for calls that may be repeated blindly, ``put_once`` for conditional puts, which may not."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable
from contextlib import aclosing
from typing import TypeVar

from logsink.errors import Conflict, MediumError, NotFound, Unavailable
from logsink.store.base import Bytes, Entry, Store

TRIES = 5
"""Most tries of one call; with ``BASE`` and ``CAP`` they wait three seconds in all at most."""

BASE = 0.2
"""Seconds of which the first wait is a random part; each later wait is a random part of twice as long."""

CAP = 2.0
"""Most seconds of one wait."""

_T = TypeVar("_T")


class Retrying(Store):
    """``inner``, with reads, listings, deletions and plain puts tried again while they raise ``Unavailable``.

    Waits are random parts of an exponentially growing time (full jitter), so that many receivers do not come back at the same
    time. ``put_absent`` is not tried again: only its caller knows what it means after a lost reply. The last error is raised
    when the tries are used up. ``aclose`` closes ``inner`` too.
    """

    def __init__(
        self,
        inner: Store,
        *,
        tries: int = TRIES,
        base: float = BASE,
        cap: float = CAP,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self.inner = inner
        self.url = inner.url
        self._tries = tries
        self._base = base
        self._cap = cap
        self._sleep = sleep
        self._uniform = uniform

    async def put(self, key: str, body: Bytes) -> None:
        await self._again(lambda: self.inner.put(key, body))

    async def put_absent(self, key: str, body: Bytes) -> bool:
        return await self.inner.put_absent(key, body)

    async def put_locked(self, key: str, body: Bytes, *, until: float) -> bool:
        return await self.inner.put_locked(key, body, until=until)

    async def get(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        return await self._again(lambda: self.inner.get(key, start, end))

    async def list(self, prefix: str = "", after: str = "") -> AsyncIterator[Entry]:
        """Yield the entries of ``inner``. A listing that breaks goes on after its last entry."""
        failed = 0
        while True:
            try:
                async with aclosing(self._listing(prefix, after)) as listing:
                    async for entry in listing:
                        yield entry
                        after = entry.key
                        failed = 0
                return
            except Unavailable:
                failed += 1
                if not await self._paused(failed):
                    raise

    async def delete(self, keys: Iterable[str]) -> None:
        copied = tuple(keys)  # an iterator could be read only once
        await self._again(lambda: self.inner.delete(copied))

    async def exists(self) -> bool:
        return await self._again(self.inner.exists)

    async def now(self) -> float:
        return await self._again(self.inner.now)

    async def hold(self) -> None:
        await self.inner.hold()

    async def probe(self) -> None:
        await self._again(self.inner.probe)

    async def aclose(self) -> None:
        await self.inner.aclose()

    async def _listing(self, prefix: str, after: str) -> AsyncGenerator[Entry, None]:
        async for entry in self.inner.list(prefix, after):
            yield entry

    async def _again(self, call: Callable[[], Awaitable[_T]]) -> _T:
        failed = 0
        while True:
            try:
                return await call()
            except Unavailable:
                failed += 1
                if not await self._paused(failed):
                    raise

    async def _paused(self, failed: int) -> bool:
        """Wait for the next try and return True, or return False when ``failed`` tries were the last."""
        if failed >= self._tries:
            return False
        await self._sleep(self._uniform(0, min(self._cap, self._base * 2 ** (failed - 1))))
        return True


async def put_once(store: Store, key: str, body: Bytes) -> bool:
    """Put ``body`` under ``key`` unless an object is there; when the outcome is unclear, read what is there.

    Returns when ``body`` is stored under ``key``, no matter by which call: True when this call is known to have written it.
    Raises ``Conflict`` when other bytes are there. Raises ``Unavailable`` when nothing is there, or reading failed: call again
    with the same ``body``, as often as it takes (an earlier try that lands late counts as this one).
    """
    try:
        if await store.put_absent(key, body):
            return True
    except Unavailable as error:
        try:
            stored = await store.get(key)
        except (NotFound, Unavailable, MediumError):
            raise error from None
    else:
        try:
            stored = await store.get(key)
        except NotFound:
            raise Unavailable(f"cannot put {key}: something was there, and was gone when it was read") from None
        except MediumError as error:
            raise Unavailable(f"cannot put {key}: {error}", hint=error.hint) from error
    if stored != body:
        raise Conflict(f"cannot put {key}: other bytes are there, {len(stored)} of them")
    return False
