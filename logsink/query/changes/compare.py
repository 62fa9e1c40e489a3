"""A comparison of two sets of rows: ``Comparison`` reads both, ``changes`` says what differs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa

from logsink.query.changes.kinds import (
    COLUMNS,
    NO_SEVERITY,
    SCHEMA,
    Instances,
    Kinds,
    all_instances,
    instances_in,
    merge_alike,
)
from logsink.query.changes.significance import verdicts
from logsink.query.columns import Int64, as_integers
from logsink.query.read import Fold, Report, fold
from logsink.query.request import Filter, Query
from logsink.store import Store

ERROR: Final = 3
"""The severity ``err``: kinds of this and more urgent ones are errors."""

ALONE: Final = 5
"""Instances of a side from which on a change that only one of them shows says more about that one than about the side."""

ORDER: Final = ("NEW", "MORE", "GONE", "LESS")
"""What can have happened to a kind, in the order in which changes are shown."""


class Side(NamedTuple):
    """How many rows and instances one side has."""

    rows: int
    instances: int


class Change(NamedTuple):
    """One kind of messages that the sides do not have alike.

    change      one of ``ORDER``
    severity    the most urgent one of the kind; None where no row has any
    rows        how many rows of each side are of the kind
    ratio       how often more of them side B has than expected from the other kinds; None for NEW
    score       log-likelihood ratio, lowered by how much all kinds vary
    instances   how many instances of each side have it
    seen        times of its first and its last row on the side that has more of it, microseconds since the epoch
    example     the first message of the kind on that side
    """

    change: str
    severity: int | None
    app: str | None
    pattern: str
    rows: tuple[int, int]
    ratio: float | None
    score: float
    instances: tuple[int, int]
    seen: tuple[int, int]
    example: str

    @property
    def error(self) -> bool:
        """Whether rows of the kind are errors, or more urgent."""
        return self.severity is not None and self.severity <= ERROR

    @property
    def larger(self) -> int:
        """The side that has more of it: 0 or 1."""
        return int(self.change in ("NEW", "MORE"))


class Changes(NamedTuple):
    """What a comparison found.

    sides       what there was to compare
    kinds       how many kinds of messages were compared
    scale       how many rows of side B were expected for each of side A
    spread      how much the counts of all kinds vary, as a standard deviation of their logarithms
    shown       the changes, errors first, then by what happened, then by score
    alone       changes that one instance of many shows alone; they are not among ``shown``
    uncounted   rows of each side that were not compared, because there are too many kinds
    too_many    whether there are so many instances that their numbers are too low
    """

    sides: tuple[Side, Side]
    kinds: int
    scale: float
    spread: float
    shown: list[Change]
    alone: list[Change]
    uncounted: tuple[int, int]
    too_many: bool


class Comparison:
    """The rows of two filters in one store. Call ``run``, then ``changes``."""

    def __init__(self, store: Store, sides: tuple[Filter, Filter]) -> None:
        self._instances = Instances()
        self._kinds = Kinds(self._instances)
        queries = [Query(side, COLUMNS) for side in sides]
        self.folds: list[Fold] = [fold(store, query, self._kinds.part, merge=self._kinds.merge) for query in queries]
        """The two sums, of which one runs at a time."""

    async def run(self, side: int) -> None:
        """Count the kinds of one side. Raises the errors of a ``Fold``."""
        await self.folds[side].run()

    @property
    def report(self) -> Report:
        """What was read so far, for both sides."""
        first, second = (each.report for each in self.folds)
        both = first.including(second)
        both.rows, both.bytes, both.passed = (
            getattr(first, name) + getattr(second, name) for name in ("rows", "bytes", "passed")
        )
        return both

    def changes(self) -> Changes:
        """Return what the sides do not have alike."""
        sides = [self._kinds.merge(each.parts) if each.parts else SCHEMA.empty_table() for each in self.folds]
        return compared(sides, too_many=self._instances.too_many)


def compared(sides: Sequence[pa.Table], *, too_many: bool = False) -> Changes:
    """Return what two tables of ``Kinds`` do not have alike; ``too_many``: whether instances share numbers."""
    both = _Both.of(sides)
    judged = verdicts(
        np.where(both.a == 0, both.cut[0], both.a),
        np.where(both.b == 0, both.cut[1], both.b),
        (int(both.a.sum()), int(both.b.sum())),
        both.severity <= ERROR,
    )
    instances = all_instances(sides[0]), all_instances(sides[1])
    found = [
        _change(both, n, float(judged.ratio[n]), float(judged.score[n]))
        for n in np.flatnonzero(judged.changed).tolist()
    ]
    found.sort(key=lambda each: (not each.error, ORDER.index(each.change), -each.score, each.pattern))
    shown: list[Change] = []
    alone: list[Change] = []
    for each in found:
        (alone if each.instances[each.larger] == 1 and instances[each.larger] >= ALONE else shown).append(each)
    return Changes(
        sides=(
            Side(int(both.a.sum()) + both.uncounted[0], instances[0]),
            Side(int(both.b.sum()) + both.uncounted[1], instances[1]),
        ),
        kinds=len(both.a),
        scale=judged.scale,
        spread=judged.spread,
        shown=shown,
        alone=alone,
        uncounted=both.uncounted,
        too_many=too_many,
    )


class _Both(NamedTuple):
    """The kinds of both sides: a number for each kind, and the row of each side's table that has it, or -1."""

    tables: tuple[pa.Table, pa.Table]
    rows: tuple[Int64, Int64]
    a: Int64
    b: Int64
    severity: Int64
    patterns: list[str]
    instances: tuple[Int64, Int64]
    cut: tuple[int, int]
    uncounted: tuple[int, int]

    @classmethod
    def of(cls, sides: Sequence[pa.Table]) -> _Both:
        """Merge what is alike across both sides, so that a kind has one pattern on both."""
        rest = [side.filter(side.column("pattern").is_null()) for side in sides]
        merged = [each.filter(each.column("pattern").is_valid()) for each in merge_alike(sides)]
        keys = [list(zip(*(each.column(n).to_pylist() for n in ("app", "pattern")), strict=True)) for each in merged]
        number = {key: n for n, key in enumerate(dict.fromkeys([*keys[0], *keys[1]]))}
        rows, counts = [], []
        severity = np.full(len(number), NO_SEVERITY, np.int64)
        for each, its in zip(merged, keys, strict=True):
            place = np.array([number[key] for key in its], np.int64)
            row, count = np.full(len(number), -1, np.int64), np.zeros(len(number), np.int64)
            row[place], count[place] = np.arange(len(its)), as_integers(each.column("count"))
            np.minimum.at(severity, place, as_integers(each.column("severity")))
            rows.append(row)
            counts.append(count)
        return cls(
            (merged[0], merged[1]),
            (rows[0], rows[1]),
            counts[0],
            counts[1],
            severity,
            [pattern for _, pattern in number],
            (instances_in(merged[0]), instances_in(merged[1])),
            (_sum(rest[0], "most_cut"), _sum(rest[1], "most_cut")),
            (_sum(rest[0], "count"), _sum(rest[1], "count")),
        )


def _change(both: _Both, kind: int, ratio: float, score: float) -> Change:
    """Return what has happened to a kind."""
    a, b = int(both.a[kind]), int(both.b[kind])
    new, gone = a + both.cut[0] == 0, b + both.cut[1] == 0
    change = "NEW" if new else "GONE" if gone else "MORE" if ratio > 1 else "LESS"
    rows = int(both.rows[0][kind]), int(both.rows[1][kind])
    larger = int(change in ("NEW", "MORE"))
    shown = {
        name: both.tables[larger].column(name)[rows[larger]].as_py() for name in ("app", "first", "last", "example")
    }
    severity = int(both.severity[kind])
    return Change(
        change=change,
        severity=None if severity == NO_SEVERITY else severity,
        app=shown["app"],
        pattern=both.patterns[kind],
        rows=(a, b),
        ratio=None if change == "NEW" else 0.0 if change == "GONE" else ratio,
        score=score,
        instances=(_instances(both, 0, rows[0]), _instances(both, 1, rows[1])),
        seen=(shown["first"], shown["last"]),
        example=shown["example"],
    )


def _instances(both: _Both, side: int, row: int) -> int:
    return int(both.instances[side][row]) if row >= 0 else 0


def _sum(kinds: pa.Table, column: str) -> int:
    return int(as_integers(kinds.column(column)).sum())
