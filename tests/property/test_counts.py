"""A sum from counts is the sum over the rows: for any rows, conditions, steps and zones, whatever became of the counts."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from logsink.query import Filter, OneOf, Query
from logsink.query.read import Report, fold
from logsink.query.request import Between, Condition, ExactlyOneOf, Not
from logsink.query.views import Counts, Histogram, Summary
from logsink.store.memory import MemoryStore
from tests.support.counted import Counted, put_counts
from tests.unit.query.archives import START, compact, row

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
stores = st.builds(
    Counted,
    files=st.lists(st.lists(rows, min_size=1, max_size=30), min_size=1, max_size=4),
    last=st.lists(rows, max_size=5),
    together=st.booleans(),
    lost=st.sets(st.integers(0, 3)),
    fewer=st.sampled_from((0, 1, 2)),
    group=st.sampled_from((3, 1 << 16)),
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


async def summed(store: MemoryStore, filter: Filter, summary: Summary, *, counts: bool) -> tuple[list[Any], Report]:
    query = Query(filter, tuple(summary.columns))
    folding = fold(store, query, summary.part, sums=summary.sums() if counts else None)
    parts = await folding.run()
    return summary.whole(parts).to_pylist() if parts and folding.report.rows else [], folding.report


@given(made=stores, asked=st.lists(conditions, max_size=3), summary=summaries)
def test_a_sum_from_counts_is_the_sum_over_the_rows(
    made: Counted, asked: Sequence[Condition], summary: Summary
) -> None:
    async def check(store: MemoryStore) -> None:
        filter = Filter(tuple(asked))
        plain, scanned = await summed(store, filter, summary, counts=False)
        found, report = await summed(store, filter, summary, counts=True)
        assert found == plain
        assert report.rows == scanned.rows
        await compact(store, [made.archived])  # counts of files that are no more
        assert (await summed(store, filter, summary, counts=True))[0] == plain
        await put_counts(store)
        found, report = await summed(store, filter, summary, counts=True)
        assert found == plain
        assert report.rows == scanned.rows
        assert report.passed <= report.bytes

    made.run(check)


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
