"""Counts of the kinds of messages among rows, as a table with a row for each application and pattern.

``Kinds`` makes such a table of some rows (``part``) and one of several (``merge``), in threads and in any split. A table never
has more than ``MOST_KINDS`` rows for long: then kinds that are alike are merged (``likeness``), and of those that are still too
many the rarest are cut, whose number of rows is kept in the row without a pattern.

The columns: ``pattern``, ``app``, ``count``, ``first`` and ``last`` (time of the first and the last row, microseconds since the
epoch), ``severity`` (the most urgent; ``NO_SEVERITY`` for none), ``example`` (the first message) and ``instances`` (a bit for
each, see ``Instances``). In the row without a pattern ``count`` is the number of rows that were cut, and ``severity`` is
``NO_SEVERITY``; ``most_cut`` says how many rows a kind may have had there.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from logsink.query.changes.likeness import merged
from logsink.query.columns import Int64, as_array, as_integers, decoded, one_chunk
from logsink.query.views import to_patterns

COLUMNS: Final = ("message", "app", "severity", "time", "instance", "host")
"""The columns of rows that ``Kinds`` needs."""

MOST_KINDS: Final = 50_000
"""The most kinds that are told apart before similar ones are merged."""

MOST_INSTANCES: Final = 4096
"""The most instances that are told apart; of more, several share a place."""

NO_SEVERITY: Final = 8

_LONGEST_PATTERN = 2000
"""Characters of a pattern that count, so that long messages (JSON, stack traces) need bounded memory."""

_LONGEST_EXAMPLE = 1000
"""Characters of an example that are kept."""

_DENSE = 1 << 23
"""The most combinations that are found in an array with a place for each; more are sorted."""

_BITS = 8
_NEVER = np.iinfo(np.int64)

SCHEMA: Final = pa.schema(
    [
        ("pattern", pa.string()),
        ("app", pa.string()),
        ("count", pa.int64()),
        ("first", pa.int64()),
        ("last", pa.int64()),
        ("severity", pa.int8()),
        ("example", pa.string()),
        ("instances", pa.binary()),
        ("most_cut", pa.int64()),
    ]
)

Bytes2 = npt.NDArray[np.uint8]


class Instances:
    """Numbers of instances, in the order in which threads meet them. A row without an instance counts for its host."""

    def __init__(self) -> None:
        self._numbers: dict[str | None, int] = {}
        self._lock = threading.Lock()

    def of(self, rows: pa.Table) -> Int64:
        """Return the number of each row's instance."""
        instances, hosts = (_encoded(rows.column(name)) for name in ("instance", "host"))
        by_host = self._numbered(hosts)
        if instances.null_count == len(instances):
            return by_host
        return np.where(np.asarray(instances.is_valid()), self._numbered(instances), by_host)

    def _numbered(self, names: pa.DictionaryArray) -> Int64:
        values = [*names.dictionary.to_pylist(), None]
        with self._lock:
            numbers = [self._numbers.setdefault(value, len(self._numbers) % MOST_INSTANCES) for value in values]
        place = as_integers(names.indices, len(values) - 1)
        found: Int64 = np.array(numbers, np.int64)[place]
        return found

    @property
    def too_many(self) -> bool:
        """Whether instances share numbers, so that counts of them are too low."""
        return len(self._numbers) > MOST_INSTANCES


class Kinds:
    """Counts of kinds; see the module."""

    def __init__(self, instances: Instances) -> None:
        self._instances = instances

    def part(self, rows: pa.Table) -> pa.Table:
        """Return the counts of some rows."""
        messages = one_chunk(rows.column("message"))
        messages = messages.fill_null("") if messages.null_count else messages
        patterns, apps = to_patterns(messages).dictionary_encode(), _encoded(rows.column("app"))
        app = as_integers(apps.indices, len(apps.dictionary))
        kinds, kind = _numbered(as_integers(patterns.indices), app, len(apps.dictionary) + 1)
        times = as_integers(rows.column("time"))
        severities = as_integers(rows.column("severity"), NO_SEVERITY)
        first, last = _extremes(kind, times, len(kinds))
        earliest = np.flatnonzero(times == first[kind])[::-1]
        example = np.zeros(len(kinds), np.int64)
        example[kind[earliest]] = earliest
        severity = np.full(len(kinds), NO_SEVERITY, np.int64)
        np.minimum.at(severity, kind, severities)
        pattern_of, app_of = np.divmod(kinds, len(apps.dictionary) + 1)
        return _table(
            pattern=_cut(patterns.dictionary.take(as_array(pattern_of)), _LONGEST_PATTERN),
            app=pa.concat_arrays([apps.dictionary, pa.nulls(1, pa.string())]).take(as_array(app_of)),
            count=np.bincount(kind, minlength=len(kinds)),
            first=first,
            last=last,
            severity=severity,
            example=_cut(decoded(messages.take(as_array(example))), _LONGEST_EXAMPLE),
            instances=_as_binary(_bits(kind, self._instances.of(rows), len(kinds))),
            most_cut=np.zeros(len(kinds), np.int64),
        )

    def merge(self, parts: Sequence[pa.Table]) -> pa.Table:
        """Return the counts of several parts together, at least one."""
        whole = _summed(pa.concat_tables(parts).combine_chunks())
        if whole.num_rows > MOST_KINDS:
            whole = _cut_rarest(merge_alike([whole])[0], MOST_KINDS // 2)
        return whole


def merge_alike(sides: Sequence[pa.Table]) -> list[pa.Table]:
    """Return tables of kinds with those merged that are alike, whichever table has them, so that all have the same patterns.

    The most frequent one gives each kind its spaces. Rows without a pattern stay.
    """
    known = [side.filter(side.column("pattern").is_valid()) for side in sides]
    whole = _summed(pa.concat_tables(known).combine_chunks())
    whole = whole.take(as_array(np.argsort(-as_integers(whole.column("count")), kind="stable")))
    apps, patterns = whole.column("app").to_pylist(), whole.column("pattern").to_pylist()
    found = merged(apps, patterns)
    new = {key: found.patterns[n] for key, n in zip(zip(apps, patterns, strict=True), found.group, strict=True)}
    results = []
    for side, its in zip(sides, known, strict=True):
        keys = zip(its.column("app").to_pylist(), its.column("pattern").to_pylist(), strict=True)
        renamed = its.set_column(0, SCHEMA.field("pattern"), pa.array([new[key] for key in keys], pa.string()))
        rest = side.filter(side.column("pattern").is_null())
        results.append(_summed(pa.concat_tables([renamed, rest]).combine_chunks()))
    return results


def instances_in(kinds: pa.Table) -> Int64:
    """Return how many instances each kind has: int64[n]."""
    counts: Int64 = np.unpackbits(_as_matrix(kinds.column("instances")), axis=1).sum(axis=1, dtype=np.int64)
    return counts


def all_instances(kinds: pa.Table) -> int:
    """Return how many instances there are in all."""
    return int(np.unpackbits(np.bitwise_or.reduce(_as_matrix(kinds.column("instances")), axis=0)).sum())


def _cut_rarest(kinds: pa.Table, most: int) -> pa.Table:
    """Return the most frequent kinds, and one row without a pattern for the rest."""
    if kinds.num_rows <= most:
        return kinds
    counts = np.where(np.asarray(kinds.column("pattern").is_valid()), as_integers(kinds.column("count")), -1)
    order = np.argsort(-counts, kind="stable")
    kept, cut = kinds.take(as_array(order[:most])), kinds.take(as_array(order[most:]))
    lost = int(counts[order[most]]) + int(as_integers(cut.column("most_cut")).max())
    rest = {
        "pattern": pa.nulls(cut.num_rows, pa.string()),
        "app": pa.nulls(cut.num_rows, pa.string()),
        "example": pa.nulls(cut.num_rows, pa.string()),
        "severity": pa.array([NO_SEVERITY] * cut.num_rows, pa.int8()),
        "most_cut": pa.array([lost] + [0] * (cut.num_rows - 1), pa.int64()),
    }
    columns = {name: rest.get(name, cut.column(name)) for name in SCHEMA.names}
    return _summed(pa.concat_tables([kept, pa.table(columns, schema=SCHEMA)]).combine_chunks())


def _summed(kinds: pa.Table) -> pa.Table:
    """Return the kinds with one row for each application and pattern."""
    patterns, apps = (_encoded(kinds.column(name)) for name in ("pattern", "app"))
    places = [as_integers(coded.indices, len(coded.dictionary)) for coded in (patterns, apps)]
    found, kind = _numbered(places[0], places[1], len(apps.dictionary) + 1)
    n = len(found)
    if n == kinds.num_rows:
        return kinds
    first = np.full(n, _NEVER.max)
    last = np.full(n, _NEVER.min)
    np.minimum.at(first, kind, as_integers(kinds.column("first")))
    np.maximum.at(last, kind, as_integers(kinds.column("last")))
    severity = np.full(n, NO_SEVERITY, np.int64)
    np.minimum.at(severity, kind, as_integers(kinds.column("severity")))
    earliest = np.flatnonzero(as_integers(kinds.column("first")) == first[kind])[::-1]
    example = np.zeros(n, np.int64)
    example[kind[earliest]] = earliest
    order = np.argsort(kind, kind="stable")
    begins = np.searchsorted(kind[order], np.arange(n))
    bits = np.bitwise_or.reduceat(_as_matrix(kinds.column("instances"))[order], begins, axis=0)
    taken = kinds.take(as_array(example))
    return _table(
        pattern=one_chunk(taken.column("pattern")),
        app=one_chunk(taken.column("app")),
        count=_total(kind, kinds.column("count"), n),
        first=first,
        last=last,
        severity=severity,
        example=one_chunk(taken.column("example")),
        instances=_as_binary(bits),
        most_cut=_total(kind, kinds.column("most_cut"), n),
    )


def _total(kind: Int64, column: pa.ChunkedArray, n: int) -> Int64:
    total = np.zeros(n, np.int64)
    np.add.at(total, kind, as_integers(column))
    return total


def _extremes(kind: Int64, times: Int64, n: int) -> tuple[Int64, Int64]:
    """Return the first and the last time of each kind."""
    first, last = np.full(n, _NEVER.max), np.full(n, _NEVER.min)
    np.minimum.at(first, kind, times)
    np.maximum.at(last, kind, times)
    return first, last


def _numbered(places: Int64, inner: Int64, size: int) -> tuple[Int64, Int64]:
    """Return the distinct combinations ``places * size + inner``, ascending, and which of them each row has."""
    combined = places * size + inner
    most = (int(places.max(initial=-1)) + 1) * size
    if most > _DENSE:
        found, number = np.unique(combined, return_inverse=True)
        return found, number
    there = np.zeros(most, np.bool_)
    there[combined] = True
    found = np.flatnonzero(there)
    numbers = np.zeros(most, np.int64)
    numbers[found] = np.arange(len(found))
    return found, numbers[combined]


def _bits(kind: Int64, instance: Int64, n: int) -> Bytes2:
    """Return a row of bits for each kind: which instances have it."""
    width = int(instance.max(initial=0)) // _BITS + 1
    if n * width * _BITS <= _DENSE:
        there = np.zeros((n, width * _BITS), np.bool_)
        there[kind, instance] = True
        return np.packbits(there, axis=1, bitorder="little")
    bits = np.zeros(n * width, np.uint8)
    np.bitwise_or.at(bits, kind * width + instance // _BITS, (1 << instance % _BITS).astype(np.uint8))
    return bits.reshape(n, width)


def _as_binary(bits: Bytes2) -> pa.Array:
    n, width = bits.shape
    kind = pa.binary(width) if width else pa.binary()
    data = pa.py_buffer(np.ascontiguousarray(bits))
    return pa.Array.from_buffers(kind, n, [None, data]).cast(pa.binary())


def _as_matrix(column: pa.ChunkedArray) -> Bytes2:
    """Return the bits of each row, all as wide as the widest."""
    values = one_chunk(column)
    widths = pc.binary_length(values).to_numpy(zero_copy_only=False)
    matrix = np.zeros((len(values), int(widths.max(initial=1))), np.uint8)
    _, offsets, data = values.buffers()
    if data is None:
        return matrix
    starts = np.frombuffer(offsets, np.int32)[values.offset : values.offset + len(values)].astype(np.int64)
    taken = np.frombuffer(data, np.uint8)
    for width in np.unique(widths):  # a handful: parts before and after the first row of an instance
        rows = np.flatnonzero(widths == width)
        matrix[rows, :width] = taken[starts[rows, None] + np.arange(width)]
    return matrix


def _encoded(column: pa.ChunkedArray) -> pa.DictionaryArray:
    values = one_chunk(column)
    return values if pa.types.is_dictionary(values.type) else values.dictionary_encode()


def _cut(texts: pa.Array, longest: int) -> pa.Array:
    """Return texts without what stands behind so many characters."""
    if not len(texts) or pc.max(pc.binary_length(texts)).as_py() <= longest:
        return texts
    return pc.utf8_slice_codeunits(texts, 0, longest)


def _table(**columns: Any) -> pa.Table:
    arrays = [as_array(c) if isinstance(c, np.ndarray) else c for c in (columns[name] for name in SCHEMA.names)]
    return pa.table([array.cast(field.type) for array, field in zip(arrays, SCHEMA, strict=True)], schema=SCHEMA)
