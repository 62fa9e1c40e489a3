"""A store that fails as networks and servers do: before an effect, after it, late, or slowly, by a schedule.

``FaultyStore(inner, schedule)`` asks ``schedule(call)`` what becomes of each call. ``seeded`` is a schedule by chance.
Time has no part in it: a delay is a number of turns of the event loop, or lasts until the test opens a gate.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from logsink.errors import Refused, Unavailable, Withheld
from logsink.store.base import Bytes, Entry, Store

_T = TypeVar("_T")


class Call(NamedTuple):
    """One call of the store: ``nth`` counts all calls from 1; ``key`` is the prefix for lists, the first key for deletions."""

    nth: int
    verb: str
    key: str


@dataclass(frozen=True)
class Pass:
    """Do it, after ``turns`` of the event loop and when ``gate`` is open."""

    turns: int = 0
    gate: asyncio.Event | None = None


@dataclass(frozen=True)
class Fail:
    """``Unavailable``, and nothing done. A listing breaks after ``entries`` of its entries."""

    entries: int = 0


@dataclass(frozen=True)
class Refuse:
    """``Refused``, and nothing done."""


@dataclass(frozen=True)
class Withhold:
    """``Withheld``, and nothing done."""


@dataclass(frozen=True)
class Lose:
    """Done, and then ``Unavailable``: the reply was lost."""


@dataclass(frozen=True)
class Late:
    """``Unavailable`` now; done after ``turns`` of the event loop and when ``gate`` is open."""

    turns: int = 0
    gate: asyncio.Event | None = None


Fate = Pass | Fail | Refuse | Withhold | Lose | Late
Schedule = Callable[[Call], Fate]


def seeded(
    seed: int,
    *,
    fail: float = 0.0,
    lose: float = 0.0,
    late: float = 0.0,
    slow: float = 0.0,
    turns: int = 20,
    verbs: frozenset[str] = frozenset({"put", "put_absent", "get", "list", "delete", "now", "exists"}),
) -> Schedule:
    """Fates by chance: the shares of the calls of ``verbs`` that fail, lose their reply, land late, or pass slowly."""
    chance = random.Random(seed)

    def schedule(call: Call) -> Fate:
        if call.verb not in verbs:
            return Pass()
        drawn, wait, entries = chance.random(), chance.randint(1, turns), chance.randint(0, 3)
        for share, fate in ((fail, Fail(entries)), (lose, Lose()), (late, Late(wait)), (slow, Pass(wait))):
            drawn -= share
            if drawn < 0:
                return fate
        return Pass()

    return schedule


@dataclass
class FaultyStore(Store):
    """``inner`` with faults. ``calls`` is what was asked of it; ``settled`` waits for what lands late."""

    inner: Store
    schedule: Schedule = lambda _: Pass()
    calls: list[Call] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.url = self.inner.url
        self._late: set[asyncio.Task[object]] = set()

    async def put(self, key: str, body: Bytes) -> None:
        kept = bytes(body)
        await self._meet("put", key, lambda: self.inner.put(key, kept))

    async def put_absent(self, key: str, body: Bytes) -> bool:
        kept = bytes(body)
        return await self._meet("put_absent", key, lambda: self.inner.put_absent(key, kept))

    async def get(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        return await self._meet("get", key, lambda: self.inner.get(key, start, end))

    async def list(self, prefix: str = "", after: str = "") -> AsyncIterator[Entry]:
        fate = self._fate("list", prefix)
        await _waited(fate)
        if isinstance(fate, Refuse):
            raise Refused(f"cannot list {prefix}: injected")
        given = 0
        async for entry in self.inner.list(prefix, after):
            if not isinstance(fate, Pass) and given == (fate.entries if isinstance(fate, Fail) else 1):
                break
            yield entry
            given += 1
        if not isinstance(fate, Pass):
            raise Unavailable(f"cannot list {prefix}: injected")

    async def delete(self, keys: Iterable[str]) -> None:
        doomed = tuple(keys)
        await self._meet("delete", doomed[0] if doomed else "", lambda: self.inner.delete(doomed))

    async def exists(self) -> bool:
        return await self._meet("exists", "", self.inner.exists)

    async def now(self) -> float:
        return await self._meet("now", "", self.inner.now)

    async def hold(self) -> None:
        await self.inner.hold()

    async def probe(self) -> None:
        await self._meet("probe", "", self.inner.probe)

    async def aclose(self) -> None:
        await self.settled()
        await self.inner.aclose()

    async def settled(self) -> None:
        """Wait until everything that lands late has landed; gates must be open."""
        while self._late:
            await asyncio.gather(*self._late, return_exceptions=True)

    def _fate(self, verb: str, key: str) -> Fate:
        call = Call(len(self.calls) + 1, verb, key)
        self.calls.append(call)
        return self.schedule(call)

    async def _meet(self, verb: str, key: str, act: Callable[[], Awaitable[_T]]) -> _T:
        fate = self._fate(verb, key)
        match fate:
            case Pass():
                await _waited(fate)
                return await act()
            case Refuse():
                raise Refused(f"cannot {verb} {key}: injected")
            case Withhold():
                raise Withheld(f"cannot {verb} {key}: injected")
            case Lose():
                await act()
            case Late():
                task = asyncio.create_task(_later(fate, act))
                self._late.add(task)
                task.add_done_callback(self._late.discard)
        raise Unavailable(f"cannot {verb} {key}: injected")


async def _later(fate: Late, act: Callable[[], Awaitable[object]]) -> object:
    await _waited(fate)
    return await act()


async def _waited(fate: Fate) -> None:
    if isinstance(fate, Pass | Late):
        for _ in range(fate.turns):
            await asyncio.sleep(0)
        if fate.gate is not None:
            await fate.gate.wait()
