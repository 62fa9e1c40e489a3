"""Why nothing was found: values that no row has, values that look like them, and patterns that match in another case.

These functions are for a query that has found nothing. They read only the columns of its conditions, for a bounded time.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import pyarrow as pa

from logsink.query.columns import Int64
from logsink.query.read import Plan, Report, Sums, file_bounds, fold
from logsink.query.request import Between, Filter, Holds, OneOf, Query
from logsink.query.views.counting import COUNT
from logsink.query.views.summary import Counts
from logsink.store import Store

PATIENCE: Final = 1.0
"""Seconds after which counting ends with the rows that were counted by then."""

_COMPARED = 10_000
"""Values that are compared with a glob: the most frequent ones."""

_SHOWN = 3
"""Values that are shown for a glob."""

_ALIKE = 0.7
"""How much of two values must be the same for them to look alike, as ``difflib`` measures it."""


class MissingValue(NamedTuple):
    """A glob that matches no row's value of ``column``.

    there   values that rows have, with how many rows have each: those that look like the glob, else the most frequent ones
    alike   whether these values look like the glob
    whole   whether all rows were counted; otherwise there may be more
    """

    column: str
    glob: str
    there: Sequence[tuple[str, int]]
    alike: bool
    whole: bool


async def missing_values(store: Store, filter: Filter) -> list[MissingValue]:
    """Return the globs of the filter that no row matches within its range of time, as far as rows were counted."""
    by_glob = [condition for condition in filter.conditions if isinstance(condition, OneOf)]
    if not by_glob:
        return []
    within = Filter(tuple(c for c in filter.conditions if isinstance(c, Between) and c.column == "time"))
    columns = tuple(dict.fromkeys(condition.column for condition in by_glob))
    sums = Sums(columns, lambda rows, each: _counts(rows, columns, each))
    parts, report = await _count_briefly(store, Query(within, columns), lambda rows: _counts(rows, columns), sums)
    counts: dict[str, Counter[str]] = {column: Counter() for column in columns}
    for part in parts:
        for column, value, count in zip(*(part.column(n).to_pylist() for n in part.column_names), strict=True):
            counts[column][value] += count
    found = []
    for condition in by_glob:
        values = pa.array(list(counts[condition.column]), pa.string())
        if len(values) and not condition.mask(values).any():
            found += [_missing(condition.column, glob, counts[condition.column], report) for glob in condition.globs]
    return found


async def in_other_case(store: Store, filter: Filter) -> tuple[tuple[str, ...], int, bool] | None:
    """Return the patterns that rows match in another case, how many rows do, and whether all rows were counted.

    None when no row does, or when the filter does not have one condition on text that minds the case.
    """
    held = [condition for condition in filter.conditions if isinstance(condition, Holds) and not condition.ignore_case]
    if len(held) != 1 or not any(c.isalpha() for pattern in held[0].patterns for c in pattern):
        return None
    loose = Holds(held[0].column, held[0].patterns, held[0].regex, ignore_case=True, words=held[0].words)
    rest = tuple(condition for condition in filter.conditions if condition is not held[0])
    query = Query(Filter((*rest, loose)), ("severity",))
    _, report = await _count_briefly(store, query, Counts().part)
    return (held[0].patterns, report.rows, _is_whole(report)) if report.rows else None


async def _count_briefly(
    store: Store, query: Query, part: Callable[[pa.Table], pa.Table], sums: Sums | None = None
) -> tuple[list[pa.Table], Report]:
    """Return the sums of the rows that a query finds in bounded time, and its report."""
    folding = fold(store, query, part, sums=sums)
    timer = asyncio.get_running_loop().call_later(PATIENCE, folding.stop)
    try:
        return await folding.run(), folding.report
    finally:
        timer.cancel()


def _is_whole(report: Report) -> bool:
    """Return whether a query has looked at all rows."""
    return not report.interrupted and not report.damaged


def archive_times(plan: Plan) -> tuple[int, int] | None:
    """Return the times of the oldest and the newest row of the archive, from its log; None for an empty archive."""
    each = [file_bounds(file, "time") for file in plan.snapshot.files.values()]
    low = [b.low for b in each if b.low is not None]
    high = [b.high for b in each if b.high is not None]
    return (min(low), max(high)) if low and high else None


def _counts(rows: pa.Table, columns: Sequence[str], each: Int64 | None = None) -> pa.Table:
    """Return how many rows have each value of each column, as a table of column, value and count.

    ``each`` is how many rows each row stands for, where that is not one.
    """
    tables = []
    for column in columns:
        counts = Counts((column,))
        counted = counts.part(rows.select([column])) if each is None else counts.sums().part(rows, each)
        counted = counted.filter(counted.column(column).is_valid())
        names = pa.array([column] * counted.num_rows, pa.string())
        values = counted.column(column).cast(pa.string())
        tables.append(pa.table({"column": names, "value": values, COUNT: counted.column(COUNT)}))
    return pa.concat_tables(tables)


def _missing(column: str, glob: str, counts: Counter[str], report: Report) -> MissingValue:
    alike = _similar(glob, [value for value, _ in counts.most_common(_COMPARED)])
    there = [(value, counts[value]) for value in alike] or counts.most_common(_SHOWN)
    return MissingValue(column, glob, there, bool(alike), _is_whole(report))


def _similar(glob: str, values: Sequence[str]) -> Sequence[str]:
    """Return the values that look like a glob without its wildcards, the most similar one first."""
    from difflib import get_close_matches

    text = "".join(c for c in glob if c not in "*?[]!").lower()
    if not text:
        return ()
    lower: dict[str, list[str]] = {}
    for value in values:
        lower.setdefault(value.lower(), []).append(value)
    same = lower.get(text, [])
    first_parts = [v for low, of in lower.items() if _is_first_part(text, low) for v in of]
    close = [v for low in get_close_matches(text, lower, _SHOWN, _ALIKE) for v in lower[low]]
    holds = [v for low, of in lower.items() if len(text) > 2 and text in low for v in of]
    return list(dict.fromkeys([*same, *first_parts, *close, *holds]))[:_SHOWN]


def _is_first_part(one: str, other: str) -> bool:
    """Return whether one of two values is the other's first part: ``web1`` and ``web1.example.com``."""
    short, long = sorted((one, other), key=len)
    return len(short) > 1 and short != long and long.startswith(short) and not long[len(short)].isalnum()
