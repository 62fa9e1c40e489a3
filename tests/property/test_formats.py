"""What is written for programs, read again, is the same: nulls and empty strings, control characters, far years."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
from collections.abc import Sequence
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from hypothesis import example, given, settings
from hypothesis import strategies as st

from logsink.flags import Flag, names
from logsink.parse import FILE_SCHEMA
from logsink.query.columns import as_rows, plain
from logsink.query.output import DEFAULT_COLUMNS, Style, row_writer
from tests.support.examples import examples
from tests.unit.query.archives import Row, table

EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
YEARS = [(dt.datetime(year, 1, 1, tzinfo=dt.UTC) - EPOCH) // dt.timedelta(microseconds=1) for year in (1, 9999)]

AWKWARD = (
    *(
        "",
        " ",
        "  two",
        "-",
        "null",
        "NULL",
        "NaN",
        "true",
        "12",
        "1e5",
        '"',
        '""',
        "a,b",
        "'",
        "\\",
        "\\n",
        "a\nb",
        "\n",
    ),
    *(
        "\r",
        "\r\n",
        "\t",
        "\0",
        "a\0b",
        "\x1b[31m",
        "\x7f",
        "\u0085",
        "\u2028",
        "\u202e",
        "\ufffd",
        "\ufeff",
        "🦀",
        "é",
        "e\u0301",
    ),
)
TEXT = st.none() | st.sampled_from(AWKWARD) | st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


def rows() -> st.SearchStrategy[list[Row]]:
    values: dict[str, st.SearchStrategy[Any]] = dict.fromkeys(FILE_SCHEMA.names, TEXT)
    values |= {
        "time": st.integers(*YEARS),
        "received": st.none() | st.integers(*YEARS),
        "nth": st.none() | st.integers(0, 99),
    }
    values |= {"facility": st.none() | st.integers(0, 23), "severity": st.none() | st.integers(0, 7)}
    values |= {"flags": st.none() | st.integers(0, (1 << len(Flag)) - 1), "raw": st.none() | st.binary(max_size=9)}
    return st.lists(st.fixed_dictionaries(values), max_size=5)


EXAMPLE = [
    dict.fromkeys(FILE_SCHEMA.names)
    | {"time": 0, "message": text, "host": text, "structured_data": text, "raw": text.encode()}
    for text in AWKWARD
]


def written(name: str, found: pa.Table, columns: Sequence[str] = DEFAULT_COLUMNS) -> bytes:
    half = found.num_rows // 2
    writer = row_writer(name, Style(columns=columns))
    parts = [writer.begin(), *writer.rows(found.slice(0, half)), *writer.rows(found.slice(half)), writer.finish()]
    return b"".join(parts)


def as_json(row: dict[str, Any], columns: Sequence[str]) -> dict[str, Any]:
    """What -o json must say of a row."""
    shown = {name: row[name] for name in columns if row[name] is not None}
    for name in {"time", "received"} & shown.keys():
        shown[name] = shown[name].isoformat(timespec="microseconds").replace("+00:00", "Z").rjust(27, "0")
    if "flags" in shown:
        shown["flags"] = names(shown["flags"])
    return shown


@settings(max_examples=examples(30))
@given(rows())
@example(EXAMPLE)
def test_arrow_and_parquet(rows: list[Row]) -> None:
    found = as_rows(table(rows), FILE_SCHEMA.names)
    expected = plain(found, FILE_SCHEMA.names).cast(FILE_SCHEMA)
    assert pa.ipc.open_stream(written("arrow", found, FILE_SCHEMA.names)).read_all() == expected
    assert pq.read_table(io.BytesIO(written("parquet", found, FILE_SCHEMA.names))) == expected


@settings(max_examples=examples(30))
@given(rows())
@example(EXAMPLE)
def test_json(rows: list[Row]) -> None:
    found = as_rows(table(rows), FILE_SCHEMA.names)
    expected = [as_json(row, DEFAULT_COLUMNS) for row in plain(found, DEFAULT_COLUMNS).to_pylist()]
    lines = written("json", found).decode().split("\n")
    assert lines.pop() == ""
    assert [json.loads(line) for line in lines] == expected
    pretty = written("json-pretty", found)
    assert [orjson.loads(part + b"}") for part in pretty.split(b"\n}\n")[:-1]] == expected


@settings(max_examples=examples(30))
@given(rows())
@example(EXAMPLE)
def test_csv(rows: list[Row]) -> None:
    found = as_rows(table(rows), FILE_SCHEMA.names)
    text = written("csv", found)
    expected = plain(found, DEFAULT_COLUMNS).cast(pa.schema([FILE_SCHEMA.field(name) for name in DEFAULT_COLUMNS]))
    options = {
        "parse_options": pyarrow.csv.ParseOptions(newlines_in_values=True),
        "convert_options": pyarrow.csv.ConvertOptions(
            column_types={name: FILE_SCHEMA.field(name).type for name in DEFAULT_COLUMNS},
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    }
    assert pyarrow.csv.read_csv(io.BytesIO(text), **options).cast(expected.schema) == expected
    by_python = list(csv.reader(io.StringIO(text.decode(), newline="")))
    assert by_python[0] == list(DEFAULT_COLUMNS)
    texts = expected.select(["host", "message"]).to_pylist()
    where = [DEFAULT_COLUMNS.index(name) for name in ("host", "message")]
    assert [[row[k] for k in where] for row in by_python[1:]] == [
        [row["host"] or "", row["message"] or ""] for row in texts
    ]
