"""Data files of any rows: the same rows come out, in runs as the format has them, with bounds that hold."""

from __future__ import annotations

import datetime
from collections import Counter
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from logsink.archive import file, merge
from logsink.archive.file import write_files
from logsink.parse import FILE_SCHEMA, STATISTICS_COLUMNS
from tests.support.examples import examples
from tests.unit.archive.rows import TableRows, row

DAY = 86_400_000_000
LANES = {"r.0": (3, 9), "r.1": (1, 4)}
# With nothing, the empty string, characters whose order in bytes differs from that in UTF-16, and strings longer than kept.
TEXTS = st.none() | st.sampled_from(["", "a", "b", "ab", "é", "\uffff", "\U00010000", "z" * 200, "\U0010ffff" * 200])
ROWS = st.lists(
    st.builds(
        row,
        time=st.integers(0, 40) | st.integers(-(10**15), 10**15),
        received=st.integers(0, 3) | st.integers(DAY - 2, DAY + 2),
        nth=st.integers(0, 3),
        app=TEXTS,
        host=TEXTS,
        severity=st.none() | st.integers(0, 7),
        message=st.none() | st.text(max_size=3),
        procid=st.none() | st.sampled_from(["1", "2", "3"]),
        raw=st.none() | st.binary(max_size=3),
    ),
    min_size=1,
    max_size=60,
)


def place(one: dict[str, Any]) -> tuple[Any, ...]:
    """Where a row belongs within its run: nulls first, strings by their bytes."""
    app, host = ((one[name] is not None, (one[name] or "").encode()) for name in ("app", "host"))
    return (app, len((one["message"] or "").encode()), host, one["time"], one["received"], one["nth"])


def plain(table: pa.Table) -> list[dict[str, Any]]:
    for name in ("time", "received"):
        table = table.set_column(table.column_names.index(name), name, table[name].cast(pa.int64()))
    return table.to_pylist()


@settings(max_examples=examples(40), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ROWS)
def test_any_rows(rows: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file, "RUN", 12)
    monkeypatch.setattr(file, "GROUP", 5)
    monkeypatch.setattr(file, "_OPTIONS", file._OPTIONS | {"compression": "none", "compression_level": None})
    source = TableRows(rows)
    found = []
    for new in write_files(source, LANES, "r", "abc"):
        date = datetime.date(1970, 1, 1) + datetime.timedelta(days=new.file.path.startswith("date=1970-01-02"))
        assert new.file.date == date
        assert new.file.path == f"date={date}/r-1-9-abc.parquet"
        assert new.file.size == new.body.size
        parquet = pq.ParquetFile(new.body)
        assert parquet.schema_arrow.remove_metadata().equals(FILE_SCHEMA)
        table = plain(parquet.read())
        assert {one["received"] // DAY for one in table} == {(date - datetime.date(1970, 1, 1)).days}
        assert orjson.loads(parquet.metadata.metadata[b"logsink.lanes"]) == {"r.0": [3, 9], "r.1": [1, 4]}
        check_runs(parquet.metadata, table)
        check_statistics(new.file.stats, table)
        found += table
    assert Counter(map(repr, found)) == Counter(map(repr, plain(source.table())))


@settings(max_examples=examples(40), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(parts=st.lists(ROWS, min_size=1, max_size=4), held=st.sampled_from([0, 2000, merge.HELD]))
def test_any_files_merged(parts: list[list[dict[str, Any]]], held: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """One file of all their rows, laid out as any other; also when nothing that is decoded may be kept."""
    monkeypatch.setattr(file, "RUN", 12)
    monkeypatch.setattr(file, "GROUP", 5)
    monkeypatch.setattr(file, "_OPTIONS", file._OPTIONS | {"compression": "none", "compression_level": None})
    monkeypatch.setattr(merge, "HELD", held)
    parts = [[one | {"received": one["received"] % DAY} for one in rows] for rows in parts]
    made = [new for number, rows in enumerate(parts) for new in write_files(TableRows(rows), LANES, "r", f"{number}")]
    inputs = [merge.Input(new.file.path, new.body.to_pybytes(), new.file.rows) for new in made]
    writer = file.FileWriter()
    merge.merge(inputs, writer)
    new = writer.finish("date=1970-01-01/x.parquet", datetime.date(1970, 1, 1), {file.INPUTS: b"[]"})
    parquet = pq.ParquetFile(new.body)
    assert parquet.schema_arrow.remove_metadata().equals(FILE_SCHEMA)
    table = plain(parquet.read())
    check_runs(parquet.metadata, table)
    check_statistics(new.file.stats, table)
    expected = [one for rows in parts for one in plain(TableRows(rows).table())]
    assert Counter(map(repr, table)) == Counter(map(repr, expected))
    assert not inputs


def check_runs(footer: pq.FileMetaData, table: list[dict[str, Any]]) -> None:
    assert footer.metadata[b"logsink.format"] == b"1"
    runs = orjson.loads(footer.metadata[b"logsink.runs"])
    assert sum(runs) == len(table)
    assert max(runs) <= 12
    groups = [footer.row_group(g).num_rows for g in range(footer.num_row_groups)]
    expected_groups, end, last = [], 0, None
    for length in runs:
        run, end = table[end : end + length], end + length
        assert run == sorted(run, key=place)
        times = [one["time"] for one in run]
        if last is not None:
            # Disjoint, unless one instant has more rows than a run.
            assert min(times) > last or (min(times) == last and sum(one["time"] == last for one in table) > 12)
        last = max(times)
        expected_groups += [5] * (length // 5) + [length % 5] * (length % 5 > 0)
    assert groups == expected_groups


def check_statistics(stats: Any, table: list[dict[str, Any]]) -> None:
    assert stats.rows == len(table)
    for name in STATISTICS_COLUMNS:
        values = [one[name] for one in table if one[name] is not None]
        assert stats.nulls[name] == len(table) - len(values)
        if not values:
            assert name not in stats.minimum
            assert name not in stats.maximum
            continue
        low, high = stats.minimum.get(name), stats.maximum.get(name)
        if isinstance(values[0], str):
            assert low is not None
            assert low.encode() <= min(value.encode() for value in values)
            assert high is None or high.encode() >= max(value.encode() for value in values)
            assert len(low) <= 128
            assert high is None or len(high) <= 128
        else:
            assert (low, high) == (min(values), max(values))
