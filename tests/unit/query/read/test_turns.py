"""How far row groups are read before their turn."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from logsink.query.read.tuning import Tuning
from logsink.query.read.turns import Turn, Turns
from logsink.query.read.units import Units
from logsink.query.request import Filter
from tests.unit.query.read.test_units import data_file

TUNING = Tuning(ahead=100, filtered=3, threads=1)


class Begun:
    """Units that were begun, in order, with their turns."""

    def __init__(self, count: int) -> None:
        self.units = Units([data_file(f"f{n}", n, n) for n in range(count)], Filter(), "time", descending=False)
        self.turns = Turns(self.units, TUNING)
        begun = [self.units.begin() for _ in range(count)]
        self.each: list[Turn] = [self.turns.of(unit) for unit in begun if unit is not None]

    def finish(self) -> None:
        self.units.finish()
        self.turns.changed()


async def started(step: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    task = asyncio.ensure_future(step)
    for _ in range(5):
        await asyncio.sleep(0)
    return task


async def test_bytes_that_are_held_ahead_are_bounded_and_the_first_units_do_not_wait() -> None:
    begun = Begun(5)
    first, second, third, fourth, _ = begun.each
    await third.fetch(60)
    waits = await started(fourth.fetch(41))
    assert not waits.done()
    await first.fetch(1000)  # whatever the others hold
    await second.fetch(1000)
    await fourth.fetch(0)  # what was fetched already
    first.end()
    second.end()
    await asyncio.sleep(0)
    assert not waits.done()
    third.end()
    await asyncio.wait_for(waits, 5)


async def test_a_unit_that_comes_to_the_front_does_not_wait_any_more() -> None:
    begun = Begun(4)
    await begun.each[2].fetch(100)
    waits = await started(begun.each[3].fetch(1))
    begun.finish()
    assert not (await started(asyncio.sleep(0)), waits)[1].done()
    begun.finish()
    await asyncio.wait_for(waits, 5)


async def test_a_unit_that_is_given_up_while_it_waits_keeps_nothing_from_others() -> None:
    begun = Begun(5)
    await begun.each[2].fetch(100)
    given_up, waits = [await started(turn.fetch(100)) for turn in begun.each[3:]]
    given_up.cancel()
    begun.each[2].end()
    await asyncio.wait_for(waits, 5)
    assert given_up.cancelled()


async def test_of_units_that_wait_for_the_same_bytes_one_gets_them() -> None:
    begun = Begun(5)
    await begun.each[2].fetch(100)
    waits = [await started(turn.fetch(60)) for turn in begun.each[3:]]
    begun.each[2].end()
    await started(asyncio.sleep(0))
    assert [task.done() for task in waits] == [True, False]
    begun.each[3].end()
    await asyncio.wait_for(waits[1], 5)


@pytest.mark.parametrize(("step", "at_once"), [("filter", 3), ("decode", 2)])
async def test_few_units_are_filtered_and_fewer_decoded_at_once(step: str, at_once: int) -> None:
    begun = Begun(5)
    tasks = [await started(getattr(turn, step)()) for turn in begun.each]
    assert [task.done() for task in tasks] == [n < at_once for n in range(5)]
    begun.finish()
    await asyncio.wait_for(tasks[at_once], 5)
    assert [task.done() for task in tasks] == [n < at_once + 1 for n in range(5)]
    for task in tasks:
        task.cancel()


async def test_what_is_probably_needed_whole_is_fetched_in_larger_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, unit = Begun(0), Units([data_file("f", 0, 0)], Filter(), "time", descending=False).begin()
    assert unit is not None
    monkeypatch.setattr("logsink.query.read.datafile.WHOLE", 10)
    turns = Turns(begun.units, TUNING._replace(eager=1000))
    assert (turns.of(unit).few, turns.of(unit, eager=True).few) == (10, 1000)
    assert Turns(begun.units, TUNING._replace(eager=1)).of(unit, eager=True).few == 10
