"""Conditions on rows that the ``WHERE`` of a SQL statement implies: with them fewer files are read.

DuckDB parses the statement (``json_serialize_sql``), and this module reads its tree. Then DuckDB filters the rows that are read
by the whole WHERE. So it is safe to find fewer conditions than the WHERE has: more rows are read, and the result is the same. A
condition that the WHERE does not imply would lose rows. That is why everything that is not listed here, such as the tree of a
later version of DuckDB, implies nothing.

Understood, in the WHERE of a SELECT from ``logs``, with or without an alias, alone or in an inner join:

- ``column = constant``, ``<``, ``<=``, ``>``, ``>=``, either way round, ``BETWEEN`` and ``IN``, for ``time``, ``received``,
  ``date`` and ``severity``; ``=`` and ``IN`` for ``host`` and ``app``. The column stands alone, without a function or cast.
- A constant is a literal, or an expression of literals and functions that has one value throughout a transaction, such as
  ``now() - INTERVAL 1 HOUR``. DuckDB calculates it, in the session's time zone.
- ``AND`` implies what any part implies. A part that is not understood is ignored: the others must hold all the same.
- ``OR`` implies what all parts imply together, and nothing if a part is not understood: that part may be true of any row.

All references to ``logs`` read the same rows, so that the widest range counts. One reference without a WHERE, or one that is
not understood (sampled, in an outer or ASOF join, with renamed columns, named in a string), needs all rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from logsink.query.request import Between, Condition, ExactlyOneOf

Tree = Any
"""A part of DuckDB's tree: dicts, lists and scalars."""

Constant = Callable[[Tree, str], int | str | None]
"""Returns the value of an expression without columns as DuckDB compares it with the column of a name: times in microseconds
since 1970, dates as their beginning in UTC. None where that is unknown, or NULL."""

FARTHEST: Final = 1 << 58
"""Microseconds before or after 1970 beyond which a time is not understood: about 9,000 years. So is infinity."""

_COLUMNS: Final = ("time", "received", "date", "severity", "host", "app")
"""Columns whose conditions are understood."""

_DAY: Final = 86_400_000_000
"""Microseconds of a day."""

_MIRRORED: Final = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "=": "="}
_COMPARISONS: Final = {
    "COMPARE_EQUAL": "=",
    "COMPARE_LESSTHAN": "<",
    "COMPARE_LESSTHANOREQUALTO": "<=",
    "COMPARE_GREATERTHAN": ">",
    "COMPARE_GREATERTHANOREQUALTO": ">=",
}
_FIXED_FUNCTIONS: Final = {
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
    """Numbers from ``low`` on and below ``high``; None for no limit."""

    low: int | None = None
    high: int | None = None

    def intersection(self, other: Range) -> Range:
        """Return the numbers that are in both ranges."""
        lows = [low for low in (self.low, other.low) if low is not None]
        highs = [high for high in (self.high, other.high) if high is not None]
        return Range(max(lows, default=None), min(highs, default=None))

    def hull(self, other: Range) -> Range:
        """Return the narrowest range that has the numbers of both."""
        low = None if self.low is None or other.low is None else min(self.low, other.low)
        return Range(low, None if self.high is None or other.high is None else max(self.high, other.high))


class Values(NamedTuple):
    """One of these strings."""

    texts: frozenset[str]

    def intersection(self, other: Values) -> Values:
        """Return the strings that are in both."""
        return Values(self.texts & other.texts)

    def hull(self, other: Values) -> Values:
        """Return the strings of both."""
        return Values(self.texts | other.texts)


Limits = Mapping[str, Any]
"""Column -> ``Range``, or ``Values`` for ``host`` and ``app``: rows with other values are not needed. A column that is missing
has no limit."""


def conditions(tree: Tree, constant: Constant) -> tuple[Condition, ...]:
    """Return conditions that every row meets which the statement ``tree`` needs of ``logs``; none if it may need any row."""
    limits = _widest_limits(tree, constant)
    if limits is None:
        return ()
    found: list[Condition] = []
    for column, limit in limits.items():
        if isinstance(limit, Values):
            found.append(ExactlyOneOf(column, tuple(sorted(limit.texts))))
        elif limit != Range():
            found.append(Between("received" if column == "date" else column, *limit))
    return tuple(found)


def columns(tree: Tree) -> set[str]:
    """Return the words of the statement that name columns, in lower case."""
    return {
        str(name).lower()
        for part in _parts(tree)
        if part.get("class") == "COLUMN_REF" or part.get("using_columns")
        for name in (*part.get("column_names", ()), *part.get("using_columns", ()))
    }


def needs_all_columns(tree: Tree) -> bool:
    """Return whether the statement may use columns that it does not name.

    It does so by a star, which need not be written (``FROM logs``), by the numbers or other names of columns, by a pivot, whose
    groups are made of all columns left, by tables that are named in strings, and where it names a table as a value: its rows.
    """
    tables, named = set[str](), set[str]()
    for part in _parts(tree):
        kind, klass = part.get("type"), part.get("class")
        if klass in ("STAR", "POSITIONAL_REFERENCE") or kind == "PIVOT" or part.get("column_name_alias"):
            return True
        if kind == "TABLE_FUNCTION" and _names_tables(part):
            return True
        if klass == "COLUMN_REF":
            named.update(str(name).lower() for name in (part.get("column_names") or ())[-1:])
        elif klass is None:
            tables.add(str(part.get("alias") or part.get("table_name") or "").lower())
    return bool(tables & named)


def _names_tables(function: Mapping[str, Any]) -> bool:
    """Return whether a table function is ``query()`` or ``query_table()``, which name tables in strings."""
    return str((function.get("function") or {}).get("function_name", "")).lower().startswith("query")


def _widest_limits(tree: Tree, constant: Constant) -> Limits | None:
    """Return limits that hold for all references to ``logs``; None where a reference is not understood."""
    references = 0
    for part in _parts(tree):
        if part.get("type") == "TABLE_FUNCTION" and _names_tables(part):
            return None
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
                limits = _limits(part.get("where_clause"), _Reference(name, alone), constant)
                widest = limits if widest is None else _either(widest, limits)
    return widest if references == 0 else None


def _parts(tree: Tree) -> Iterator[dict[str, Any]]:
    """Yield every node of the tree."""
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
    """Yield the tables of a FROM whose rows may be filtered by the WHERE before they are joined."""
    if not isinstance(table, dict) or table.get("sample"):
        return
    if table.get("type") != "JOIN":
        yield table
    elif table.get("ref_type") in ("REGULAR", "CROSS", "NATURAL") and table.get("join_type") == "INNER":
        yield from _sources(table.get("left"))
        yield from _sources(table.get("right"))
    else:  # such as ASOF, where a row that the WHERE leaves out may be the nearest one
        yield table


class _Reference(NamedTuple):
    """A reference to ``logs`` in a FROM."""

    alias: str
    """Name before the dot of its columns, in lower case."""
    alone: bool
    """Whether it is the only table there, so that its columns may stand without that name."""

    def column(self, part: Tree) -> str | None:
        """Return the column that an expression is, if it is one of ``_COLUMNS`` of this reference."""
        if not isinstance(part, dict) or part.get("class") != "COLUMN_REF":
            return None
        names = [str(name).lower() for name in part.get("column_names", ())]
        if (len(names) == 2 and names[0] == self.alias) or (len(names) == 1 and self.alone):
            return names[-1] if names[-1] in _COLUMNS else None
        return None


def _limits(part: Tree, logs: _Reference, constant: Constant) -> Limits:
    """Return limits that every row of ``logs`` keeps for which the condition ``part`` is true; none if it is not understood."""
    kind = part.get("type") if isinstance(part, dict) else None
    if kind in ("CONJUNCTION_AND", "CONJUNCTION_OR"):
        join = _both if kind == "CONJUNCTION_AND" else _either
        each = [_limits(child, logs, constant) for child in part.get("children", ())]
        found = each[0] if each else {}
        for limits in each[1:]:
            found = join(found, limits)
        return found
    if kind in _COMPARISONS:
        left, right = part.get("left"), part.get("right")
        if column := logs.column(left):
            return _limit(column, _COMPARISONS[kind], right, constant)
        if column := logs.column(right):
            return _limit(column, _MIRRORED[_COMPARISONS[kind]], left, constant)
    if kind == "COMPARE_BETWEEN" and (column := logs.column(part.get("input"))):
        return _both(
            _limit(column, ">=", part.get("lower"), constant), _limit(column, "<=", part.get("upper"), constant)
        )
    if kind == "COMPARE_IN" and (children := _operands(part)) and (column := logs.column(children[0])):
        each = [_limit(column, "=", value, constant) for value in children[1:]]
        if len(each) and all(each):
            found = each[0]
            for limits in each[1:]:
                found = _either(found, limits)
            return found
    return {}


def _operands(part: Mapping[str, Any]) -> Sequence[Tree]:
    """Return what an operator is applied to; DuckDB 2 has each operand in an object of its own."""
    return [
        child["expression"] if isinstance(child, dict) and isinstance(child.get("expression"), dict) else child
        for child in part.get("children") or part.get("arguments") or ()
    ]


def _both(one: Limits, other: Limits) -> Limits:
    """Return the limits of rows that keep both."""
    return {
        column: one[column].intersection(other[column]) if column in one and column in other else (one | other)[column]  # type: ignore[operator]
        for column in (*one, *other)
    }


def _either(one: Limits, other: Limits) -> Limits:
    """Return limits of rows that keep the one or the other."""
    return {column: one[column].hull(other[column]) for column in one if column in other}


def _limit(column: str, comparison: str, value: Tree, constant: Constant) -> Limits:
    """Return the limit that a comparison (``=``, ``<``, ...) of a column with a value implies."""
    if not _is_fixed(value):
        return {}
    found = constant(value, column)
    if found is None:
        return {}
    if isinstance(found, str):
        return {column: Values(frozenset((found,)))} if comparison == "=" else {}
    low, step = found, _DAY if column == "date" else 1
    ranges = {
        "=": Range(low, low + step),
        "<": Range(None, low),
        "<=": Range(None, low + step),
        ">": Range(low + step, None),
        ">=": Range(low, None),
    }
    return {column: ranges[comparison]}


def _is_fixed(value: Tree) -> bool:
    """Return whether an expression has one value, and the same throughout a transaction."""
    for part in _parts(value):
        kind = part.get("class")
        if kind == "FUNCTION" and str(part.get("function_name", "")).lower() not in _FIXED_FUNCTIONS:
            return False
        if kind == "COLUMN_REF" and part.get("column_names") in (["current_timestamp"], ["current_date"]):
            continue  # functions that are written without parentheses
        if kind in ("COLUMN_REF", "SUBQUERY", "PARAMETER", "WINDOW", "STAR", "LAMBDA", "POSITIONAL_REFERENCE"):
            return False
    return True
