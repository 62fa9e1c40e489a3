"""A comparison finds what was planted, and little else."""

from __future__ import annotations

import re

import pytest

from logsink.query import Filter, OneOf
from logsink.query.changes import Change, Changes, Comparison, compare
from logsink.query.changes.compare import compared
from logsink.query.changes.kinds import Instances, Kinds
from logsink.store.memory import MemoryStore
from tests.unit.query.archives import START, archive, row
from tests.unit.query.changes.planted import Planted, planted


def compared_tables(sides: Planted) -> Changes:
    counting = Kinds(Instances())
    return compared([counting.merge([counting.part(side)]) for side in sides.sides])


def marked(change: Change) -> tuple[str, str]:
    mark = re.search(r"\bq[a-z]{3}\b", change.pattern)
    return (mark[0] if mark else "", change.change)


def test_planted_changes_are_found_and_few_others() -> None:
    """20 kinds of 1,000 that are new, 20 that are gone, 20 that are doubled: 95 % found, at most 5 % of those shown false."""
    found = false = shown = 0
    for seed in range(2):
        sides = planted(seed)
        changes = {marked(change) for change in compared_tables(sides).shown}
        found += len(changes & sides.changes.items())
        false += len(changes - sides.changes.items())
        shown += len(changes)
    assert found >= 0.95 * 2 * 60
    assert false <= 0.05 * shown


def test_without_changes_nothing_is_shown() -> None:
    sides = planted(7, kinds=300, each=0)
    assert len(compared_tables(sides).shown) <= 1


def rows(deploy: str, counts: dict[str, int], *, instances: int = 6, **values: object) -> list[dict[str, object]]:
    return [
        row(n, message=f"{message} {n}", deploy=deploy, instance=f"{deploy}-{n % instances}", app="shop", **values)
        for message, count in counts.items()
        for n in range(count)
    ]


async def changes_of(*files: list[dict[str, object]]) -> Changes:
    async with MemoryStore() as store:
        await archive(store, files, group=64)
        sides = (Filter((OneOf("deploy", ("a",)),)), Filter((OneOf("deploy", ("b",)),)))
        comparison = Comparison(store, sides)
        await comparison.run(0)
        await comparison.run(1)
        assert comparison.report.rows == sum(map(len, files))
        return comparison.changes()


async def test_changes_in_an_archive() -> None:
    same = {"request took": 200, "order placed": 100}
    found = await changes_of(
        rows("a", same | {"cache is warm": 40, "mail was sent": 40}, severity=6),
        rows("b", same | {"mail was sent": 120}, severity=6),
        rows("b", {"cannot connect to": 30}, severity=3),
    )
    assert [(each.change, each.pattern, each.rows) for each in found.shown] == [
        ("NEW", "cannot connect to *", (0, 30)),
        ("MORE", "mail was sent *", (40, 120)),
        ("GONE", "cache is warm *", (40, 0)),
    ]
    new, more, gone = found.shown
    assert (new.error, new.severity, new.instances, new.seen) == (True, 3, (0, 6), (START, START + 29))
    assert (new.example, new.ratio, new.larger) == ("cannot connect to 0", None, 1)
    assert (gone.ratio, gone.larger, gone.error) == (0.0, 0, False)
    assert more.ratio == 3
    assert [tuple(side) for side in found.sides] == [(380, 6), (450, 6)]
    assert (found.kinds, found.uncounted, found.too_many) == (5, (0, 0), False)


async def test_what_one_instance_of_many_says_alone_is_kept_apart() -> None:
    files = (
        rows("a", {"request took": 200}),
        rows("b", {"request took": 200}),
        rows("b", {"disk is broken": 50}, instances=1),
    )
    found = await changes_of(*files)
    assert found.shown == []
    assert [(each.change, each.instances) for each in found.alone] == [("NEW", (0, 1))]


async def test_kinds_that_were_cut_are_not_said_to_be_new(monkeypatch: pytest.MonkeyPatch) -> None:
    words = [f"{chr(97 + n)}{chr(97 + n)}{chr(97 + n)}" for n in range(20)]
    a = rows("a", dict.fromkeys(words, 30) | {"often": 300})
    b = rows("b", {words[-1]: 31, "often": 300})
    monkeypatch.setattr("logsink.query.changes.kinds.MOST_KINDS", 12)
    found = await changes_of(a, b)
    assert found.uncounted[0] > 0
    assert "NEW" not in {each.change for each in found.shown}


async def test_a_side_without_rows() -> None:
    found = await changes_of(rows("a", {"request took": 20}))
    assert [side.rows for side in found.sides] == [20, 0]


def test_the_order_of_changes_has_each_once() -> None:
    assert len(set(compare.ORDER)) == 4
