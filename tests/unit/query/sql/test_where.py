"""Conditions that a WHERE implies, from DuckDB's own trees."""

from __future__ import annotations

import json
from typing import Any

import pytest

from logsink.query.request import Between, ExactlyOneOf
from logsink.query.sql import where

duckdb = pytest.importorskip("duckdb")


def tree(statement: str) -> Any:
    (text,) = duckdb.connect().execute("SELECT json_serialize_sql($1::VARCHAR)", [statement]).fetchone()
    return json.loads(text)["statements"]


def literal(expression: Any, column: str) -> int | str | None:
    """The value of a literal as it stands, in the trees of DuckDB 1 and 2; a date is a number of microseconds here."""
    if "literal" in expression:
        kind, text = (expression["literal"].get(name) for name in ("kind", "text"))
        return int(text) if kind == "INTEGER" else text if kind == "STRING" else None
    value: dict[str, Any] = expression.get("value", {})
    return None if value.get("is_null", True) else value["value"]


def implied(condition: str, table: str = "logs") -> set[Any]:
    return set(where.conditions(tree(f"SELECT message FROM {table} WHERE {condition}"), literal))


def between(column: str, low: int | None, high: int | None) -> set[Any]:
    return {Between(column, low, high)}


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("severity = 3", between("severity", 3, 4)),
        ("severity < 3", between("severity", None, 3)),
        ("severity <= 3", between("severity", None, 4)),
        ("severity > 3", between("severity", 4, None)),
        ("3 < severity", between("severity", 4, None)),
        ("3 >= severity", between("severity", None, 4)),
        ("severity BETWEEN 2 AND 4", between("severity", 2, 5)),
        ("severity IN (2, 4)", between("severity", 2, 5)),
        ("severity = 2 OR severity = 4", between("severity", 2, 5)),
        ("severity > 2 AND severity < 4", between("severity", 3, 4)),
        ("date = 0", between("received", 0, 86_400_000_000)),
        ("date <= 0", between("received", None, 86_400_000_000)),
        ("date > 0", between("received", 86_400_000_000, None)),
        ("host = 'b' OR host = 'a'", {ExactlyOneOf("host", ("a", "b"))}),
        ("host IN ('a', 'b') AND host IN ('b', 'c')", {ExactlyOneOf("host", ("b",))}),
        ("host = 'a' AND message LIKE '%x%'", {ExactlyOneOf("host", ("a",))}),
        ("host = 'a' AND severity < 3", {ExactlyOneOf("host", ("a",)), Between("severity", None, 3)}),
    ],
)
def test_what_is_understood(condition: str, expected: set[Any]) -> None:
    assert implied(condition) == expected


@pytest.mark.parametrize(
    "condition",
    [
        "severity = 3 OR message = 'x'",
        "host = 'a' OR app = 'b'",
        "NOT severity = 3",
        "severity <> 3",
        "severity + 1 = 3",
        "severity = nth",
        "severity = random()",
        "severity = NULL",
        "severity IN (2, nth)",
        "host < 'a'",
        "lower(host) = 'a'",
        "nth = 3",
        "severity = (SELECT max(severity) FROM logs)",
    ],
)
def test_what_implies_nothing(condition: str) -> None:
    assert implied(condition) == set()


@pytest.mark.parametrize("table", ["logs AS l", "logs l JOIN logs r ON l.time = r.time", "logs l, logs r"])
def test_all_references_read_the_same_rows(table: str) -> None:
    alone = table == "logs AS l"
    assert implied("l.severity < 3", table) == (between("severity", None, 3) if alone else set())
    if not alone:
        assert implied("l.severity < 3 AND r.severity < 5", table) == between("severity", None, 5)


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM logs",
        "SELECT * FROM logs l(a, b) WHERE severity < 3",
        "SELECT * FROM logs TABLESAMPLE 10% WHERE severity < 3",
        "SELECT * FROM logs l LEFT JOIN logs r USING (time) WHERE l.severity < 3",
        "SELECT * FROM logs l ASOF JOIN logs r ON l.host = r.host AND l.time >= r.time WHERE l.severity < 3 AND r.severity < 3",
        "SELECT * FROM query('SELECT 1'), logs WHERE severity < 3",
        "SELECT * FROM logs WHERE severity < 3 UNION ALL SELECT * FROM logs",
    ],
)
def test_statements_that_need_all_rows(statement: str) -> None:
    assert where.conditions(tree(statement), literal) == ()


def test_a_tree_of_another_shape_implies_nothing() -> None:
    assert where.conditions([{"node": {"type": "SELECT_NODE", "from_table": "logs"}}], literal) == ()
    assert where.conditions([], literal) == ()


def test_names_of_columns() -> None:
    statement = "SELECT l.Host, date FROM logs l JOIN logs r USING (time)"
    assert {"host", "date", "time"} <= where.columns(tree(statement))
    assert "message" not in where.columns(tree(statement))
