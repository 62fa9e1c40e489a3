"""What is done to one object of a store."""

from __future__ import annotations

from logsink.store.base import Store


async def flip(store: Store, key: str, at: int = -30) -> None:
    """Change one bit of a byte."""
    body = bytearray(await store.get(key))
    body[at] ^= 1
    await store.put(key, bytes(body))


async def cut(store: Store, key: str) -> None:
    """Take the last bytes away."""
    await store.put(key, (await store.get(key))[:-7])


async def empty(store: Store, key: str) -> None:
    """Take all bytes away."""
    await store.put(key, b"")


async def delete(store: Store, key: str) -> None:
    """Take the object away."""
    await store.delete([key])
