"""What the WHERE of a SQL statement lets be left unread: results are those of a statement that reads everything."""

from __future__ import annotations

import datetime as dt
import zoneinfo
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logsink.parse import FILE_SCHEMA
from logsink.query import Query
from logsink.query.request.filters import Filter
from logsink.query.sql import engine as sql
from tests.unit.query.archives import row, table

duckdb = pytest.importorskip("duckdb")

HOUR = 3_600_000_000
ROWS = table(
    [
        row(
            n * HOUR,
            received=1_795_305_600_000_000 + (n + n % 3) * HOUR,
            host=None if n % 11 == 0 else f"web{n % 4}",
            app="ab"[n % 2],
            severity=None if n % 13 == 0 else n % 8,
            message=f"m{n}",
        )
        for n in range(72)
    ]
)


def run(statement: str, zone: dt.tzinfo = dt.UTC, *, push: bool = True) -> tuple[list[Any], int, Query]:
    """The result, how many rows were read for it, and the query."""
    asked: list[tuple[Query, int]] = []

    def read(query: Query, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        rows = ROWS.filter(pa.array(query.filter.mask(ROWS.combine_chunks()))) if push else ROWS
        asked.append((query, rows.num_rows))
        yield from rows.select(schema.names).cast(schema).to_batches() or [pa.RecordBatch.from_pylist([], schema)]

    found = sql.run(statement, Filter(), zone, read, lambda reader: reader.read_all())
    return sorted(map(repr, found.to_pylist())), asked[-1][1], asked[-1][0]


DAY = "2026-11-23"
_VALUES = {
    "time": (
        "'2026-11-23 05:00'",
        "TIMESTAMP '2026-11-22 20:00'",
        "DATE '2026-11-23'",
        "now() - INTERVAL 1 DAY",
        "NULL",
    ),
    "received": (
        "'2026-11-23T05:00:00+02:00'",
        "TIMESTAMPTZ '2026-11-24 00:00:00Z'",
        "current_date",
        "current_timestamp",
    ),
    "date": ("'2026-11-23'", "DATE '2026-11-24'", "TIMESTAMP '2026-11-23 12:00'", "current_date"),
    "severity": ("3", "-1", "3.5", "'4'", "2 + 2", "NULL"),
    "host": ("'web1'", "'web2'", "'WEB1'", "7::VARCHAR"),
    "app": ("'a'", "'c'", "host"),
}


@st.composite
def comparisons(draw: st.DrawFn, prefix: str) -> str:
    column = draw(st.sampled_from(sorted(_VALUES)))
    value, other = (draw(st.sampled_from(_VALUES[column])) for _ in range(2))
    value, other = (prefix + v if v == "host" else v for v in (value, other))
    name = prefix + column
    how = draw(st.sampled_from(("=", "<", "<=", ">", ">=", "<>", "flipped", "between", "in", "null", "like")))
    return {
        "flipped": f"{value} >= {name}",
        "between": f"{name} BETWEEN {value} AND {other}",
        "in": f"{name} IN ({value}, {other})",
        "null": f"{name} IS NULL",
        "like": f"CAST({name} AS VARCHAR) LIKE '%2%'",
    }.get(how, f"{name} {how} {value}")


def wheres(prefix: str = "") -> st.SearchStrategy[str]:
    return st.recursive(
        comparisons(prefix),
        lambda inner: st.one_of(
            st.tuples(inner, st.sampled_from(("AND", "OR")), inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
            inner.map(lambda one: f"NOT {one}"),
        ),
        max_leaves=5,
    )


_SHAPES = (
    "SELECT message FROM logs WHERE {0}",
    "SELECT host AS app, 3 AS severity, message FROM logs AS l WHERE {1}",
    "SELECT count(*), date FROM logs WHERE {0} GROUP BY date",
    "WITH logs AS (SELECT * FROM logs l WHERE {1}) SELECT message FROM logs WHERE {0}",
    "WITH a AS (SELECT * FROM logs WHERE {0}) SELECT a.message, l.message FROM a JOIN logs l ON a.time = l.time WHERE {1}",
    "SELECT message FROM logs WHERE {0} AND message IN (SELECT message FROM logs AS l WHERE {1})",
    "SELECT message FROM logs WHERE {0} UNION ALL SELECT message FROM logs AS l WHERE {1}",
    "SELECT l.message, r.message FROM logs l LEFT JOIN logs r ON r.time = l.time + INTERVAL 1 HOUR WHERE {1}",
    "SELECT l.message, r.message FROM logs r LEFT JOIN logs l ON r.time = l.time + INTERVAL 1 HOUR WHERE {1}",
    "SELECT r.message, l.message FROM logs r ASOF JOIN logs l ON r.host = l.host AND r.time > l.time WHERE {1}",
    "SELECT message, (SELECT count(*) FROM logs l WHERE {1} AND l.host = logs.host) FROM logs WHERE {0}",
    "SELECT message FROM (SELECT message, severity AS nth, 1 AS severity FROM logs WHERE {0}) WHERE severity = 1",
    "SELECT message FROM logs AS l(received, time) WHERE severity < 9",
    "SELECT message FROM query_table('logs') WHERE {0}",
    "SELECT message FROM logs WHERE {0} EXCEPT SELECT message FROM logs",
    "SELECT message, row_number() OVER (ORDER BY time) FROM logs WHERE {0} QUALIFY row_number() OVER (ORDER BY time) < 5",
)


def outcome(statement: str, zone: dt.tzinfo, *, push: bool) -> Any:
    try:
        return run(statement, zone, push=push)[0]
    except Exception as error:  # noqa: BLE001  a statement that fails must fail in both ways
        return type(error)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(_SHAPES), wheres(), wheres("l."), st.sampled_from(("UTC", "Asia/Tokyo", "America/New_York")))
def test_results_are_those_of_reading_everything(shape: str, one: str, other: str, zone: str) -> None:
    statement = shape.format(one, other)
    key = zoneinfo.ZoneInfo(zone)
    assert outcome(statement, key, push=True) == outcome(statement, key, push=False), statement


@pytest.mark.parametrize("shape", _SHAPES)
def test_each_shape_runs(shape: str) -> None:
    assert (
        run(shape.format("severity <= 6", "l.severity <= 6" if "l(rec" not in shape else "true"))[0]
        or "EXCEPT" in shape
    )


@pytest.mark.parametrize(
    ("where", "most"),
    [
        ("time >= '2026-11-24 00:00'", 24),
        ("time >= TIMESTAMP '2026-11-24' AND time < TIMESTAMP '2026-11-24' + INTERVAL 1 HOUR", 1),
        ("received BETWEEN '2026-11-23' AND '2026-11-23 01:00'", 5),
        ("date = '2026-11-24'", 26),
        ("DATE '2026-11-24' <= date", 26),
        ("host = 'web1'", 18),
        ("host IN ('web1', 'web2') AND app = 'a'", 18),
        ("app = 'a' OR app = 'c'", 36),
        ("severity <= 1", 18),
        ("(severity = 1 OR severity = 2) AND time < '2026-11-22 10:00'", 4),
        ("time > now() + INTERVAL 100 YEAR", 0),
    ],
)
def test_only_what_it_wants_is_read(where: str, most: int) -> None:
    found, read, _ = run(f"SELECT message FROM logs WHERE {where}")
    assert len(found) <= read <= most


def test_times_are_in_the_zone_of_the_session() -> None:
    found, read, _ = run("SELECT message FROM logs WHERE time < '2026-11-22 10:00'", zoneinfo.ZoneInfo("Asia/Tokyo"))
    assert (found, read) == (["{'message': 'm0'}"], 1)


def test_date_is_made_of_received_in_utc() -> None:
    found, _, query = run("SELECT DISTINCT date FROM logs", zoneinfo.ZoneInfo("Asia/Tokyo"))
    assert len(found) == 4
    assert query.columns == ("received",)
    assert "received" not in run("SELECT message FROM logs WHERE time::DATE = DATE '2026-11-23'")[2].columns
    assert run("SELECT * FROM logs LIMIT 1")[2].columns == tuple(FILE_SCHEMA.names)
