"""Rows that belong to a match although they do not match: its neighbours, as grep shows them, or the rest of its record.

They are of the match's *stream*: rows with the same values of some columns, such as host and app, in the order of the search.
They need not meet the conditions of the query, and may lie outside of its range of time.

A search gives the matches in order. They are taken a few thousand at a time, which bounds memory, and then:

1. where: near the matches in time, the columns of order and stream are read; of each row group only rows are kept that may be
   among the nearest. For matches for which that was not enough the next window of time is read (``Rule.windows``).
2. what: the rows that were chosen are read with all columns.

All of that goes by one plan. The journal's tail is parsed once, and what may be chosen of it is kept with all columns.

Chosen rows that follow one another make a *block*. Blocks come in the order of their first matches. No row is shown twice: the
rows that belong to later matches go on where those of earlier ones ended, in a block of their own.
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
from logsink.query.request import Condition, ExactlyOneOf, Filter, InSpans, Query
from logsink.query.views.rules import UNLIMITED, Candidates, Rule, concatenate
from logsink.query.views.streams import Streams
from logsink.store import Store

GAP: Final = "gap"
"""Name of the column that is true for the first row of each block but the very first."""

_ROWS_AT_ONCE: Final = 1 << 16
"""Rows that the matches taken at once may become."""

_FIRST_MATCHES: Final = 1024
"""Matches that are taken at once in the beginning, so that something is shown soon."""

_HELD_ROWS: Final = 1 << 18
"""Candidates that are held before those are dropped that turned out to be too far from a match."""

_TABLE_ROWS: Final = 16_384
"""The most rows of a table that is handed out."""

_EARLIEST: Final = pa.scalar(-UNLIMITED, pa.timestamp("us", tz="UTC"))
_NULLS: Final = (_EARLIEST, _EARLIEST, "", -1)
"""What stands for null in the columns of ``ROW_KEY`` when rows are sorted."""


def with_context(store: Store, query: Query, rule: Rule, tuning: Tuning | None = None) -> Answer:
    """Find the rows of ``query`` and those that belong to them by ``rule``, block by block.

    Their columns are those of the query, those that the rule needs, and ``GAP``. The report counts only matches as rows.
    """
    return _WithContext(store, query, rule, tuning or Tuning.of(store))


class _WithContext(Answer):
    """The answer: matches from one search, and the rows that belong to them from others."""

    def __init__(self, store: Store, query: Query, rule: Rule, tuning: Tuning) -> None:
        self._columns = tuple(dict.fromkeys((*ROW_KEY, *rule.stream, *rule.extra_columns, *query.columns)))
        query = query._replace(columns=self._columns)
        self._portion = max(1, _ROWS_AT_ONCE // rule.rows_per_match)
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
    """Yield the same rows, ``size`` at a time, but fewer in the beginning."""
    held, portion = list[pa.Table](), min(size, _FIRST_MATCHES)
    async for rows in found:
        held.append(rows)
        while (count := sum(part.num_rows for part in held)) >= portion:
            whole = pa.concat_tables(held)
            yield whole.slice(0, portion)
            held = [whole.slice(portion)] if count > portion else []
            portion = size
    if held:
        yield pa.concat_tables(held)


class _Blocks:
    """What makes blocks of matches, a portion at a time; it remembers what it has shown."""

    def __init__(self, store: Store, query: Query, rule: Rule, tuning: Tuning) -> None:
        self._store, self._query, self._rule, self._tuning = store, query, rule, tuning
        self.report, self.restarts = Report(), 0
        self._columns = tuple(dict.fromkeys((*ROW_KEY, *rule.stream, *rule.extra_columns)))
        self._last_shown: Candidates | None = None
        """The last row of each stream that was shown."""
        self._plan: Plan | None = None
        self._reading: Unordered | None = None
        self._begun = self._stopped = False

    def stop(self) -> None:
        """Read nothing more."""
        self._stopped = True
        if self._reading is not None:
            self._reading.stop()

    async def of(self, matches: pa.Table) -> list[pa.Table]:
        """Return the blocks of the next matches, as tables of the columns of the query and ``GAP``."""
        for _ in range(self._tuning.attempts):
            self._plan = None
            try:
                candidates, tail = await self._candidates(matches)
                chosen = self._rule.choose(candidates) & ~_up_to_shown(candidates)
                archived = await self._archived(candidates.take(chosen & (candidates.match < 0)), tail)
            except Moved:
                self.restarts += 1
            else:
                rows = pa.concat_tables([matches, *tail, *archived])
                return await asyncio.to_thread(self._arrange, candidates, chosen, rows)
        raise Unavailable(f"cannot finish the query on {self._store.url}: objects were removed while it ran")

    # Where: the candidates

    async def _candidates(self, matches: pa.Table) -> tuple[Candidates, list[pa.Table]]:
        """Return the matches with the rows near them, and those of the rows that are in the journal, with all columns."""
        streams = Streams(self._rule.stream, matches)
        shown = [] if self._last_shown is None else [self._as_candidates(streams, self._last_shown.rows, shown=True)]
        base = self._sort(self._as_candidates(streams, matches, np.arange(matches.num_rows)), *shown)
        candidates, tail = await self._from_journal(base, streams)
        # At first all matches need rows on both sides; each window of time leaves fewer of them.
        incomplete = (candidates.matches, candidates.matches)
        for window in self._rule.windows:
            if not any(map(len, incomplete)) or self._stopped:
                break
            candidates = await self._from_archive(base, streams, candidates, incomplete, window)
            incomplete = self._rule.incomplete(candidates, window)
        return candidates, tail

    async def _from_journal(self, base: Candidates, streams: Streams) -> tuple[Candidates, list[pa.Table]]:
        """Return ``base`` with the journal's rows near its matches, and these rows with all columns."""
        both = (base.matches, base.matches)
        conditions = (*streams.conditions(np.unique(base.stream)), self._near(base, both, self._rule.windows[-1]))
        held, tail = [base], list[pa.Table]()
        async with aclosing(self._read(conditions, self._query.columns, archive=False)) as found:
            async for rows in found:
                held.append(await asyncio.to_thread(self._sift, base, streams, rows))
                tail.append(self._among(rows, held[-1]))
        return await asyncio.to_thread(self._thin, *held), tail

    async def _from_archive(
        self,
        base: Candidates,
        streams: Streams,
        candidates: Candidates,
        incomplete: tuple[Int64, Int64],
        window: int,
    ) -> Candidates:
        """Return the candidates with the archive's rows that are within ``window`` of the incomplete matches."""
        reading = np.unique(candidates.stream[np.concatenate(incomplete)])
        conditions = (*streams.conditions(reading), self._near(candidates, incomplete, window))
        here, held = base.take(np.isin(base.stream, reading)), [candidates]
        async with aclosing(self._read(conditions, self._columns, journal=False)) as found:
            async for rows in found:
                held.append(await asyncio.to_thread(self._sift, here, streams, rows))
                if sum(len(part.time) for part in held) > _HELD_ROWS:
                    held = [await asyncio.to_thread(self._thin, *held)]
        return await asyncio.to_thread(self._thin, *held)

    def _as_candidates(
        self, streams: Streams, rows: pa.Table, match: Int64 | None = None, *, shown: bool = False
    ) -> Candidates:
        """Return those of the rows that are of the streams, in the order in which they are given."""
        plain_rows = plain(rows, self._columns)
        stream, time = streams.of(plain_rows), as_integers(plain_rows.column("time"))
        match = np.full(len(stream), -1) if match is None else match
        candidates = Candidates(plain_rows, stream, time, match, np.full(len(stream), shown))
        return candidates if (stream >= 0).all() else candidates.take(stream >= 0)

    def _sift(self, base: Candidates, streams: Streams, rows: pa.Table) -> Candidates:
        """Return those of the rows that the rule keeps beside ``base``, without matches."""
        candidates = self._sort(base, self._as_candidates(streams, rows))
        return candidates.take(self._rule.keep(candidates) & (candidates.match < 0))

    def _thin(self, *parts: Candidates) -> Candidates:
        """Return the candidates of all parts, without those that turned out to be too far from a match."""
        candidates = self._sort(*parts)
        return candidates.take(self._rule.keep(candidates) | candidates.shown)

    def _sort(self, *parts: Candidates) -> Candidates:
        """Return the candidates of all parts by stream and in the order of the search, each once."""
        together = concatenate(*parts)
        rows = together.rows
        direction = "descending" if self._query.reverse else "ascending"
        keys = {name: pc.fill_null(rows.column(name), null) for name, null in zip(ROW_KEY, _NULLS, strict=True)}
        sorting = [("stream", "ascending"), *((name, direction) for name in ROW_KEY)]
        order = pc.sort_indices(pa.table({"stream": together.stream} | keys), sorting).to_numpy().astype(np.int64)
        # A row that came several times keeps what any of its copies says of it.
        ids = _ids(rows).take(as_array(order)).dictionary_encode().indices.to_numpy()
        first = np.flatnonzero(np.diff(ids, prepend=-1))
        match = np.maximum.reduceat(together.match[order], first) if len(first) else together.match
        shown = np.logical_or.reduceat(together.shown[order], first) if len(first) else together.shown
        return together.take(order[first])._replace(match=match, shown=shown)

    def _near(self, candidates: Candidates, incomplete: tuple[Int64, Int64], window: int) -> InSpans:
        """Return the condition on time that rows meet within ``window`` before or after incomplete matches."""
        sides = reversed(incomplete) if self._query.reverse else incomplete
        earlier, later = (candidates.time[at] for at in sides)
        return InSpans.of("time", np.concatenate((earlier - window, later)), np.concatenate((earlier, later + window)))

    # What: the chosen rows

    async def _archived(self, chosen: Candidates, tail: Sequence[pa.Table]) -> list[pa.Table]:
        """Return the chosen rows that are in files, and so not in the journal's ``tail``, with all columns."""
        for rows in tail:
            chosen = chosen.take(~as_mask(pc.is_in(_ids(chosen.rows), value_set=_ids(rows))))
        if not len(chosen.time):
            return []
        conditions = [
            ExactlyOneOf(name, tuple(pc.unique(chosen.rows.column(name)).to_pylist())) for name in self._rule.stream
        ]
        instants = InSpans.of("time", chosen.time, chosen.time)
        read = self._read((*conditions, instants), self._query.columns, journal=False)
        return [self._among(rows, chosen) async for rows in read]

    def _among(self, rows: pa.Table, candidates: Candidates) -> pa.Table:
        """Return those of the rows that are candidates, with all columns."""
        rows = plain(rows, self._query.columns)
        return rows.filter(pc.is_in(_ids(rows), value_set=_ids(candidates.rows)))

    def _arrange(self, candidates: Candidates, chosen: Mask, rows: pa.Table) -> list[pa.Table]:
        """Return the chosen rows block by block; ``rows`` holds them with all columns, in any order."""
        # Number the blocks: one begins at a chosen row that no chosen row of its stream precedes.
        begins = chosen.copy()
        begins[1:] &= ~chosen[:-1] | (candidates.stream[1:] != candidates.stream[:-1])
        block = np.cumsum(begins) - 1
        # Put the blocks in the order of their first matches.
        first_match = np.full(int(begins.sum()), UNLIMITED)
        matches = chosen & (candidates.match >= 0)
        np.minimum.at(first_match, block[matches], candidates.match[matches])
        order = np.flatnonzero(chosen)
        order = order[np.argsort(first_match[block[order]], kind="stable")]
        self._remember(candidates, chosen)
        # Take the rows; those are left out whose objects could not be read.
        found = pc.index_in(_ids(candidates.rows.take(as_array(order))), value_set=_ids(rows))
        there = np.asarray(found.is_valid())
        gap = begins[order][there]
        gap[:1] &= self._begun
        self._begun = True
        out = as_rows(rows.take(found.drop_null()), self._query.columns).append_column(GAP, as_array(gap))
        return [out.slice(start, _TABLE_ROWS) for start in range(0, out.num_rows, _TABLE_ROWS)]

    def _remember(self, candidates: Candidates, chosen: Mask) -> None:
        """Keep the last row of each stream that is shown now, or was shown before."""
        shown = np.flatnonzero(chosen | candidates.shown)
        last = shown[np.diff(candidates.stream[shown], append=-1) != 0]
        fresh = candidates.take(last)
        if self._last_shown is not None:
            streams = Streams(self._rule.stream, fresh.rows)
            fresh = concatenate(fresh, self._last_shown.take(streams.of(self._last_shown.rows) < 0))
        self._last_shown = fresh

    async def _read(
        self, conditions: Sequence[Condition], columns: Sequence[str], *, journal: bool = True, archive: bool = True
    ) -> AsyncGenerator[pa.Table, None]:
        """Yield the rows that meet the conditions, in no order, by the plan of the first read; count what is read."""
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


def _up_to_shown(candidates: Candidates) -> Mask:
    """Return which candidates are, or come before, a row of their stream that was shown with earlier matches."""
    last = np.full(int(candidates.stream.max(initial=-1)) + 1, -1)
    shown = np.flatnonzero(candidates.shown)
    last[candidates.stream[shown]] = shown
    up_to: Mask = np.arange(len(candidates.stream)) <= last[candidates.stream]
    return up_to


def _ids(rows: pa.Table) -> pa.Array:
    """Return a text for each row that no other row has."""
    parts = [one_chunk(rows.column(name)) for name in ROW_KEY]
    texts = [(part.cast(pa.int64()) if pa.types.is_timestamp(part.type) else part).cast(pa.string()) for part in parts]
    return pc.binary_join_element_wise(*texts, " ", null_handling="replace", null_replacement="")
