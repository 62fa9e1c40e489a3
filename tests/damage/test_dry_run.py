"""What a repair's dry run says is what the repair then does, whatever was damaged."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from logsink.integrity import Repair, Step
from logsink.store import open_store
from tests.damage.damages import OF_OBJECTS, WIDER, Change, draw
from tests.damage.kinds import kind_of
from tests.damage.machine import Local
from tests.damage.stores import DEFAULTS, Template, make_all

SEED, MORE = 28, 10
"""The seed, and how many damages there are beside the first of each kind of object and of damage."""

MANY = 400


def cases(templates: list[Template], more: int) -> Iterator[tuple[int, Template, Change]]:
    """The first damage of each kind of object and of each kind of damage, and ``more``."""
    wanted = {kind_of(template, key) for template in templates for key in template.objects}
    wanted |= {"several", *OF_OBJECTS, *WIDER}
    number = 0
    while wanted or number < more:
        rng = random.Random(f"{SEED} {number}")
        template = rng.choice(templates)
        change = draw(rng, template)
        if number < more or {change.kind, change.damage} & wanted:
            wanted -= {change.kind, change.damage}
            yield number, template, change
        number += 1


async def repaired(url: str) -> tuple[list[Step], list[Step], list[Step]]:
    """What a dry run says, what is done, and what a dry run says after that."""
    async with open_store(url) as store:
        before = [entry async for entry in store.list()]
        planned = await Repair(store, DEFAULTS.archive).plan()
        assert [entry async for entry in store.list()] == before
        done = await Repair(store, DEFAULTS.archive).apply()
        return planned, done, await Repair(store, DEFAULTS.archive).plan()


def check(tmp_path: Path, more: int) -> None:
    place = Local(tmp_path)
    for number, template, change in cases(asyncio.run(make_all(tmp_path)), more):
        with place.copy(template) as url:
            place.damage(url, change)
            planned, done, left = asyncio.run(repaired(url))
        assert planned == done, (number, template.name, change.damage, list(change.bodies))
        assert left == [], (number, template.name, change.damage, list(change.bodies))


def test_a_dry_run_says_what_the_repair_does(tmp_path: Path) -> None:
    check(tmp_path, MORE)


@pytest.mark.slow
def test_many_dry_runs_say_what_the_repair_does(tmp_path: Path) -> None:
    check(tmp_path, MANY)
