"""What was logged around a time, or within some seconds of each match: rows in order of time, in bounded memory."""

from __future__ import annotations

import itertools
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from logsink.query.columns import Int64, Mask, as_array, as_integers, plain
from logsink.query.order.merge import KEY
from logsink.query.read.scan import search
from logsink.query.request.conditions import Between, InSpans, instant_text
from logsink.query.request.filters import Filter
from logsink.query.request.query import Query, Report, Tuning
from logsink.query.views.context import GAP
from logsink.query.views.streams import Streams
from logsink.store import Store


class AroundTime(NamedTuple):
    """Rows on both sides of ``instant``: of ``n`` that are asked for, half before it and the rest from it on."""

    instant: int

    def __str__(self) -> str:
        return f"half of them before {instant_text(self.instant)}, and half from then on"


class AroundMatches(NamedTuple):
    """All rows at most ``reach`` microseconds before or after a match that have the same values of ``stream``."""

    reach: int
    stream: tuple[str, ...] = ()

    def __str__(self) -> str:
        of = f" of its {' and '.join(self.stream)}" if self.stream else ""
        return f"with each match the rows{of} within {self.reach / 1_000_000:g} s of it"


async def around_time(
    store: Store, query: Query, moment: AroundTime, report: Report | None = None, tuning: Tuning | None = None
) -> AsyncGenerator[pa.Table, None]:
    """The rows that ``query`` finds nearest to a moment, half of its limit on each side; all of them without a limit.

    In order of time, or newest first with ``query.reverse``. Raises as ``search`` does.
    """
    report, tuning = report or Report(), tuning or Tuning()
    report.began = report.began or time.time()
    earlier, later = (_within(query, *ends) for ends in ((None, moment.instant), (moment.instant, None)))
    if query.limit is not None:
        earlier, later = (
            earlier._replace(limit=query.limit // 2, reverse=True),
            later._replace(limit=query.limit - query.limit // 2, reverse=False),
        )
    before, after = _first(store, earlier, report, tuning), _first(store, later, report, tuning)
    if query.limit is None:
        sides = (after, before) if query.reverse else (before, after)
    elif query.reverse:
        sides = (_turned(after), before)
    else:
        sides = (_turned(before), after)
    for side in sides:
        async with aclosing(side) as found:
            async for rows in found:
                yield rows


def _within(query: Query, low: int | None, high: int | None) -> Query:
    return query._replace(filter=Filter((*query.filter.conditions, Between("time", low, high))))


async def _first(store: Store, query: Query, report: Report, tuning: Tuning) -> AsyncGenerator[pa.Table, None]:
    """The first rows in the order of the query, as many as its limit says; what was found and read is added to the report."""
    left, own = query.limit, Report()
    if left == 0:
        return
    asked = query if query.reverse else query._replace(limit=None)  # a limit alone means the newest
    async with aclosing(search(store, asked, own, tuning)) as found:
        async for rows in found:
            rows = rows.slice(0, left)
            report.rows += rows.num_rows
            yield rows
            if left is not None:
                left -= rows.num_rows
            if left == 0:
                break
    report.add(own)
    report.files, report.segments, report.bytes = own.files, own.segments, own.bytes
    report.files_read = min(own.files, report.files_read + own.files_read)  # some were read for both sides


async def _turned(source: AsyncGenerator[pa.Table, None]) -> AsyncGenerator[pa.Table, None]:
    """The same rows, the last first; they are held in memory."""
    async with aclosing(source) as found:
        held = [rows async for rows in found]
    for rows in reversed(held):
        yield rows.take(as_array(np.arange(rows.num_rows - 1, -1, -1)))


async def around_matches(
    store: Store, query: Query, span: AroundMatches, report: Report | None = None, tuning: Tuning | None = None
) -> AsyncGenerator[pa.Table, None]:
    """The rows near the matches of ``query``, matches included, each once; whatever else the query asks of rows.

    In order of time, or newest first with ``query.reverse``. Column ``GAP`` is true where time was left out before a row.
    ``report.rows`` counts the matches alone. Raises as ``search`` does.
    """
    report, tuning = report or Report(), tuning or Tuning()
    held = list[pa.Table]()
    columns = ("time", *span.stream)
    async with aclosing(search(store, query._replace(columns=columns, reverse=False), report, tuning)) as found:
        async for rows in found:
            held.append(plain(rows, columns))
    if not held:
        return
    matches = pa.concat_tables(held)
    streams = Streams(span.stream, matches)
    reach = _Reach(span.reach, streams.of(matches), as_integers(matches.column("time")))
    conditions = (*streams.conditions(np.unique(streams.of(matches))), reach.all)
    whole = Query(Filter(conditions), tuple(dict.fromkeys((*KEY, *span.stream, *query.columns))), None, query.reverse)
    own, last = Report(), -1
    async with aclosing(search(store, whole, own, tuning)) as found:
        async for rows in found:
            rows = rows.filter(as_array(reach.mask(streams.of(plain(rows, columns)), as_integers(rows.column("time")))))
            if rows.num_rows:
                block = reach.block(as_integers(rows.column("time")))
                gap = np.diff(block, prepend=block[:1] if last < 0 else last) != 0
                last = int(block[-1])
                yield rows.append_column(GAP, as_array(gap))
    report.add(own)


class _Reach:
    """The time near some matches, of each stream and of all."""

    def __init__(self, reach: int, stream: Int64, times: Int64) -> None:
        order = np.argsort(stream, kind="stable")
        known, first = np.unique(stream[order], return_index=True)
        edges = itertools.pairwise([*first.tolist(), len(order)])
        of = [times[order[start:end]] for start, end in edges]
        self._near = {
            int(n): InSpans.of("time", there - reach, there + reach) for n, there in zip(known, of, strict=True)
        }
        self.all = InSpans.of("time", times - reach, times + reach)

    def mask(self, stream: Int64, times: Int64) -> Mask:
        """Which rows are near a match of their stream."""
        found = np.zeros(len(times), np.bool_)
        for n in np.unique(stream[stream >= 0]).tolist():
            here = stream == n
            found[here] = self._near[n].mask(as_array(times[here]))
        return found

    def block(self, times: Int64) -> Int64:
        """Which span of ``all`` these times are in."""
        place: Int64 = np.searchsorted(self.all.lows, times, "right") - 1
        return place
