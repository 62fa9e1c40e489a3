"""A sum from counts is the sum over the rows: for any rows, conditions, steps and zones, whatever became of the counts."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Sequence
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logsink.archive import counts as stored
from logsink.journal.segment import SegmentName
from logsink.query import Filter, OneOf, Query
from logsink.query.read import Report, fold, tail
from logsink.query.request import Between, Condition, ExactlyOneOf, Not
from logsink.query.views import Counts, Histogram, Summary
from logsink.store.memory import MemoryStore
from tests.support.counted import put_counts
from tests.unit.query.archives import START, Row, archive, compact, journal, json_parse, row

MINUTE = 60_000_000
HOUR = 60 * MINUTE
ZONES = ("UTC", "Europe/Berlin", "Asia/Kolkata", "Australia/Lord_Howe", "Australia/Adelaide")

FIELDS = ("host", "app", "severity", "environment", "role", "deploy", "instance")

times = st.one_of(
    st.integers(0, 12).map(lambda n: n * 10 * MINUTE),  # many in one hour
    st.integers(0, 12).map(lambda n: n * 10 * MINUTE),
    st.integers(-3 * HOUR, 30 * HOUR),
    st.integers(-3, 30).map(lambda hour: hour * HOUR),
    st.sampled_from((-1, 0, 59 * MINUTE + 59_999_999, 30 * MINUTE)),
    st.just(-START),  # 1970
    st.just(-START - 1),
    # Clocks are changed in Europe, on Lord Howe Island and in Adelaide.
    st.integers(0, 8).map(lambda n: -28 * 24 * HOUR + n * 20 * MINUTE),
    st.integers(0, 16).map(lambda n: -50 * 24 * HOUR + 14 * HOUR + n * 20 * MINUTE),
)


def values(*some: str) -> st.SearchStrategy[str | None]:
    return st.sampled_from((None, *some))


rows = st.builds(
    lambda time, rest: row(time, **{name: value for name, value in rest.items() if value is not None}),
    times,
    st.fixed_dictionaries(
        {
            "host": values("web-1", "web-2", "", "é"),
            "app": values("a", "b"),
            "severity": st.sampled_from((None, 0, 3, 7)),
            "environment": values("prod"),
            "role": values("web", "db"),
            "deploy": values("1"),
            "instance": values("i-1"),
            "structured_data": values("[x a=1]"),
            "message": values("hello", "naïve"),
        }
    ),
)
bounds = st.one_of(st.none(), times.map(lambda time: START + time), st.integers(-3, 30).map(lambda n: START + n * HOUR))
conditions: st.SearchStrategy[Condition] = st.one_of(
    st.builds(Between, st.just("time"), bounds, bounds),
    st.builds(Between, st.just("severity"), st.just(0), st.sampled_from((1, 4))),
    st.builds(lambda globs: OneOf("host", globs), st.sampled_from((("web-*",), ("web-1", "é"), ("",)))),
    st.just(Not(OneOf("app", ("a",)))),
    st.just(ExactlyOneOf("role", (None, "db"))),
    st.just(OneOf("environment", ("p*",))),
)
summaries = st.one_of(
    st.lists(st.sampled_from(FIELDS), max_size=3, unique=True).map(Counts),
    st.builds(
        lambda step, zone, field: Histogram(step, ZoneInfo(zone), field),
        st.sampled_from((HOUR, 2 * HOUR, 5 * HOUR, 24 * HOUR, 7 * 24 * HOUR)),
        st.sampled_from(ZONES),
        st.sampled_from((None, "host", "severity")),
    ),
)


@pytest.fixture(autouse=True)
def _frames_are_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail, "parse", json_parse)


async def summed(store: MemoryStore, filter: Filter, summary: Summary, *, counts: bool) -> tuple[list[Any], Report]:
    query = Query(filter, tuple(summary.columns))
    folding = fold(store, query, summary.part, sums=summary.sums() if counts else None)
    parts = await folding.run()
    return summary.whole(parts).to_pylist() if parts and folding.report.rows else [], folding.report


@given(
    files=st.lists(st.lists(rows, min_size=1, max_size=30), min_size=1, max_size=4),
    last=st.lists(rows, max_size=5),
    asked=st.lists(conditions, max_size=3),
    summary=summaries,
    together=st.booleans(),
    fewer=st.sampled_from((0, 1, 2)),
    lost=st.sets(st.integers(0, 3)),
    group=st.sampled_from((3, 1 << 16)),
)
def test_a_sum_from_counts_is_the_sum_over_the_rows(
    files: Sequence[Sequence[Row]],
    last: Sequence[Row],
    asked: Sequence[Condition],
    summary: Summary,
    together: bool,
    fewer: int,
    lost: set[int],
    group: int,
) -> None:
    async def run() -> None:
        store, filter = MemoryStore(), Filter(tuple(asked))
        await archive(store, files, group=group)
        if last:
            await journal(store, SegmentName("r9", 0, 1), last)
        keys = await put_counts(store, together=together)
        await store.delete([key for number, key in enumerate(keys) if number in lost])
        plain, scanned = await summed(store, filter, summary, counts=False)
        found, report = await summed(store, filter, summary, counts=True)
        assert found == plain
        assert report.rows == scanned.rows
        await compact(store, [[row for rows in files for row in rows]])  # counts of files that are no more
        assert (await summed(store, filter, summary, counts=True))[0] == plain
        await put_counts(store)
        found, report = await summed(store, filter, summary, counts=True)
        assert found == plain
        assert report.rows == scanned.rows
        assert report.passed <= report.bytes

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stored, "FEWER", fewer)  # days there are always, or where they are fewer than hours
        asyncio.run(run())


@given(first=times, length=st.integers(0, HOUR - 1), zone=st.sampled_from(ZONES), hours=st.sampled_from((1, 2, 5, 24)))
def test_a_span_that_is_said_to_lie_in_one_step_does(first: int, length: int, zone: str, hours: int) -> None:
    import numpy as np

    histogram = Histogram(hours * HOUR, ZoneInfo(zone))
    start = START + first
    end = min(start + length, start - start % HOUR + HOUR - 1)
    sums = histogram.sums()
    assert sums is not None
    assert sums.steps is not None
    inside = np.unique(np.append(np.arange(start, end + 1, MINUTE), end))
    if sums.steps(np.array([start]), np.array([end]))[0]:
        assert len({int(step) for step in histogram._begin(inside)}) == 1


def test_utc_steps_are_never_split() -> None:
    import numpy as np

    sums = Histogram(24 * HOUR, dt.UTC).sums()
    assert sums is not None
    assert sums.steps is not None
    hours = START + np.arange(48) * HOUR
    assert sums.steps(hours, hours + HOUR - 1).all()
