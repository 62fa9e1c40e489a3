"""An event loop whose time jumps to the next timer, and a store in memory that counts what S3 charges for."""

from __future__ import annotations

import asyncio
import math
import selectors
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from logsink.archive.snapshot import LOG
from logsink.store import Bytes, Entry
from logsink.store.counting import PAGE
from logsink.store.memory import MemoryStore

_T = TypeVar("_T")

BEGAN = 1_795_305_600.0 + 3600
"""2026-11-22T01:00:00Z: the time at which every simulation begins, seconds since the epoch."""

DOLLARS = {"PUT": 5e-6, "LIST": 5e-6, "GET": 0.4e-6, "DELETE": 0.0}
"""The price of a request: S3 Standard in us-east-1. HEAD is priced as GET."""


_TICKS = 1024
"""Ticks of the virtual clock in a second: a power of two, so that sums of times are exact, and what is due is due for all."""


class _Jumping(selectors.DefaultSelector):
    """Waits for threads only; without any at work, the time of the next timer is now."""

    def __init__(self) -> None:
        super().__init__()
        self.time = 0.0
        self.working = 0

    def select(self, timeout: float | None = None) -> list[Any]:
        if self.working:
            return super().select(timeout if timeout == 0 else None)
        ready = super().select(0)
        if not ready and timeout:
            self.time = math.ceil((self.time + timeout) * _TICKS) / _TICKS
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop in which sleeping takes no time. While an executor works, its clock stands still."""

    def __init__(self) -> None:
        self._jumping = _Jumping()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.time

    def wall(self) -> float:
        """Return the time of day in the simulation, seconds since the epoch."""
        return BEGAN + self._jumping.time

    def run_in_executor(  # type: ignore[override]  # its stubs name types that only checkers know
        self, executor: Any, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        future = super().run_in_executor(executor, func, *args)
        self._jumping.working += 1
        future.add_done_callback(self._worked)
        return future

    def _worked(self, _: asyncio.Future[Any]) -> None:
        self._jumping.working -= 1


def simulate(main: Callable[[VirtualLoop], Coroutine[Any, Any, _T]]) -> _T:
    """Run ``main`` to its end in a loop of its own."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, VirtualLoop)
        return runner.run(main(loop))


@dataclass
class Bill:
    """Requests and bytes, by kind of request and by what the objects are (``journal``, ``log``, ``data``, ``index``, ...)."""

    requests: Counter[tuple[str, str]] = field(default_factory=Counter)
    nbytes: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(self, kind: str, key: str, nbytes: int = 0, count: int = 1) -> None:
        self.requests[kind, area(key)] += count
        self.nbytes[kind, area(key)] += nbytes

    def count(self, kind: str, *areas: str) -> int:
        """Return the requests of a kind, about these areas or about all."""
        return sum(n for (one, where), n in self.requests.items() if one == kind and (where in areas or not areas))

    def dollars(self, *areas: str) -> float:
        """Return what the requests about these areas cost, or all."""
        return sum(DOLLARS[kind] * self.count(kind, *areas) for kind in DOLLARS)

    def since(self, before: Bill) -> Bill:
        """Return what was added since ``before`` was copied."""
        return Bill(self.requests - before.requests, self.nbytes - before.nbytes)

    def copy(self) -> Bill:
        return Bill(Counter(self.requests), Counter(self.nbytes))


def area(key: str) -> str:
    """Return what an object is, by its key."""
    if key.startswith(LOG):
        return "checkpoints" if "checkpoint" in key else "log"
    if key.startswith("logs/"):
        return "data"
    head, slash, _ = key.partition("/")
    return head if slash else "marker"


class CountedStore(MemoryStore):
    """A bucket that keeps a bill. ``clock`` is the store's."""

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__(clock=clock)
        self.bill = Bill()

    async def put(self, key: str, body: Bytes) -> None:
        self.bill.add("PUT", key, len(memoryview(body)))
        await super().put(key, body)

    async def put_absent(self, key: str, body: Bytes) -> bool:
        self.bill.add("PUT", key, len(memoryview(body)))
        if key in self._objects:
            return False
        await super().put(key, body)
        return True

    async def get(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        self.bill.add("GET", key)
        body = await super().get(key, start, end)
        self.bill.nbytes["GET", area(key)] += len(body)
        return body

    async def list(self, prefix: str = "", after: str = "") -> AsyncIterator[Entry]:
        self.bill.add("LIST", prefix)
        count = 0
        async for entry in super().list(prefix, after):
            if count == PAGE:
                self.bill.add("LIST", prefix)
                count = 0
            count += 1
            yield entry

    async def delete(self, keys: Iterable[str]) -> None:
        keys = list(keys)
        for key in keys:
            self.bill.add("DELETE", key)
        await super().delete(keys)

    async def now(self) -> float:
        self.bill.add("GET", "clock/")
        return self._clock()

    def bodies(self) -> Iterable[tuple[str, bytes]]:
        """Return keys and bodies of all objects."""
        return [(key, body) for key, (body, _) in self._objects.items()]
