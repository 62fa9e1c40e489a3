"""Counts of kinds: the same however the rows are split, and bounded."""

from __future__ import annotations

import itertools
from typing import Any

import pyarrow as pa
import pytest

from logsink.query.changes import kinds
from logsink.query.changes.kinds import Instances, Kinds, all_instances, instances_in, merge_alike
from logsink.query.columns import SCHEMA, as_rows
from tests.unit.query.archives import START, row, table

ROWS = [
    row(
        n,
        app=None if n % 5 == 0 else "shop",
        host=f"h{n % 3}",
        instance=None if n % 2 else f"i{n % 4}",
        severity=None if n % 3 else n % 8,
        message=f"port {n} {'closed' if n % 4 else 'open'}",
    )
    for n in range(40)
]


def counted(rows: list[dict[str, Any]], *cuts: int) -> pa.Table:
    counting, edges = Kinds(Instances()), [0, *cuts, len(rows)]
    whole = as_rows(table(rows), SCHEMA.names)
    return counting.merge([counting.part(whole.slice(a, b - a)) for a, b in itertools.pairwise(edges)])


def expected(rows: list[dict[str, Any]]) -> set[tuple[Any, ...]]:
    found = set()
    for key in {(r["app"], "closed" if n % 4 else "open") for n, r in enumerate(rows)}:
        mine = [r for n, r in enumerate(rows) if (r["app"], "closed" if n % 4 else "open") == key]
        severities = [r["severity"] for r in mine if r["severity"] is not None]
        names = {r["instance"] or r["host"] for r in mine}
        times = [r["time"] for r in mine]
        least = min(severities, default=kinds.NO_SEVERITY)
        found.add(
            (key[0], f"port * {key[1]}", len(mine), min(times), max(times), least, mine[0]["message"], len(names))
        )
    return found


def simple(found: pa.Table) -> set[tuple[Any, ...]]:
    names = ("app", "pattern", "count", "first", "last", "severity", "example")
    columns = [found.column(name).to_pylist() for name in names]
    return set(zip(*columns, instances_in(found).tolist(), strict=True))


@pytest.mark.parametrize("cuts", [(), (7,), (1, 2, 20), (0, 40)])
def test_kinds_are_the_same_in_any_split(cuts: tuple[int, ...]) -> None:
    found = counted(ROWS, *cuts)
    assert simple(found) == expected(ROWS)
    assert all_instances(found) == len({r["instance"] or r["host"] for r in ROWS})


@pytest.mark.parametrize("name", ["_DENSE"])
def test_many_combinations_are_sorted(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(kinds, name, 1)
    assert simple(counted(ROWS, 11)) == expected(ROWS)


def test_messages_that_are_null_or_long() -> None:
    found = counted([row(message=None), row(message="ab " * 2000)])
    assert sorted(map(len, found.column("pattern").to_pylist())) == [0, 2000]
    assert max(map(len, found.column("example").to_pylist())) == 1000


def test_the_rarest_kinds_are_cut_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kinds, "MOST_KINDS", 4)
    words = ("alpha", "beta", "gamma", "delta", "epsilon", "zeta")
    rows = [row(n, host=f"h{n}", message=word) for n, word in enumerate(words) for _ in range(n + 1)]
    for cuts in ((), (6,)):
        found = counted(rows, *cuts)
        by_pattern = dict(zip(found.column("pattern").to_pylist(), found.column("count").to_pylist(), strict=True))
        assert sum(by_pattern.values()) == len(rows)
        assert len(by_pattern) <= 4
        assert by_pattern["zeta"] == 6
    rest = found.filter(found.column("pattern").is_null()).to_pylist()[0]
    assert rest["most_cut"] >= 4
    assert rest["example"] is None


def test_the_same_pattern_on_all_sides() -> None:
    names = ("ada", "bob", "carol", "dave", "erin", "frank")
    sides = [
        counted([row(n, message=f"mail for user {name} sent") for n, name in enumerate(part)])
        for part in (names[:3], names[3:])
    ]
    found = merge_alike(sides)
    assert [each.column("pattern").to_pylist() for each in found] == [["mail for user * sent"]] * 2
    assert [each.column("example")[0].as_py() for each in found] == [
        "mail for user ada sent",
        "mail for user dave sent",
    ]


def test_more_instances_than_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kinds, "MOST_INSTANCES", 4)
    instances = Instances()
    rows = as_rows(table([row(n, host=f"h{n}") for n in range(9)]), SCHEMA.names)
    assert set(instances.of(rows).tolist()) == {0, 1, 2, 3}
    assert instances.too_many
    assert START > 0
