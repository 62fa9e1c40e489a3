"""The proof that put-if-absent holds: what it lets through, what it finds out, and what it leaves behind."""

from __future__ import annotations

import asyncio

import pytest

from logsink.errors import Refused, Unavailable
from logsink.store.base import Bytes
from logsink.store.memory import MemoryStore
from logsink.store.probe import prove
from tests.support.faulty import FaultyStore, Lose, Pass


class LooksFirst(MemoryStore):
    """Looks whether something is there, and writes a moment later: right whenever one writer comes after another."""

    async def put_absent(self, key: str, body: Bytes) -> bool:
        if await self._there(key):
            return False
        await asyncio.sleep(0)
        await self.put(key, body)
        return True

    async def _there(self, key: str) -> bool:
        return key in [entry.key async for entry in self.list(key)]


class Ignores(MemoryStore):
    """Knows no condition."""

    async def put_absent(self, key: str, body: Bytes) -> bool:
        await self.put(key, body)
        return True


class Garbles(MemoryStore):
    """Gives back other bytes than it was given."""

    async def get(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        return b"garbled"


async def test_an_honest_store() -> None:
    store = MemoryStore()
    await prove(store, "remedy")
    assert not await store.exists()


@pytest.mark.parametrize(
    ("store", "said"),
    [
        (LooksFirst(), "of 9 puts of one key with If-None-Match: *, 8 succeeded instead of one"),
        (Ignores(), "of 9 puts of one key with If-None-Match: *, 9 succeeded instead of one"),
        (Garbles(), "was put, b'garbled' was read"),
    ],
)
async def test_a_store_that_cannot_be_trusted(store: MemoryStore, said: str) -> None:
    with pytest.raises(Refused) as caught:
        await prove(store, "remedy")
    assert said in str(caught.value)
    assert caught.value.hint == "remedy"
    assert not await store.exists()


async def test_trouble_on_the_way_is_not_taken_for_a_verdict() -> None:
    inner = MemoryStore()
    store = FaultyStore(inner, lambda call: Lose() if call.nth == 1 else Pass(turns=call.nth))
    with pytest.raises(Unavailable):
        await prove(store, "remedy")
    assert not await inner.exists()
