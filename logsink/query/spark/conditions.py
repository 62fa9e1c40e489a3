"""Conditions of a filter as conditions of Spark SQL: ``compiled``.

A condition becomes a column of booleans, built by Spark's client, so that no text is quoted anywhere. Spark finds by it what
the condition finds here. Where that is not certain, because expressions of Java and Rust are not those of RE2, or because Spark
does not read JSON as ``--json`` does, the column only leaves out rows that cannot meet the condition, and ``rest`` has what is
still to be tested here.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from functools import reduce
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

import pyarrow as pa

from logsink.parse import FILE_SCHEMA
from logsink.query.request import (
    Between,
    Condition,
    ExactlyOneOf,
    Filter,
    Flagged,
    Holds,
    InSpans,
    Needles,
    Not,
    OneOf,
    OneOfNumbers,
    Parameter,
    literal_prefix,
    literal_texts,
)
from logsink.query.spark.expressions import portable

if TYPE_CHECKING:
    from pyspark.sql import Column

MOST_SPANS: Final = 256
"""Spans of time that are written one by one; of more, the first beginning and the last end."""

EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)

_FARTHEST: Final = 1 << 55
"""Microseconds before or after 1970 beyond which Python has no instant: about 1,140 years."""


class Compiled(NamedTuple):
    """``where``: what Spark is asked for; None: every row. ``rest``: what is to be tested of the rows that it gives."""

    where: Column | None
    rest: Filter


def compiled(filter: Filter) -> Compiled:
    """Return the conditions of a filter for Spark, and those that are left."""
    columns, rest = list[Any](), list[Condition]()
    for condition in filter.conditions:
        exact = _exact(condition)
        if exact is None:
            rest.append(condition)
            columns += _implied(condition)
        else:
            columns.append(exact)
    return Compiled(all_of(columns) if columns else None, Filter(tuple(rest)))


def all_of(columns: Sequence[Column]) -> Column:
    """Return the condition that all of these hold; there is at least one."""
    return reduce(lambda one, other: one & other, columns)


def any_of(columns: Sequence[Column]) -> Column:
    """Return the condition that one of these holds; there is at least one. Many become no deep tree."""
    if len(columns) <= 2:
        return reduce(lambda one, other: one | other, columns)
    middle = len(columns) // 2
    return any_of(columns[:middle]) | any_of(columns[middle:])


def instant(microseconds: int) -> dt.datetime:
    """Return an instant as Python has it."""
    return EPOCH + dt.timedelta(microseconds=microseconds)


def _exact(condition: Condition) -> Column | None:
    """Return the condition for Spark, true for the same rows, else false or null; None where there is none."""
    if isinstance(condition, Not):
        inner = _exact(condition.condition)
        return None if inner is None else ~_functions().coalesce(inner, _functions().lit(False))
    for kind, compile in _KINDS:
        if isinstance(condition, kind):
            found: Column | None = compile(condition)
            return found
    return None


def _between(condition: Between) -> Column | None:
    column, ends = _functions().col(condition.column), list[Any]()
    for end, compare in ((condition.low, column.__ge__), (condition.high, column.__lt__)):
        if end is not None:
            if _is_instant(condition.column) and abs(end) > _FARTHEST:
                return None
            ends.append(compare(_number(condition.column, end)))
    return all_of(ends or [column.isNotNull()])


def _in_spans(condition: InSpans) -> Column | None:
    spans = list(zip(condition.lows.tolist(), condition.highs.tolist(), strict=True))
    if len(spans) > MOST_SPANS or spans[0][0] < -_FARTHEST or spans[-1][1] > _FARTHEST:
        return None
    column, number = _functions().col(condition.column), condition.column
    return any_of([(column >= _number(number, low)) & (column <= _number(number, high)) for low, high in spans])


def _exactly_one_of(condition: ExactlyOneOf) -> Column:
    column = _functions().col(condition.column)
    known = [value for value in condition.values if value is not None]
    found = [_is_in(column, known)] if known else []
    found += [column.isNull()] if None in condition.values else []
    return any_of(found or [_functions().lit(False)])


def _one_of(condition: OneOf) -> Column | None:
    """Globs that are text, or text and then a star, as Spark knows them; its statistics pass files over by these."""
    column = _functions().col(condition.column)
    if all(literal_prefix(glob) == glob for glob in condition.globs):
        return _is_in(column, condition.globs)
    if all(literal_texts(glob)[1:] == [""] and glob.endswith("*") for glob in condition.globs):
        return any_of([column.startswith(glob[:-1]) for glob in condition.globs])
    return _searched(condition.column, condition.expression)


def _holds(condition: Holds) -> Column | None:
    if condition.regex or condition.ignore_case or condition.words:
        return _searched(condition.column, condition.expression)
    column = _functions().col(condition.column)
    return any_of([column.contains(pattern) for pattern in condition.patterns])


def _is_in(column: Any, values: Sequence[str | int]) -> Column:
    return cast("Column", column.isin(list(values)))


def _searched(column: str, pattern: str) -> Column | None:
    expression = portable(pattern)
    return None if expression is None else cast("Column", _functions().col(column).rlike(expression))


def _flagged(condition: Flagged) -> Column:
    sql = _functions()
    numbers = sql.coalesce(sql.col(condition.column), sql.lit(0))
    return cast("Column", numbers.bitwiseAND(sql.lit(condition.bits)) == sql.lit(condition.bits))


_KINDS: Final[Sequence[tuple[type[Any], Callable[[Any], Any]]]] = (
    (Between, _between),
    (InSpans, _in_spans),
    (ExactlyOneOf, _exactly_one_of),
    (OneOf, _one_of),
    (Holds, _holds),
    (OneOfNumbers, lambda condition: _is_in(_functions().col(condition.column), condition.numbers)),
    (Flagged, _flagged),
)
"""Kind of condition, and what compiles it."""


def _implied(condition: Condition) -> list[Column]:
    """Return conditions for Spark that every row meets which meets a condition that Spark does not know."""
    if isinstance(condition, InSpans):
        low, high = int(condition.lows[0]), int(condition.highs[-1])
        hull = _between(Between(condition.column, low, high + 1))
        return [] if hull is None else [hull]
    alternatives = _parameter(condition) if isinstance(condition, Parameter) else condition.needles()
    column = _functions().col(condition.column)
    return [any_of([column.contains(needle.decode()) for needle in needles]) for needles in alternatives]


def _parameter(condition: Parameter) -> Sequence[Needles]:
    """Return what structured data contains that has a parameter: its name, and what stands in its value as it is."""
    key = condition.name.rpartition(".")[2] or condition.name
    return [[text.encode()] for text in (f"{key}=", *filter(None, condition.literals()))]


def _number(column: str, value: int) -> Column:
    """Return a number as a value of a column: an instant where the column has these."""
    return cast("Column", _functions().lit(instant(value) if _is_instant(column) else value))


def _is_instant(column: str) -> bool:
    return bool(pa.types.is_timestamp(FILE_SCHEMA.field(column).type))


def _functions() -> Any:
    """Return Spark's functions; its client is imported where somebody connects, and nowhere else."""
    from pyspark.sql.connect.functions import builtin

    return builtin
