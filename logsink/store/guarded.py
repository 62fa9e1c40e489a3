"""``GuardedStore``: a store that is written to only while its marker says that it is still the same one.

A directory may be moved away, a file system unmounted, a bucket emptied or made anew: what is written there afterwards is not
in the store that messages are acknowledged for. So nothing is written unless the marker, with the right id, was seen at most
``FRESH`` seconds ago, and a write that took longer counts only once the marker has been seen again.

A look is a request, so nobody looks for the sake of looking: who is about to write says so (``announce``), and the look is made
while the write is prepared. In between, ``watch`` looks now and then, so that a store that is gone is known without a write.

While the store is known to be gone, it is not read either: nobody plans from another store what is written once it is back.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import suppress
from typing import TypeVar

from logsink import telemetry
from logsink.errors import FormatError, NotFound, Refused, StoreError, Withheld
from logsink.platform.clocks import awake
from logsink.store.base import MARKER, Bytes, Entry, Store
from logsink.store.marker import decode_marker

FRESH = 4.0
"""Seconds for which a look at the marker counts: acknowledging stops within five."""

EVERY = 2.0
"""Seconds after which a look does not count for long any more: then ``announce`` looks again, so that writes need not wait, and
``watch`` while the store is gone."""

IDLE = 30.0
"""Seconds between two looks at a store on S3, which charges for them, while nothing is written; on disk they are ``EVERY``."""

_BACK = "put it back, or mount or restore the store: work goes on by itself; what else is there now is left alone"


_T = TypeVar("_T")


class GuardedStore(Store):
    """``inner``, which is written to only while it is the store with the id given to ``guard``; before that, always.

    ``error`` is why nothing can be written now, None while everything can. ``aclose`` closes ``inner`` too. ``idle``: seconds
    between two looks while nothing is written (None: ``IDLE`` or ``EVERY``). ``clock``: seconds of this machine's clock,
    suspension included.
    """

    def __init__(self, inner: Store, *, idle: float | None = None, clock: Callable[[], float] = awake) -> None:
        self.inner = inner
        self.url = inner.url
        self.id = ""
        self.error: StoreError | None = None
        self._idle = idle if idle is not None else IDLE if inner.url.startswith("s3:") else EVERY
        self._clock = clock
        self._seen = self._put_at = float("-inf")
        self._looking = asyncio.Lock()
        self._early: asyncio.Task[None] | None = None

    @property
    def age(self) -> float:
        """Seconds since an object was last put here; infinity before."""
        return self._clock() - self._put_at

    def guard(self, store_id: str) -> None:
        """Write only while the marker has this id."""
        self.id = store_id

    async def look(self) -> None:
        """Read the marker. Raises ``Withheld`` when it is not the one that it was, and what reading raises."""
        began = self._clock()
        try:
            await self._read()
        except Refused as error:  # what is Unavailable may be there: then writes fail by themselves
            self._seen = float("-inf")
            if self.error is None:
                telemetry.STORE_ABSENT.log(error=error)
            self.error = error
            raise
        self._seen = max(self._seen, began)
        if self.error is not None:
            telemetry.STORE_BACK.log(id=self.id)
            self.error = None

    async def watch(self) -> None:
        """Look at the marker ``idle`` seconds after the last look, or every ``EVERY`` while it is gone, until cancelled."""
        while True:
            await asyncio.sleep(EVERY)
            await self._look_again(self._idle)

    def announce(self) -> None:
        """Something will be written soon: look at the marker now unless the last look counts until then."""
        if self.id and self._clock() - self._seen >= EVERY and (self._early is None or self._early.done()):
            self._early = asyncio.get_running_loop().create_task(self._look_again(EVERY))

    async def _look_again(self, age: float) -> None:
        """Look at the marker where the last look is ``age`` seconds old, or the store is gone."""
        with suppress(StoreError):  # the log and ``error`` have it
            async with self._looking:
                if self.error is not None or self._clock() - self._seen >= age:
                    await self.look()

    async def put(self, key: str, body: Bytes) -> None:
        await self._write(lambda: self.inner.put(key, body))
        self._put_at = self._clock()

    async def put_absent(self, key: str, body: Bytes) -> bool:
        placed = await self._write(lambda: self.inner.put_absent(key, body))
        if placed:
            self._put_at = self._clock()
        return placed

    async def put_locked(self, key: str, body: Bytes, *, until: float) -> bool:
        placed = await self._write(lambda: self.inner.put_locked(key, body, until=until))
        if placed:
            self._put_at = self._clock()
        return placed

    async def get(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        await self._present()
        return await self.inner.get(key, start, end)

    async def list(self, prefix: str = "", after: str = "") -> AsyncIterator[Entry]:
        await self._present()
        async for entry in self.inner.list(prefix, after):
            yield entry

    async def delete(self, keys: Iterable[str]) -> None:
        await self._write(lambda: self.inner.delete(keys))

    async def exists(self) -> bool:
        return await self.inner.exists()

    async def now(self) -> float:
        return await self.inner.now()

    async def hold(self) -> None:
        await self.inner.hold()

    async def probe(self) -> None:
        await self._write(self.inner.probe)

    async def aclose(self) -> None:
        if self._early is not None:
            self._early.cancel()
            await asyncio.gather(self._early, return_exceptions=True)
        await self.inner.aclose()

    async def _present(self) -> None:
        """Return unless the store is known to be gone, and still is."""
        if self.error is not None:
            await self._confirm()

    async def _write(self, call: Callable[[], Awaitable[_T]]) -> _T:
        """Return what ``call``, a write, returns. Raises what ``look`` raises when the store is another before or after it."""
        await self._confirm()
        try:
            done = await call()
        except Withheld:
            self._seen = float("-inf")  # perhaps because the store is gone
            await self._confirm()
            raise
        await self._confirm()
        return done

    async def _confirm(self) -> None:
        """Return when the marker was seen lately. Raises what ``look`` raises."""
        if not self.id or self._clock() - self._seen <= FRESH:
            return
        async with self._looking:  # of several writers one looks, for all of them
            if self._clock() - self._seen > FRESH:
                await self.look()

    async def _read(self) -> None:
        try:
            found = decode_marker(await self.inner.get(MARKER)).id
        except NotFound:
            raise Withheld(f"cannot use {self.url}: its marker, {MARKER}, is gone", hint=_BACK) from None
        except FormatError as error:
            raise Withheld(f"cannot use {self.url}: {error}", hint=_BACK) from error
        if found != self.id:
            raise Withheld(f"cannot use {self.url}: another store is there, {found} instead of {self.id}", hint=_BACK)
