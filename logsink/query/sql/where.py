"""What the ``WHERE`` of a SQL statement says of the rows of ``logs``, as conditions that choose what is read.

DuckDB parses the statement (``json_serialize_sql``); here its tree is read. The conditions may leave in more rows than the
statement wants, as it filters them again, and never leave out one that it wants. So only what is certain counts: comparisons of
a column itself with a constant, joined by AND and OR, in the WHERE of a SELECT straight from ``logs``. Of several references to
``logs`` the widest range of all counts; one without a WHERE says that everything is needed. Whatever is not known here, such as
the tree of a later version of DuckDB, says nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from logsink.query.request.conditions import Between, ExactlyOneOf
from logsink.query.request.filters import Condition

Tree = Any
"""A part of DuckDB's tree: dicts, lists and scalars."""

Constant = Callable[[Tree, str], int | str | None]
"""The value of an expression without columns as it is compared with a column: times in microseconds since the epoch, dates as
their beginning in UTC. None where that is unknown or NULL."""

DAY: Final = 86_400_000_000
MOST: Final = 1 << 58
"""Microseconds since the epoch beyond which a time is not understood: about the year 11,000, and infinity."""

COLUMNS: Final = ("time", "received", "date", "severity", "host", "app")
"""Columns whose conditions are understood."""

_FLIPPED: Final = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "=": "="}
_COMPARISONS: Final = {
    "COMPARE_EQUAL": "=",
    "COMPARE_LESSTHAN": "<",
    "COMPARE_LESSTHANOREQUALTO": "<=",
    "COMPARE_GREATERTHAN": ">",
    "COMPARE_GREATERTHANOREQUALTO": ">=",
}
_STEADY: Final = {
    *(
        "+",
        "-",
        "*",
        "trunc",
        "now",
        "current_timestamp",
        "get_current_timestamp",
        "today",
        "current_date",
        "date_trunc",
    ),
    *("make_date", "make_timestamp", "make_timestamptz", "to_timestamp", "timezone", "epoch_ms", "strptime"),
    *("to_years", "to_months", "to_weeks", "to_days", "to_hours", "to_minutes", "to_seconds", "to_milliseconds"),
}
"""Functions that give the same value throughout a transaction."""


class Range(NamedTuple):
    """Numbers in ``[low, high)``; None is open."""

    low: int | None = None
    high: int | None = None

    def both(self, other: Range) -> Range:
        lows = [low for low in (self.low, other.low) if low is not None]
        highs = [high for high in (self.high, other.high) if high is not None]
        return Range(max(lows, default=None), min(highs, default=None))

    def either(self, other: Range) -> Range:
        low = None if self.low is None or other.low is None else min(self.low, other.low)
        return Range(low, None if self.high is None or other.high is None else max(self.high, other.high))


class Values(frozenset[str]):
    """One of these strings."""

    def both(self, other: Values) -> Values:
        return Values(self & other)

    def either(self, other: Values) -> Values:
        return Values(self | other)


Limits = Mapping[str, Any]
"""By column a ``Range`` or ``Values``: rows outside are not wanted. A column that is not there is not limited."""


def conditions(tree: Tree, constant: Constant) -> tuple[Condition, ...]:
    """What a row of ``logs`` must meet to be wanted by the statement."""
    limits = _needed(tree, constant)
    if limits is None:
        return ()
    found: list[Condition] = []
    for column, limit in limits.items():
        if isinstance(limit, Values):
            found.append(ExactlyOneOf(column, tuple(sorted(limit))))
        elif limit != Range():
            found.append(Between("received" if column == "date" else column, *limit))
    return tuple(found)


def columns(tree: Tree) -> set[str]:
    """The words that name columns in the statement, in lower case."""
    return {
        str(name).lower()
        for part in _parts(tree)
        if part.get("class") == "COLUMN_REF" or part.get("using_columns")
        for name in (*part.get("column_names", ()), *part.get("using_columns", ()))
    }


def _needed(tree: Tree, constant: Constant) -> Limits | None:
    """The widest limits of all references to ``logs``; None where one is not understood."""
    references = 0
    for part in _parts(tree):
        function = part.get("function") if part.get("type") == "TABLE_FUNCTION" else None
        if function is not None and str(function.get("function_name", "")).lower().startswith("query"):
            return None  # names tables in strings
        references += _is_logs(part)
    widest: Limits | None = None
    for part in _parts(tree):
        if part.get("type") != "SELECT_NODE" or part.get("sample"):
            continue
        sources = list(_sources(part.get("from_table")))
        alone = len(sources) == 1
        for source in sources:
            if _is_logs(source) and not source.get("sample") and not source.get("column_name_alias"):
                references -= 1
                name = str(source.get("alias") or "logs").lower()
                limits = _limits(part.get("where_clause"), _Columns(name, alone), constant)
                widest = limits if widest is None else _either(widest, limits)
    return widest if references == 0 else None


def _parts(tree: Tree) -> Iterator[dict[str, Any]]:
    """Every node of the tree."""
    left = [tree]
    while left:
        part = left.pop()
        if isinstance(part, dict):
            yield part
            left.extend(part.values())
        elif isinstance(part, list):
            left.extend(part)


def _is_logs(part: Mapping[str, Any]) -> bool:
    return part.get("type") == "BASE_TABLE" and str(part.get("table_name", "")).lower() in ("logs", "rows")


def _sources(table: Tree) -> Iterator[dict[str, Any]]:
    """The tables that a FROM joins, where a condition of the WHERE on one of them may be looked at before joining."""
    if not isinstance(table, dict) or table.get("sample"):
        return
    if table.get("type") != "JOIN":
        yield table
    elif table.get("ref_type") in ("REGULAR", "CROSS", "NATURAL") and table.get("join_type") == "INNER":
        yield from _sources(table.get("left"))
        yield from _sources(table.get("right"))
    else:  # such as ASOF, which takes the nearest row
        yield table


class _Columns(NamedTuple):
    """How the columns of a reference to ``logs`` are named."""

    table: str
    alone: bool

    def name(self, part: Tree) -> str | None:
        """The column that an expression is, if it is one of ``COLUMNS``."""
        if not isinstance(part, dict) or part.get("class") != "COLUMN_REF":
            return None
        names = [str(name).lower() for name in part.get("column_names", ())]
        if (len(names) == 2 and names[0] == self.table) or (len(names) == 1 and self.alone):
            return names[-1] if names[-1] in COLUMNS else None
        return None


def _limits(part: Tree, known: _Columns, constant: Constant) -> Limits:
    """What an expression says of the rows for which it is true."""
    kind = part.get("type") if isinstance(part, dict) else None
    if kind in ("CONJUNCTION_AND", "CONJUNCTION_OR"):
        join = _both if kind == "CONJUNCTION_AND" else _either
        each = [_limits(child, known, constant) for child in part.get("children", ())]
        found = each[0] if each else {}
        for limits in each[1:]:
            found = join(found, limits)
        return found
    if kind in _COMPARISONS:
        left, right = part.get("left"), part.get("right")
        if column := known.name(left):
            return _limit(column, _COMPARISONS[kind], right, constant)
        if column := known.name(right):
            return _limit(column, _FLIPPED[_COMPARISONS[kind]], left, constant)
    if kind == "COMPARE_BETWEEN" and (column := known.name(part.get("input"))):
        return _both(
            _limit(column, ">=", part.get("lower"), constant), _limit(column, "<=", part.get("upper"), constant)
        )
    if kind == "COMPARE_IN" and (children := _operands(part)) and (column := known.name(children[0])):
        each = [_limit(column, "=", value, constant) for value in children[1:]]
        if len(each) and all(each):
            found = each[0]
            for limits in each[1:]:
                found = _either(found, limits)
            return found
    return {}


def _operands(part: Mapping[str, Any]) -> Sequence[Tree]:
    """What an operator is applied to; in DuckDB 2 each stands in an object of its own."""
    return [
        child["expression"] if isinstance(child, dict) and isinstance(child.get("expression"), dict) else child
        for child in part.get("children") or part.get("arguments") or ()
    ]


def _both(one: Limits, other: Limits) -> Limits:
    return {
        column: one[column].both(other[column]) if column in one and column in other else (one | other)[column]  # type: ignore[operator]
        for column in (*one, *other)
    }


def _either(one: Limits, other: Limits) -> Limits:
    return {column: one[column].either(other[column]) for column in one if column in other}


def _limit(column: str, how: str, value: Tree, constant: Constant) -> Limits:
    """What the comparison of a column with a constant says."""
    if not _steady(value):
        return {}
    found = constant(value, column)
    if found is None:
        return {}
    if isinstance(found, str):
        return {column: Values((found,))} if how == "=" else {}
    low, step = found, DAY if column == "date" else 1
    ranges = {
        "=": Range(low, low + step),
        "<": Range(None, low),
        "<=": Range(None, low + step),
        ">": Range(low + step, None),
        ">=": Range(low, None),
    }
    return {column: ranges[how]}


def _steady(value: Tree) -> bool:
    """Whether an expression is a constant for the time of a transaction."""
    for part in _parts(value):
        kind = part.get("class")
        if kind == "FUNCTION" and str(part.get("function_name", "")).lower() not in _STEADY:
            return False
        if kind == "COLUMN_REF" and part.get("column_names") in (["current_timestamp"], ["current_date"]):
            continue  # functions that are written without parentheses
        if kind in ("COLUMN_REF", "SUBQUERY", "PARAMETER", "WINDOW", "STAR", "LAMBDA", "POSITIONAL_REFERENCE"):
            return False
    return True
