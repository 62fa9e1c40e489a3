"""What a trial shows, and that the store beneath it stays as it is. ``tests/conformance`` has the contract of a store."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable

import pytest

from logsink.errors import NotFound
from logsink.store import OverlayStore, Store
from logsink.store.base import Bytes
from logsink.store.memory import MemoryStore

OLD = {"a": b"one", "b/1": b"two", "c": b"three"}


class ReadOnly(MemoryStore):
    """A store that fails what is written to it, once it is sealed."""

    sealed = False

    async def put(self, key: str, body: Bytes) -> None:
        assert not self.sealed
        await super().put(key, body)

    async def put_absent(self, key: str, body: Bytes) -> bool:
        assert not self.sealed
        return await super().put_absent(key, body)

    async def delete(self, keys: Iterable[str]) -> None:
        assert not self.sealed
        await super().delete(keys)


@pytest.fixture
async def base() -> ReadOnly:
    made = ReadOnly()
    for key, body in OLD.items():
        await made.put(key, body)
    made.sealed = True
    return made


@pytest.fixture
async def trial(base: ReadOnly) -> AsyncIterator[OverlayStore]:
    async with OverlayStore(base, MemoryStore()) as made:
        yield made


async def content(store: Store, prefix: str = "", after: str = "") -> dict[str, bytes]:
    return {entry.key: await store.get(entry.key) for entry in [one async for one in store.list(prefix, after)]}


async def test_nothing_changes_in_the_store_beneath(base: ReadOnly, trial: OverlayStore) -> None:
    before = await content(base)
    await trial.put("a", b"new")
    assert await trial.put_absent("d", b"new")
    await trial.delete(["b/1", "c", "never-there"])
    await trial.probe()
    assert await content(trial) == {"a": b"new", "d": b"new"}
    assert await content(base) == before == OLD
    assert trial.url == base.url


async def test_writes_hide_what_is_beneath(trial: OverlayStore) -> None:
    await trial.put("b/1", b"longer than before")
    assert await trial.get("b/1", 7, 11) == b"than"
    assert await content(trial, "b/") == {"b/1": b"longer than before"}
    assert [(entry.key, entry.size) async for entry in trial.list("b/")] == [("b/1", 18)]
    assert not await trial.put_absent("b/1", b"later")
    assert not await trial.put_absent("c", b"later")  # it is beneath, and not here
    assert await content(trial) == OLD | {"b/1": b"longer than before"}


async def test_what_was_deleted_is_gone_until_it_is_written_again(trial: OverlayStore) -> None:
    await trial.delete(["a"])
    with pytest.raises(NotFound, match="a: no such object"):
        await trial.get("a")
    assert [entry.key async for entry in trial.list()] == ["b/1", "c"]
    assert await trial.put_absent("a", b"again")
    assert not await trial.put_absent("a", b"once more")
    assert await trial.get("a") == b"again"
    await trial.delete(["a"])
    with pytest.raises(NotFound):
        await trial.get("a")
    await trial.put("a", b"and again")
    assert await content(trial, after="a") == {"b/1": b"two", "c": b"three"}
    assert await trial.get("a") == b"and again"


async def test_keys_of_both_come_in_one_order(trial: OverlayStore) -> None:
    for key in ("z", "b/0", "b/2", "0"):
        await trial.put(key, b"new")
    listed = [entry.key async for entry in trial.list()]
    assert listed == ["0", "a", "b/0", "b/1", "b/2", "c", "z"]
    assert [entry.key async for entry in trial.list("b/", "b/0")] == ["b/1", "b/2"]
    assert [entry.key async for entry in trial.list(after="b/1")] == ["b/2", "c", "z"]
    sizes = {entry.key: entry.size async for entry in trial.list()}
    assert (sizes["a"], sizes["z"]) == (3, 3)


async def test_what_others_write_beneath_is_seen(base: ReadOnly, trial: OverlayStore) -> None:
    await trial.put("mine", b"mine")
    base.sealed = False
    await base.put("theirs", b"theirs")
    await base.delete(["c"])
    assert set(await content(trial)) == {"a", "b/1", "mine", "theirs"}
    assert not await trial.put_absent("theirs", b"mine")


async def test_a_store_exists_while_one_of_both_has_something(base: ReadOnly, trial: OverlayStore) -> None:
    assert await trial.exists()
    await trial.delete(OLD)
    assert not await trial.exists()
    await trial.put("a", b"again")
    assert await trial.exists()
    assert not await OverlayStore(MemoryStore(), MemoryStore()).exists()


async def test_time_is_that_of_the_store_beneath() -> None:
    trial = OverlayStore(MemoryStore(clock=lambda: 17.0), MemoryStore(clock=lambda: 18.0))
    assert await trial.now() == 17.0


class Closing(MemoryStore):
    """Notes that it was closed."""

    closed = False

    async def aclose(self) -> None:
        self.closed = True


async def test_closing_leaves_the_store_beneath_open() -> None:
    base, over = Closing(), Closing()
    await OverlayStore(base, over).aclose()
    assert (base.closed, over.closed) == (False, True)
