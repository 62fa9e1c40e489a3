"""The first contact with a store: what is tried again, what is not, and what is said of it."""

from __future__ import annotations

import asyncio
import logging

import pytest

from logsink.archive.log import DeltaLog
from logsink.archive.preparation import SLOW, Preparation
from logsink.errors import LogsinkError, Refused, Unavailable, Withheld
from logsink.store.memory import MemoryStore
from tests.support.faulty import FaultyStore, Pass


class Troubled(MemoryStore):
    """Its probe meets each of ``troubles``, and then succeeds."""

    def __init__(self, *troubles: LogsinkError) -> None:
        super().__init__()
        self.troubles = list(troubles)

    async def probe(self) -> None:
        if self.troubles:
            raise self.troubles.pop(0)
        await super().probe()


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def start(store: MemoryStore | FaultyStore, clock: Clock, *, slow: float = SLOW) -> Preparation:
    return Preparation(DeltaLog(store, monotonic=lambda: clock.now), sleep=clock.sleep, slow=slow)


async def test_what_may_mend_itself_is_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    down, denied = Unavailable("cannot reach it: refused"), Withheld("cannot put it: AccessDenied", hint="a policy")
    store, clock = Troubled(down, down, denied, down), Clock()
    caplog.set_level(logging.INFO, "logsink")
    await start(store, clock).run()
    assert (await DeltaLog(store).load()).version == 0
    assert len(clock.slept) == 4
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING", "INFO", "INFO"]
    assert "AccessDenied (a policy)" in caplog.messages[1]
    assert caplog.messages[-1] == "the store can be used, after 5 tries"


async def test_the_same_trouble_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    await start(Troubled(*[Unavailable("cannot reach it: refused")] * 200), clock).run()
    assert max(clock.slept) <= 10
    assert caplog.text.count("the store cannot be used yet") == 1


@pytest.mark.parametrize("error", [Refused("cannot use it: NoSuchBucket"), LogsinkError("cannot read the table")])
async def test_what_cannot_mend_itself_is_raised(error: LogsinkError) -> None:
    clock = Clock()
    with pytest.raises(type(error)) as caught:
        await start(Troubled(error), clock).run()
    assert caught.value is error
    assert clock.slept == []


async def test_a_store_that_does_not_answer_is_told_of_and_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    gate = asyncio.Event()
    store = FaultyStore(MemoryStore(), lambda call: Pass(gate=gate) if call.verb == "probe" else Pass())
    starting = start(store, Clock(), slow=0.01)
    assert starting.error is None
    running = asyncio.create_task(starting.run())
    while starting.error is None:  # noqa: ASYNC110  nobody is told when it changes
        await asyncio.sleep(0.005)
    assert "no answer in" in str(starting.error)
    assert not running.done()
    gate.set()
    await running
    assert starting.error is None
    assert [call.verb for call in store.calls].count("probe") == 1
    assert "no answer in 0.01 s" in caplog.text


async def test_it_can_be_cancelled_while_the_store_does_not_answer() -> None:
    gate = asyncio.Event()
    running = asyncio.create_task(start(FaultyStore(MemoryStore(), lambda _: Pass(gate=gate)), Clock()).run())
    await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
