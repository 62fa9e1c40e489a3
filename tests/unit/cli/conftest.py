"""A command line as its users meet it: no settings from the environment of the tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from logsink.store import open_store
from tests.unit.archive.tables import table_of


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("LOGSINK_")]:
        monkeypatch.delenv(name)


@pytest.fixture
async def place(tmp_path: Path) -> Path:
    """A store with three data files."""
    async with open_store(f"{tmp_path}/store") as store:
        await table_of(store)
    return tmp_path / "store"
