"""``logsink query --explain`` says what the index does for a question."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from logsink.store import open_store
from tests.support.indexed import put_index
from tests.unit.cli.query.test_counted import query
from tests.unit.query.archives import archive, row


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A store of two files, of which one has the word ``alpha``."""

    async def fill() -> None:
        async with open_store(f"file://{tmp_path}") as store:
            await archive(store, [[row(message="user alpha came")], [row(message="user beta came")]])

    asyncio.run(fill())
    return f"file://{tmp_path}"


def test_explain_says_what_the_index_excludes(url: str) -> None:
    assert "index    none: `logsink maintain --index` makes one" in query(url, "--explain", "-w", "alpha").stdout

    async def index() -> None:
        async with open_store(url) as store:
            await put_index(store)

    asyncio.run(index())
    said = "index    1 file excluded, and 0 of 1 row groups of the other 1 file"
    assert said in query(url, "--explain", "-w", "alpha").stdout
    assert "index    cannot help: no word" in query(url, "--explain", "alpha").stdout
    assert "index" not in query(url, "--explain", "-p", "err").stdout
