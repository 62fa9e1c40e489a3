"""What belongs to a match: what is read for it, and what happens when objects vanish meanwhile."""

from __future__ import annotations

from collections import Counter
from contextlib import aclosing

import pytest

from logsink.errors import ArgumentError, Unavailable
from logsink.journal.segment import SegmentName
from logsink.query import Filter, Holds, Query, Report, Tuning, search
from logsink.query.read import tail
from logsink.query.views.context import with_context
from logsink.query.views.rules import Neighbours, Record, Rule
from logsink.store.base import Store
from tests.unit.query.archives import Meddled, Row, archive, compact, journal, json_parse, row

HOUR = 3_600_000_000
TUNING = Tuning(attempts=3)
BOOM = Query(Filter((Holds("message", ("boom",)),)))


@pytest.fixture(autouse=True)
def _json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail, "parse", json_parse)


async def found(store: Store, rule: Rule, query: Query = BOOM) -> list[str]:
    return (await answered(store, rule, query))[0]


async def answered(store: Store, rule: Rule, query: Query = BOOM, prefetch: int = 8) -> tuple[list[str], Report]:
    async with aclosing(with_context(store, query, rule, TUNING._replace(prefetch=prefetch))) as tables:
        found = [message async for rows in tables for message in rows.column("message").to_pylist()]
        return found, tables.report


def line(hour: float, number: int, message: str = "", **values: str) -> Row:
    return row(
        int(hour * HOUR) + number, message=message or f"{hour:g}.{number}", **{"host": "web", "app": "a", **values}
    )


async def hours(store: Store) -> None:
    """48 files, an hour apart; in one of them something happened."""
    files = [[line(hour, n) for n in range(5)] for hour in range(48)]
    files[20][2]["message"] = "boom"
    await archive(store, files)


async def test_a_few_matches_need_few_files() -> None:
    plain, store = Meddled(), Meddled()
    for each in (plain, store):
        await hours(each)
        each.reads.clear()
    async with aclosing(search(plain, BOOM)) as tables:
        assert [rows.num_rows async for rows in tables] == [1]
    lines, report = await answered(store, Neighbours(1, 1))
    assert lines == ["20.1", "boom", "20.3"]
    more = Counter(store.reads) - Counter(plain.reads)
    assert {key for key in more if key.endswith(".parquet")} == {"logs/date=2026-11-22/0-20.parquet"}
    assert report.rows == 1
    assert report.requests == len(store.reads)


async def test_neighbours_that_are_far_away_are_looked_for_further() -> None:
    store = Meddled()
    await hours(store)
    assert await found(store, Neighbours(4, 3)) == ["19.3", "19.4", "20.0", "20.1", "boom", "20.3", "20.4", "21.0"]
    alone = Meddled()
    await archive(alone, [[line(0, 0)], [line(n, 0, host="other") for n in range(1, 900)], [line(900, 0, "boom")]])
    assert await found(alone, Neighbours(2, 0)) == ["0.0", "boom"]


async def test_neighbours_in_the_journal_are_parsed_once_more(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed = []

    def parse(*args: object) -> object:
        parsed.append(args)
        return json_parse(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(tail, "parse", parse)
    store = Meddled()
    await archive(store, [[line(0, n) for n in range(3)]])
    await journal(store, SegmentName("r1", 0, 1), [line(1, 0), line(1, 1, "boom"), line(1, 2)])
    assert await found(store, Neighbours(3, 5)) == ["0.1", "0.2", "1.0", "boom", "1.2"]
    assert len(parsed) == 2


async def test_it_begins_anew_when_objects_were_removed() -> None:
    store = Meddled()
    first, second = [line(0, 0), line(0, 1, "boom")], [line(0, 2), line(0, 3)]
    await archive(store, [first, second])

    async def replace(key: str) -> None:
        if key.endswith(".parquet") and len([k for k in store.reads if k.endswith(".parquet")]) == 6:
            store.before = lambda key: None
            await compact(store, [first + second])

    store.before = replace
    lines, report = await answered(store, Neighbours(1, 1))
    assert lines == ["0.0", "boom", "0.2"]
    assert report.restarts == 1


async def test_a_table_that_changes_all_the_time_ends_it() -> None:
    store = Meddled()
    await archive(store, [[line(0, 0), line(0, 1, "boom")], [line(0, 2, host="db")], [line(0, 3)]])

    async def replace(key: str) -> None:
        if key.endswith(".parquet"):
            await compact(store, [[line(0, 0), line(0, 1, "boom"), line(0, 3)]])

    store.before = replace
    with pytest.raises(Unavailable, match="objects were removed while it ran"):
        await answered(store, Neighbours(1, 1), prefetch=1)


async def test_lines_of_a_record_are_of_one_process() -> None:
    store = Meddled()
    trace = [line(0, 0, "head"), line(0, 2, "\tat x"), line(0, 4, "Caused by: boom"), line(0, 6, "next")]
    other = [line(0, 1, "\tother", procid="2"), line(0, 3, "other", procid="2")]
    await archive(store, [trace + other])
    assert await found(store, Record()) == ["head", "\tat x", "Caused by: boom"]
    with pytest.raises(ArgumentError, match="cannot use regular expression"):
        Record("(")
