"""Why nothing was found: values of short columns that are not there, and those that are and look like them.

It is asked only after a query has found nothing, and reads only the columns of the conditions, for a bounded time.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import pyarrow as pa

from logsink.query.read import Plan, Report, file_bounds, fold
from logsink.query.request.conditions import Between, Holds, OneOf
from logsink.query.request.filters import Filter
from logsink.query.request.query import Query
from logsink.query.views.summary import COUNT, Counts
from logsink.store import Store

PATIENCE: Final = 1.0
"""Seconds after which it is left at the rows that were counted by then."""

_MOST, _SHOWN = 10_000, 3
"""Values that are compared, the most frequent ones; values that are shown."""

_ALIKE = 0.7
"""How much of two values has to be the same (``difflib``)."""


class MissingValue(NamedTuple):
    """A value that no row has.

    there   values that rows have, with the numbers of rows; those that look like it, or the most frequent
    alike   whether they look like it
    whole   whether all rows were counted, or there may be more
    """

    column: str
    glob: str
    there: Sequence[tuple[str, int]]
    alike: bool
    whole: bool


async def missing_values(store: Store, filter: Filter) -> list[MissingValue]:
    """The globs of the filter that no row meets within its range of time, as far as rows were counted."""
    asked = [condition for condition in filter.conditions if isinstance(condition, OneOf)]
    if not asked:
        return []
    within = Filter(tuple(c for c in filter.conditions if isinstance(c, Between) and c.column == "time"))
    columns = tuple(dict.fromkeys(condition.column for condition in asked))
    parts, own = await _briefly(store, Query(within, columns), lambda rows: _counts(rows, columns))
    counts: dict[str, Counter[str]] = {column: Counter() for column in columns}
    for part in parts:
        for column, value, count in zip(*(part.column(n).to_pylist() for n in part.column_names), strict=True):
            counts[column][value] += count
    found = []
    for condition in asked:
        values = pa.array(list(counts[condition.column]), pa.string())
        if len(values) and not condition.mask(values).any():
            found += [_absent(condition.column, glob, counts[condition.column], own) for glob in condition.globs]
    return found


async def in_other_case(store: Store, filter: Filter) -> tuple[tuple[str, ...], int, bool] | None:
    """The patterns of the filter that rows hold in capital or small letters otherwise; how many rows; whether these are all.

    Rows are counted for a bounded time. None when there are none, or no such pattern.
    """
    held = [condition for condition in filter.conditions if isinstance(condition, Holds) and not condition.ignore_case]
    if len(held) != 1 or not any(c.isalpha() for pattern in held[0].patterns for c in pattern):
        return None
    loose = Holds(held[0].column, held[0].patterns, held[0].regex, ignore_case=True, words=held[0].words)
    rest = tuple(condition for condition in filter.conditions if condition is not held[0])
    _, own = await _briefly(store, Query(Filter((*rest, loose)), ("severity",)), Counts().part)
    return (held[0].patterns, own.rows, not own.interrupted and not own.unreadable) if own.rows else None


async def _briefly(store: Store, query: Query, part: Callable[[pa.Table], pa.Table]) -> tuple[list[pa.Table], Report]:
    """Parts of what a query finds in bounded time, and what it has done."""
    folding = fold(store, query, part)
    timer = asyncio.get_running_loop().call_later(PATIENCE, folding.stop)
    try:
        return await folding.run(), folding.report
    finally:
        timer.cancel()


def archive_times(plan: Plan) -> tuple[int, int] | None:
    """The times of the oldest and the newest row of the archive, as its log has them; None where it has none."""
    each = [file_bounds(file, "time") for file in plan.snapshot.files.values()]
    low = [b.low for b in each if b.low is not None]
    high = [b.high for b in each if b.high is not None]
    return (min(low), max(high)) if low and high else None


def _counts(rows: pa.Table, columns: Sequence[str]) -> pa.Table:
    """How many rows have each value of each column."""
    each = []
    for column in columns:
        counted = Counts((column,)).part(rows.select([column]))
        counted = counted.filter(counted.column(column).is_valid())
        names = pa.array([column] * counted.num_rows, pa.string())
        values = counted.column(column).cast(pa.string())
        each.append(pa.table({"column": names, "value": values, COUNT: counted.column(COUNT)}))
    return pa.concat_tables(each)


def _absent(column: str, glob: str, counts: Counter[str], report: Report) -> MissingValue:
    alike = _similar(glob, [value for value, _ in counts.most_common(_MOST)])
    there = [(value, counts[value]) for value in alike] or counts.most_common(_SHOWN)
    return MissingValue(column, glob, there, bool(alike), not report.interrupted and not report.unreadable)


def _similar(glob: str, values: Sequence[str]) -> Sequence[str]:
    """The values that look like a glob without its wildcards, the most similar first."""
    from difflib import get_close_matches

    text = "".join(c for c in glob if c not in "*?[]!").lower()
    if not text:
        return ()
    lower: dict[str, list[str]] = {}
    for value in values:
        lower.setdefault(value.lower(), []).append(value)
    same = lower.get(text, [])
    begins = [v for low, of in lower.items() if _begins(text, low) for v in of]
    close = [v for low in get_close_matches(text, lower, _SHOWN, _ALIKE) for v in lower[low]]
    holds = [v for low, of in lower.items() if len(text) > 2 and text in low for v in of]
    return list(dict.fromkeys([*same, *begins, *close, *holds]))[:_SHOWN]


def _begins(one: str, other: str) -> bool:
    """Whether one of them is the other's first part: ``web1`` and ``web1.example.com``."""
    short, long = sorted((one, other), key=len)
    return len(short) > 1 and short != long and long.startswith(short) and not long[len(short)].isalnum()
