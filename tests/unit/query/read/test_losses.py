"""Objects that cannot be read while a query runs: those that are damaged or missing are named, the rest is the answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing

import pyarrow as pa
import pytest

from logsink.archive import DataFile, DeltaLog, Snapshot
from logsink.archive.log import Add, Remove, Txn
from logsink.damage import Damage
from logsink.errors import UPGRADE, FormatError, Moved, NotFound
from logsink.journal import SegmentName
from logsink.query import Filter, Holds, OneOf, Query, Report, Tuning, search
from logsink.query.read import Losses, fold, make_plan, of_error, of_snapshot, tail, unordered
from logsink.query.views import Neighbours, with_context
from logsink.store import Store
from tests.unit.query.archives import Meddled, Row, archive, compact, journal, json_parse, parquet, row

pytestmark = pytest.mark.usefixtures("ranged")

COLUMNS = ("time", "host", "message")
FIRST, SECOND = SegmentName("r1", 0, 1), SegmentName("r1", 0, 2)

Asked = Callable[[Store], Awaitable[tuple[int, Report]]]


@pytest.fixture(autouse=True)
def _json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail, "parse", json_parse)


@pytest.fixture
async def store() -> Meddled:
    """Four files of five rows in row groups of two, and two segments of a row."""
    made = Meddled()
    await archive(made, [[line(f * 10 + n, f) for n in range(5)] for f in range(4)], group=2)
    await journal(made, FIRST, [row(1000, raw="1000")])
    await journal(made, SECOND, [row(1001, raw="1001")])
    made.reads.clear()
    return made


def line(time: int, host: int = 9) -> Row:
    return row(time, host=f"h{host}", raw=str(time).encode())


def key(number: int) -> str:
    return f"logs/date=2026-11-22/0-{number}.parquet"


async def searched(store: Store) -> tuple[int, Report]:
    async with aclosing(search(store, Query(columns=COLUMNS))) as found:
        return sum([rows.num_rows async for rows in found]), found.report


async def newest(store: Store) -> tuple[int, Report]:
    async with aclosing(search(store, Query(columns=COLUMNS, limit=1000), Tuning(threads=1))) as found:
        return sum([rows.num_rows async for rows in found]), found.report


async def deduped(store: Store) -> tuple[int, Report]:
    async with aclosing(search(store, Query(columns=COLUMNS, dedupe=True))) as found:
        return sum([rows.num_rows async for rows in found]), found.report


async def in_no_order(store: Store) -> tuple[int, Report]:
    async with aclosing(unordered(store, Query(columns=COLUMNS))) as found:
        return sum([rows.num_rows async for rows in found]), found.report


async def counted(store: Store) -> tuple[int, Report]:
    folding = fold(store, Query(columns=COLUMNS), lambda rows: pa.table({"n": [rows.num_rows]}))
    return sum(part["n"][0].as_py() for part in await folding.run()), folding.report


async def in_context(store: Store) -> tuple[int, Report]:
    query = Query(Filter((Holds("message", ("hello",)),)), COLUMNS)
    async with aclosing(with_context(store, query, Neighbours(1, 1))) as found:
        return sum([rows.num_rows async for rows in found]), found.report


every_way = pytest.mark.parametrize("ask", [searched, newest, deduped, in_no_order, counted, in_context])


@every_way
async def test_nothing_is_wrong(store: Meddled, ask: Asked) -> None:
    rows, report = await ask(store)
    assert (rows, report.damage, report.restarts) == (22, [], 0)


@every_way
async def test_a_missing_file(store: Meddled, ask: Asked) -> None:
    await store.delete([key(1), key(3)])
    rows, report = await ask(store)
    assert rows == 12
    assert sorted(report.damage) == [Damage(key(1), "is missing", 5), Damage(key(3), "is missing", 5)]
    assert report.restarts == 0


@every_way
async def test_a_file_that_vanishes_while_it_is_read(
    store: Meddled, ask: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("logsink.query.read.datafile.FOOTER", 4000)
    reads = 0

    async def vanish(which: str) -> None:
        nonlocal reads
        reads += which == key(2)
        if which == key(2) and reads > 1 and len(await store.get(key(0))):
            await store.delete([key(2)])

    store.before = vanish
    rows, report = await ask(store)
    (damage,) = report.damage
    assert (damage.key, damage.what) == (key(2), "is missing")
    assert damage.rows is not None
    assert rows == 22 - damage.rows


@every_way
async def test_a_missing_segment(store: Meddled, ask: Asked) -> None:
    async def vanish(which: str) -> None:
        if which == SECOND.key:
            await store.delete([SECOND.key])

    store.before = vanish
    rows, report = await ask(store)
    assert (rows, report.damage) == (21, [Damage(SECOND.key, "is missing")])


@every_way
async def test_a_damaged_segment_and_a_damaged_footer(store: Meddled, ask: Asked) -> None:
    await store.put(FIRST.key, b"none")
    body = await store.get(key(0))
    await store.put(key(0), body[:-1] + b"?")
    rows, report = await ask(store)
    assert rows == 22 - 1 - 5
    by_key = {damage.key: damage for damage in report.damage}
    assert by_key.keys() == {FIRST.key, key(0)}
    assert by_key[key(0)].rows == 5
    assert by_key[key(0)].what == f"cannot be read: it does not end as a Parquet file of {len(body)} bytes"
    assert by_key[FIRST.key].what.startswith("cannot be read: ")


async def test_another_file_in_its_place(store: Meddled) -> None:
    (file,) = [file for file in (await make_plan(store, Filter())).files if file.key == key(0)]
    log = DeltaLog(store)
    snapshot = await log.load()
    other = parquet([line(n) for n in range(4)])
    await store.put(key(0), other)
    await log.commit(snapshot, [Remove(file, False), Add(file._replace(size=len(other)))])
    rows, report = await searched(store)
    assert rows == 22 - 5
    assert report.damage == [
        Damage(key(0), "cannot be read: it has 4 rows, and the table's log says 5", 5),
    ]


async def test_each_damaged_row_group_counts_its_own_rows(store: Meddled) -> None:
    await store.delete([key(n) for n in range(1, 4)])
    await compact(store, [[row(n, message=f"m{n}" * 50) for n in range(6)]])
    (file,) = (await DeltaLog(store).load()).files.values()
    body = bytearray(await store.get(file.key))
    body[4 : len(body) // 2] = bytes(len(body) // 2 - 4)
    await store.put(file.key, bytes(body))
    rows, report = await searched(store)
    (damage,) = report.damage
    assert damage.rows == 6
    assert rows == 2


async def test_frames_that_cannot_be_parsed(store: Meddled, monkeypatch: pytest.MonkeyPatch) -> None:
    def parse(found, settings, receiver):  # type: ignore[no-untyped-def]
        if b"1000" in bytes(found.data):
            raise FormatError("cannot parse frames by rules 9", "this version knows 1 to 2")
        return json_parse(found, settings, receiver)

    await store.delete([FIRST.key, SECOND.key])
    await journal(store, FIRST, [row(0, message="1000")])
    await journal(store, SECOND, [row(0, message="1001")])
    monkeypatch.setattr(tail, "parse", parse)
    rows, report = await searched(store)
    (damage,) = report.damage
    assert (rows, damage.key) == (21, FIRST.key)


async def test_a_missing_file_that_is_excluded_is_not_read(store: Meddled) -> None:
    await store.delete([key(1)])
    plan = await make_plan(store, Filter())
    (other,) = [file for file in plan.files if file.key == key(2)]
    await store.put(other.key, b"")
    async with aclosing(search(store, Query(Filter((OneOf("host", ("h3",)),)), COLUMNS))) as found:
        assert sum([rows.num_rows async for rows in found]) == 5
    assert found.report.damage == []


@pytest.mark.parametrize("ask", [searched, newest, deduped, counted, in_context])
async def test_what_was_removed_on_purpose_is_read_elsewhere(store: Meddled, ask: Asked) -> None:
    async def merge(which: str) -> None:
        if which == key(2):
            store.before = lambda key: None
            await archive(store, [[line(1000), line(1001)]], txn=[Txn("r1.0", 2)])
            await compact(store, [[line(f * 10 + n, f) for f in range(4) for n in range(5)] + [line(1000), line(1001)]])
            await store.delete([FIRST.key, SECOND.key])

    store.before = merge
    rows, report = await ask(store)
    assert rows >= 22 if ask is in_context else rows == 22
    assert report.damage == []
    assert report.restarts == 1


async def test_moved_rows_in_no_order(store: Meddled) -> None:
    async def merge(which: str) -> None:
        if which == key(2):
            store.before = lambda key: None
            await compact(store, [[row(n) for n in range(20)]])

    store.before = merge
    with pytest.raises(Moved):
        await in_no_order(store)


async def test_each_missing_file_costs_one_listing(store: Meddled) -> None:
    await archive(store, [[row(n)] for n in range(60)])
    await store.delete([file.key for file in (await DeltaLog(store).load()).files.values()])
    rows, report = await searched(store)
    assert rows == 2
    assert len(report.damage) == 64
    assert report.listings <= 64 + 2
    assert report.requests < 2 * 64


async def test_those_who_wait_together_share_a_snapshot(store: Meddled) -> None:
    loads = 0

    class Counted(DeltaLog):
        async def load(self) -> Snapshot:
            nonlocal loads
            loads += 1
            return await super().load()

    losses = Losses(Counted(store))
    found = await asyncio.gather(*(losses.snapshot() for _ in range(10)))
    assert {snapshot.version for snapshot in found} == {1}
    assert loads == 2  # one for the first, which does not wait, and one for all others
    await archive(store, [[row(1)]])
    assert (await losses.snapshot()).version > 1
    assert loads == 3


async def test_a_file_whose_rows_nobody_knows(store: Meddled) -> None:
    (file, *_) = (await DeltaLog(store).load()).files.values()
    unknown = DataFile(file.path, file.date, file.size, "{}")
    losses = Losses(DeltaLog(store))
    assert await losses.of_file(unknown, NotFound("gone")) == Damage(file.key, "is missing")
    with pytest.raises(NotFound, match="gone"):
        await losses.of_file(DataFile("elsewhere", file.date, 1, "{}"), NotFound("gone"))


def test_an_error_as_damage() -> None:
    newer = FormatError("cannot read data file k", "it is of format 2", hint=UPGRADE)
    assert of_error("k", newer, 3) == Damage("k", "cannot be read: it is of format 2; upgrade logsink", 3)
    segment = FormatError("cannot read segment", "it is no Arrow stream")
    assert of_error("k", segment) == Damage("k", "cannot be read: it is no Arrow stream")


def test_losses_that_nobody_has_accepted() -> None:
    broken = Damage("logs/_delta_log/1.json", "is missing")
    snapshot = Snapshot(damage=(broken,), lost={"a": 3, "b": 4, "c": 0}, accepted=frozenset({"b"}))
    assert list(of_snapshot(snapshot)) == [
        broken,
        Damage("a", "is recorded as lost", 3),
        Damage("c", "is recorded as lost"),
    ]
