"""Running a query: what is read, when it stops, and what happens when objects vanish while it runs."""

from __future__ import annotations

import asyncio
import io
import itertools
from contextlib import aclosing
from random import Random

import pyarrow.parquet as pq
import pytest

from logsink.archive.log import Txn
from logsink.errors import NotFound, Unavailable
from logsink.journal.segment import SegmentName
from logsink.query import Between, Filter, Holds, OneOf, Query, Report, Tuning, search
from logsink.query.read import scan, tail
from logsink.query.read.selection import MESSAGE
from logsink.store.base import Store
from logsink.store.memory import MemoryStore
from tests.unit.query.archives import START, Meddled, Row, archive, compact, journal, json_parse, row, rows_of

pytestmark = pytest.mark.usefixtures("ranged")

FIRST = SegmentName("r1", 0, 1)
SECOND = SegmentName("r1", 0, 2)
ALL = ("host", "message", "severity")


@pytest.fixture(autouse=True)
def _json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail, "parse", json_parse)


async def answered(store: Store, query: Query, tuning: Tuning | None = None) -> tuple[list[Row], Report]:
    async with aclosing(search(store, query, tuning)) as tables:
        return rows_of([rows async for rows in tables]), tables.report


async def found(store: Store, query: Query, tuning: Tuning | None = None) -> list[Row]:
    return (await answered(store, query, tuning))[0]


def times(rows: list[Row]) -> list[int]:
    return [r["time"] - START for r in rows]


async def hours(store: Store, files: int = 20, rows: int = 10) -> None:
    """Files disjoint in time, with ``rows`` rows each."""
    await archive(
        store, [[row(f * 100 + i, severity=i % 8, host=f"h{i}") for i in range(rows)] for f in range(files)], group=5
    )


async def test_no_store_is_an_error_and_an_empty_one_is_not() -> None:
    with pytest.raises(NotFound, match="cannot find a logsink store at memory://"):
        await found(MemoryStore(), Query())
    store = MemoryStore()
    await archive(store, [])
    assert await found(store, Query()) == []
    only_journal = MemoryStore()
    await journal(only_journal, FIRST, [row(1)])
    assert times(await found(only_journal, Query())) == [1]


async def test_columns_that_were_asked_for_and_those_of_the_order() -> None:
    store = MemoryStore()
    await archive(store, [[row(1, host="h", app="a")]])
    (one,) = await found(store, Query(columns=("host", "time")))
    assert one == {"time": START + 1, "received": START + 1, "receiver": "r1", "nth": 0, "host": "h"}


async def test_the_newest_few_need_few_files() -> None:
    store = MemoryStore()
    await hours(store)
    rows, report = await answered(store, Query(limit=3), Tuning(threads=1))
    assert times(rows) == [1907, 1908, 1909]
    assert report.files == 20
    assert report.files_read <= 3
    assert report.cut


@pytest.fixture
async def large(monkeypatch: pytest.MonkeyPatch) -> Meddled:
    """Two files of 3 rows, one after the other, whose messages are not read with their footers."""
    monkeypatch.setattr("logsink.query.read.datafile.FOOTER", 4000)
    monkeypatch.setattr("logsink.query.read.datafile.GAP", 0)
    store, noise = Meddled(), Random(1)
    rows = [row(i, host="h", message=noise.randbytes(50_000).hex()) for i in (0, 1, 2, 100, 101, 102)]
    await archive(store, [rows[:3], rows[3:]])
    return store


async def test_rows_older_than_the_newest_few_are_not_read_however_late_these_come(large: Meddled) -> None:
    query = Query(Filter((OneOf("host", ("h",)),)), ALL, limit=3)
    known, late = asyncio.Event(), asyncio.Event()

    async def newest_last(key: str) -> None:
        if key.endswith("-1.parquet") and large.reads.count(key) == 4:  # footer, host and time were read; now the rest
            known.set()
            asyncio.get_running_loop().call_later(0.3, late.set)
            await late.wait()
        elif key.endswith("-0.parquet") and large.reads.count(key) > 1:
            await known.wait()

    large.before = newest_last
    rows, report = await answered(large, query, Tuning(threads=2))
    assert times(rows) == [100, 101, 102]
    assert report.bytes_read < 4 * 50_000  # three messages, packed
    assert report.cut


async def test_rows_that_cannot_be_read_make_room_for_older_ones(large: Meddled) -> None:
    (key,) = [entry.key async for entry in large.list() if entry.key.endswith("-1.parquet")]
    body = bytearray(await large.get(key))
    group = pq.read_metadata(io.BytesIO(body)).row_group(0)
    (messages,) = (column for column in map(group.column, range(group.num_columns)) if column.path_in_schema == MESSAGE)
    start = messages.data_page_offset
    body[start : start + 64] = bytes(64)
    await large.put(key, bytes(body))
    query = Query(Filter((OneOf("host", ("h",)),)), ALL, limit=3)
    rows, report = await answered(large, query, Tuning(threads=1))
    assert times(rows) == [0, 1, 2]
    (damage,) = report.damage
    assert damage.key == key
    assert damage.what.startswith("cannot be read: ")
    assert damage.rows == 3


async def test_the_newest_of_a_few_files_ends_with_the_last_and_cuts_nothing() -> None:
    store = MemoryStore()
    await hours(store, files=2, rows=2)
    rows, report = await answered(store, Query(limit=4))
    assert times(rows) == [0, 1, 100, 101]
    assert not report.cut


async def test_what_many_row_groups_hold_few_of_is_handed_out_together_and_in_order() -> None:
    store, rare = MemoryStore(), Query(filter=Filter((OneOf("host", ("h3",)),)))
    await hours(store)
    async with aclosing(search(store, rare)) as found_:
        tables = [rows async for rows in found_]
    assert times(rows_of(tables)) == [f * 100 + 3 for f in range(20)]
    assert len(tables) < 5  # of 20 row groups


async def test_few_rows_do_not_wait_for_long_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    store, rare = MemoryStore(), Query(filter=Filter((OneOf("host", ("h3",)),)))
    await hours(store)
    monkeypatch.setattr(scan, "_WAIT", 0.0)
    async with aclosing(search(store, rare)) as found_:
        assert len([rows async for rows in found_]) == 20


async def test_files_and_row_groups_outside_the_filter_are_not_read() -> None:
    store = Meddled()
    await hours(store)
    query = Query(Filter((Between("time", START + 300, START + 302), OneOf("host", ("h1",)))))
    rows, report = await answered(store, query)
    assert times(rows) == [301]
    assert report.files_read == 1
    assert len({key for key in store.reads if key.endswith(".parquet")}) == 1
    few = report.bytes_read
    rows, report = await answered(store, Query(Filter((OneOf("host", ("nobody",)),))))
    assert rows == []
    assert report.files_read == 0
    _, report = await answered(store, Query())
    assert report.bytes_read > 5 * few


async def test_messages_are_read_only_where_other_conditions_leave_something(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("logsink.query.read.datafile.GAP", 0)
    monkeypatch.setattr("logsink.query.read.datafile.FOOTER", 4000)
    rows = [row(i, severity=i % 2 * 4, message=f"<{i}>" * 200) for i in range(100)]
    store = MemoryStore()
    await archive(store, [rows])
    none, nothing = await answered(store, Query(Filter((Between("severity", 2, 3), Holds("message", ("<1>",))))))
    one, all_of_it = await answered(store, Query(Filter((Holds("message", ("<1>",)),))))
    assert (none, times(one)) == ([], [1])
    assert nothing.bytes_read < all_of_it.bytes_read


async def test_rows_of_covered_segments_count_once_and_others_too() -> None:
    store = MemoryStore()
    await archive(store, [[row(1), row(3)]], txn=[Txn("r1.0", 1)])
    await journal(store, FIRST, [row(1), row(3)])
    await journal(store, SECOND, [row(2), row(4)])
    await journal(store, SegmentName("r1", 1, 1), [row(5)])
    rows, report = await answered(store, Query())
    assert times(rows) == [1, 2, 3, 4, 5]
    assert report.segments == 2


async def test_a_segment_archived_between_the_listing_and_the_reading() -> None:
    store = Meddled()
    await archive(store, [[row(1)]])
    await journal(store, FIRST, [row(2)])

    async def before(key: str) -> None:
        if key == FIRST.key:
            store.before = lambda key: None
            await archive(store, [[row(2)]], txn=[Txn("r1.0", 1)])
            await store.delete([FIRST.key])

    store.before = before
    rows, report = await answered(store, Query())
    assert times(rows) == [1, 2]
    assert report.restarts == 1
    assert report.rows == 2


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        (Query(), list(range(12))),
        (Query(reverse=True), list(range(12))[::-1]),
        (Query(limit=9, reverse=True), list(range(3, 12))[::-1]),
        (Query(limit=9), list(range(3, 12))),
        (Query(sort="received"), list(range(12))),
        (Query(sort="received", limit=9, reverse=True), list(range(3, 12))[::-1]),
    ],
)
async def test_a_file_compacted_away_while_rows_are_handed_out(query: Query, wanted: list[int]) -> None:
    store = Meddled()
    rows = [row(t, received=START + t // 3, message="x") for t in range(12)]
    await archive(store, [rows[f : f + 2] for f in range(0, 12, 2)])

    reads = itertools.count(1)

    async def replace(key: str) -> None:
        if key.endswith(".parquet") and next(reads) == 7:
            await compact(store, [rows], group=3)

    store.before = replace
    rows, report = await answered(store, query, Tuning(prefetch=1, threads=1))
    assert times(rows) == wanted
    assert report.restarts == 1


async def test_a_table_that_changes_all_the_time_ends_the_query() -> None:
    store = Meddled()
    await hours(store, files=2)

    async def replace(key: str) -> None:
        if key.endswith(".parquet"):
            await compact(store, [[row(1)]])

    store.before = replace
    with pytest.raises(Unavailable, match="3 times over"):
        await found(store, Query(), Tuning(attempts=3, prefetch=1))


async def test_a_query_may_be_left_early() -> None:
    store = MemoryStore()
    await hours(store)
    async with aclosing(search(store, Query(), Tuning(prefetch=3))) as tables:
        async for _ in tables:
            break
    assert len(asyncio.all_tasks()) == 1


async def test_a_limit_holds_back_what_is_read_ahead() -> None:
    store = MemoryStore()
    await hours(store, files=30)
    _, report = await answered(store, Query(limit=1), Tuning(prefetch=8, threads=1))
    assert report.files_read <= 3
    _, report = await answered(store, Query(limit=100), Tuning(prefetch=8, threads=1))
    assert report.files_read <= 20


@pytest.mark.parametrize("last", [0, 1])
async def test_of_equal_times_the_later_arrival_is_the_newer_whichever_file_it_is_in(last: int) -> None:
    store = MemoryStore()
    await archive(store, [[row(5, received=START + (file == last))] for file in range(2)])
    (newest,) = await found(store, Query(limit=1), Tuning(prefetch=1, threads=1))
    assert newest["received"] == START + 1


async def test_a_limit_does_not_count_what_was_shown_before_the_query_was_planned_again() -> None:
    store = Meddled()
    late, early = [row(100, nth=i) for i in range(10)], [row(i) for i in range(5)]
    await archive(store, [late, early])
    files = [entry.key async for entry in store.list("logs/date")]

    async def replace(key: str) -> None:
        if key == files[1]:
            store.before = lambda key: None
            await compact(store, [early + late])

    store.before = replace
    query = Query(limit=13, reverse=True)
    shown, report = await answered(store, query, Tuning(prefetch=1, threads=1))
    assert [(r["time"] - START, r["nth"]) for r in shown] == [
        *((100, i) for i in range(9, -1, -1)),
        (4, 0),
        (3, 0),
        (2, 0),
    ]
    assert report.restarts == 1


async def _with_damaged_messages(store: Meddled, chance: Random) -> tuple[list[Row], set[str]]:
    """Store some files, with a wrong bit in the messages of some of them; return the rows of the others, and those."""
    files = [
        [
            row(
                chance.randrange(1000),
                received=START + file * 1000 + n,
                message=f"{file} {n} {chance.randbytes(30).hex()}",
            )
            for n in range(chance.randrange(1, 60))
        ]
        for file in range(chance.randrange(2, 8))
    ]
    await archive(store, files)
    damaged = {number for number in range(len(files)) if chance.random() < 0.4}
    keys = {f"logs/date=2026-11-22/0-{number}.parquet" for number in damaged}
    for key in keys:
        body = bytearray(await store.get(key))
        chunks = pq.ParquetFile(io.BytesIO(body)).metadata.row_group(0)
        (message,) = [
            chunk for chunk in map(chunks.column, range(chunks.num_columns)) if chunk.path_in_schema == "message"
        ]
        first = message.data_page_offset if message.dictionary_page_offset is None else message.dictionary_page_offset
        body[first + message.total_compressed_size - 3] ^= 1
        await store.put(key, bytes(body))
    return [each for number, rows in enumerate(files) if number not in damaged for each in rows], keys


@pytest.mark.parametrize("seed", range(60))
async def test_damage_leaves_out_no_other_of_the_newest_rows(seed: int) -> None:
    """The times of a row group are known before its messages are read. Those must not count when these are damaged."""
    chance, store = Random(seed), Meddled()
    intact, damaged = await _with_damaged_messages(store, chance)

    async def wait(key: str) -> None:
        for _ in range(chance.choice((0, 0, 1, 3, 20))):
            await asyncio.sleep(0.0005)

    store.before = wait
    limit = chance.randrange(1, 30)
    found = search(store, Query(Filter(), ("message",), limit), Tuning(first=4, prefetch=8))
    shown = [message for rows in [rows async for rows in found] for message in rows["message"].to_pylist()]
    order = sorted(intact, key=lambda each: (each["time"], each["received"]))
    assert shown == [each["message"] for each in order[-limit:]]
    assert {damage.key for damage in found.report.damage} <= damaged
