"""Trying again: ``Retrying`` for calls that may be repeated blindly, ``put_once`` for the one that may not."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable
from contextlib import aclosing
from typing import TypeVar

from logsink.errors import Conflict, NotFound, Unavailable
from logsink.store.base import Bytes, Entry, Store

TRIES = 5
"""Tries of one call in all: with ``BASE`` and ``CAP``, waits of about three seconds together at most."""

BASE = 0.2
"""Seconds: the first wait is a random part of it, each later one of twice the one before."""

CAP = 2.0
"""Seconds: no wait is longer."""

_T = TypeVar("_T")


class Retrying(Store):
    """``inner``, with reads, lists, deletes and plain puts tried again while they are ``Unavailable``.

    Waits are random parts of an exponentially growing time (full jitter), so that many receivers do not come back in step.
    ``put_absent`` passes through: what a conditional put means after a lost reply, only its caller knows. The last error is
    raised when the tries are used up. Owns ``inner``: ``aclose`` closes it.
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

    async def get(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        return await self._again(lambda: self.inner.get(key, start, end))

    async def list(self, prefix: str = "", after: str = "") -> AsyncIterator[Entry]:
        """A listing that breaks is taken up after the last entry that it gave."""
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
        doomed = tuple(keys)
        await self._again(lambda: self.inner.delete(doomed))

    async def exists(self) -> bool:
        return await self._again(self.inner.exists)

    async def now(self) -> float:
        return await self._again(self.inner.now)

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
        """Whether there is another try after this many failures; if so, it is time for it now."""
        if failed >= self._tries:
            return False
        await self._sleep(self._uniform(0, min(self._cap, self._base * 2 ** (failed - 1))))
        return True


async def put_once(store: Store, key: str, body: Bytes) -> bool:
    """Put ``body`` under ``key`` if nothing is there, and find out by reading whether an unclear try took place.

    Returns when ``body`` is stored under ``key``, by whomever: True when this very call is known to have written it.
    ``Conflict`` when other bytes are there. ``Unavailable`` when nothing is there, or that could not be found out: call again
    with the same ``body``, as often as it takes (an earlier try that lands late counts as this one).
    """
    try:
        if await store.put_absent(key, body):
            return True
    except Unavailable as error:
        try:
            stored = await store.get(key)
        except (NotFound, Unavailable):
            raise error from None
    else:
        try:
            stored = await store.get(key)
        except NotFound:
            raise Unavailable(f"cannot put {key}: something was there, and was gone when it was read") from None
    if stored != body:
        raise Conflict(f"cannot put {key}: other bytes are there, {len(stored)} of them")
    return False
