"""When the index is asked, and what it is said to exclude."""

from __future__ import annotations

import pytest

from logsink.query import Between, Filter, Holds
from logsink.query.read import Excluded, excluded, make_plan
from logsink.query.read.index import bytes_to_read
from logsink.store.memory import MemoryStore
from tests.support.indexed import put_index
from tests.unit.query.archives import START, archive, row

HOUR = 3_600_000_000
FILES = [
    [row(n * HOUR, message=f"order {n} was shipped") for n in range(100, 108)],
    [row(n * HOUR, message="nothing was shipped") for n in range(8)],
]


@pytest.fixture
async def store() -> MemoryStore:
    made = MemoryStore()
    await archive(made, FILES, group=4)
    return made


@pytest.mark.parametrize(
    ("low", "high", "part"),
    [(None, None, 2.0), (START, START + 7 * HOUR, 1.0), (START + 3 * HOUR, START + 4 * HOUR, 1 / 7), (0, 1, 0.0)],
)
async def test_bytes_to_read_are_those_of_the_time_that_is_left(
    store: MemoryStore, low: int | None, high: int | None, part: float
) -> None:
    files = list((await make_plan(store, Filter())).snapshot.files.values())
    size = sum(file.size for file in files) / 2
    assert bytes_to_read(files, Filter((Between("time", low, high),))) == pytest.approx(part * size, rel=0.05)


async def test_what_is_excluded_is_counted_by_files_and_row_groups(store: MemoryStore) -> None:
    known = Filter((Holds("message", ("order 105 was",)),))
    plan = await make_plan(store, known)
    assert await excluded(store, plan, known) is None
    await put_index(store)
    assert await excluded(store, plan, known) == Excluded(files=1, others=1, row_groups=1, groups=2)
    assert await excluded(store, plan, Filter((Holds("message", ("order105",)),))) is None
    absent = Filter((Holds("message", ("shopped",), words=True),))
    assert await excluded(store, plan, absent) == Excluded(files=2, others=0, row_groups=0, groups=0)
