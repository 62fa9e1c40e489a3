"""How a verb that reads comes to its store: with the user's cache, and with a word when the store does not answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

from logsink.errors import StoreError, Unavailable
from logsink.platform.caches import user_cache
from logsink.store import Store, open_store

CONTACT: Final = 10.0
"""Seconds within which a store must give its first answer."""


def open_cached(url: str, cache: int) -> Store:
    """Return the store at ``url``; of a store in S3 at most ``cache`` bytes are kept in the user's cache."""
    store, directory = open_store(url), user_cache()
    if not cache or directory is None or not url.startswith("s3:"):
        return store
    from logsink.store import CachedStore

    return CachedStore(store, directory / "objects", cache)


@asynccontextmanager
async def in_contact(store: Store) -> AsyncIterator[None]:
    """Raise ``Unavailable`` if the store gives no answer at all within ``CONTACT`` seconds; meanwhile the block runs."""

    async def reach() -> None:
        with suppress(StoreError):  # the block will meet it, too
            await store.exists()
        deadline.reschedule(None)

    deadline = asyncio.timeout(CONTACT)
    try:
        async with deadline:
            reaching = asyncio.ensure_future(reach())
            try:
                yield
            finally:
                reaching.cancel()
    except TimeoutError as error:
        if not deadline.expired():
            raise
        hint = "check the network, and AWS_ENDPOINT_URL if it is set"
        raise Unavailable(f"cannot reach {store.url}: no answer in {CONTACT:g} s", hint=hint) from error
