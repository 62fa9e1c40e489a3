"""Sorting found rows by (time, received, receiver, nth), ascending or descending, in bounded memory: ``Pending``.

Rows enter in any order, a table at a time (``add``), and leave in order (``pop``) as soon as the caller knows that no row still
to come can precede them. Each table is sorted once and becomes a *run*; rows leave by a merge of the runs' heads. Runs take at
most ``memory`` bytes in memory: beyond that they are merged into one run in a temporary file. ``_FAN_IN`` such files are merged
into a larger one. Of each file, only one batch is in memory at a time.

Within this module order is always ascending: for descending order every key is negated. A null sorts before any value.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from logsink.query.columns import Int64, as_array, as_integers, compact, joined, one_chunk
from logsink.query.order.spill import Spill

ROW_KEY = ("time", "received", "receiver", "nth")
"""Columns of the order; their values together identify a row."""

ORDERS = {"time": ROW_KEY, "received": ("received", "time", "receiver", "nth")}
"""Columns that rows can be sorted by, each with the columns of its order, in the order in which they count.

``nth`` counts frames of one read with equal times: it comes behind both.
"""

MEMORY = 64 << 20
"""Bytes of found rows that wait in memory; more are written to temporary files."""

_FAN_IN: Final = 16
"""Files that are merged into a larger one; with batches of Spill's size, this merge holds about 50 MB."""

_RUNS: Final = 32
"""Most runs in memory; more are merged into one, so that a pop stays cheap."""

_ROWS: Final = 16_384
"""Most rows of a table that leaves."""

_NULL: Final = -(1 << 62)
"""Stands for null in keys: before every value."""


class Position(NamedTuple):
    """A row's place in an order: the values of its columns, instants in microseconds since the epoch.

    The fields are named after the order by time; in another order they have the values of its columns (``ORDERS``).
    """

    time: int
    received: int | None
    receiver: str | None
    nth: int | None


def position_of(rows: pa.Table, index: int, sort: str = "time") -> Position:
    """Return the place of a row in the order ``sort``; a negative ``index`` counts from the end."""
    row = rows.select(ROW_KEY).slice(index % rows.num_rows, 1)
    first, second, receiver, last = (one_chunk(row.column(name)) for name in ORDERS[sort])
    time, *others = (column.cast(pa.int64())[0].as_py() for column in (first, second, last))
    return Position(_NULL if time is None else time, others[0], receiver[0].as_py(), others[1])


class _Keys(NamedTuple):
    """The key columns of some rows as numbers; ``receiver`` are codes of ``_Names``."""

    time: Int64
    received: Int64
    receiver: Int64
    nth: Int64

    def part(self, start: int, stop: int | None = None) -> _Keys:
        return _Keys(*(array[start:stop] for array in self))

    def take(self, order: Int64) -> _Keys:
        return _Keys(*(array[order] for array in self))


_Part = tuple[_Keys, pa.Table]


class _Names:
    """Codes of receivers' names, which stay, and their ranks in the order of the names, which change when names are added."""

    def __init__(self, sign: int) -> None:
        self._sign = sign
        self._codes: dict[str | None, int] = {None: 0}
        self._ranks: Int64 | None = None

    def codes(self, column: pa.Array) -> Int64:
        if not pa.types.is_dictionary(column.type):
            column = column.dictionary_encode()
        known = [self.code(name) for name in column.dictionary.to_pylist()]
        indices = column.indices.fill_null(len(known)).to_numpy(zero_copy_only=False)
        codes: Int64 = np.array([*known, 0], np.int64)[indices]
        return codes

    def code(self, name: str | None) -> int:
        code = self._codes.setdefault(name, len(self._codes))
        if self._ranks is not None and code == len(self._ranks):
            self._ranks = None
        return code

    def ranks(self, codes: Int64) -> Int64:
        if self._ranks is None:
            self._ranks = np.empty(len(self._codes), np.int64)
            names = sorted(self._codes, key=lambda name: (name is not None, name or ""))
            for rank, name in enumerate(names):
                self._ranks[self._codes[name]] = self._sign * rank
        ranked: Int64 = self._ranks[codes]
        return ranked


class _Run:
    """Rows in order, in memory. ``level`` is -1; of runs in files, it says how many merges of files they have been through."""

    def __init__(self, keys: _Keys, rows: pa.Table) -> None:
        self.keys, self.rows, self.level = keys, rows, -1
        self._whole = rows.num_rows

    @property
    def ended(self) -> bool:
        """Whether no row comes after ``rows``."""
        return True

    def advance(self, count: int) -> None:
        """Remove the first ``count`` rows. Once few are left, they are copied so that the memory of the others becomes free."""
        self.keys, self.rows = self.keys.part(count), self.rows.slice(count)
        if self.rows.num_rows * 4 <= self._whole:
            self._whole = self.rows.num_rows
            self.keys, self.rows = _Keys(*(a.copy() for a in self.keys)), compact(self.rows)


class _FileRun(_Run):
    """Rows in order, in a temporary file: ``keys`` and ``rows`` are those of the batch that is read."""

    def __init__(self, spill: Spill, pending: Pending, level: int) -> None:
        self._spill, self._pending, self._next = spill, pending, 1
        super().__init__(*pending.keyed(spill.read(0)))
        self.level = level

    @property
    def ended(self) -> bool:
        return self._next == len(self._spill)

    def advance(self, count: int) -> None:
        super().advance(count)
        if not self.rows.num_rows and not self.ended:
            self.keys, self.rows = self._pending.keyed(self._spill.read(self._next))
            self._whole = self.rows.num_rows
            self._next += 1


class Pending:
    """Found rows that cannot be handed out yet.

    descending   whether the newest rows come first
    limit        number of rows that will be asked for: rows that cannot be among them are dropped, and ``dropped`` becomes true
    after        rows up to this place are dropped silently, because they were handed out already
    memory       bytes of rows that are held in memory
    sort         a key of ``ORDERS``; where this class says time, it means the first column of that order
    """

    def __init__(
        self,
        *,
        descending: bool = False,
        limit: int | None = None,
        after: Position | None = None,
        memory: int = MEMORY,
        sort: str = "time",
    ) -> None:
        self._sign = -1 if descending else 1
        self._names = _Names(self._sign)
        self._after, self._memory, self._order = after, memory, ORDERS[sort]
        self._runs: list[_Run] = []
        self._floor: int | None = None
        self._popping = False
        self.descending, self.room, self.resumed = descending, limit, after is not None
        self.dropped = False
        self.spilled = 0

    def __len__(self) -> int:
        """Return the number of rows in memory."""
        return sum(run.rows.num_rows for run in self._runs)

    @property
    def complete(self) -> bool:
        """Whether as many rows have left as were asked for."""
        return self.room == 0

    @property
    def floor(self) -> int | None:
        """The time beyond which no row can be asked for, given the limit and the rows that are here; None when not known.

        It is not known while rows leave: some count no more towards ``room`` and are still here.
        """
        if self._popping:
            return None
        if self._floor is None and self.room and len(self) >= self.room:
            times = np.concatenate([run.keys.time for run in self._runs])
            self._floor = self._sign * int(np.partition(times, self.room - 1)[self.room - 1])
        return self._floor

    def add(self, rows: pa.Table) -> None:
        """Take found rows, in any order. Their columns are the same at every call, and include ``ROW_KEY``."""
        if not rows.num_rows:
            return
        keys = self._keys(rows)
        order = self._sorted(keys)
        if self._after is not None:
            order = order[self._beyond(keys)[order]]
        if self.room is not None and len(order) > self.room:
            order, self.dropped = order[: self.room], True
        if not len(order):
            return
        if not np.array_equal(order, np.arange(rows.num_rows)):
            rows = rows.take(as_array(order))
        self._runs.append(_Run(keys.take(order), compact(rows)))
        self._floor = None
        self._settle()

    def pop(self, frontier: int | None = None) -> Iterator[pa.Table]:
        """Yield the rows before ``frontier`` (a time) in order, in tables of at most 16,384 rows; None: all rows.

        Rows before it must not be added afterwards. The generator must be run to its end before any other method is called;
        ``floor`` and ``room`` may be asked for meanwhile.
        """
        signed, self._floor = None if frontier is None else self._sign * frontier, None
        self._popping = True
        for _, rows in self._within_room(self._merged(self._runs, signed)):
            if self.room is not None:
                self.room -= rows.num_rows
            yield rows
        self._popping = False
        self._runs = [run for run in self._runs if run.rows.num_rows]
        if self.room == 0:
            self.dropped |= bool(self._runs)
            self._runs = []

    def keyed(self, rows: pa.Table) -> tuple[_Keys, pa.Table]:
        """Return rows that are in order already with their keys."""
        return self._keys(rows), rows

    def _keys(self, rows: pa.Table) -> _Keys:
        time, received, receiver, nth = (one_chunk(rows.column(name)) for name in self._order)
        numbers = [self._sign * as_integers(column, _NULL) for column in (time, received, nth)]
        return _Keys(numbers[0], numbers[1], self._names.codes(receiver), numbers[2])

    def _sorted(self, keys: _Keys) -> Int64:
        order = np.argsort(keys.time, kind="stable")
        times = keys.time[order]
        if (times[1:] == times[:-1]).any():
            order = np.lexsort((keys.nth, self._names.ranks(keys.receiver), keys.received, keys.time))
        return order

    def _beyond(self, keys: _Keys) -> npt.NDArray[np.bool_]:
        """Return which rows stand after ``self._after``."""
        assert self._after is not None
        time, received, receiver, nth = self._after
        last = [
            self._sign * time,
            self._sign * (_NULL if received is None else received),
            int(self._names.ranks(np.array([self._names.code(receiver)]))[0]),
            self._sign * (_NULL if nth is None else nth),
        ]
        found = np.zeros(len(keys.time), np.bool_)
        for key, value in zip(
            reversed(keys._replace(receiver=self._names.ranks(keys.receiver))), reversed(last), strict=True
        ):
            found = (key > value) | ((key == value) & found)
        return found

    def _merged(self, runs: Sequence[_Run], frontier: int | None) -> Iterator[_Part]:
        """Yield the rows of all runs before ``frontier``, in order, and remove them from the runs."""
        while True:
            counts = [_before(run.keys.time, frontier) for run in runs]
            heads = [(run, count) for run, count in zip(runs, counts, strict=True) if count]
            if not heads:
                return
            # rows of one run leave as they are
            if len(heads) == 1:
                run, count = heads[0]
                yield from _pieces(run.keys.part(0, count), run.rows.slice(0, count))
                run.advance(count)
                continue
            # rows of several: sort their keys, and cut where a file may hold an earlier row
            keys = _Keys(*(np.concatenate(parts) for parts in zip(*(r.keys.part(0, c) for r, c in heads), strict=True)))
            order = self._sorted(keys)
            source = np.repeat(np.arange(len(heads)), [count for _, count in heads])[order]
            cut = self._certain(heads, source)
            # only the rows before the cut are copied: ``order`` counts all rows of the heads, ``shifted`` only these
            taken = np.bincount(source[:cut], minlength=len(heads)).tolist()
            starts = np.cumsum([0, *(count for _, count in heads[:-1])])
            new_starts = np.cumsum([0, *taken[:-1]])
            rows = joined([run.rows.slice(0, n) for (run, _), n in zip(heads, taken, strict=True)])
            shifted = order[:cut] - (starts - new_starts)[source[:cut]]
            yield from _pieces(keys.take(order[:cut]), rows, shifted)
            for (run, _), n in zip(heads, taken, strict=True):
                run.advance(n)

    def _certain(self, heads: Sequence[tuple[_Run, int]], source: Int64) -> int:
        """Return how many of the sorted heads' rows precede all rows that are still in files."""
        cut = len(source)
        for index, (run, count) in enumerate(heads):
            if not run.ended and count == run.rows.num_rows:
                cut = min(cut, int(np.flatnonzero(source == index)[-1]) + 1)
        return cut

    def _settle(self) -> None:
        """Merge runs, in memory or into a file, when they are too many or take too much memory."""
        held = [run for run in self._runs if run.level < 0]
        rows = sum(run.rows.num_rows for run in held)
        full = sum(run.rows.nbytes for run in held) > self._memory
        crowded = self.room is not None and rows > max(4 * self.room, _ROWS)
        if len(held) <= _RUNS and not full and not crowded:
            return
        self._runs = [run for run in self._runs if run.level >= 0]
        merged = self._within_room(self._merged(held, None))
        if full:
            self._to_file(merged, 0)
        else:
            parts = list(merged)
            keys = _Keys(*(np.concatenate(column) for column in zip(*(keys for keys, _ in parts), strict=True)))
            self._runs.append(_Run(keys, compact(joined([rows for _, rows in parts]))))

    def _within_room(self, parts: Iterator[_Part]) -> Iterator[_Part]:
        """Yield as many of the rows as can still be asked for."""
        left = self.room
        for keys, rows in parts:
            if left is None:
                yield keys, rows
                continue
            self.dropped |= left < rows.num_rows
            if not left:
                return
            yield keys.part(0, left), rows.slice(0, left)
            left -= min(left, rows.num_rows)

    def _to_file(self, parts: Iterable[_Part], level: int) -> None:
        """Make a run in a file of rows in order; with ``_FAN_IN`` files of this level, merge these into one of the next."""
        spill = Spill()
        for _, rows in parts:
            spill.write(rows)
        spill.finish()
        self.spilled += len(spill)
        self._runs.append(_FileRun(spill, self, level))
        same = [run for run in self._runs if run.level == level]
        if len(same) == _FAN_IN:
            self._runs = [run for run in self._runs if run.level != level]
            self._to_file(self._merged(same, None), level + 1)


def _before(times: Int64, frontier: int | None) -> int:
    """Return how many of the sorted times precede ``frontier``."""
    return len(times) if frontier is None else int(np.searchsorted(times, frontier, side="left"))


def _pieces(keys: _Keys, rows: pa.Table, order: Int64 | None = None) -> Iterator[_Part]:
    """Yield the rows by ``order`` (None: as they are), at most ``_ROWS`` at a time; ``keys`` are in order already."""
    for start in range(0, len(keys.time), _ROWS):
        part = slice(start, start + _ROWS)
        piece = rows.slice(start, _ROWS) if order is None else rows.take(as_array(order[part]))
        yield keys.part(part.start, part.stop), piece
