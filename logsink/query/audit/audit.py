"""An audit of a store: what is missing, as far as it can be known.

All rows are read once, of few columns. Only when numbers are missing, rows are read again: to learn the times of those before
and after each hole, and, when a range of time was asked for, to see whether the missing ones have times outside of it. Of
those, only what was received within ``MARGIN`` of the rows beside a hole is looked at: boots that are used twice are not worth
reading everything.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from logsink.query.audit.findings import Findings, Hole, findings
from logsink.query.audit.numbers import COLUMN, numbers_of
from logsink.query.audit.tally import SCHEMA, Tally
from logsink.query.columns import as_array, as_integers
from logsink.query.read import Fold, Report, fold
from logsink.query.request import Between, Filter, Query
from logsink.store import Store

MARGIN: Final = 3_600_000_000
"""Microseconds around a range of time in which numbers of its boots are looked for: messages come in another order than that of
their times."""

MOST_HOLES: Final = 10_000
"""The most holes whose times are looked up: the largest ones."""

_TIMES = pa.schema([("boot", pa.string()), ("number", pa.int64()), ("time", pa.int64()), ("received", pa.int64())])


class Audit:
    """An audit of the rows between two instants, for those that meet ``selected``. Call ``run``.

    since, until   microseconds since the epoch; None: from the first, to the last
    selected       conditions on anything but time
    """

    def __init__(self, store: Store, selected: Filter, since: int | None = None, until: int | None = None) -> None:
        self._store, self._selected, self._since, self._until = store, selected, since, until
        self._tally = Tally(selected)
        self.folds: list[Fold] = [self._fold(self._tally, self._range())]
        """The sums that were begun, the last one perhaps still running."""

    async def run(self) -> Findings:
        """Read the store and return what was found. Raises the errors of a ``Fold``."""
        parts = await self.folds[0].run()
        tally = self._tally.merge(parts) if parts else SCHEMA.empty_table()
        found = findings(tally, [name for _, name in self._tally.dropped])
        holes = await self._timed(found.holes)
        if holes and (self._since is not None or self._until is not None):
            holes = await self._timed(await self._confirmed(tally, [hole for hole in holes if self._inside(hole)]))
            holes = [hole for hole in holes if self._inside(hole)]
        return found._replace(holes=holes)

    @property
    def report(self) -> Report:
        """What was read so far."""
        first, *others = (each.report for each in self.folds)
        return first.including(*others)

    def _fold(self, tally: Tally, within: Filter) -> Fold:
        return fold(self._store, Query(within, tally.columns), tally.part, merge=tally.merge)

    def _range(self) -> Filter:
        if self._since is None and self._until is None:
            return Filter()
        since = None if self._since is None else self._since - MARGIN
        return Filter((Between("time", since, None if self._until is None else self._until + MARGIN),))

    def _inside(self, hole: Hole) -> bool:
        """Return whether a hole may lie in the range."""
        early = self._since is not None and hole.after is not None and hole.after < self._since
        late = self._until is not None and hole.before is not None and hole.before >= self._until
        return not early and not late

    async def _timed(self, holes: Sequence[Hole]) -> list[Hole]:
        """Return the holes with the times of the rows before and after them, as far as those are in the range."""
        wanted = sorted(holes, key=lambda hole: -hole.missing)[:MOST_HOLES]
        if not wanted:
            return []
        times = await self._times(wanted, self._range())
        return [
            hole._replace(
                before=times.get((hole.boot, hole.first - 1), (None, None))[0],
                after=times.get((hole.boot, hole.last + 1), (None, None))[0],
            )
            for hole in holes
        ]

    async def _times(self, holes: Sequence[Hole], within: Filter) -> dict[tuple[str, int], tuple[int, int]]:
        """Return time and receipt of the rows beside the holes, by boot and number."""
        beside = {(hole.boot, number) for hole in holes for number in (hole.first - 1, hole.last + 1)}
        looking = _Beside(beside)
        running = fold(self._store, Query(within, (COLUMN, "time", "received")), looking.part)
        self.folds.append(running)
        found: dict[tuple[str, int], tuple[int, int]] = {}
        for part in await running.run():
            rows = zip(*(part.column(name).to_pylist() for name in _TIMES.names), strict=True)
            found |= {(boot, number): (time, received) for boot, number, time, received in rows}
        return found

    async def _confirmed(self, tally: pa.Table, holes: Sequence[Hole]) -> list[Hole]:
        """Return the holes that are still there when rows of any time count that were received when they should have been."""
        if not holes:
            return []
        boots = sorted({hole.boot for hole in holes})
        known = await self._times(holes, self._range())
        received = [arrival for _, arrival in known.values() if arrival]
        if not received:
            return list(holes)
        wider = Tally(self._selected, boots)
        running = self._fold(wider, Filter((Between("received", min(received) - MARGIN, max(received) + MARGIN),)))
        self.folds.append(running)
        parts = await running.run()
        mine = tally.filter(pc.is_in(tally.column("name"), value_set=pa.array(boots, pa.string())))
        kept = {hole.boot for hole in holes}
        again = findings(wider.merge([mine, *parts])).holes
        inside = {boot: [hole for hole in holes if hole.boot == boot] for boot in kept}
        return [
            hole
            for hole in again
            if any(old.first <= hole.first and hole.last <= old.last for old in inside.get(hole.boot, ()))
        ]


class _Beside:
    """Finds rows by boot and number."""

    def __init__(self, wanted: set[tuple[str, int]]) -> None:
        self._wanted = wanted
        self._boots = {boot for boot, _ in wanted}
        self._numbers = np.array(sorted({number for _, number in wanted}), np.int64)

    def part(self, rows: pa.Table) -> pa.Table:
        """Return boot, number, time and receipt of the rows that are wanted."""
        numbers = numbers_of(rows)
        of_boot = np.array([boot in self._boots for boot in numbers.boots], np.bool_)
        may = np.flatnonzero(np.isin(numbers.number, self._numbers) & of_boot[numbers.boot])
        at = [n for n in may.tolist() if (numbers.boots[numbers.boot[n]], int(numbers.number[n])) in self._wanted]
        row = numbers.rows[np.array(at, np.int64)]
        times = (as_integers(rows.column(name).take(as_array(row)), 0) for name in ("time", "received"))
        boots = pa.array([numbers.boots[numbers.boot[n]] for n in at], pa.string())
        found = [boots, as_array(numbers.number[np.array(at, np.int64)]), *map(as_array, times)]
        return pa.table(found, schema=_TIMES)
