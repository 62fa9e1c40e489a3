from __future__ import annotations

import asyncio

import pytest

from tests.unit.cli.fleet.fleets import fill


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    return asyncio.run(fill(tmp_path_factory.mktemp("fleet")))
