"""Which numbers each boot has, and which minutes each sender, as a table with a row for each ``SPAN`` of them.

``Tally`` makes such a table of some rows (``part``) and one of several (``merge``), in threads and in any split. A span has a
bit for each number; spans that have all of theirs become one row with those beside them, so that memory grows with what is
missing and not with what is there. A name with bits in too many places (numbers that are none) is dropped and said to be.

The columns: ``what`` (``NUMBERS`` or ``MINUTES``), ``name`` (boot or sender), ``begin`` and ``end`` (spans), ``bits`` (null:
all), ``resent`` (bits of numbers of rows that may be second copies), and of the rows of these spans: ``rows``, ``plain`` (not
flagged as resent), ``selected`` (chosen by the conditions), ``unnumbered``, ``truncated``, ``incomplete``, ``reordered``
(arrived behind a greater number), ``first`` and ``last`` time, ``ahead`` (the most that a time is later than its receipt,
microseconds), and ``instance``, one of those that they name.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from logsink.flags import Flag
from logsink.query.audit.numbers import COLUMN, Numbers, numbers_of
from logsink.query.columns import Int64, Mask, as_array, as_integers, decoded, one_chunk
from logsink.query.request import Filter
from logsink.query.views import of_senders

COLUMNS: Final = (COLUMN, "time", "received", "nth", "receiver", "flags", "instance", "host")
"""The columns of rows that ``Tally`` needs, besides those of its filter."""

SPAN: Final = 4096
"""Numbers, or minutes, of a row of the table."""

NUMBERS: Final = 0
MINUTES: Final = 1

MINUTE: Final = 60_000_000
"""Microseconds of a minute."""

MOST_SPANS: Final = 100_000
"""The most rows of the table, at up to a kilobyte each, before names are dropped."""

_WIDTH = SPAN // 8
_RESENT = Flag.MAYBE_RESENT | Flag.SENT_TWICE
_GUESSED = Flag.TIME_INFERRED | Flag.YEAR_INFERRED | Flag.ZONE_ASSUMED
_NEVER = np.iinfo(np.int64)
_SUMS = ("rows", "plain", "selected", "unnumbered", "truncated", "incomplete", "reordered")

SCHEMA: Final = pa.schema(
    [
        ("what", pa.int64()),
        ("name", pa.string()),
        ("begin", pa.int64()),
        ("end", pa.int64()),
        ("bits", pa.binary()),
        ("resent", pa.binary()),
        *((name, pa.int64()) for name in _SUMS),
        ("first", pa.int64()),
        ("last", pa.int64()),
        ("ahead", pa.int64()),
        ("instance", pa.string()),
    ]
)

_SENDERS = of_senders(Filter())
"""Meets rows that are not logsink's own: these have no numbers, and come when something happens."""

Bits = npt.NDArray[np.uint8]


class Tally:
    """Sums of rows; see the module.

    selected   conditions on rows that are told of: a boot is told of when any of its rows meets them
    boots      the boots that count, and nothing else; None: all, and the minutes of senders
    """

    def __init__(self, selected: Filter, boots: Sequence[str] | None = None) -> None:
        self._selected, self._boots = selected, None if boots is None else pa.array(boots, pa.string())
        self._lock = threading.Lock()
        self.dropped: set[tuple[int, str]] = set()
        """What and name of those that have bits in too many places."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it needs."""
        return tuple(dict.fromkeys((*COLUMNS, *self._selected.columns(), *_SENDERS.columns())))

    def part(self, rows: pa.Table) -> pa.Table:
        """Return the tally of some rows."""
        numbers, chosen = numbers_of(rows), self._selected.mask(rows)
        facts = _facts(rows, chosen)
        parts = [_of_numbers(rows, numbers, facts)]
        if self._boots is None:
            parts.append(_of_minutes(rows, numbers, facts, chosen))
        else:
            parts[0] = parts[0].filter(pc.is_in(parts[0].column("name"), value_set=self._boots))
        return self._without_dropped(pa.concat_tables(parts))

    def merge(self, parts: Sequence[pa.Table]) -> pa.Table:
        """Return several parts, at least one, as one."""
        whole = self._without_dropped(_merged(pa.concat_tables(parts).combine_chunks()))
        return whole if whole.num_rows <= MOST_SPANS else self._drop(whole)

    def _drop(self, whole: pa.Table) -> pa.Table:
        """Drop the names with most rows until half as many rows are left as there may be."""
        keys = list(zip(whole.column("what").to_pylist(), whole.column("name").to_pylist(), strict=True))
        counts: dict[tuple[int, str], int] = {}
        for key in keys:
            counts[key] = counts.get(key, 0) + 1
        left = whole.num_rows
        for key in sorted(counts, key=lambda key: -counts[key]):
            if left <= MOST_SPANS // 2:
                break
            left -= counts[key]
            with self._lock:
                self.dropped.add(key)
        return self._without_dropped(whole)

    def _without_dropped(self, table: pa.Table) -> pa.Table:
        with self._lock:
            dropped = tuple(self.dropped)
        for what in (NUMBERS, MINUTES):
            names = pa.array([name for of, name in dropped if of == what], pa.string())
            if len(names):
                mine = pc.and_(pc.equal(table.column("what"), what), pc.is_in(table.column("name"), value_set=names))
                table = table.filter(pc.invert(mine))
        return table


class _Facts:
    """What is known of each row: numbers to be added up, and instants."""

    def __init__(self, sums: dict[str, Int64], time: Int64, ahead: Int64, resent: Mask, names: pa.Array) -> None:
        self.sums, self.time, self.ahead, self.resent, self.names = sums, time, ahead, resent, names

    def take(self, rows: Int64, **sums: Int64) -> _Facts:
        """Return what is known of some rows, with more numbers of theirs to be added up."""
        own = {name: values[rows] for name, values in self.sums.items()} | sums
        names = self.names.take(as_array(rows))
        return _Facts(own, self.time[rows], self.ahead[rows], self.resent[rows], names)


def _facts(rows: pa.Table, chosen: Mask) -> _Facts:
    flags, time, received = (as_integers(rows.column(name), 0) for name in ("flags", "time", "received"))
    known = np.asarray(one_chunk(rows.column("received")).is_valid()) & (flags & _GUESSED == 0)
    resent = flags & _RESENT != 0
    instance, host = (decoded(one_chunk(rows.column(name))) for name in ("instance", "host"))
    sums = {
        "rows": np.ones(len(time), np.int64),
        "plain": (~resent).astype(np.int64),
        "selected": chosen.astype(np.int64),
        "truncated": (flags & Flag.TRUNCATED != 0).astype(np.int64),
        "incomplete": (flags & Flag.INCOMPLETE != 0).astype(np.int64),
    }
    return _Facts(sums, time, np.where(known, time - received, _NEVER.min), resent, pc.coalesce(instance, host, ""))


def _of_numbers(rows: pa.Table, numbers: Numbers, facts: _Facts) -> pa.Table:
    """Return the tally of the numbers of each boot."""
    at, resent = numbers.rows, facts.resent[numbers.rows]
    spans = numbers.number // SPAN
    where, group = _ranked(numbers.boot, spans)
    boots = pa.array(numbers.boots, pa.string())
    reordered = np.zeros(len(at), np.int64)
    reordered[_reordered(rows.take(as_array(at)), numbers, ~resent)] = 1
    return _table(
        group,
        facts.take(at, reordered=reordered),
        what=np.full(len(where), NUMBERS),
        name=boots.take(as_array(numbers.boot[where])),
        begin=spans[where],
        bits=_bits(group[~resent], numbers.number[~resent], len(where)),
        resent=_bits(group[resent], numbers.number[resent], len(where)),
    )


def _of_minutes(rows: pa.Table, numbers: Numbers, facts: _Facts, chosen: Mask) -> pa.Table:
    """Return the tally of the minutes of each sender that is chosen."""
    unnumbered = np.ones(rows.num_rows, np.int64)
    unnumbered[numbers.rows] = 0
    at = np.flatnonzero(chosen & ((unnumbered == 0) | _SENDERS.mask(rows)))
    own = facts.take(at, unnumbered=unnumbered[at])
    names = own.names.dictionary_encode()
    minutes = own.time // MINUTE
    name, spans = as_integers(names.indices), minutes // SPAN
    where, group = _ranked(name, spans)
    return _table(
        group,
        own,
        what=np.full(len(where), MINUTES),
        name=names.dictionary.take(as_array(name[where])),
        begin=spans[where],
        bits=_bits(group, minutes, len(where)),
        resent=np.zeros((len(where), _WIDTH), np.uint8),
    )


def _reordered(rows: pa.Table, numbers: Numbers, plain: Mask) -> Int64:
    """Return which numbered rows arrived at a receiver behind a greater number of their boot."""
    receiver = as_integers(one_chunk(rows.column("receiver")).cast(pa.string()).dictionary_encode().indices, 0)
    received, nth = (as_integers(rows.column(name), 0) for name in ("received", "nth"))
    order = np.lexsort((numbers.number, nth, received, receiver, numbers.boot))
    order = order[plain[order]]
    stream = numbers.boot[order] * (int(receiver.max(initial=0)) + 1) + receiver[order]
    _, place = _ranked(stream, numbers.number[order])
    found: Int64 = order[place < np.maximum.accumulate(place)]
    return found


def _ranked(first: Int64, second: Int64) -> tuple[Int64, Int64]:
    """Return the different pairs in ascending order, each as the index of one of its rows, and the place there of each row."""
    order = np.lexsort((second, first))
    a, b = first[order], second[order]
    starts = np.append(True, (a[1:] != a[:-1]) | (b[1:] != b[:-1]))[: len(order)]
    place = np.empty(len(order), np.int64)
    place[order] = np.cumsum(starts) - 1
    return order[starts], place


def _table(group: Int64, facts: _Facts, **columns: Any) -> pa.Table:
    """Return one row for each group: the facts of its rows added up, with ``columns`` of the groups."""
    n = len(columns["begin"])
    first, last, most = np.full(n, _NEVER.max), np.full(n, _NEVER.min), np.full(n, _NEVER.min)
    np.minimum.at(first, group, facts.time)
    np.maximum.at(last, group, facts.time)
    np.maximum.at(most, group, facts.ahead)
    one = np.zeros(n, np.int64)
    one[group] = np.arange(len(group))
    added = {
        name: np.bincount(group, facts.sums[name], n).astype(np.int64) if name in facts.sums else np.zeros(n, np.int64)
        for name in _SUMS
    }
    known = {"first": first, "last": last, "ahead": most, "instance": facts.names.take(as_array(one))}
    bits = {name: _as_binary(columns.pop(name)) for name in ("bits", "resent")}
    return _arranged({**columns, "end": columns["begin"] + 1, **added, **known, **bits})


def _arranged(columns: dict[str, Any]) -> pa.Table:
    arrays = [as_array(c) if isinstance(c, np.ndarray) else c for c in (columns[name] for name in SCHEMA.names)]
    return pa.table([array.cast(field.type) for array, field in zip(arrays, SCHEMA, strict=True)], schema=SCHEMA)


def _merged(table: pa.Table) -> pa.Table:
    """Return the table with each span in one row, and complete ones together with those beside them."""
    name = one_chunk(table.column("name")).dictionary_encode()
    key = as_integers(name.indices) * 2 + as_integers(table.column("what"))
    begin, end = as_integers(table.column("begin")), as_integers(table.column("end"))
    order = np.lexsort((begin, key))
    key, begin, end, table = key[order], begin[order], end[order], table.take(as_array(order))
    bits, resent = as_matrix(table.column("bits"), 255), as_matrix(table.column("resent"), 0)
    # Rows of the same span, or within one that is complete, become one.
    starts = _starts(key, begin, end, touching=np.zeros(len(key), np.bool_))
    if len(starts) < len(key):
        table, bits, resent = _summed(table, starts, begin, end, bits, resent)
        key, begin, end = key[starts], as_integers(table.column("begin")), as_integers(table.column("end"))
    # Complete ones that touch become one, too.
    complete = (bits == 255).all(axis=1)
    starts = _starts(key, begin, end, touching=complete)
    if len(starts) < len(key):
        table, bits, resent = _summed(table, starts, begin, end, bits, resent)
        complete = (bits == 255).all(axis=1)
    nothing = pa.array(complete)
    columns = {n: one_chunk(table.column(n)) for n in SCHEMA.names}
    columns["bits"] = pc.if_else(nothing, pa.scalar(None, pa.binary()), _as_binary(bits))
    columns["resent"] = pc.if_else(nothing, pa.scalar(None, pa.binary()), _as_binary(resent))
    return _arranged(columns)


def _starts(key: Int64, begin: Int64, end: Int64, touching: Mask) -> Int64:
    """Return where rows begin that have nothing in common with the one before; ``touching``: rows that need only touch."""
    if not len(key):
        return np.zeros(0, np.int64)
    _, place = _ranked(np.append(key, key), np.append(end, begin))
    reached, here = np.maximum.accumulate(place[: len(key)])[:-1], place[len(key) + 1 :]
    apart = here >= reached
    apart &= ~((here == reached) & touching[1:] & touching[:-1])
    return np.flatnonzero(np.append(True, apart))


def _summed(
    table: pa.Table, starts: Int64, begin: Int64, end: Int64, bits: Bits, resent: Bits
) -> tuple[pa.Table, Bits, Bits]:
    """Return the rows that begin at ``starts``, each with those behind it until the next."""
    columns: dict[str, Any] = {name: np.add.reduceat(as_integers(table.column(name)), starts) for name in _SUMS}
    columns |= {"begin": np.minimum.reduceat(begin, starts), "end": np.maximum.reduceat(end, starts)}
    columns["first"] = np.minimum.reduceat(as_integers(table.column("first")), starts)
    for name in ("last", "ahead"):
        columns[name] = np.maximum.reduceat(as_integers(table.column(name)), starts)
    taken = table.take(as_array(starts))
    columns |= {name: one_chunk(taken.column(name)) for name in ("what", "name", "instance", "bits", "resent")}
    either = [np.bitwise_or.reduceat(each, starts, axis=0) for each in (bits, resent)]
    return _arranged(columns), either[0], either[1]


def _bits(group: Int64, number: Int64, n: int) -> Bits:
    bits = np.zeros(n * _WIDTH, np.uint8)
    place = number % SPAN
    np.bitwise_or.at(bits, group * _WIDTH + place // 8, (1 << place % 8).astype(np.uint8))
    return bits.reshape(n, _WIDTH)


def _as_binary(bits: Bits) -> pa.Array:
    offsets = np.arange(len(bits) + 1, dtype=np.int32) * _WIDTH
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(bits))]
    return pa.Array.from_buffers(pa.binary(), len(bits), buffers)


def as_matrix(column: pa.ChunkedArray, null: int) -> Bits:
    """Return the bits of each row, those of null all alike: uint8[n, SPAN / 8]."""
    values = one_chunk(column)
    there = np.asarray(values.is_valid())
    matrix = np.full((len(values), _WIDTH), null, np.uint8)
    present = values.drop_null()
    if len(present):
        _, offsets, data = present.buffers()
        start = int(np.frombuffer(offsets, np.int32)[present.offset])  # those of null before a slice have no bytes
        matrix[there] = np.frombuffer(data, np.uint8)[start : start + len(present) * _WIDTH].reshape(-1, _WIDTH)
    return matrix
