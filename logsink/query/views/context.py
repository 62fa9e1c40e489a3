"""Lines that belong to a match although they do not match: its neighbours, as grep shows them, or the rest of its record.

They are of the match's *stream*: rows with the same values of some columns (host and app), in the order of queries. Which
conditions they meet does not matter, and they may lie outside of the range of time.

Matches come from a search, in order, and are taken a few thousand at a time (``_ROOM``), which bounds memory. Then:

1. where: of what is near them in time the columns of order and stream are read, and of each row group only rows kept that
   can be among the nearest. Matches for which that was not enough look further (``Rule.windows``).
2. what: the rows that were chosen are read whole.

All of it goes by one plan. The journal's tail is parsed once, and what may be chosen of it is kept whole.

Lines that follow one another make a *block*; blocks come in the order of their first matches. Nothing is shown twice: what
belongs to matches that are taken later goes on where earlier ones ended, in a block of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from logsink.errors import Moved, Unavailable
from logsink.query.columns import Int64, Mask, as_array, as_integers, as_mask, as_rows, one_chunk, plain
from logsink.query.order import ROW_KEY
from logsink.query.read import Answer, Plan, Report, Tuning, Unordered, search, unordered
from logsink.query.request.conditions import ExactlyOneOf, InSpans
from logsink.query.request.filters import Condition, Filter
from logsink.query.request.query import Query
from logsink.query.views.rules import UNLIMITED, Candidates, Rule, concatenate
from logsink.query.views.streams import Streams
from logsink.store import Store

GAP: Final = "gap"
"""Column of what comes out, true where a block begins, but for the first."""

_ROOM: Final = 1 << 16  # rows that the matches taken at once may become
_FIRST: Final = 1024  # matches that are taken at first
_HELD: Final = 1 << 18  # rows that are looked at before they are thinned out
_ROWS: Final = 16_384  # most rows in a table that leaves
_LEAST: Final = (
    *(pa.scalar(-UNLIMITED, pa.timestamp("us", tz="UTC")),) * 2,
    "",
    -1,
)  # what a null of ROW_KEY is in the order


def with_context(store: Store, query: Query, rule: Rule, tuning: Tuning | None = None) -> Answer:
    """Find the rows of ``query``, each in its block; columns: those of the query, and ``GAP``.

    The report counts the matches alone as rows.
    """
    return _WithContext(store, query, rule, tuning or Tuning())


class _WithContext(Answer):
    """Matches, by one search, and the rows that belong to them, by others."""

    def __init__(self, store: Store, query: Query, rule: Rule, tuning: Tuning) -> None:
        self._columns = tuple(dict.fromkeys((*ROW_KEY, *rule.stream, *rule.extra_columns, *query.columns)))
        query = query._replace(columns=self._columns)
        self._portion = max(1, _ROOM // rule.rows_per_match)
        self._matches, self._blocks = search(store, query, tuning), _Blocks(store, query, rule, tuning)

    @property
    def report(self) -> Report:
        report = self._matches.report.including(self._blocks.report)
        return replace(report, restarts=report.restarts + self._blocks.restarts)

    @property
    def plan(self) -> Plan | None:
        return self._matches.plan

    def stop(self) -> None:
        self._matches.stop()
        self._blocks.stop()

    async def _tables(self) -> AsyncGenerator[pa.Table, None]:
        async with aclosing(self._matches) as found:
            async for matches in _portions(found, self._portion):
                for rows in await self._blocks.of(plain(matches, self._columns)):
                    yield rows


async def _portions(found: Answer, size: int) -> AsyncGenerator[pa.Table, None]:
    """The same rows, ``size`` at a time; the first ones soon."""
    held, wanted = list[pa.Table](), min(size, _FIRST)
    async for rows in found:
        held.append(rows)
        while (count := sum(part.num_rows for part in held)) >= wanted:
            whole = pa.concat_tables(held)
            yield whole.slice(0, wanted)
            held = [whole.slice(wanted)] if count > wanted else []
            wanted = size
    if held:
        yield pa.concat_tables(held)


class _Blocks:
    """Matches to blocks, some at a time."""

    def __init__(self, store: Store, query: Query, rule: Rule, tuning: Tuning) -> None:
        self._store, self._query, self._rule, self._tuning = store, query, rule, tuning
        self.report, self.restarts = Report(), 0
        self._columns = tuple(dict.fromkeys((*ROW_KEY, *rule.stream, *rule.extra_columns)))
        self._last: Candidates | None = None
        """Of each stream the last row that was shown."""
        self._plan: Plan | None = None
        self._reading: Unordered | None = None
        self._begun = self._stopped = False

    def stop(self) -> None:
        """Look no further."""
        self._stopped = True
        if self._reading is not None:
            self._reading.stop()

    async def of(self, matches: pa.Table) -> list[pa.Table]:
        """The blocks of the next matches."""
        for _ in range(self._tuning.attempts):
            self._plan = None
            try:
                places, chosen, tail = await self._places(matches)
                others = [*tail, *await self._whole(places.take(chosen & (places.match < 0)), tail)]
            except Moved:
                self.restarts += 1
            else:
                return await asyncio.to_thread(self._arranged, places, chosen, pa.concat_tables([matches, *others]))
        raise Unavailable(f"cannot finish the query on {self._store.url}: objects were removed while it ran")

    # Where

    async def _places(self, matches: pa.Table) -> tuple[Candidates, Mask, list[pa.Table]]:
        """The matches' neighbours, which of them are to be shown, and those whole that are in the journal."""
        streams = Streams(self._rule.stream, matches)
        shown = [] if self._last is None else [self._as_places(streams, self._last.rows, shown=True)]
        base = self._ordered(self._as_places(streams, matches, np.arange(matches.num_rows)), *shown)
        at = base.matches
        held, tail = [base], list[pa.Table]()
        near = (*streams.conditions(np.unique(base.stream)), self._spans(base, (at, at), self._rule.windows[-1]))
        async with aclosing(self._read(near, self._query.columns, archive=False)) as found:
            async for rows in found:
                held.append(await asyncio.to_thread(self._sifted, base, streams, rows))
                tail.append(self._those(rows, held[-1]))
        places = await asyncio.to_thread(self._thinned, *held)
        at = places.matches
        lacking = (at, at)
        for window in self._rule.windows:
            if not any(map(len, lacking)) or self._stopped:
                break
            asked = np.unique(places.stream[np.concatenate(lacking)])
            conditions = (*streams.conditions(asked), self._spans(places, lacking, window))
            here, held = base.take(np.isin(base.stream, asked)), [places]
            async with aclosing(self._read(conditions, self._columns, journal=False)) as found:
                async for rows in found:
                    held.append(await asyncio.to_thread(self._sifted, here, streams, rows))
                    if sum(len(part.time) for part in held) > _HELD:
                        held = [await asyncio.to_thread(self._thinned, *held)]
            places = await asyncio.to_thread(self._thinned, *held)
            lacking = self._rule.incomplete(places, window)
        return places, self._rule.choose(places) & ~_until_shown(places), tail

    def _as_places(
        self, streams: Streams, rows: pa.Table, match: Int64 | None = None, *, shown: bool = False
    ) -> Candidates:
        """Rows of the streams, in the order that they come in."""
        plain_rows = plain(rows, self._columns)
        stream, time = streams.of(plain_rows), as_integers(plain_rows.column("time"))
        match = np.full(len(stream), -1) if match is None else match
        places = Candidates(plain_rows, stream, time, match, np.full(len(stream), shown))
        return places if (stream >= 0).all() else places.take(stream >= 0)

    def _sifted(self, base: Candidates, streams: Streams, rows: pa.Table) -> Candidates:
        """Those of a row group that matter."""
        places = self._ordered(base, self._as_places(streams, rows))
        return places.take(self._rule.keep(places) & (places.match < 0))

    def _thinned(self, *parts: Candidates) -> Candidates:
        """All of them, without those that turned out to be too far away."""
        places = self._ordered(*parts)
        return places.take(self._rule.keep(places) | places.shown)

    def _ordered(self, *parts: Candidates) -> Candidates:
        """All of them in order of stream and search, each once."""
        together = concatenate(*parts)
        rows = together.rows
        direction = "descending" if self._query.reverse else "ascending"
        keys = {name: pc.fill_null(rows.column(name), least) for name, least in zip(ROW_KEY, _LEAST, strict=True)}
        sorting = [("stream", "ascending"), *((name, direction) for name in ROW_KEY)]
        order = pc.sort_indices(pa.table({"stream": together.stream} | keys), sorting).to_numpy().astype(np.int64)
        ids = _ids(rows).take(as_array(order)).dictionary_encode().indices.to_numpy()
        first = np.flatnonzero(np.diff(ids, prepend=-1))
        match = np.maximum.reduceat(together.match[order], first) if len(first) else together.match
        shown = np.logical_or.reduceat(together.shown[order], first) if len(first) else together.shown
        return together.take(order[first])._replace(match=match, shown=shown)

    def _spans(self, places: Candidates, lacking: tuple[Int64, Int64], window: int) -> InSpans:
        """The time before and behind those that lack something."""
        earlier, later = (places.time[at] for at in (reversed(lacking) if self._query.reverse else lacking))
        return InSpans.of("time", np.concatenate((earlier - window, later)), np.concatenate((earlier, later + window)))

    # What

    async def _whole(self, places: Candidates, tail: Sequence[pa.Table]) -> list[pa.Table]:
        """The rows at these places that are in files."""
        for rows in tail:
            places = places.take(~as_mask(pc.is_in(_ids(places.rows), value_set=_ids(rows))))
        if not len(places.time):
            return []
        conditions = [
            ExactlyOneOf(name, tuple(pc.unique(places.rows.column(name)).to_pylist())) for name in self._rule.stream
        ]
        near = InSpans.of("time", places.time, places.time)
        read = self._read((*conditions, near), self._query.columns, journal=False)
        return [self._those(rows, places) async for rows in read]

    def _those(self, rows: pa.Table, places: Candidates) -> pa.Table:
        """Rows at these places."""
        rows = plain(rows, self._query.columns)
        return rows.filter(pc.is_in(_ids(rows), value_set=_ids(places.rows)))

    def _arranged(self, places: Candidates, chosen: Mask, rows: pa.Table) -> list[pa.Table]:
        """The chosen rows, block after block."""
        begins = chosen.copy()
        begins[1:] &= ~chosen[:-1] | (places.stream[1:] != places.stream[:-1])
        block = np.cumsum(begins) - 1
        first = np.full(int(begins.sum()), UNLIMITED)
        matches = chosen & (places.match >= 0)
        np.minimum.at(first, block[matches], places.match[matches])
        order = np.flatnonzero(chosen)
        order = order[np.argsort(first[block[order]], kind="stable")]
        self._remember(places, chosen)
        found = pc.index_in(_ids(places.rows.take(as_array(order))), value_set=_ids(rows))
        there = np.asarray(found.is_valid())
        gap = begins[order][there]
        gap[:1] &= self._begun
        self._begun = True
        out = as_rows(rows.take(found.drop_null()), self._query.columns).append_column(GAP, as_array(gap))
        return [out.slice(start, _ROWS) for start in range(0, out.num_rows, _ROWS)]

    def _remember(self, places: Candidates, chosen: Mask) -> None:
        shown = np.flatnonzero(chosen | places.shown)
        last = shown[np.diff(places.stream[shown], append=-1) != 0]
        fresh = places.take(last)
        if self._last is not None:
            streams = Streams(self._rule.stream, fresh.rows)
            fresh = concatenate(fresh, self._last.take(streams.of(self._last.rows) < 0))
        self._last = fresh

    async def _read(
        self, conditions: Sequence[Condition], columns: Sequence[str], *, journal: bool = True, archive: bool = True
    ) -> AsyncGenerator[pa.Table, None]:
        query = Query(Filter(tuple(conditions)), tuple(columns))
        reading = unordered(self._store, query, self._tuning, known=self._plan, journal=journal, archive=archive)
        self._reading = reading
        if self._stopped:
            reading.stop()
        try:
            async with aclosing(reading) as found:
                async for rows in found:
                    if rows.num_rows:
                        yield rows
            self._plan = self._plan or reading.plan
        finally:
            self._reading, self.report = None, self.report.including(reading.report)


def _until_shown(places: Candidates) -> Mask:
    """Which stand at or before one of their stream that was shown."""
    last = np.full(int(places.stream.max(initial=-1)) + 1, -1)
    shown = np.flatnonzero(places.shown)
    last[places.stream[shown]] = shown
    found: Mask = np.arange(len(places.stream)) <= last[places.stream]
    return found


def _ids(rows: pa.Table) -> pa.Array:
    """A name for each row."""
    parts = [one_chunk(rows.column(name)) for name in ROW_KEY]
    texts = [(part.cast(pa.int64()) if pa.types.is_timestamp(part.type) else part).cast(pa.string()) for part in parts]
    return pc.binary_join_element_wise(*texts, " ", null_handling="replace", null_replacement="")
