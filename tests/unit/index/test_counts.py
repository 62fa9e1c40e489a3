"""Counts of a data file's rows: what they say, in which order, and when there are none."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from logsink.index import COUNTED, COUNTS_SCHEMA, HOUR, CountsBuilder, counts, join_counts
from logsink.parse import ROWS_SCHEMA
from tests.unit.query.archives import START, Row, row, table


def group(rows: Sequence[Row]) -> pa.Table:
    """A row group as a writer of files shows it."""
    return table(rows).cast(ROWS_SCHEMA).combine_chunks()


def counted(*groups: Sequence[Row], path: str = "date=2026-11-22/a.parquet") -> pa.Table | None:
    builder = CountsBuilder()
    for rows in groups:
        builder.add(group(rows))
    return builder.finish(path)


def plain(found: pa.Table | None) -> list[dict[str, Any]]:
    """Counts with instants as numbers."""
    assert found is not None
    instants = [field.name for field in found.schema if pa.types.is_timestamp(field.type)]
    for name in instants:
        found = found.set_column(found.schema.get_field_index(name), name, found.column(name).cast(pa.int64()))
    return list(found.to_pylist())


def reference(rows: Sequence[Row], path: str = "date=2026-11-22/a.parquet") -> list[dict[str, Any]]:
    """The same, a row at a time."""

    def key(row: Row) -> tuple[Any, ...]:
        return (row["time"] // HOUR * HOUR, *(row.get(name) for name in COUNTED))

    found = []
    for (hour, *values), same in itertools.groupby(sorted(rows, key=lambda r: repr(key(r))), key=key):
        some = list(same)
        sizes = [len((r.get(name) or "").encode()) for r in some for name in ("message", "structured_data")]
        raw = [len(r.get("raw") or b"") for r in some]
        times = [r["time"] for r in some]
        said = {"first": min(times), "last": max(times), "bytes": sum(sizes) + sum(raw), "rows": len(some)}
        found.append({**said, "file": path, "hour": hour, **dict(zip(COUNTED, values, strict=True))})
    return sorted(found, key=place)


def place(count: dict[str, Any]) -> list[tuple[bool, Any]]:
    names = ("file", "app", "severity", "hour", "host", "environment", "role", "deploy", "instance")
    values = [count[name].encode() if isinstance(count[name], str) else count[name] for name in names]
    return [(value is not None, value) for value in values]


texts = st.sampled_from((None, "", "a", "é", "\U0001f600", "\uffee"))
rows = st.builds(
    lambda time, values: row(time, **values),
    st.integers(-3 * HOUR, 3 * HOUR) | st.sampled_from((-START - 1, 50_000 * HOUR)),
    st.fixed_dictionaries(
        {
            **dict.fromkeys(("host", "app", "deploy", "message", "structured_data"), texts),
            "severity": st.sampled_from((None, 0, 7)),
            "raw": st.sampled_from((None, b"", b"\xff\xfe")),
        }
    ),
)


@given(st.lists(st.lists(rows, min_size=1, max_size=20), min_size=1, max_size=4))
def test_counts_say_what_a_look_at_each_row_says(groups: list[list[Row]]) -> None:
    found = counted(*groups)
    assert found is not None
    assert found.schema == COUNTS_SCHEMA
    assert plain(found) == reference([row for rows in groups for row in rows])


def test_bounds_of_time_whatever_the_order_of_rows() -> None:
    rows = [row(time, host="a") for time in (5, 9, 1, 7, 2)]
    (found,) = plain(counted(rows[:3], rows[3:]))
    assert (found["first"] - START, found["last"] - START, found["rows"]) == (1, 9, 5)
    (found,) = plain(counted(rows))
    assert (found["first"] - START, found["last"] - START) == (1, 9)


def test_sums_between_and_combinations_beyond_any_array(monkeypatch: pytest.MonkeyPatch) -> None:
    groups = [[row(n * HOUR * 1000, host=f"h{k}", app=f"a{n}", message="x" * k) for k in range(40)] for n in range(10)]
    expected = plain(counted(*groups))
    monkeypatch.setattr(counts, "_HELD", 50)
    monkeypatch.setattr(counts, "_DENSE", 10)
    assert plain(counted(*groups)) == expected
    monkeypatch.setattr(counts, "_MOST", 10)
    monkeypatch.setattr(counts, "_HOURS", 1)
    assert plain(counted(*groups)) == expected == reference([row for rows in groups for row in rows])


def test_where_counts_would_not_be_small_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counts, "FEW", 10)
    many = [row(n, host=f"h{n % 11}") for n in range(44)]
    assert counted(many) is not None
    assert counted(many[:43]) is None
    assert counted(many[:10]) is not None


def test_a_file_without_rows_has_no_counts() -> None:
    assert counted([]) is None


def test_counts_of_several_files_stand_in_the_order_of_their_paths() -> None:
    tables = [counted([row(0, host=f"h{n}")], path=f"date=2026-11-22/{n}.parquet") for n in (2, 1)]
    found = plain(join_counts([each for each in tables if each is not None]))
    assert [(one["file"][-9:], one["host"]) for one in found] == [("1.parquet", "h1"), ("2.parquet", "h2")]
    assert join_counts([]).schema == COUNTS_SCHEMA


def test_days_say_what_counts_say() -> None:
    """Each file and each combination of values has a row a day, with the sums and the bounds of its hours."""
    rows = [
        row(hour * HOUR + minute, host=f"h{hour % 3}", app=app, severity=3, message="x" * hour)
        for hour in range(-30, 40, 7)
        for app in (None, "a")
        for minute in (0, 5)
    ]
    one, other = counted(rows), counted(rows[:9], path="date=2026-11-22/b.parquet")
    assert one is not None
    assert other is not None
    found = counts.by_day(join_counts([one, other]))
    assert found.schema == COUNTS_SCHEMA
    expected: dict[tuple[Any, ...], dict[str, Any]] = {}
    for each in (*plain(one), *plain(other)):
        day = each["hour"] // counts.DAY * counts.DAY
        key = (each["file"], day, *(each[name] for name in COUNTED))
        total = expected.setdefault(key, {**each, "hour": day, "rows": 0, "bytes": 0})
        for name in ("rows", "bytes"):
            total[name] += each[name]
        total["first"], total["last"] = min(total["first"], each["first"]), max(total["last"], each["last"])
    assert plain(found) == sorted(expected.values(), key=place)
    assert counts.by_day(one.slice(0, 0)).num_rows == 0
