"""Answers that run while somebody takes from them: what they tell, how they stop, and what is left when they are cancelled."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pyarrow as pa
import pytest

from logsink.errors import Moved, NotFound, Unavailable
from logsink.journal import SegmentName
from logsink.query import Filter, OneOf, Query, Tuning, search
from logsink.query.read import fold, make_plan, tail, unordered
from logsink.store.memory import MemoryStore
from tests.unit.query.archives import Meddled, archive, compact, journal, json_parse, row, rows_of

ONE_AT_A_TIME = Tuning(prefetch=1, threads=1)
COLUMNS = ("time", "host")


@pytest.fixture(autouse=True)
def _json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail, "parse", json_parse)


@pytest.fixture
async def store() -> Meddled:
    """Ten files of two rows, and a segment of one row."""
    found = Meddled()
    await archive(found, [[row(f * 10 + n, host=f"h{n}") for n in range(2)] for f in range(10)])
    await journal(found, SegmentName("r1", 0, 1), [row(1000, host="h0")])
    return found


def count(rows: pa.Table) -> pa.Table:
    return pa.table({"count": [rows.num_rows]})


def total(parts: list[pa.Table]) -> int:
    return sum(part.column("count")[0].as_py() for part in parts)


async def test_the_plan_and_the_report_can_be_read_from_the_answer(store: Meddled) -> None:
    answer = search(store, Query(Filter((OneOf("host", ("h1",)),)), COLUMNS))
    assert answer.plan is None
    assert answer.report.began == 0
    async with aclosing(answer) as found:
        assert sum([rows.num_rows async for rows in found]) == 10
    assert answer.plan is not None
    assert len(answer.plan.segments) == 1
    report = answer.report
    assert (report.rows, report.files, report.segments, report.interrupted) == (10, 10, 1, False)
    answer.stop()  # too late
    assert not answer.report.interrupted


async def test_without_the_journal(store: Meddled) -> None:
    async with aclosing(search(store, Query(columns=COLUMNS), journal=False)) as found:
        assert sum([rows.num_rows async for rows in found]) == 20
    assert found.report.segments == 0


async def test_a_stopped_search_ends_with_what_was_found(store: Meddled) -> None:
    answer = search(store, Query(columns=COLUMNS), ONE_AT_A_TIME)

    async def stop(key: str) -> None:
        if key.endswith("-3.parquet"):
            answer.stop()

    store.before = stop
    async with aclosing(answer) as found:
        rows = rows_of([rows async for rows in found])
    assert answer.report.interrupted
    assert 0 < len(rows) < 21
    assert answer.report.rows == len(rows)


async def test_unordered_rows_of_a_known_plan(store: Meddled) -> None:
    known = await make_plan(store, Filter())
    await journal(store, SegmentName("r1", 0, 2), [row(2000)])
    for journalled, archived, expected in ((True, True, 21), (False, True, 20), (True, False, 1)):
        answer = unordered(store, Query(columns=COLUMNS), known=known, journal=journalled, archive=archived)
        async with aclosing(answer) as found:
            assert sum([rows.num_rows async for rows in found]) == expected
        assert answer.report.rows == expected


async def test_unordered_rows_are_worth_nothing_when_a_file_is_gone(store: Meddled) -> None:
    known = await make_plan(store, Filter())
    await compact(store, [[row(n) for n in range(20)]])
    async with aclosing(unordered(store, Query(columns=COLUMNS), known=known)) as found:
        with pytest.raises(Moved):
            [rows async for rows in found]


async def test_a_fold_begins_anew_when_a_file_is_gone(store: Meddled) -> None:
    async def replace(key: str) -> None:
        if key.endswith("-9.parquet"):
            store.before = lambda key: None
            await compact(store, [[row(n, host="h0") for n in range(20)]])

    store.before = replace
    folding = fold(store, Query(columns=COLUMNS), count, ONE_AT_A_TIME)
    assert total(await folding.run()) == folding.report.rows == 21
    assert folding.report.restarts == 1


async def test_a_fold_gives_up(store: Meddled) -> None:
    async def replace(key: str) -> None:
        if key.endswith(".parquet"):
            await compact(store, [[row(1)]])

    store.before = replace
    with pytest.raises(Unavailable, match="2 times over"):
        await fold(store, Query(columns=COLUMNS), count, Tuning(attempts=2, prefetch=1)).run()


async def test_a_cancelled_fold_keeps_its_parts(store: Meddled) -> None:
    reached, never = asyncio.Event(), asyncio.Event()

    async def wait(key: str) -> None:
        if key.endswith("-5.parquet"):
            reached.set()
            await never.wait()

    store.before = wait
    folding = fold(store, Query(columns=COLUMNS), count, ONE_AT_A_TIME)
    running = asyncio.create_task(folding.run())
    await reached.wait()
    folding.stop()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert total(folding.parts) == folding.report.rows > 0
    assert folding.report.interrupted


class Waiting(MemoryStore):
    """Its reads take turns with everybody else."""

    async def get(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        await asyncio.sleep(0.001)
        return await super().get(key, start, end)


@pytest.mark.parametrize("limit", [20, 40, 70, 110, 160])
@pytest.mark.parametrize("newest_first", [False, True])
async def test_a_reader_who_takes_its_time_gets_the_same_rows(limit: int, newest_first: bool) -> None:
    """What is read while rows are handed out is measured by the rows that are still to come."""
    store = Waiting()
    files = [[row(10 * number + 3 * place, nth=number) for place in range(10)] for number in range(60)]
    await archive(store, files)
    found = []
    async for rows in search(store, Query(Filter(), ("time", "nth"), limit, newest_first)):
        found += [(one["time"], one["nth"]) for one in rows_of([rows])]
        await asyncio.sleep(0.01)
    every = sorted((one["time"], one["nth"]) for rows in files for one in rows)
    assert found == (every[-limit:][::-1] if newest_first else every[-limit:])


async def test_no_store() -> None:
    for answer in (search(MemoryStore(), Query()), unordered(MemoryStore(), Query())):
        async with aclosing(answer) as found:
            with pytest.raises(NotFound):
                await anext(found)
    await search(MemoryStore(), Query()).aclose()  # closed before it began
