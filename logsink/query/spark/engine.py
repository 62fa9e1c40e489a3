"""The archive as a Spark Connect server reads it: ``SparkEngine``.

Every table that is asked for is that of one version, the plan's. Whether the server honours that is looked at once for each
version: the number of rows that it counts must be that which the table's log tells here. A server that reads another version
than it was told, or that leaves out files which it does not find, gives another number, and its answer is refused.

Rows come in order, ``PAGE`` at a time: each page begins behind the last row of the one before, so that neither the server nor
this process holds more than a page, whatever is found.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

import pyarrow as pa

from logsink.errors import LogsinkError, Unavailable
from logsink.query.columns import as_array, as_integers, as_rows
from logsink.query.order import ORDERS, ROW_KEY, Position, position_of
from logsink.query.read import Found, Page, Plan, Sums
from logsink.query.request import Filter, Query
from logsink.query.spark.conditions import Compiled, all_of, any_of, compiled, instant
from logsink.query.spark.session import Session

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

T = TypeVar("T")

PAGE: Final = 100_000
"""Rows that are asked for at once."""

MOST_DATES: Final = 500
"""Dates that are written one by one; of more, the first and the last."""

_FINEST: Final = 900 * 1_000_000
"""Microseconds of a quarter of an hour, of which the offsets of all of today's time zones are made."""

_SECOND: Final = 1_000_000
_COUNT, _UNIT, _FIRST, _LAST = "count", "unit", "first", "last"
_NULL_TIME: Final = -(1 << 62)
"""Stands for null in a ``Position``."""


class SparkEngine:
    """Reads the files of plans by a session; ``page`` is how many rows it asks for at once. One question at a time."""

    def __init__(self, session: Session, page: int = PAGE) -> None:
        self._session, self._page = session, page
        self._checked: set[tuple[int, frozenset[dt.date]]] = set()

    async def pages(
        self, plan: Plan, query: Query, columns: Sequence[str], *, descending: bool, after: Position | None = None
    ) -> AsyncGenerator[Page, None]:
        """Yield ``columns`` of the rows that the query's filter finds, in order, in pages: see ``Engine``."""
        where = compiled(query.filter)
        names = tuple(dict.fromkeys((*ROW_KEY, *columns, *where.rest.columns())))
        rows_left = None if query.limit is None or where.rest.conditions else query.limit + 1
        table, order = await self._table(plan, where), _Order(query.sort, descending)
        while True:
            size = self._page if rows_left is None else min(self._page, rows_left)
            rest = table if after is None else table.filter(order.beyond(after))
            frame = rest.orderBy(*order.columns()).limit(size).select(*names)
            rows = as_rows(await self._run(frame.toArrow), names)
            ended = rows.num_rows < size
            if rows_left is not None:
                rows_left -= rows.num_rows
                ended = ended or not rows_left
            if rows.num_rows:
                after = position_of(rows, -1, query.sort)
                yield Page(_tested(rows, where.rest, columns), after.time, ended)
            if ended:
                return

    def sums(self, plan: Plan, query: Query, sums: Sums) -> AsyncGenerator[Found, None] | None:
        """Yield the sums of the rows that the query's filter finds: see ``Engine``."""
        where = compiled(query.filter)
        return None if where.rest.conditions else self._sums(plan, where, sums)

    async def _sums(self, plan: Plan, where: Compiled, sums: Sums) -> AsyncGenerator[Found, None]:
        table, sql = await self._table(plan, where), _functions()
        if sums.steps is None:
            grouped = table.groupBy(*sums.columns)
            counted = await self._run(grouped.agg(sql.count(sql.lit(1)).alias(_COUNT)).toArrow)
        else:
            counted = await self._by_time(table, sums, min(sums.unit, _FINEST))
            first, last = (as_integers(counted.column(name)) for name in (_FIRST, _LAST))
            if not sums.steps(first, last).all():  # offsets of zones were once any number of seconds
                counted = await self._by_time(table, sums, min(sums.unit, _SECOND))
            counted = counted.append_column("time", counted.column(_FIRST))
        each = as_integers(counted.column(_COUNT))
        counted, each = counted.filter(as_array(each > 0)), each[each > 0]  # the sum of no rows is a row, too
        names = (*sums.columns, *(["time"] if sums.steps is not None else []))
        rows = as_rows(counted, names) if names else counted
        if len(each):
            yield Found(int(each.sum()), await asyncio.to_thread(sums.part, rows, each))

    async def _by_time(self, table: DataFrame, sums: Sums, unit: int) -> pa.Table:
        """Return how many rows have each combination of values within each ``unit`` of time, and their first and last time."""
        sql = _functions()
        time = sql.unix_micros("time")
        grouped = table.groupBy(*sums.columns, (time - sql.pmod(time, sql.lit(unit))).alias(_UNIT))
        found = (sql.count(sql.lit(1)).alias(_COUNT), sql.min("time").alias(_FIRST), sql.max("time").alias(_LAST))
        return await self._run(grouped.agg(*found).toArrow)

    async def _table(self, plan: Plan, where: Compiled) -> DataFrame:
        """Return the rows of the plan's version that Spark can tell to be asked for, once the version is known to be right."""
        version, dates = plan.snapshot.version, frozenset(file.date for file in plan.files)
        table = self._session.table(version).filter(_of_dates(dates))
        if (version, dates) not in self._checked:
            known = sum(file.rows for file in plan.snapshot.files.values() if _among(file.date, dates))
            there = await self._run(table.count)
            if there != known:
                raise Unavailable(
                    f"cannot use the answer of {self._session.server}: it reads {there:,} rows of version {version:,} of the "
                    f"table, whose log says {known:,}",
                    hint="look at the store with logsink verify, or leave out --connect",
                )
            self._checked.add((version, dates))
        return table if where.where is None else table.filter(where.where)

    async def _run(self, ask: Callable[[], T]) -> T:
        """Return what the server answers; have it end its work when this is cancelled. ``Unavailable`` for its errors."""
        try:
            return await asyncio.to_thread(ask)
        except asyncio.CancelledError:
            self._session.interrupt()
            raise
        except LogsinkError:
            raise
        except Exception as error:
            raise self._session.failed(error) from error


class _Order(NamedTuple):
    """An order of rows, as ``query.order`` has it: nulls before any value, and last where it is descending."""

    sort: str
    descending: bool

    def columns(self) -> list[Column]:
        """Return the columns to order by."""
        keys = [_functions().col(name) for name in ORDERS[self.sort]]
        return [key.desc_nulls_last() if self.descending else key.asc_nulls_first() for key in keys]

    def beyond(self, place: Position) -> Column:
        """Return the condition of rows behind a place."""
        each = zip(ORDERS[self.sort], _values(place, self.sort), strict=True)
        conditions, same = list[Any](), list[Any]()
        for name, value in each:
            column = _functions().col(name)
            behind = self._behind(column, value)
            if behind is not None:
                conditions.append(all_of([*same, behind]))
            same.append(column.isNull() if value is None else column == _functions().lit(value))
        # a condition on the first column alone, by whose statistics files are passed over
        found = any_of(conditions)
        first, value = _functions().col(ORDERS[self.sort][0]), _values(place, self.sort)[0]
        if value is None or (self.descending and self.sort != "time"):  # of which there is none without a time
            return found
        return all_of(
            [first <= _functions().lit(value) if self.descending else first >= _functions().lit(value), found]
        )

    def _behind(self, column: Any, value: Any) -> Column | None:
        """Return the condition of values that come after a value; None where none do."""
        if not self.descending:
            found: Column = column.isNotNull() if value is None else column > _functions().lit(value)
            return found
        return None if value is None else (column < _functions().lit(value)) | column.isNull()


def _values(place: Position, sort: str) -> list[Any]:
    """Return the values of a place's columns, as Spark has them."""
    found: list[Any] = []
    for name, value in zip(ORDERS[sort], place, strict=True):
        missing = value is None or value == _NULL_TIME
        found.append(None if missing else instant(int(value or 0)) if name in ("time", "received") else value)
    return found


def _tested(rows: pa.Table, rest: Filter, columns: Sequence[str]) -> pa.Table:
    """Return ``columns`` of the rows that meet the conditions that Spark could not test."""
    found = rows.select(list(columns))
    return found.filter(as_array(rest.mask(rows))) if rest.conditions else found


def _of_dates(dates: frozenset[dt.date]) -> Column:
    """Return the condition of rows in these partitions."""
    sql = _functions()
    date, known = sql.col("date"), sorted(dates)
    if len(known) > MOST_DATES:
        found: Column = (date >= sql.lit(known[0])) & (date <= sql.lit(known[-1]))
        return found
    return any_of([date == sql.lit(day) for day in known])


def _among(date: dt.date, dates: frozenset[dt.date]) -> bool:
    """Return whether ``_of_dates`` has the rows of a date."""
    return min(dates) <= date <= max(dates) if len(dates) > MOST_DATES else date in dates


def _functions() -> Any:
    from pyspark.sql.connect.functions import builtin

    return builtin
