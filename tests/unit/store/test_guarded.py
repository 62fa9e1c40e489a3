"""A guarded store is written to only while its marker says that it is still the same one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

import pytest

from logsink.errors import NotFound, Unavailable, Withheld
from logsink.store import guarded
from logsink.store.base import MARKER, Bytes
from logsink.store.guarded import FRESH, GuardedStore
from logsink.store.marker import Marker, encode_marker
from logsink.store.memory import MemoryStore
from tests.support.faulty import Fail, FaultyStore, Pass, Withhold

OURS = encode_marker(Marker("ours", "2026-11-29T01:40:00Z", "logsink/1"))
OTHER = encode_marker(Marker("other", "2026-11-29T01:40:00Z", "logsink/1"))


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Bench:
    """A guarded store whose clock is ours; ``looks`` counts how often its marker was read."""

    def __init__(self, idle: float = 30.0) -> None:
        self.clock, self.memory = Clock(), MemoryStore()
        self.faulty = FaultyStore(self.memory)
        self.store = GuardedStore(self.faulty, idle=idle, clock=self.clock)

    async def begin(self) -> None:
        await self.memory.put(MARKER, OURS)
        self.store.guard("ours")
        await self.store.look()

    @property
    def looks(self) -> int:
        return [call.key for call in self.faulty.calls if call.verb == "get"].count(MARKER)


@pytest.fixture
async def bench() -> Bench:
    bench = Bench()
    await bench.begin()
    return bench


Write = Callable[[GuardedStore], Awaitable[object]]
WRITES: list[Write] = [
    lambda store: store.put("a", b""),
    lambda store: store.put_absent("a", b""),
    lambda store: store.delete(["b"]),
    lambda store: store.probe(),
]


async def test_before_it_is_guarded_it_is_any_store() -> None:
    bench = Bench()
    await bench.store.put("a", b"1")
    assert await bench.store.get("a") == b"1"
    assert bench.looks == 0


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("instead", [None, OTHER, b"", OURS[:-9]])
async def test_nothing_is_written_while_the_marker_is_gone_or_another(
    bench: Bench, write: Write, instead: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "logsink")
    await bench.memory.put("b", b"")
    await bench.memory.delete([MARKER])
    if instead is not None:
        await bench.memory.put(MARKER, instead)
    bench.clock.now += FRESH + 0.1
    for _ in range(2):
        with pytest.raises(Withheld, match="cannot use memory://: ") as caught:
            await write(bench.store)
        assert "goes on by itself" in caught.value.hint
    assert bench.store.error is not None
    assert [entry.key async for entry in bench.memory.list() if entry.key != MARKER] == ["b"]
    await bench.memory.put(MARKER, OURS)
    await write(bench.store)
    assert bench.store.error is None
    assert [record.levelname for record in caplog.records] == ["ERROR", "INFO"]


@pytest.mark.parametrize("write", WRITES)
async def test_a_look_counts_for_a_while(bench: Bench, write: Write) -> None:
    bench.clock.now += FRESH
    await write(bench.store)
    assert bench.looks == 1
    bench.clock.now += 0.1
    await write(bench.store)
    assert bench.looks == 2


@pytest.mark.parametrize("verb", ["put", "put_absent"])
async def test_a_write_that_took_long_counts_only_once_the_marker_was_seen_again(bench: Bench, verb: str) -> None:
    class Slow(MemoryStore):
        async def put(self, key: str, body: Bytes) -> None:
            await super().put(key, body)
            bench.clock.now += FRESH + 1
            await self.delete([MARKER])

    store = GuardedStore(slow := Slow(), clock=bench.clock)
    await MemoryStore.put(slow, MARKER, OURS)
    store.guard("ours")
    with pytest.raises(Withheld, match=r"its marker, store\.json, is gone"):
        await getattr(store, verb)("a", b"")


async def test_of_several_writers_one_looks(bench: Bench) -> None:
    bench.clock.now += FRESH + 1
    await asyncio.gather(*(bench.store.put_absent(f"{n}", b"") for n in range(20)))
    assert bench.looks == 2


async def test_a_store_that_does_not_answer_is_not_another_one(bench: Bench) -> None:
    bench.faulty.schedule = lambda call: Fail() if call.key == MARKER else Pass()
    await bench.store.put("a", b"")
    with pytest.raises(Unavailable):
        await bench.store.look()
    assert bench.store.error is None
    bench.clock.now += FRESH + 1
    with pytest.raises(Unavailable):
        await bench.store.put("b", b"")


async def test_a_write_that_is_withheld_has_it_look_at_once(bench: Bench) -> None:
    """As by a directory that was moved away, long before the next look is due."""
    await bench.memory.delete([MARKER])
    bench.faulty.schedule = lambda call: Withhold() if call.verb == "put" else Pass()
    with pytest.raises(Withheld, match="its marker"):
        await bench.store.put("a", b"")
    assert bench.store.error is not None
    await bench.memory.put(MARKER, OURS)
    with pytest.raises(Withheld, match="injected"):
        await bench.store.put("a", b"")
    assert bench.store.error is None


async def test_it_is_read_until_it_is_known_to_be_gone(bench: Bench) -> None:
    async def keys() -> list[str]:
        return [entry.key async for entry in bench.store.list()]

    await bench.store.put("a", b"1")
    await bench.memory.delete([MARKER])
    bench.clock.now += FRESH + 1
    assert await bench.store.get("a") == b"1"
    assert await keys() == ["a"]
    assert await bench.store.exists()
    assert await bench.store.now() > 0
    with pytest.raises(NotFound):
        await bench.store.get("b")
    with pytest.raises(Withheld):
        await bench.store.look()
    for read in (lambda: bench.store.get("a"), keys):
        with pytest.raises(Withheld):
            await read()
    await bench.memory.put(MARKER, OURS)
    assert await bench.store.get("a") == b"1"
    assert await keys() == ["a", MARKER]


async def test_a_write_that_is_announced_need_not_wait_for_a_look(bench: Bench) -> None:
    for elapsed, looks in ((guarded.EVERY - 0.1, 1), (guarded.EVERY, 2)):
        bench.clock.now = 1000.0 + elapsed
        bench.store.announce()
        bench.store.announce()
        await asyncio.sleep(0.01)
        assert bench.looks == looks
    bench.clock.now += FRESH
    await bench.store.put("a", b"")
    assert bench.looks == 2
    bench.clock.now += FRESH
    bench.store.announce()
    await bench.store.put("b", b"")
    await asyncio.sleep(0.01)
    assert bench.looks == 3, "the announced look and that of the write are one"


async def test_a_look_that_fails_early_is_made_again_by_the_write(bench: Bench) -> None:
    await bench.memory.delete([MARKER])
    bench.clock.now += FRESH + 1
    bench.store.announce()
    await asyncio.sleep(0.01)
    assert bench.store.error is not None
    with pytest.raises(Withheld):
        await bench.store.put("a", b"")
    assert [entry async for entry in bench.memory.list()] == []


async def test_while_nothing_is_written_it_looks_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guarded, "EVERY", 0.001)
    bench = Bench()
    await bench.begin()
    watching = asyncio.create_task(bench.store.watch())
    await asyncio.sleep(0.02)
    assert bench.looks == 1
    bench.clock.now += 30
    while bench.looks == 1:  # noqa: ASYNC110  nobody is told when it changes
        await asyncio.sleep(0.001)
    await asyncio.sleep(0.02)
    assert bench.looks == 2
    watching.cancel()


async def test_it_is_watched_and_comes_back_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guarded, "EVERY", 0.001)
    bench = Bench(idle=0.0)
    await bench.begin()
    watching = asyncio.create_task(bench.store.watch())
    await bench.memory.delete([MARKER])
    while bench.store.error is None:  # noqa: ASYNC110  nobody is told when it changes
        await asyncio.sleep(0.001)
    await bench.memory.put(MARKER, OURS)
    while bench.store.error is not None:  # noqa: ASYNC110
        await asyncio.sleep(0.001)
    watching.cancel()
