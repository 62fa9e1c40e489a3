"""Tables of numbers and times for people, as wide as their terminal."""

from __future__ import annotations

import datetime as dt

import pyarrow as pa
import pytest

from logsink.cli.fleet.tables import bars_of, for_people, spans_of

TABLE = pa.table(
    {
        "host": pa.array(["web-1", "\x1b[31mred"]),
        "role": pa.array([None, None], pa.string()),
        "last": pa.array([0, 1_000_000], pa.timestamp("us", tz="UTC")),
        "rows": pa.array([1234567, 5]),
        "bytes": pa.array([1 << 20, 0]),
        "dollars": pa.array([1234.567, 0.0]),
    }
)


def test_values_as_people_read_them() -> None:
    assert for_people(TABLE, dt.timezone(dt.timedelta(hours=1)), None)[0].to_pydict() == {
        "host": ["web-1", "\\x1b[31mred"],
        "last": ["1970-01-01 01:00:00", "1970-01-01 01:00:01"],
        "rows": ["1,234,567", "        5"],
        "bytes": ["1.0 MiB", "    0 B"],
        "dollars": ["1,234.57", "    0.00"],
    }


@pytest.mark.parametrize(("width", "cells"), [(None, 50), (200, 50), (90, 26), (74, 10), (73, 0), (40, 0)])
def test_bars_fit_or_are_left_out(width: int | None, cells: int) -> None:
    shown = for_people(TABLE, dt.UTC, width, bars_of([10, 5]))[0].to_pydict()
    assert [len(bar) for bar in shown.get("", ["", ""])] == [cells, cells // 2]


@pytest.mark.parametrize(
    ("width", "left_out"),
    [(None, []), (62, []), (61, ["bytes"]), (53, ["bytes"]), (52, ["bytes", "rows"]), (20, ["bytes", "rows"])],
)
def test_a_narrow_terminal_shows_fewer_columns(width: int | None, left_out: list[str]) -> None:
    shown, without = for_people(TABLE, dt.UTC, width, None, ["role", "bytes", "rows"])
    assert without == left_out
    assert [name for name in TABLE.column_names if name not in ("role", *left_out)] == shown.column_names


def test_bars_of_numbers() -> None:
    assert bars_of([])(50) == []
    assert bars_of([100, 1, 0])(10) == ["█" * 10, "█", ""]


def test_bars_of_spans_of_time() -> None:
    assert spans_of([])(10) == []
    assert spans_of([(5, 5)])(10) == ["█"]
    assert spans_of([(0, 9), (9, 18), (18, 18)])(19) == ["█" * 10, " " * 9 + "█" * 10, " " * 18 + "█"]


def test_machine_ids_are_cut_before_columns_are_left_out() -> None:
    ids = ["0123456789abcdef0123456789abcdef", "0123456789ffffff0123456789abcdef", "i-0123456789abcdef0123"]
    table = pa.table({"instance": ids, "deploy": ["d1", "d1", "d2"]})
    assert for_people(table, dt.UTC, 80)[0].column("instance").to_pylist() == ids
    assert for_people(table, dt.UTC, None)[0].column("instance").to_pylist() == ids
    shown, left_out = for_people(table, dt.UTC, 30, spare=["deploy"])
    assert not left_out
    assert shown.column("instance").to_pylist() == ["0123456789a", "0123456789f", ids[2]]
