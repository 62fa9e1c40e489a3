"""Statements on DuckDB, over rows that are given."""

from __future__ import annotations

import datetime as dt
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest

from logsink.errors import ArgumentError, ConfigError, Moved, Unavailable
from logsink.parse import FILE_SCHEMA
from logsink.query import Between, Filter, Query
from logsink.query.sql import ATTEMPTS, engine, run

pytest.importorskip("duckdb")

ROWS = [{"host": "a", "severity": 1, "message": "one"}, {"host": "b", "severity": 3, "message": "two"}]


class Source:
    """Rows of an archive that can be read, and the queries for them."""

    def __init__(self, *before: Callable[[], None]) -> None:
        self.queries: list[Query] = []
        self._before = list(before)

    def read(self, query: Query, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        self.queries.append(query)
        if self._before:
            self._before.pop(0)()
        rows = [{name: row.get(name) for name in schema.names} for row in ROWS]
        yield pa.RecordBatch.from_pylist(rows, schema=schema)

    def run(self, statement: str, zone: dt.tzinfo = dt.UTC) -> list[dict[str, object]]:
        found = run(statement, Filter(), zone, self.read, lambda result: result.read_all(), restartable=True)
        return list(found.to_pylist())


def moved() -> None:
    raise Moved("gone")


def test_only_what_a_statement_needs_is_read() -> None:
    source = Source()
    assert source.run("SELECT message FROM logs WHERE severity <= 2") == [{"message": "one"}]
    (query,) = source.queries
    assert query.columns == ("severity", "message")
    assert query.filter.conditions == (Between("severity", None, 3),)


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("SELECT count(DISTINCT l) AS n FROM logs l", 2),
        ("SELECT count(DISTINCT x) AS n FROM (FROM logs) x", 2),
        ("SELECT count(*) AS n FROM (SELECT DISTINCT unnest([l]) FROM logs AS l)", 2),
        ("SELECT count(*) AS n FROM (TABLE logs INTERSECT TABLE logs)", 2),
        ("SELECT count(*) AS n FROM (FROM logs UNION FROM logs)", 2),
        ("SELECT count(DISTINCT x) AS n FROM query_table('logs') x", 2),
        ("SELECT count(host) AS n FROM (PIVOT logs ON severity USING count(*))", 2),
        ("SELECT count(#12) AS n FROM logs", 2),  # the message
        ("SELECT count(twelfth) AS n FROM logs l(a, b, c, d, e, f, g, h, i, j, k, twelfth)", 2),
    ],
)
def test_columns_that_are_used_without_their_names_are_read(statement: str, found: int) -> None:
    source = Source()
    assert source.run(statement) == [{"n": found}]
    assert source.queries[0].columns == tuple(FILE_SCHEMA.names)


def test_rows_are_read_once_for_all_rounds_of_a_recursion() -> None:
    source = Source()
    rounds = "SELECT 1 AS n UNION ALL SELECT n + 1 FROM r, (SELECT count(*) FROM logs) WHERE n < 3"
    assert source.run(f"WITH RECURSIVE r AS ({rounds}) SELECT max(n) AS n FROM r") == [{"n": 3}]
    assert len(source.queries) == 1


def test_a_constant_without_a_value_is_named() -> None:
    with pytest.raises(ArgumentError, match='Conversion Error: invalid timestamp field format: "yesterday"'):
        Source().run("SELECT count(*) AS n FROM logs WHERE time > 'yesterday'")


def test_rows_are_kept_for_a_statement_that_names_them_twice() -> None:
    source = Source()
    statement = "SELECT count(*) AS n FROM logs WHERE severity = (SELECT max(severity) FROM logs)"
    assert source.run(statement) == [{"n": 1}]
    assert len(source.queries) == 1


def test_the_zone_is_the_sessions() -> None:
    assert Source().run("SELECT current_setting('TimeZone') AS z", ZoneInfo("Asia/Tokyo")) == [{"z": "Asia/Tokyo"}]


def test_it_runs_again_when_objects_were_removed() -> None:
    source = Source(moved, moved)
    assert source.run("SELECT count(*) AS n FROM logs") == [{"n": 2}]
    assert len(source.queries) == 3


@pytest.mark.parametrize("restartable", [False, True])
def test_rows_that_were_taken_are_not_given_again_unless_that_is_possible(restartable: bool) -> None:
    """A large result is taken while the rows for it are read."""
    reads: list[Query] = []

    def read(query: Query, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        reads.append(query)
        for _ in range(20):
            yield pa.record_batch([pa.array([1] * 200_000, schema.field(0).type)], schema=schema)
        if len(reads) == 1:
            raise Moved("gone")

    def count(result: pa.RecordBatchReader) -> int:
        return sum(batch.num_rows for batch in result)

    if restartable:
        assert run("SELECT severity FROM logs", Filter(), dt.UTC, read, count, restartable=True) == 4_000_000
    else:
        with pytest.raises(Unavailable, match="cannot finish this result: objects were removed while it was read"):
            run("SELECT severity FROM logs", Filter(), dt.UTC, read, count)
    assert len(reads) == 1 + restartable


def test_it_gives_up_in_the_end() -> None:
    with pytest.raises(Unavailable, match="objects were removed 5 times over"):
        Source(*[moved] * ATTEMPTS).run("SELECT count(*) FROM logs")


@pytest.mark.parametrize("error", [Unavailable, KeyboardInterrupt])
def test_errors_of_reading_are_raised_as_they_are(error: type[BaseException]) -> None:
    def fail() -> None:
        raise error("no network")

    with pytest.raises(error, match="no network"):
        Source(fail).run("SELECT count(*) FROM logs")


@pytest.mark.parametrize(
    ("statement", "cause"),
    [
        ("SELECT nothing FROM logs", "cannot run this SQL: Binder Error"),
        ("SELEC", "cannot run this SQL: Parser Error"),
        ("SELECT 1; SELECT 2", "2 statements"),
        ("", "0 statements"),
        ("DROP TABLE logs", "cannot run DROP: SQL here only reads"),
        ("EXPLAIN INSERT INTO logs VALUES (1)", "cannot run EXPLAIN|cannot run INSERT"),
        ("SELECT * FROM '/etc/passwd'", "cannot run this SQL"),
    ],
)
def test_statements_that_are_refused(statement: str, cause: str) -> None:
    with pytest.raises(ArgumentError, match=cause) as caught:
        Source().run(statement)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("statement", "hint"),
    [
        ("SELECT hostt FROM logs", "did you mean host?"),
        ("SELECT nothing FROM logs", "columns are time, received, "),
        ('SELECT host FROM logs WHERE app = "sshd"', "a text is in single quotes: 'sshd'"),
        ("SELECT host, count(*) FROM logs", "either add it to the GROUP BY list"),
        ("SELECT lenght(host) FROM logs", "did you mean length?"),
        ("SELEC 1", "write SQL of DuckDB, such as SELECT host"),
        ("SELECT * FROM '/etc/passwd'", "write SELECT ... FROM logs"),
    ],
)
def test_what_to_write_instead(statement: str, hint: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        Source().run(statement)
    assert caught.value.hint.startswith(hint)


def test_a_zone_of_the_machine_that_duckdb_does_not_know_is_refused() -> None:
    class Odd(dt.tzinfo):
        def utcoffset(self, when: dt.datetime | None) -> dt.timedelta:
            return dt.timedelta(hours=3, minutes=17)

    with pytest.raises(ArgumentError, match=r"DuckDB takes .* for the time zone of this machine") as caught:
        run("SELECT 1", Filter(), Odd(), lambda query, schema: iter(()), lambda result: result.read_all())
    assert "--utc" in caught.value.hint


def test_explain_is_only_a_plan() -> None:
    assert Source().run("EXPLAIN SELECT count(*) FROM logs")


def test_without_duckdb(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(ConfigError, match="DuckDB is not installed"):
        Source().run("SELECT 1")


@pytest.mark.parametrize("statement", ["SELECT count(*) FROM range(1000000000000)", "SELECT count(*) FROM logs"])
def test_an_interrupt_ends_a_statement_that_runs(statement: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """DuckDB looks for none, neither while it calculates nor while it waits for rows."""
    stopped, aside = threading.Event(), engine._aside
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))

    def begun(*arguments: Any) -> Any:
        if not timer.is_alive():
            timer.start()
        return aside(*arguments)

    monkeypatch.setattr(engine, "_aside", begun)

    def read(query: Query, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        stopped.wait()
        raise KeyboardInterrupt
        yield

    with pytest.raises(KeyboardInterrupt):
        run(statement, Filter(), dt.UTC, read, lambda result: result.read_all(), stopped=stopped)
    assert stopped.is_set()
