"""Interrupts: the first one stops the query, what comes too early or again ends its task."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from logsink.cli.query import interrupts
from logsink.cli.query.interrupts import Interrupts


def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def test_the_first_one_stops_and_the_grace_ends_what_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interrupts, "GRACE", 0.0)
    stops: list[bool] = []

    async def run() -> str:
        handler = Interrupts(lambda: True, lambda: stops.append(True))
        handler.listen()
        assert not handler.stopped
        interrupt()
        with handler.contained():
            await asyncio.sleep(60)
        assert handler.stopped
        return "the output"

    assert asyncio.run(run()) == "the output"
    assert stops == [True]


def test_one_before_anything_can_have_been_found_ends_the_task() -> None:
    async def run() -> None:
        handler = Interrupts(lambda: False, lambda: pytest.fail("nothing runs that could stop"))
        handler.listen()
        interrupt()
        with handler.contained():
            await asyncio.sleep(60)

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(run())


def test_a_second_one_does_not_wait_for_the_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interrupts, "GRACE", 60.0)

    async def run() -> None:
        handler = Interrupts(lambda: True, interrupt)
        handler.listen()
        interrupt()
        await asyncio.sleep(60)

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(asyncio.wait_for(run(), 30))


def test_it_ends_a_sleep() -> None:
    async def run() -> bool:
        handler = Interrupts(lambda: True, lambda: None)
        handler.listen()
        await handler.sleep(0.001)
        early = handler.stopped
        asyncio.get_running_loop().call_soon(interrupt)
        await handler.sleep(60)
        return not early and handler.stopped

    assert asyncio.run(run())


def test_what_follows_the_search_has_its_time_until_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interrupts, "GRACE", 0.05)

    async def run() -> str:
        handler = Interrupts(lambda: True, lambda: None)
        handler.listen()
        with handler.contained():
            interrupt()
            while not handler.stopped:  # noqa: ASYNC110  the signal comes through the event loop
                await asyncio.sleep(0)
        await asyncio.sleep(0.2)  # the time after which the task would be cancelled
        with handler.contained():
            interrupt()
            await asyncio.sleep(60)
        return "the rest"

    assert asyncio.run(run()) == "the rest"
