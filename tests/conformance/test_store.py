"""The contract of ``Store``, sentence by sentence, for every implementation."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import Callable
from contextlib import suppress

import pyarrow as pa
import pytest

from logsink.errors import ArgumentError, NotFound
from logsink.store.base import LONGEST_KEY, Bytes, Store

# In order of their bytes. Directories among names: order of whole keys is not order of names.
ORDERED = [
    "=",
    "A",
    "_delta_log/00000000000000000000.json",
    "_delta_log/00000000000000000001.checkpoint.parquet",
    "_delta_log/00000000000000000001.json",
    "_delta_log/_last_checkpoint",
    "a-b/1",
    "a-b/1.x",
    "a-b0",
    "a.c",
    "a/0/z",
    "a/00",
    "a/b-c/1",
    "a/b/c/d/e",
    "a/b/c0",
    "a/b0",
    "a0",
    "a=1/date=2026-11-22/x.parquet",
    "a=1/date=2026-11-23/x.parquet",
    "ab",
    "b",
]


async def keys(store: Store, prefix: str = "", after: str = "") -> list[str]:
    return [entry.key async for entry in store.list(prefix, after)]


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, lambda b: memoryview(pa.py_buffer(b))])
async def test_what_was_put_is_got(store: Store, kind: Callable[[bytes], Bytes]) -> None:
    for size in (0, 1, 1000, (1 << 20) + 1, 5_000_000):
        body = os.urandom(size)
        await store.put("a/put", kind(body))
        assert await store.put_absent(f"a/absent{size}", kind(body)) is True
        assert await store.get("a/put") == body
        assert await store.get(f"a/absent{size}") == body


async def test_a_view_of_other_items_is_put_as_bytes(store: Store) -> None:
    await store.put("numbers", memoryview(bytes(16)).cast("i"))
    assert await store.get("numbers") == bytes(16)


async def test_put_replaces(store: Store) -> None:
    await store.put("key", b"one, and longer")
    await store.put("key", b"two")
    assert await store.get("key") == b"two"


async def test_put_absent_never_replaces(store: Store) -> None:
    assert await store.put_absent("a/b/c", b"one") is True
    assert await store.put_absent("a/b/c", b"two") is False
    assert await store.get("a/b/c") == b"one"
    await store.delete(["a/b/c"])
    assert await store.put_absent("a/b/c", b"three") is True


async def test_of_racing_puts_exactly_one_wins(store: Store) -> None:
    won = await asyncio.gather(*(store.put_absent("race/key", f"racer {n}".encode()) for n in range(50)))
    assert sum(won) == 1
    assert await store.get("race/key") == f"racer {won.index(True)}".encode()
    assert await keys(store) == ["race/key"]


async def test_many_races_in_new_directories(store: Store) -> None:
    for race in range(10):
        won = await asyncio.gather(*(store.put_absent(f"{race}/deep/er", bytes([n])) for n in range(8)))
        assert sum(won) == 1


async def test_a_reader_sees_one_whole_body(store: Store) -> None:
    bodies = [bytes([n]) * (100_000 + n) for n in range(6)]
    await store.put("key", bodies[0])

    async def read() -> bytes:
        return await store.get("key")

    *_, seen = await asyncio.gather(
        *(store.put("key", body) for body in bodies), asyncio.gather(*(read() for _ in range(20)))
    )
    assert all(body in bodies for body in seen)


@pytest.mark.parametrize("body", [b"0123456789", b""])
async def test_ranges_are_cut_to_the_object(store: Store, body: bytes) -> None:
    await store.put("key", body)
    for start, end in itertools.product((0, 1, 9, 10, 11, 500), (None, 0, 1, 9, 10, 11, 500)):
        assert await store.get("key", start, end) == body[start:end], (start, end)
    for start in (-1, -9, -10, -11, -500):
        assert await store.get("key", start) == body[start:], start


@pytest.mark.parametrize(("start", "end"), [(-1, 5), (-1, 0), (0, -1), (3, -1)])
async def test_ranges_that_mean_nothing(store: Store, start: int, end: int) -> None:
    await store.put("key", b"0123456789")
    with pytest.raises(ArgumentError, match=f"cannot get bytes {start} to {end}"):
        await store.get("key", start, end)


async def test_a_missing_object_is_not_found(store: Store) -> None:
    for start, end in [(0, None), (3, 5), (3, 3), (5, 3), (-3, None), (0, 0)]:
        with pytest.raises(NotFound, match=r"cannot get .*a/b: no such object"):
            await store.get("a/b", start, end)


async def test_neither_a_directory_nor_what_is_below_an_object_is_an_object(store: Store) -> None:
    await store.put("a/b/c", b"")
    for key in ("a/b", "a/b/c/d", "a/b/c/d/e"):
        with pytest.raises(NotFound):
            await store.get(key)
        await store.delete([key])
    assert await keys(store) == ["a/b/c"]


async def test_lists_are_in_order_of_whole_keys(store: Store) -> None:
    assert sorted(ORDERED) == ORDERED
    await asyncio.gather(*(store.put(key, key.encode()) for key in ORDERED))
    assert await keys(store) == ORDERED
    ends = ["", *ORDERED, "_", "_delta_log/", "a", "a/", "a/b", "a/b/", "a-", "a=", "a=1/date=", "zzz", "0"]
    for prefix, after in itertools.product(ends, ["", "a/b/c", "a/", "a=", "zz", "~", *ORDERED[::4]]):
        wanted = [key for key in ORDERED if key.startswith(prefix) and key > after]
        assert await keys(store, prefix, after) == wanted, (prefix, after)


async def test_entries_tell_size_and_time(store: Store) -> None:
    await store.put("a/b", b"12345")
    [entry] = [entry async for entry in store.list()]
    assert (entry.key, entry.size) == ("a/b", 5)
    assert abs(entry.modified - await store.now()) < 60  # one clock, coarse in S3's headers


async def test_a_list_may_be_left_early(store: Store) -> None:
    for n in range(20):
        await store.put(f"{n:02}", b"")
    listing = store.list()
    assert [(await anext(listing)).key for _ in range(3)] == ["00", "01", "02"]
    await listing.aclose()  # type: ignore[attr-defined]
    assert len(await keys(store)) == 20


async def test_objects_deleted_and_put_while_listing(store: Store) -> None:
    for n in range(20):
        await store.put(f"{n:02}", b"")
    seen = []
    async for entry in store.list():
        seen.append(entry.key)
        await store.delete(["19", entry.key])
        await store.put(f"{entry.key}-new", b"")
    assert {f"{n:02}" for n in range(19)} <= set(seen)
    assert seen == sorted(seen)


async def test_deleting(store: Store) -> None:
    for key in ("a/1", "a/2", "b"):
        await store.put(key, b"x")
    await store.delete([])
    await store.delete(["a/1", "nothing/here", "a"])
    assert await keys(store) == ["a/2", "b"]
    await store.delete(key for key in ["a/1", "a/2"])
    await store.delete(["a/2"])
    assert await keys(store) == ["b"]
    with pytest.raises(NotFound):
        await store.get("a/2")


async def test_deleting_more_than_a_request_holds(store: Store) -> None:
    there = ["0000", "1000", "1001", "2499"]
    for key in [*there, "other"]:
        await store.put(f"many/{key}", b"")
    await store.delete(f"many/{n:04}" for n in range(2500))
    assert await keys(store) == ["many/other"]


async def test_puts_into_a_directory_that_is_being_emptied(store: Store) -> None:
    for n in range(30):
        await store.put("d/e/old", b"")
        won, *_ = await asyncio.gather(
            store.put_absent(f"d/e/{n}", b"new"), store.delete(["d/e/old"]), store.delete([f"d/e/{n - 1}"])
        )
        assert won
        assert await store.get(f"d/e/{n}") == b"new"


async def test_what_cannot_be_a_key_is_refused(store: Store) -> None:
    beginnings = ["/a", "a//b", ".a", "a/.b", "..", "a/../b", "a b", "a\nb", "a\\b", "ä", "a%20b", "x" * 201]
    too_long = "/".join(["x" * 100] * (LONGEST_KEY // 100))
    for key in ["", "a/", "a\n", *beginnings, too_long]:
        for call in (store.put(key, b""), store.put_absent(key, b""), store.get(key), store.delete(["fine", key])):
            with pytest.raises(ArgumentError, match="key"):
                await call
    for prefix in [*beginnings, "/", ".", "a/.", too_long]:
        with pytest.raises(ArgumentError, match="no key begins so"):
            await keys(store, prefix)
    assert not await store.exists()


async def test_a_store_exists_once_something_was_put(store: Store) -> None:
    assert await store.exists() is False
    assert await keys(store) == []
    with pytest.raises(NotFound):
        await store.get("a")
    await store.delete(["a"])
    assert await store.exists() is False
    await store.put("a", b"")
    assert await store.exists() is True


async def test_the_probe_leaves_nothing(store: Store) -> None:
    await store.probe()
    assert await keys(store) == []


async def test_a_cancelled_put_is_done_or_not(store: Store) -> None:
    body = os.urandom(3_000_000)
    for turns in range(12):
        task = asyncio.create_task(store.put_absent(f"key{turns}", body))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        with suppress(NotFound):
            assert await store.get(f"key{turns}") == body


async def test_closing_twice(store: Store) -> None:
    await store.put("a", b"")
    await store.aclose()
    await store.aclose()
