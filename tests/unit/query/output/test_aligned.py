"""Tables for people fit their terminal."""

from __future__ import annotations

import pyarrow as pa
import pytest
from rich.cells import cell_len

from logsink.query.output import AlignedColumns


def lines(width: int, *tables: pa.Table) -> list[str]:
    writer = AlignedColumns(width)
    head = writer.begin(tables[0].schema)
    parts = [part for rows in tables for part in writer.rows(rows)]
    return b"".join([head, *parts, writer.finish()]).decode().splitlines()


@pytest.mark.parametrize("width", [10, 20, 40, 80, 200])
def test_long_values_are_cut(width: int) -> None:
    rows = pa.table({"n": [1, 2], "text": ["x" * 300, "日本" * 50], "other": ["short", "y" * 30]})
    shown = lines(width, rows)
    assert max(map(cell_len, shown)) <= max(width, len("other") + 2 + 8)
    assert any("…" in line for line in shown)


def test_the_widest_columns_are_cut_first() -> None:
    rows = pa.table({"a": ["x" * 50], "b": ["y" * 40], "c": ["z" * 9]})
    assert [len(text) for text in lines(60, rows)[1].split()] == [23, 24, 9]


def test_what_is_too_wide_has_a_line_for_each_value() -> None:
    rows = pa.table({f"column{n}": ["a", None] for n in range(12)})
    shown = lines(20, rows, rows)
    assert shown[:2] == ["-- row 1", "column0   a"]
    assert [line for line in shown if line.startswith("--")] == [f"-- row {n}" for n in (1, 2, 3, 4)]
    assert shown[-1] == "column11  -"


@pytest.mark.parametrize("width", [24, 45, 60, 80])
def test_some_columns_are_never_cut(width: int) -> None:
    rows = pa.table({"time": ["2026-11-24 03:04:30"], "host": ["h" * 30], "role": ["r" * 12]})
    writer = AlignedColumns(width, uncut={"time"})
    writer.begin(rows.schema)
    shown = b"".join(writer.rows(rows)).decode().splitlines()
    assert max(map(cell_len, shown)) <= width
    whole = width >= 19 + 2 + 8 + 2 + 8
    assert (shown[0] == "-- row 1") != whole
    assert ("2026-11-24 03:04:30  h" in shown[1]) == whole
