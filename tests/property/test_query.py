"""Any rows, spread over any files and segments: a query finds what a look at every row finds, in the same order."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import aclosing
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logsink.archive.log import Txn
from logsink.journal.segment import SegmentName
from logsink.parse import FILE_SCHEMA
from logsink.query import Between, Filter, Holds, OneOf, Query, Report, Tuning, search
from logsink.query.order import merge, spill
from logsink.query.read import tail
from logsink.store.memory import MemoryStore
from tests.support.examples import examples
from tests.unit.query.archives import START, Row, archive, expected, journal, json_parse, place, rows_of

HOSTS = ("web1", "web2", "db", "ab[c")
WORDS = ("alpha", "Beta", "gamma delta", "GAMMA", "")


@pytest.fixture(scope="module", autouse=True)
def _tiny() -> Iterator[None]:
    """Bounds so small that a few rows reach them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tail, "parse", json_parse)
        patch.setattr(spill, "BATCH", 2)
        patch.setattr(merge, "_FAN_IN", 2)
        patch.setattr(merge, "_RUNS", 2)
        patch.setattr(merge, "_ROWS", 3)
        yield


@st.composite
def stored_rows(draw: st.DrawFn) -> list[Row]:
    """Rows of distinct places in the order, many of them close together."""
    one = st.fixed_dictionaries(
        {
            "time": st.integers(0, 12).map(lambda t: START + t),
            "received": st.none() | st.integers(0, 2).map(lambda t: START + t),
            "receiver": st.none() | st.sampled_from(("r1", "r2", "r10")),
            "nth": st.none() | st.integers(0, 1),
            "host": st.none() | st.sampled_from(HOSTS),
            "severity": st.none() | st.integers(0, 7),
            "message": st.none() | st.sampled_from(WORDS),
        }
    )
    return list({place(row): row for row in draw(st.lists(one, max_size=40))}.values())


@st.composite
def questions(draw: st.DrawFn) -> dict[str, Any]:
    """What is asked, as ``expected`` takes it."""
    instant = st.none() | st.integers(-1, 13).map(lambda t: START + t)
    levels = st.tuples(st.integers(0, 7), st.integers(0, 7)).map(lambda pair: (min(pair), max(pair)))
    return {
        "since": draw(instant),
        "until": draw(instant),
        "severity": draw(st.none() | levels),
        "host": draw(st.sampled_from(((), (), ("web1",), ("w*", "db"), ("?b",), ("[!w]*",), ("ab[[]c",)))),
        "patterns": draw(st.sampled_from(((), (), ("a",), ("gamma",), ("Beta", "delta"), ("",)))),
        "ignore_case": draw(st.booleans()),
        "limit": draw(st.none() | st.integers(1, 12)),
        "reverse": draw(st.booleans()),
        "sort": draw(st.sampled_from(("time", "received"))),
    }


def filter_of(asked: dict[str, Any]) -> Filter:
    conditions: list[Any] = []
    if asked["since"] is not None or asked["until"] is not None:
        conditions.append(Between("time", asked["since"], asked["until"]))
    if asked["severity"] is not None:
        conditions.append(Between("severity", asked["severity"][0], asked["severity"][1] + 1))
    if asked["host"]:
        conditions.append(OneOf("host", asked["host"]))
    if asked["patterns"]:
        conditions.append(Holds("message", asked["patterns"], ignore_case=asked["ignore_case"]))
    return Filter(tuple(conditions))


@settings(max_examples=examples(80))
@given(stored_rows(), questions(), st.data())
def test_a_query_finds_what_a_look_at_every_row_finds(
    rows: list[Row], asked: dict[str, Any], data: st.DataObject
) -> None:
    places = data.draw(st.lists(st.integers(0, 5), min_size=len(rows), max_size=len(rows)))
    files = [[r for r, at in zip(rows, places, strict=True) if at == k] for k in range(3)]
    segments = [[r for r, at in zip(rows, places, strict=True) if at == k] for k in range(3, 6)]
    memory, prefetch, group = (
        data.draw(st.sampled_from((1, 2000, 1 << 20))),
        data.draw(st.integers(1, 4)),
        data.draw(st.integers(1, 9)),
    )

    async def run() -> tuple[list[Row], Report]:
        store = MemoryStore()
        await archive(store, [f for f in files if f], group=group, txn=[Txn("old.0", 1)])
        await journal(store, SegmentName("old", 0, 1), rows)  # covered by the table: must not count
        for number, segment in enumerate(segments):
            await journal(store, SegmentName("new", number, 1), segment)
        query = Query(filter_of(asked), tuple(FILE_SCHEMA.names), asked["limit"], asked["reverse"], sort=asked["sort"])
        async with aclosing(search(store, query, Tuning(memory=memory, prefetch=prefetch, threads=2))) as found:
            return rows_of([part async for part in found]), found.report

    found, report = asyncio.run(run())
    wanted = expected(rows, **asked)
    assert found == wanted
    assert report.rows == len(found)
    more = len(expected(rows, **asked | {"limit": None})) > len(found)
    assert report.cut or not more
