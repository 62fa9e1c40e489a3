"""Trying again: what is repeated, how often, and what a put of unknown outcome turns out to be."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from logsink.errors import Conflict, NotFound, Refused, Unavailable
from logsink.store.memory import MemoryStore
from logsink.store.retry import Retrying, put_once
from tests.support.faulty import Call, Fail, Fate, FaultyStore, Late, Lose, Pass, Refuse, seeded


class Waits(list[float]):
    """Takes the place of ``asyncio.sleep``: waits are written down."""

    async def __call__(self, seconds: float) -> None:
        self.append(seconds)


def failing(*fates: Fate) -> FaultyStore:
    """A store whose first calls meet these fates; all later ones pass."""
    rest: Iterator[Fate] = iter(fates)
    return FaultyStore(MemoryStore(), lambda _: next(rest, Pass()))


def retrying(inner: FaultyStore, waits: Waits | None = None, **options: int) -> Retrying:
    return Retrying(inner, sleep=waits if waits is not None else Waits(), uniform=lambda _, most: most, **options)


async def test_waits_grow_to_a_limit_and_tries_end() -> None:
    waits = Waits()
    inner = failing(*[Fail()] * 20)
    with pytest.raises(Unavailable):
        await Retrying(inner, tries=7, base=0.5, cap=3.0, sleep=waits, uniform=lambda low, most: low + most).get("a")
    assert waits == [0.5, 1.0, 2.0, 3.0, 3.0, 3.0]
    assert len(inner.calls) == 7


async def test_the_default_waits_are_random_and_short() -> None:
    waits = Waits()
    with pytest.raises(Unavailable):
        await Retrying(failing(*[Fail()] * 20), sleep=waits).get("a")
    assert sum(waits) <= 3.0
    assert len(set(waits)) == len(waits) == 4


@pytest.mark.parametrize("fate", [Fail(), Lose(), Late()])
async def test_reads_deletions_and_plain_puts_are_tried_again(fate: Fate) -> None:
    inner = failing(fate, Pass(), fate, Pass(), fate, Pass(), fate, Pass(), fate, Pass())
    store = retrying(inner)
    await store.put("a", b"1")
    assert await store.get("a") == b"1"
    assert await store.exists() is True
    assert await store.now() > 0
    await store.delete(key for key in ["a"])
    await inner.settled()
    assert [call.verb for call in inner.calls] == [
        verb for verb in ("put", "get", "exists", "now", "delete") for _ in range(2)
    ]
    assert not await inner.inner.exists()


async def test_a_conditional_put_is_never_tried_again() -> None:
    inner = failing(Lose())
    with pytest.raises(Unavailable):
        await retrying(inner).put_absent("a", b"1")
    assert len(inner.calls) == 1


async def test_a_probe_that_fails_in_passing_is_begun_again() -> None:
    inner = failing(*[fate for _ in range(4) for fate in (Pass(), Fail())])
    await retrying(inner).probe()
    assert not [entry async for entry in inner.inner.list()]
    with pytest.raises(Unavailable):
        await retrying(failing(*[Fail()] * 1000)).probe()


async def test_what_is_refused_or_not_there_is_not_tried_again() -> None:
    inner = failing(Refuse())
    with pytest.raises(Refused):
        await retrying(inner).get("a")
    with pytest.raises(NotFound):
        await retrying(inner).get("a")
    assert len(inner.calls) == 2


async def test_a_broken_listing_goes_on_after_its_last_entry() -> None:
    inner = failing(*[Pass()] * 9, Fail(0), Fail(3), Fail(0), Fail(2), Fail(0), Fail(1))
    for n in range(9):
        await inner.put(f"{n}", b"")
    waits = Waits()
    store = retrying(inner, waits, tries=3)
    assert [entry.key async for entry in store.list("", "0")] == [f"{n}" for n in range(1, 9)]
    assert waits == [0.2, 0.2, 0.4, 0.2, 0.4, 0.2]  # progress begins the tries anew


async def test_a_listing_that_stays_broken_fails() -> None:
    with pytest.raises(Unavailable):
        [entry async for entry in retrying(failing(*[Fail()] * 20), tries=3).list()]


async def test_put_once_writes() -> None:
    store = MemoryStore()
    assert await put_once(store, "a", memoryview(b"mine")) is True
    assert await put_once(store, "a", bytearray(b"mine")) is False


async def test_put_once_finds_its_own_body_after_a_lost_reply() -> None:
    store = failing(Lose())
    assert await put_once(store, "a", b"mine") is False
    assert await store.inner.get("a") == b"mine"


@pytest.mark.parametrize("fate", [Pass(), Fail(), Lose()])
async def test_put_once_tells_other_bytes(fate: Fate) -> None:
    store = failing(Pass(), fate)
    await store.put("a", b"another's")
    with pytest.raises(Conflict, match="cannot put a: other bytes are there, 9 of them"):
        await put_once(store, "a", b"mine")
    assert await store.inner.get("a") == b"another's"


@pytest.mark.parametrize("fates", [[Fail()], [Fail(), Fail()], [Lose(), Fail()]])
async def test_put_once_says_when_it_does_not_know(fates: list[Fate]) -> None:
    store = failing(*fates)
    with pytest.raises(Unavailable, match="cannot put_absent a: injected"):
        await put_once(store, "a", b"mine")
    await put_once(store, "a", b"mine")
    assert await store.inner.get("a") == b"mine"


async def test_put_once_of_a_body_that_lands_late() -> None:
    gate = asyncio.Event()
    store = failing(Late(gate=gate))
    with pytest.raises(Unavailable):
        await put_once(store, "a", b"mine")
    assert await put_once(store, "a", b"mine") is True
    gate.set()
    await store.settled()
    assert await put_once(store, "a", b"mine") is False


async def test_put_once_of_a_key_that_is_emptied_meanwhile() -> None:
    inner = MemoryStore()
    await inner.put("a", b"another's")

    class Emptying(FaultyStore):
        async def get(self, key: str, start: int = 0, end: int | None = None) -> bytes:
            await self.inner.delete([key])
            return await super().get(key, start, end)

    store = Emptying(inner)
    with pytest.raises(Unavailable, match="was gone when it was read"):
        await put_once(store, "a", b"mine")
    assert await put_once(store, "a", b"mine") is True


@pytest.mark.parametrize("seed", range(20))
async def test_racing_writers_that_never_give_up_agree(seed: int) -> None:
    """Of ten writers of different bodies one wins, the others hear of a conflict, whatever happens to their calls."""
    store = FaultyStore(MemoryStore(), seeded(seed, fail=0.2, lose=0.2, late=0.2, slow=0.2))

    async def write(body: bytes) -> bytes | None:
        while True:
            try:
                await put_once(store, "a", body)
            except Unavailable:
                await asyncio.sleep(0)
            except Conflict:
                return None
            else:
                return body

    told = await asyncio.gather(*(write(bytes([n])) for n in range(10)))
    await store.settled()
    assert [body for body in told if body is not None] == [await store.inner.get("a")]


async def test_the_schedule_sees_every_call() -> None:
    store = FaultyStore(MemoryStore(), seeded(1, fail=1.0, verbs=frozenset({"get"})))
    await store.put("a", b"")
    with pytest.raises(Unavailable):
        await store.get("a")
    await store.delete([])
    assert store.calls == [Call(1, "put", "a"), Call(2, "get", "a"), Call(3, "delete", "")]
