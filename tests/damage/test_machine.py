"""A small part of what ``make damage`` does, the same damages each time."""

from __future__ import annotations

import asyncio

import pytest

from tests.damage.machine import Local, Machine, report
from tests.damage.stores import Template, make_all

DAMAGES, SEED = 15, 28


@pytest.fixture(scope="module")
def templates(tmp_path_factory: pytest.TempPathFactory) -> list[Template]:
    return asyncio.run(make_all(tmp_path_factory.mktemp("templates")))


def test_no_damage_makes_an_answer_wrong_in_silence(templates: list[Template]) -> None:
    machine = Machine(templates, Local(templates[0].directory.parent), SEED)
    cases = [machine.case(number) for number in range(DAMAGES)]
    faulty = [str(case) for case in cases if case.faults]
    assert not faulty, "\n".join([*faulty, report(cases, 1.0)])
    assert len({case.change.kind for case in cases}) > 6


def test_damage_to_the_index_changes_no_answer(templates: list[Template]) -> None:
    machine = Machine(templates, Local(templates[0].directory.parent), SEED, kinds=["index"])
    cases = [machine.case(number) for number in range(DAMAGES)]
    faulty = [str(case) for case in cases if case.faults]
    assert not faulty, "\n".join([*faulty, report(cases, 1.0)])
