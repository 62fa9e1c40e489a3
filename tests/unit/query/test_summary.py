"""Sums of rows: in parts, in any split, and together."""

from __future__ import annotations

import datetime as dt
import itertools
from collections import Counter
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from logsink.errors import NotFound
from logsink.journal.segment import SegmentName
from logsink.query import Filter, OneOf, Query, Report, tail
from logsink.query.collapse import collapsed
from logsink.query.datafile import SCHEMA, as_rows
from logsink.query.scan import fold
from logsink.query.summary import Counts, Histogram, Patterns, Summary
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
    monkeypatch.setattr("logsink.query.summary._DENSE", 1)
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


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize(
    ("message", "pattern"),
    [
        ("Accepted publickey for root from 10.0.0.7 port 50022 ssh2", "Accepted publickey for root from * port * ssh2"),
        ("id 550e8400-e29b-41d4-a716-446655440000 gone", "id * gone"),
        ("2026-11-22T03:12:05.123Z x", "* x"),
        ("[2001:db8::1]:514", "[*::*]:*"),
        ("key AAAAC3NzaC1lZDI1 SHA256 v2", "key * SHA256 v2"),
        ("dead beef 0xff c0ffee", "dead beef * *"),
        ("a1", "*"),
        ("web-101.prod", "web-*.prod"),
        ("at R16-M1-ND-C:J13-U01: x", "at *: x"),
        ("R74-M0-N1 R74-M0-N1 /lib/x86_64/v2/ssh2-b ssh2", "* * /lib/x86_*/v2/ssh2-b ssh2"),
        ("12:R1-M2-x-", "*-"),
        ("größe 7 ✓", "größe * ✓"),
        ("", ""),
        (None, None),
    ],
)
def test_patterns_of_messages(message: str | None, pattern: str | None, compiled: bool) -> None:
    assert collapsed(pa.array(["x", message, "y"]), compiled=compiled).to_pylist() == ["x", pattern, "y"]
    assert collapsed(pa.array(["x 1", message, "y"]).slice(1), compiled=compiled).to_pylist() == [pattern, "y"]


@given(st.lists(st.one_of(st.none(), st.text(), st.text("a1f-: ."))))
def test_patterns_are_shorter_and_stay(messages: list[str | None]) -> None:
    found = collapsed(pa.array(messages, pa.string()), compiled=False)
    found.validate(full=True)
    assert found.null_count == messages.count(None)
    for message, pattern in zip(messages, found.to_pylist(), strict=True):
        assert pattern is None if message is None else len(pattern) <= len(message)


def test_patterns() -> None:
    assert whole(Patterns()) == [{"pattern": "port * closed", "count": 40}]


async def test_a_fold_counts_each_row_once_wherever_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail, "parse", json_parse)
    store, report = MemoryStore(), Report()
    await archive(store, [ROWS[:10], ROWS[10:30]])
    await journal(store, SegmentName("r1", 0, 1), ROWS[30:])
    counts = Counts(("host",))
    query = Query(Filter((OneOf("host", ("web1", "web2")),)), tuple(counts.columns))
    found = counts.whole(await fold(store, query, counts.part, report)).to_pylist()
    assert found == [{"host": "web1", "count": 13}, {"host": "web2", "count": 13}]
    assert report.rows == 26
    assert report.files_read == 2
    assert report.passed == report.bytes > 0
    assert report.listings >= 2


async def test_a_fold_of_nothing() -> None:
    with pytest.raises(NotFound):
        await fold(MemoryStore(), Query(), Counts().part)


async def test_copies_are_not_counted_where_they_are_hidden() -> None:
    store = MemoryStore()
    await archive(store, [[one | {"raw": b"<13>x"} for one in ROWS[:3]]])
    counts = Counts()
    parts = await fold(store, Query(columns=("severity",), dedupe=True), counts.part)
    assert counts.whole(parts).to_pylist() == [{"count": 3}]


def test_the_start_is_what_these_tests_believe() -> None:
    assert dt.datetime.fromtimestamp(START / SECOND, dt.UTC) == dt.datetime(2026, 11, 22, tzinfo=dt.UTC)
