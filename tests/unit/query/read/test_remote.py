"""The tail here and the files elsewhere: an engine of the test's own, which has the rows of the archive in a list."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from logsink.archive.log import Txn
from logsink.journal.segment import SegmentName
from logsink.query import Query, Report, Tuning, search
from logsink.query.columns import as_rows
from logsink.query.order import Position, position_of
from logsink.query.read import Found, Page, Plan, Sums, fold, tail, unordered
from logsink.query.views import Counts
from logsink.store.base import Store
from logsink.store.memory import MemoryStore
from tests.unit.query.archives import Row, archive, expected, journal, json_parse, row, rows_of, table

NAMES = ("time", "received", "receiver", "nth", "host", "message")
ROWS = [row(n, host=f"web{n % 3}", message=f"line {n}") for n in range(30)]
OLD, NEW = ROWS[::2], ROWS[1::2]


class Elsewhere:
    """Gives the rows of the archive, ``size`` at a time, and remembers the versions that it was asked for."""

    def __init__(self, size: int = 4) -> None:
        self.size, self.versions = size, list[int]()

    async def pages(
        self, plan: Plan, query: Query, columns: Sequence[str], *, descending: bool, after: Position | None = None
    ) -> AsyncGenerator[Page, None]:
        self.versions.append(plan.snapshot.version)
        rows = OLD[::-1] if descending else OLD
        for start in range(0, len(rows), self.size):
            part = table(rows[start : start + self.size])
            ended = start + self.size >= len(rows)
            yield Page(as_rows(part, columns), position_of(part, -1, query.sort).time, ended)

    async def _summed(self, sums: Sums) -> AsyncGenerator[Found, None]:
        yield Found(len(OLD), sums.part(table(OLD), np.ones(len(OLD), np.int64)))

    def sums(self, plan: Plan, query: Query, sums: Sums) -> AsyncGenerator[Found, None] | None:
        return self._summed(sums)


@pytest.fixture(autouse=True)
def _json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail, "parse", json_parse)


async def filled() -> MemoryStore:
    store = MemoryStore()
    await archive(store, [OLD[:9], OLD[9:]], txn=[Txn("r.0", 1)])
    await journal(store, SegmentName("r", 0, 1), OLD)
    await journal(store, SegmentName("r", 0, 2), NEW)
    return store


def ask(store: Store, engine: Elsewhere, **terms: Any) -> tuple[list[Row], Report]:
    async def run() -> tuple[list[Row], Report]:
        answer = search(store, Query(columns=NAMES, **terms), Tuning(engine=engine))
        async with aclosing(answer) as found:
            return rows_of([rows.select(list(NAMES)) async for rows in found]), answer.report

    return asyncio.run(run())


@pytest.mark.parametrize("limit", [None, 1, 7, 29, 30])
@pytest.mark.parametrize("reverse", [False, True])
def test_rows_of_both_are_merged_each_once(limit: int | None, reverse: bool) -> None:
    engine = Elsewhere()
    found, report = ask(asyncio.run(filled()), engine, limit=limit, reverse=reverse)
    assert found == expected(ROWS, limit=limit, reverse=reverse)
    assert engine.versions == [1]
    assert report.cut or limit in (None, 30)
    assert not report.damaged


def test_sums_of_both() -> None:
    async def run() -> tuple[pa.Table, int]:
        summary = Counts(("host",))
        folding = fold(
            await filled(), Query(columns=("host",)), summary.part, Tuning(engine=Elsewhere()), summary.sums()
        )
        return summary.whole(await folding.run()), folding.report.rows

    whole, rows = asyncio.run(run())
    assert whole.to_pylist() == [{"host": f"web{n}", "count": 10} for n in range(3)]
    assert rows == 30


def test_what_an_engine_cannot_sum_is_summed_here() -> None:
    async def run() -> int:
        found = unordered(await filled(), Query(columns=("message",)), Tuning(engine=Elsewhere()))
        async with aclosing(found) as tables:
            return sum([rows.num_rows async for rows in tables])

    assert asyncio.run(run()) == 30


def test_a_query_that_is_told_to_stop_asks_for_no_further_page() -> None:
    async def run() -> tuple[int, Report]:
        answer = unordered(await filled(), Query(columns=("message",)), Tuning(engine=Elsewhere(1)), journal=False)
        rows = 0
        async with aclosing(answer) as found:
            async for part in found:
                rows += part.num_rows
                answer.stop()
        return rows, answer.report

    rows, report = asyncio.run(run())
    assert (rows, report.interrupted) == (1, True)


def test_files_that_are_missing_or_shorter_are_named() -> None:
    store = asyncio.run(filled())

    async def spoil() -> None:
        gone, cut = sorted([entry.key async for entry in store.list("logs/date=")])
        body = await store.get(cut)
        await store.delete([gone, cut])
        await store.put(cut, body[:-1])

    asyncio.run(spoil())
    _, report = ask(store, Elsewhere())
    assert sorted(damage.what.split(" ")[0] for damage in report.damage) == ["has", "is"]


def test_the_engine_is_not_asked_where_no_file_can_have_an_answer() -> None:
    from logsink.query import Between, Filter

    engine = Elsewhere()
    found, _ = ask(asyncio.run(filled()), engine, filter=Filter((Between("time", None, 5),)))
    assert (found, engine.versions) == ([], [])
