"""With any one check taken out, the machine finds it.

Within so many damages an answer is a fault. The same answer to the same damage is none while the check is there.
"""

from __future__ import annotations

import asyncio

import pytest

from tests.damage.machine import Local
from tests.damage.stores import Template, make_all
from tests.damage.without import CHECKS, MOST, holder, hunt, line

SEED = 1

QUICK = (
    "proof of a checkpoint",
    "commits, as segments say",
    "segments are deleted on proof",
    "verify: lanes without rows",
    "ledger: signature",
)
"""Checks of which also the ordinary run of the tests sees that they matter: one of each group, each in less than a second."""


@pytest.fixture(scope="module")
def templates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Template]:
    made = asyncio.run(make_all(tmp_path_factory.mktemp("templates")))
    return {template.name: template for template in made}


def found(name: str, templates: dict[str, Template]) -> None:
    place = Local(next(iter(templates.values())).directory.parent)
    result = hunt(name, templates, place, SEED, MOST)
    assert result.fault is not None, line(name, result)
    assert not result.control, f"{line(name, result)}: {result.control[0]}"


@pytest.mark.parametrize("name", QUICK)
def test_a_check_that_is_taken_out_is_missed(name: str, templates: dict[str, Template]) -> None:
    found(name, templates)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in CHECKS if name not in QUICK])
def test_each_check_that_is_taken_out_is_missed(name: str, templates: dict[str, Template]) -> None:
    found(name, templates)


def test_every_check_is_where_its_switch_looks_for_it() -> None:
    for check in CHECKS.values():
        assert holder(check) is not None
