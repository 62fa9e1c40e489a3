"""A store whose reads are counted."""

from __future__ import annotations

from dataclasses import dataclass

from logsink.store import CountingStore
from logsink.store.counting import PAGE
from logsink.store.memory import MemoryStore


@dataclass
class Counts:
    requests: int = 0
    listings: int = 0
    bytes_read: int = 0


async def test_reads_are_counted_and_writes_are_not() -> None:
    counts = Counts()
    async with CountingStore(MemoryStore(), counts) as store:
        await store.put("a", b"12345")
        assert await store.put_absent("b", b"1") is True
        assert await store.exists()
        assert counts == Counts()
        assert await store.get("a", 1, 3) == b"23"
        assert await store.get("a") == b"12345"
        await store.delete(["b"])
    assert counts == Counts(requests=2, bytes_read=7)


async def test_a_listing_counts_once_for_each_page() -> None:
    inner, counts = MemoryStore(), Counts()
    for number in range(PAGE + 1):
        await inner.put(f"k{number:05}", b"")
    store = CountingStore(inner, counts)
    assert len([entry async for entry in store.list("none")]) == 0
    assert counts.listings == 1
    assert len([entry async for entry in store.list(after="k00000")]) == PAGE
    assert counts.listings == 2
    assert len([entry async for entry in store.list("k")]) == PAGE + 1
    assert counts.listings == 4
