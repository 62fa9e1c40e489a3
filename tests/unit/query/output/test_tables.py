"""Tables of any schema, for other programs and for people."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from logsink.query.output import AlignedColumns, Style, TableWriter, table_writer
from logsink.query.output import tables as writers
from logsink.query.output.tables import Csv

EVIL = "\x1b[31m\u202e"


def written(writer: TableWriter, *tables: pa.Table) -> bytes:
    head = writer.begin(tables[0].schema)
    return b"".join([head, *(bytes(part) for rows in tables for part in writer.rows(rows)), writer.finish()])


def written_as(name: str, *tables: pa.Table, style: Style | None = None) -> bytes:
    return written(table_writer(name, style or Style()), *tables)


@pytest.mark.parametrize("name", ["csv", "table", "json"])
def test_nothing_harmful_reaches_a_terminal_whatever_its_type_and_in_names_neither(name: str) -> None:
    rows = pa.table(
        {
            f"name {EVIL}": [EVIL],
            "dictionary": pa.array([EVIL]).dictionary_encode(),
            "large": pa.array([EVIL], pa.large_string()),
            "bytes": pa.array([EVIL.encode()]),
            "not UTF-8": pa.array([b"\x1b\xff"]),
        }
    )
    text = written_as(name, rows, style=Style(terminal=True)).decode()
    assert text.replace("\n", "").isprintable()
    assert "\\xff" in text


def test_csv_is_read_again() -> None:
    rows = pa.table({'a "name", quoted': ["x", "", None], "n": [1, None, 3], "b": [b"\xff", b"a,b", None]})
    text = written_as("csv", rows).decode()
    assert text == '"a ""name"", quoted","n","b"\n"x",1,"\\xff"\n"",,"a,b"\n,3,\n'
    assert next(csv.reader(io.StringIO(text))) == rows.column_names


def test_csv_quotes_bare_names_only_where_they_must_be() -> None:
    schema = pa.schema([("time", pa.string()), ('.a"b', pa.string()), (".c,d", pa.string())])
    assert Csv(bare_names=True).begin(schema) == b'time,".a""b",".c,d"\n'


def test_csv_for_spreadsheets_holds_no_formula() -> None:
    rows = pa.table({"=name": ["=1+1", "a=b", "\uff1d1"], "bytes": [b"=2", b"-3", b"x"]})
    found = list(csv.reader(io.StringIO(written_as("csv", rows, style=Style(spreadsheet=True)).decode())))
    assert found == [["'=name", "bytes"], ["'=1+1", "'=2"], ["a=b", "'-3"], ["'\uff1d1", "x"]]


def test_json_of_any_type() -> None:
    at = dt.datetime(2026, 11, 22, 3, 12, 5, tzinfo=dt.UTC)
    rows = pa.table({"t": [at], "l": [[1, None]], "s": [{"a": "é\u202e"}], "b": [b"\xff"], "n": [None]})
    text = written_as("json", rows)
    assert json.loads(text) == {
        "t": "2026-11-22T03:12:05Z",
        "l": [1, None],
        "s": {"a": "é\u202e"},
        "b": "\\xff",
        "n": None,
    }
    assert b"\\u202e" in text


def test_small_tables_become_few_row_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writers, "_GROUP", 4)
    tables = [pa.table({"n": [2 * k, 2 * k + 1]}) for k in range(5)]
    parquet = pq.ParquetFile(io.BytesIO(written_as("parquet", *tables)))
    assert [parquet.metadata.row_group(k).num_rows for k in range(parquet.num_row_groups)] == [4, 4, 2]
    stream = pa.ipc.open_stream(written_as("arrow", *tables))
    assert [batch.num_rows for batch in stream] == [4, 4, 2]
    assert parquet.read()["n"].to_pylist() == list(range(10))


@pytest.mark.parametrize(("name", "expected"), [("csv", b'"a","b"\n'), ("json", b""), ("table", b"a  b\n")])
def test_no_rows(name: str, expected: bytes) -> None:
    schema = pa.schema([("a", pa.string()), ("b", pa.int64())])
    writer = table_writer(name, Style())
    assert writer.begin(schema) + writer.finish() == expected
    assert written_as(name, schema.empty_table()) == expected


def test_aligned_columns() -> None:
    rows = pa.table({"n": [1, 200], "text": ["日本", None], "at": [dt.datetime(2026, 1, 2, tzinfo=dt.UTC)] * 2})
    expected = "  n  text  at\n  1  日本  2026-01-02 00:00:00Z\n200  -     2026-01-02 00:00:00Z\n"
    assert written(AlignedColumns(), rows).decode() == expected
    assert written(AlignedColumns(), rows.slice(0, 0)).decode() == "n  text  at\n"


def test_later_rows_keep_the_widths_of_the_first() -> None:
    first, second = pa.table({"a": ["x"], "b": ["y"]}), pa.table({"a": ["longer"], "b": ["z"]})
    assert written(AlignedColumns(), first, second).decode() == "a  b\nx  y\nlonger  z\n"
    assert written(AlignedColumns(40), first, second).decode() == "a  b\nx  y\n…  z\n"
    whole = pa.concat_tables([first, second])
    assert written(AlignedColumns(sample=1), whole).decode() == "a  b\nx  y\nlonger  z\n"
    fitted = AlignedColumns()
    fitted.begin(first.schema)
    for rows in (first, second):
        fitted.fit(rows)
    parts = b"".join(part for rows in (first, second) for part in fitted.rows(rows))
    assert (parts + fitted.finish()).decode() == "a       b\nx       y\nlonger  z\n"
