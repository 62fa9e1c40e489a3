"""Sums of rows: in parts, in any split, and together."""

from __future__ import annotations

import datetime as dt
import itertools
from collections import Counter
from collections.abc import Sequence
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from logsink.errors import NotFound
from logsink.journal.segment import SegmentName
from logsink.query import Filter, OneOf, Query
from logsink.query.columns import SCHEMA, as_rows
from logsink.query.read import fold, folding, tail
from logsink.query.request import EARLIEST, LATEST
from logsink.query.views.histogram import Histogram
from logsink.query.views.summary import Counts, Patterns, Summary
from logsink.store.memory import MemoryStore
from tests.unit.query.archives import START, archive, journal, json_parse, row, table

SECOND = 1_000_000
ROWS = [
    row(
        n * 20 * SECOND, host=f"web{n % 3}", app=None if n % 4 == 0 else "a", severity=n % 5, message=f"port {n} closed"
    )
    for n in range(40)
]


def whole(summary: Summary, cuts: tuple[int, ...] = (0, 7, 7)) -> list[dict[str, Any]]:
    rows, edges = as_rows(table(ROWS), SCHEMA.names), [0, *cuts, len(ROWS)]
    return summary.whole([summary.part(rows.slice(a, b - a)) for a, b in itertools.pairwise(edges)]).to_pylist()


def test_count() -> None:
    assert whole(Counts()) == [{"count": 40}]


@pytest.mark.parametrize("fields", [("host",), ("app",), ("host", "app"), ("severity", "app", "host"), ("time",)])
def test_counts(fields: tuple[str, ...]) -> None:
    expected = Counter(tuple(row[field] for field in fields) for row in as_rows(table(ROWS), SCHEMA.names).to_pylist())
    found = whole(Counts(fields))
    assert {tuple(row[field] for field in fields): row["count"] for row in found} == expected
    assert [row["count"] for row in found] == sorted(expected.values(), reverse=True)


def test_combinations_that_are_too_many_to_be_counted_by_place(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = whole(Counts(("host", "app")))
    monkeypatch.setattr("logsink.query.views.counting._DENSE", 1)
    assert whole(Counts(("host", "app"))) == expected


def test_more_combinations_than_fit_into_a_number() -> None:
    fields = tuple("abcdefghi")
    values = [str(n) for n in range(255)]  # with null 2**8, so that what the first field says would be 2**64 times it
    columns = {name: [*values, "0" if name == "a" else "1"] for name in fields}
    counts = Counts(fields)
    found = counts.whole([counts.part(pa.table(columns))])
    assert found.num_rows == 256
    assert set(found.column("count").to_pylist()) == {1}


def test_a_histogram() -> None:
    found = whole(Histogram(60 * SECOND, dt.UTC))
    assert [row["count"] for row in found] == [3] * 13 + [1]
    assert found[1]["time"] == dt.datetime(2026, 11, 22, 0, 1, tzinfo=dt.UTC)
    apart = whole(Histogram(60 * SECOND, dt.UTC, "host"))
    assert [(row["time"].minute, row["host"], row["count"]) for row in apart[:4]] == [
        (0, "web0", 1),
        (0, "web1", 1),
        (0, "web2", 1),
        (1, "web0", 1),
    ]


def test_days_begin_at_midnight_in_the_zone() -> None:
    found = whole(Histogram(86_400 * SECOND, ZoneInfo("Asia/Kolkata")))
    assert [row["time"] for row in found] == [dt.datetime(2026, 11, 21, 18, 30, tzinfo=dt.UTC)]


@pytest.mark.parametrize("zone", [dt.UTC, ZoneInfo("Asia/Tokyo"), ZoneInfo("America/New_York")])
@pytest.mark.parametrize("within", [(None, None), (-(1 << 61), 1 << 61)])
def test_steps_have_dates_where_the_calendar_ends(zone: dt.tzinfo, within: tuple[int | None, int | None]) -> None:
    rows = [row(EARLIEST - START), row(), row(LATEST - START)]
    for step in (86_400 * SECOND, 7 * 86_400 * SECOND, 3_652_500 * 86_400 * SECOND):
        summary = Histogram(step, zone, within=within)
        found = summary.whole([summary.part(as_rows(table(rows), SCHEMA.names))]).to_pylist()
        assert found[0]["time"] == dt.datetime.min.replace(tzinfo=dt.UTC)
        assert sum(each["count"] for each in found) == 3


def at(*minutes: int, **values: Any) -> list[dict[str, Any]]:
    return [row(minute * 60 * SECOND, **values) for minute in minutes]


def steps(rows: list[dict[str, Any]], summary: Histogram) -> list[tuple[Any, ...]]:
    """Minutes after the beginning, values and counts."""
    found = summary.whole([summary.part(as_rows(table(rows), SCHEMA.names))]).to_pylist()
    return [((int(each.pop("time").timestamp()) - START // SECOND) // 60, *each.values()) for each in found]


def test_a_silence_is_a_gap_that_can_be_seen() -> None:
    rows = at(0, 1, 30, 31, 32)
    assert steps(rows, Histogram(600 * SECOND, dt.UTC)) == [(0, 2), (10, 0), (20, 0), (30, 3)]
    within = (START - 600 * SECOND, START + 3000 * SECOND)
    assert steps(rows, Histogram(600 * SECOND, dt.UTC, within=within)) == [
        *((-10, 0), (0, 2), (10, 0), (20, 0), (30, 3), (40, 0))
    ]


def test_each_of_several_groups_has_its_gaps() -> None:
    rows = at(0, 20, 21, host="web1") + at(0, 10, host="web2") + at(5)
    assert steps(rows, Histogram(600 * SECOND, dt.UTC, "host")) == [
        *((0, "web1", 1), (0, "web2", 1), (0, None, 1), (10, "web1", 0), (10, "web2", 1), (10, None, 0)),
        *((20, "web1", 2), (20, "web2", 0), (20, None, 0)),
    ]


def test_a_group_that_is_asked_for_has_its_gaps_although_it_was_silent_all_the_time() -> None:
    summary = Histogram(600 * SECOND, dt.UTC, "host", values=["web9", "web1"])
    assert steps(at(0, 11, host="web1"), summary) == [(0, "web1", 1), (0, "web9", 0), (10, "web1", 1), (10, "web9", 0)]


def test_of_many_empty_steps_the_first_and_last_are_there() -> None:
    rows = at(0, 1, 3, 100_000, host="a") + at(2, host="b")
    summary = Histogram(60 * SECOND, dt.UTC, "host")
    assert steps(rows, summary) == [
        *((0, "a", 1), (0, "b", 0), (1, "a", 1), (1, "b", 0), (2, "a", 0), (2, "b", 1), (3, "a", 1), (3, "b", 0)),
        *((4, "a", 0), (99_999, "a", 0), (100_000, "a", 1), (100_000, "b", 0)),
    ]
    assert summary.shortened


@pytest.mark.parametrize(("step", "count"), [(3600, 25 + 24), (86_400, 2), (1800, 98), (14_400, 12)])
def test_the_day_on_which_clocks_are_put_back_has_every_step_once(step: int, count: int) -> None:
    zone = ZoneInfo("Europe/Berlin")
    begin = int(dt.datetime(2026, 10, 25, tzinfo=zone).timestamp())
    rows = [row() | {"time": (begin + n * 600) * SECOND} for n in range(49 * 6)]
    summary = Histogram(step * SECOND, zone)
    parts = summary.whole([summary.part(as_rows(table(rows), SCHEMA.names))]).to_pylist()
    assert (len(parts), sum(part["count"] for part in parts)) == (count, len(rows))
    assert all(part["count"] for part in parts)
    sparse = Histogram(step * SECOND, zone, within=(begin * SECOND, (begin + 49 * 3600) * SECOND))
    filled = sparse.whole([sparse.part(as_rows(table(rows[7:8]), SCHEMA.names))]).to_pylist()
    assert [part["time"] for part in filled] == [part["time"] for part in parts]


def test_weeks_begin_on_monday() -> None:
    found = whole(Histogram(7 * 86_400 * SECOND, dt.UTC))
    assert [row["time"] for row in found] == [dt.datetime(2026, 11, 16, tzinfo=dt.UTC)]


@given(
    st.lists(st.tuples(st.integers(0, 2000), st.sampled_from(["a", "b", None])), min_size=1, max_size=12),
    st.sampled_from([1, 7, 60]),
    st.sampled_from([0, 10_000]),
)
def test_empty_steps_change_no_count(rows: list[tuple[int, str | None]], step: int, most: int) -> None:
    zone, expected = ZoneInfo("America/New_York"), Counter((minute // step * step, host) for minute, host in rows)
    summary = Histogram(step * 60 * SECOND, dt.UTC if step == 7 else zone, "host")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("logsink.query.views.histogram._FILLED_ROWS", most)
        found = steps([each for minute, host in rows for each in at(minute, host=host)], summary)
    if step != 7:
        assert {(minute, host): count for minute, host, count in found if count} == expected
    assert sum(count for *_, count in found) == len(rows)
    assert len({step[:2] for step in found}) == len(found)
    hosts = {host for _, host in rows}
    first, last = found[0][0], found[-1][0]
    for host in hosts:
        there = [minute for minute, of, _ in found if of == host]
        assert (there[0], there[-1]) == (first, last)
        if most:
            assert there == list(range(first, last + 1, step))


def test_patterns() -> None:
    assert whole(Patterns()) == [{"pattern": "port * closed", "count": 40}]


async def test_a_fold_counts_each_row_once_wherever_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail, "parse", json_parse)
    store = MemoryStore()
    await archive(store, [ROWS[:10], ROWS[10:30]])
    await journal(store, SegmentName("r1", 0, 1), ROWS[30:])
    counts = Counts(("host",))
    query = Query(Filter((OneOf("host", ("web1", "web2")),)), tuple(counts.columns))
    folding = fold(store, query, counts.part)
    found = counts.whole(await folding.run()).to_pylist()
    report = folding.report
    assert found == [{"host": "web1", "count": 13}, {"host": "web2", "count": 13}]
    assert report.rows == 26
    assert report.files_read == 2
    assert report.passed == report.bytes > 0
    assert report.listings >= 2


@pytest.mark.parametrize(("many", "large"), [(3, 1 << 20), (1000, 1)])
async def test_a_fold_adds_up_parts_as_they_come(monkeypatch: pytest.MonkeyPatch, many: int, large: int) -> None:
    monkeypatch.setattr(folding, "_PARTS", many)
    monkeypatch.setattr(folding, "_BYTES", large)
    store, held = MemoryStore(), list[int]()
    await archive(store, [[one] for one in ROWS])
    counts = Counts(("host",))

    def merge(parts: Sequence[pa.Table]) -> pa.Table:
        held.append(len(parts))
        return counts.merge(parts)

    running = fold(store, Query(columns=("host",)), counts.part, merge=merge)
    parts = await running.run()
    assert counts.whole(parts).equals(counts.whole([counts.part(pa.table({"host": [row["host"] for row in ROWS]}))]))
    assert running.report.rows == len(ROWS)
    assert len(parts) <= 3
    assert len(held) > 5
    assert max(held) <= 4


async def test_a_fold_of_nothing() -> None:
    with pytest.raises(NotFound):
        await fold(MemoryStore(), Query(), Counts().part).run()


async def test_copies_are_not_counted_where_they_are_hidden() -> None:
    store = MemoryStore()
    await archive(store, [[one | {"raw": b"<13>x"} for one in ROWS[:3]]])
    counts = Counts()
    parts = await fold(store, Query(columns=("severity",), dedupe=True), counts.part).run()
    assert counts.whole(parts).to_pylist() == [{"count": 3}]


def test_the_start_is_what_these_tests_believe() -> None:
    assert dt.datetime.fromtimestamp(START / SECOND, dt.UTC) == dt.datetime(2026, 11, 22, tzinfo=dt.UTC)
