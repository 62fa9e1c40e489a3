"""A small part of what ``make damage`` does, the same damages each time, with every kind of object and of damage among them."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path

from tests.damage.damages import OF_OBJECTS, WIDER
from tests.damage.kinds import kind_of
from tests.damage.machine import Local, Machine, Workers, report
from tests.damage.stores import make_all

SEED, JOBS = 28, 4

OF_THE_INDEX = 8
"""Damages to objects of the index alone."""

MORE = 12
"""Damages beside those of which each is the first of its kind."""


def chosen(machine: Machine) -> list[int]:
    """Numbers of damages: the first one of each kind of object, the first of each damage, and some more."""
    kinds = {kind_of(template, key) for template in machine.templates for key in template.objects} | {"several"}
    wanted, found = kinds | OF_OBJECTS.keys() | WIDER.keys(), list[int]()
    for number in itertools.count(MORE):
        _, change, _ = machine.drawn(number)
        if {change.kind, change.damage} & wanted:
            wanted -= {change.kind, change.damage}
            found.append(number)
        if not wanted:
            return [*range(MORE), *found]
    raise AssertionError


def test_no_damage_makes_an_answer_wrong_in_silence(tmp_path: Path) -> None:
    machine = Machine(asyncio.run(make_all(tmp_path)), Local(tmp_path), SEED)
    cases = list(Workers(machine, JOBS).cases(chosen(machine)))
    faulty = [str(case) for case in cases if case.faults]
    assert not faulty, "\n".join([*faulty, report(cases, 1.0)])


def test_damage_to_the_index_changes_no_answer(tmp_path: Path) -> None:
    machine = Machine(asyncio.run(make_all(tmp_path)), Local(tmp_path), SEED, kinds=["index"])
    cases = list(Workers(machine, JOBS).cases(range(OF_THE_INDEX)))
    faulty = [str(case) for case in cases if case.faults]
    assert not faulty, "\n".join([*faulty, report(cases, 1.0)])
