"""Sums that are sorted in files are those that plain Python gives, whatever is held in memory."""

from __future__ import annotations

import datetime as dt
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from logsink.query.order import runs as module
from logsink.query.order import spill
from logsink.query.order.runs import Runs
from logsink.query.order.spill import Spill

SCHEMA = pa.schema(
    [
        ("a.b", pa.dictionary(pa.int32(), pa.string())),
        ("n", pa.int8()),
        ("time", pa.timestamp("us", tz="UTC")),
        ("number", pa.float64()),
        ("count", pa.int64()),
    ]
)
Row = tuple[Any, ...]

rows = st.tuples(
    st.sampled_from((None, "", "a", "b", "é", "\U0001f600", "ￜ")),
    st.sampled_from((None, -1, 3)),
    st.sampled_from((None, dt.datetime(2026, 11, 29, tzinfo=dt.UTC), dt.datetime(1969, 1, 1, tzinfo=dt.UTC))),
    st.sampled_from((None, 0.0, -1.5)),
)


def table(keys: list[Row], counts: list[int]) -> pa.Table:
    columns = list(zip(*keys, strict=True))
    arrays = [pa.array(column, field.type) for column, field in zip(columns, SCHEMA, strict=False)]
    return pa.table([*arrays, pa.array(counts, pa.int64())], schema=SCHEMA)


def key(row: Row) -> tuple[Any, ...]:
    return tuple((value is None, value.encode() if isinstance(value, str) else value) for value in row)


def given_back(made: Runs) -> list[Row]:
    return [tuple(row.values()) for found in made for row in found.to_pylist()]


@given(
    parts=st.lists(st.lists(rows, min_size=1, max_size=20), max_size=12),
    memory=st.sampled_from((0, 500, 1 << 20)),
    fan_in=st.sampled_from((2, 16)),
    batch=st.sampled_from((1, 3, 8192)),
)
def test_a_sum_is_that_of_all_parts_in_order(parts: list[list[Row]], memory: int, fan_in: int, batch: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_FAN_IN", fan_in)
        patch.setattr(module, "BATCH", batch)
        patch.setattr(spill, "BATCH", batch)
        made, expected = Runs(memory), Counter[Row]()
        for number, part in enumerate(parts):
            made.add(table(part, [number + 1] * len(part)))
            for row in part:
                expected[row] += number + 1
        in_order = [(*row, expected[row]) for row in sorted(expected, key=key)]
        assert given_back(made) == in_order
        assert given_back(made) == in_order  # once more
        assert not memory or made.files <= len(parts)
        assert all(found.column_names == SCHEMA.names for found in made)


@given(st.sets(rows), st.integers(1, 9), st.sampled_from((0, 500, 1 << 20)))
def test_only_the_first_rows_are_kept_where_no_more_will_be_asked_for(keys: set[Row], limit: int, memory: int) -> None:
    made = Runs(memory, limit)
    for row in keys:
        made.add(table([row], [1]))
    assert given_back(made) == [(*row, 1) for row in sorted(keys, key=key)[:limit]]
    assert made.rows == len(keys)
    assert Runs(memory).rows is None


def test_files_are_merged_into_larger_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_FAN_IN", 3)
    made = Runs(0)
    for n in range(9 + 3 + 1):
        made.add(table([("a", n % 5, None, None)], [1]))
    assert made.files == 3
    assert [row[1] for row in given_back(made)] == [0, 1, 2, 3, 4]


def test_when_it_is_stopped_files_are_not_merged_and_nothing_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_FAN_IN", 3)
    made = Runs(0)
    other, write = made.another(), Spill.write

    def stopping(self: Spill, found: pa.Table) -> None:
        write(self, found)
        if found.num_rows > 1:  # the first block of a merge
            made.stop()

    monkeypatch.setattr(spill.Spill, "write", stopping)
    for n in range(6):
        made.add(table([("a", n, None, None), ("b", n, None, None)], [1, 1]))
        other.add(table([("a", n, None, None)], [1]))
    assert (made.files, other.files) == (6, 6)
    assert len(given_back(made)) == 12
    monkeypatch.undo()
    made.resume()
    made.add(table([("c", 0, None, None)], [1]))
    assert made.files == 7
    assert len(given_back(made)) == 13


def test_what_is_few_stays_in_memory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    made = Runs(10_000)
    for _ in range(1000):
        made.add(table([("a", 1, None, None)], [1]))
    assert made.files == 0
    assert given_back(made) == [("a", 1, None, None, 1000)]
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    large = Runs(0)
    large.add(table([("a", 1, None, None)], [1]))
    assert large.files == 1
    assert os.listdir(tmp_path) == []  # nothing is left, however the process ends
