"""When the index is asked, and what it is said to exclude."""

from __future__ import annotations

from contextlib import aclosing

import pytest

from logsink.archive import Add, DeltaLog
from logsink.archive.file import write_files
from logsink.index import FILTERS, encode_object, index_key
from logsink.query import Between, Filter, Holds, Query, search
from logsink.query.read import Excluded, Tuning, excluded, make_plan
from logsink.query.read.index import bytes_to_read
from logsink.store.memory import MemoryStore
from tests.support.indexed import put_index, section_of
from tests.unit.archive.rows import TableRows
from tests.unit.archive.rows import row as archived
from tests.unit.query.archives import START, Meddled, archive, row

pytestmark = pytest.mark.usefixtures("ranged")

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


@pytest.mark.parametrize("forged", [False, True])
async def test_tails_of_several_files_are_read_from_the_index_together(forged: bool) -> None:
    """A tail that the file's tag does not prove is read from the file itself."""
    store, added = Meddled(), []
    log = DeltaLog(store)
    snapshot = await log.create()
    for number in range(6):
        rows = [archived(time=10 * k, message=f"order {number} shipped") for k in range(8)]
        for new in write_files(TableRows(rows), {f"r.{number}": (1, 2)}, "r", f"{number:032x}"):
            await store.put(new.file.key, new.body)
            added.append(Add(new.file))
    await log.commit(snapshot, added)
    sections = [section_of(add.file, await store.get(add.file.key)) for add in added]
    if forged:
        sections = [one._replace(tail=sections[0].tail) for one in sections]
    await store.put(index_key(added[0].file.date, "0" * 16, FILTERS), encode_object(added[0].file.date, "", sections))
    store.reads.clear()
    query = Query(Filter((Holds("message", ("shipped",), words=True),)), ("message",))
    async with aclosing(search(store, query, Tuning(indexed=0))) as found:
        rows_found = sum([part.num_rows async for part in found])
    assert (rows_found, found.report.damage) == (48, [])
    chunks = [store.reads.count(add.file.key) for add in added]
    assert min(chunks) >= 1
    whole = Tuning(indexed=1 << 60)
    store.reads.clear()
    async with aclosing(search(store, query, whole)) as found:
        assert sum([part.num_rows async for part in found]) == 48
    plain = [store.reads.count(add.file.key) for add in added]
    assert sum(plain) - sum(chunks) == (1 if forged else 6)  # the first tail is right in a forged index, too


async def test_a_missing_file_is_named_where_its_rows_could_matter(store: MemoryStore) -> None:
    """The index proves that the first file has no such word: the answer is right without it."""
    await put_index(store)
    files = sorted((await make_plan(store, Filter())).files, key=lambda file: file.path)
    await store.delete([files[1].key])
    for text, damaged in (("105", 0), ("nothing", 1)):
        query = Query(Filter((Holds("message", (text,), words=True),)), ("message",))
        async with aclosing(search(store, query, Tuning(indexed=0))) as found:
            rows = sum([part.num_rows async for part in found])
        assert (rows, [damage.key for damage in found.report.damage]) == (1 - damaged, [files[1].key] * damaged)
