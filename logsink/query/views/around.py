"""Rows around a time, or within some seconds of each match: in order of time, in bounded memory."""

from __future__ import annotations

import itertools
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from logsink.query.columns import Int64, Mask, as_array, as_integers, plain, reversed_rows
from logsink.query.order import ROW_KEY
from logsink.query.read import Answer, Plan, Report, Search, Tuning, search
from logsink.query.request import Between, Filter, InSpans, Query, instant_text
from logsink.query.views.context import GAP
from logsink.query.views.streams import Streams
from logsink.store import Store


class AroundTime(NamedTuple):
    """A wish for rows on both sides of ``instant``: half of the query's limit before it, the rest from it on."""

    instant: int

    def __str__(self) -> str:
        return f"half of them before {instant_text(self.instant)}, and half from then on"


class AroundMatches(NamedTuple):
    """A wish for all rows at most ``reach`` microseconds before or after a match that share its values of ``stream``."""

    reach: int
    stream: tuple[str, ...] = ()

    def __str__(self) -> str:
        of = f" of its {' and '.join(self.stream)}" if self.stream else ""
        return f"with each match the rows{of} within {self.reach / 1_000_000:g} s of it"


def around_time(store: Store, query: Query, moment: AroundTime, tuning: Tuning | None = None) -> Answer:
    """Find the rows of ``query`` nearest to a moment, half of its limit on each side; all of its rows without a limit.

    They come in order of time, or newest first with ``query.reverse``.
    """
    return _TwoSides(store, query, moment, tuning)


class _TwoSides(Answer):
    """The answer: rows before a moment and from it on, from a search for each side."""

    def __init__(self, store: Store, query: Query, moment: AroundTime, tuning: Tuning | None) -> None:
        before, after = (_within(query, *ends) for ends in ((None, moment.instant), (moment.instant, None)))
        self._query, self._rows = query, 0
        if query.limit is None:
            half = None
        else:  # a limit alone would mean the newest, so the rows of both sides are counted here
            half, before, after = query.limit // 2, before._replace(reverse=True), after._replace(reverse=False)
        unlimited = [side._replace(limit=side.limit if side.reverse else None) for side in (before, after)]
        self._before, self._after = (search(store, side, tuning) for side in unlimited)
        self._limits = {self._before: half, self._after: None if half is None else (query.limit or 0) - half}

    @property
    def report(self) -> Report:
        begun = [side.report for side in self._limits if side.plan is not None]
        if not begun:
            return Report()
        whole = begun[-1].including(*begun[:-1])
        files_read = min(whole.files, sum(report.files_read for report in begun))  # some are read for both sides
        began = min(report.began for report in begun)
        return replace(whole, rows=self._rows, began=began, files_read=files_read, cut=False)

    @property
    def plan(self) -> Plan | None:
        return self._after.plan or self._before.plan

    def stop(self) -> None:
        self._before.stop()
        self._after.stop()

    async def _tables(self) -> AsyncGenerator[pa.Table, None]:
        before, after = (self._first(side, limit) for side, limit in self._limits.items())
        if self._query.limit is None:
            sides = (after, before) if self._query.reverse else (before, after)
        elif self._query.reverse:
            sides = (_reversed(after), before)
        else:
            sides = (_reversed(before), after)
        for side in sides:
            async with aclosing(side) as found:
                async for rows in found:
                    yield rows

    async def _first(self, side: Search, limit: int | None) -> AsyncGenerator[pa.Table, None]:
        """Yield the first rows of one side, in the order of its search."""
        if limit == 0:
            return
        async with aclosing(side) as found:
            async for rows in found:
                rows = rows.slice(0, limit)
                self._rows += rows.num_rows
                yield rows
                if limit is not None:
                    limit -= rows.num_rows
                if limit == 0:
                    break


def _within(query: Query, low: int | None, high: int | None) -> Query:
    """Return the query for rows of ``[low, high)`` only."""
    return query._replace(filter=Filter((*query.filter.conditions, Between("time", low, high))))


async def _reversed(source: AsyncGenerator[pa.Table, None]) -> AsyncGenerator[pa.Table, None]:
    """Yield the same rows, the last one first; all of them are held in memory."""
    async with aclosing(source) as found:
        held = [rows async for rows in found]
    for rows in reversed(held):
        yield reversed_rows(rows)


def around_matches(store: Store, query: Query, span: AroundMatches, tuning: Tuning | None = None) -> Answer:
    """Find the rows near the matches of ``query``, matches included, each once; other rows need not meet its conditions.

    They come in order of time, or newest first with ``query.reverse``. Column ``GAP`` is true where time was left out before
    a row. The report counts only matches as rows.
    """
    return _NearMatches(store, query, span, tuning)


class _NearMatches(Answer):
    """The answer: one search finds the matches, another one all rows near them."""

    def __init__(self, store: Store, query: Query, span: AroundMatches, tuning: Tuning | None) -> None:
        self._store, self._query, self._span, self._tuning = store, query, span, tuning
        self._columns = ("time", *span.stream)
        self._matches = search(store, query._replace(columns=self._columns, reverse=False), tuning)
        self._whole: Search | None = None

    @property
    def report(self) -> Report:
        return self._matches.report.including(*([] if self._whole is None else [self._whole.report]))

    @property
    def plan(self) -> Plan | None:
        return self._matches.plan

    def stop(self) -> None:
        self._matches.stop()
        if self._whole is not None:
            self._whole.stop()

    async def _tables(self) -> AsyncGenerator[pa.Table, None]:
        span, columns, held = self._span, self._columns, list[pa.Table]()
        async with aclosing(self._matches) as found:
            async for rows in found:
                held.append(plain(rows, columns))
        if not held:
            return
        # Search the time near all matches for rows of their streams, and keep those that are near a match of their own stream.
        matches = pa.concat_tables(held)
        streams = Streams(span.stream, matches)
        reach = _Reach(span.reach, streams.of(matches), as_integers(matches.column("time")))
        filter = Filter((*streams.conditions(np.unique(streams.of(matches))), reach.all))
        whole = tuple(dict.fromkeys((*ROW_KEY, *span.stream, *self._query.columns)))
        self._whole = search(self._store, Query(filter, whole, None, self._query.reverse), self._tuning)
        if self._matches.report.interrupted:
            self._whole.stop()
        last = -1
        async with aclosing(self._whole) as found:
            async for rows in found:
                times = as_integers(rows.column("time"))
                near = reach.mask(streams.of(plain(rows, columns)), times)
                if near.any():
                    block = reach.block(times[near])
                    gap = np.diff(block, prepend=block[:1] if last < 0 else last) != 0
                    last = int(block[-1])
                    yield rows.filter(as_array(near)).append_column(GAP, as_array(gap))


class _Reach:
    """The spans of time within ``reach`` of some matches, by the stream of each match, and of all streams together."""

    def __init__(self, reach: int, stream: Int64, times: Int64) -> None:
        order = np.argsort(stream, kind="stable")
        known, first = np.unique(stream[order], return_index=True)
        edges = itertools.pairwise([*first.tolist(), len(order)])
        by_stream = [times[order[start:end]] for start, end in edges]
        self._near = {
            int(n): InSpans.of("time", there - reach, there + reach) for n, there in zip(known, by_stream, strict=True)
        }
        self.all = InSpans.of("time", times - reach, times + reach)

    def mask(self, stream: Int64, times: Int64) -> Mask:
        """Return which rows are near a match of their stream."""
        found = np.zeros(len(times), np.bool_)
        for n in np.unique(stream[stream >= 0]).tolist():
            here = stream == n
            found[here] = self._near[n].mask(as_array(times[here]))
        return found

    def block(self, times: Int64) -> Int64:
        """Return the index of the span of ``all`` that each time is in."""
        place: Int64 = np.searchsorted(self.all.lows, times, "right") - 1
        return place
