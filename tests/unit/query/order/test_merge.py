"""Rows into order in bounded memory."""

from __future__ import annotations

import random

import pytest

from logsink.query.columns import as_rows
from logsink.query.order import merge, spill
from logsink.query.order.merge import ROW_KEY, Pending, Position, position_of
from tests.unit.query.archives import START, Row, place, row, rows_of, table

COLUMNS = (*ROW_KEY, "host", "message")


def add(pending: Pending, rows: list[Row]) -> None:
    pending.add(as_rows(table(rows), COLUMNS))


def popped(pending: Pending, frontier: int | None = None) -> list[Row]:
    return rows_of(list(pending.pop(None if frontier is None else START + frontier)))


def times(rows: list[Row]) -> list[int]:
    return [r["time"] - START for r in rows]


def test_only_what_nothing_can_precede_leaves() -> None:
    pending = Pending()
    add(pending, [row(5), row(1), row(3)])
    assert times(popped(pending, 3)) == [1]
    add(pending, [row(4), row(3, nth=1)])
    assert times(popped(pending, 3)) == []
    assert times(popped(pending, 5)) == [3, 3, 4]
    assert times(popped(pending)) == [5]
    assert times(popped(pending)) == []


def test_newest_first() -> None:
    pending = Pending(descending=True)
    add(pending, [row(5), row(1), row(3)])
    add(pending, [row(4), row(3, nth=1)])
    assert times(popped(pending, 3)) == [5, 4]
    assert [(r["time"] - START, r["nth"]) for r in popped(pending)] == [(3, 1), (3, 0), (1, 0)]


def test_ties_are_settled_by_received_receiver_and_nth_with_nulls_first() -> None:
    rows = [
        row(1, received=None, receiver=None, nth=None),
        row(1, received=None, receiver=None, nth=0),
        row(1, received=None, receiver="r1"),
        row(1, received=START, receiver=None),
        row(1, received=START, receiver="r10"),
        row(1, received=START, receiver="r2"),
        row(1, received=START, receiver="r2", nth=1),
    ]
    shuffled = random.Random(1).sample(rows, len(rows))
    pending, backwards = Pending(), Pending(descending=True)
    for one in shuffled:
        add(pending, [one])
        add(backwards, [one])
    found = popped(pending)
    assert [place(r) for r in found] == [place(r) for r in rows]
    assert popped(backwards) == found[::-1]


def test_a_limit_drops_what_cannot_be_shown_and_says_so() -> None:
    pending = Pending(descending=True, limit=2)
    add(pending, [row(1), row(2)])
    assert not pending.dropped
    assert pending.floor == START + 1
    add(pending, [row(3), row(4), row(5)])
    assert pending.dropped
    assert pending.floor == START + 4
    assert times(popped(pending, 4)) == [5]
    assert pending.room == 1
    assert not pending.complete
    assert times(popped(pending)) == [4]
    assert pending.complete
    assert times(popped(pending)) == []


def test_while_rows_leave_nobody_is_told_which_are_too_old() -> None:
    """Rows that have left count no more towards the limit, but are still held: a search goes on while they are printed."""
    pending = Pending(descending=True, limit=6)
    add(pending, [row(time) for time in (9, 8, 7, 6, 2, 1)])
    leaving = pending.pop(START + 5)
    assert times(rows_of([next(leaving)])) == [9, 8, 7, 6]
    assert pending.room == 2
    assert pending.floor is None  # and not 8: rows of the times 5 to 2 may be among the next two
    assert list(leaving) == []
    assert pending.floor == START + 1
    add(pending, [row(5)])
    assert times(popped(pending)) == [5, 2]


def test_exactly_as_many_as_asked_for_drops_nothing() -> None:
    pending = Pending(descending=True, limit=2)
    add(pending, [row(1), row(2)])
    assert times(popped(pending)) == [2, 1]
    assert pending.complete
    assert not pending.dropped


def test_rows_shown_already_are_passed_over() -> None:
    shown = Position(START + 2, START + 2, "r1", 0)
    pending, backwards = Pending(after=shown), Pending(descending=True, after=shown)
    for each in (pending, backwards):
        add(each, [row(1), row(2), row(2, nth=1), row(2, receiver="r0"), row(2, receiver=None), row(3)])
    assert [(r["time"] - START, r["nth"]) for r in popped(pending)] == [(2, 1), (3, 0)]
    assert [(r["time"] - START, r.get("receiver")) for r in popped(backwards)] == [(2, "r0"), (2, None), (1, "r1")]


def test_the_place_of_a_row() -> None:
    rows = as_rows(table([row(1), row(2, received=None, receiver=None, nth=None)]), COLUMNS)
    assert position_of(rows, 0) == Position(START + 1, START + 1, "r1", 0)
    assert position_of(rows, -1) == Position(START + 2, None, None, None)


@pytest.mark.parametrize("descending", [False, True])
def test_more_rows_than_memory_holds_come_out_in_order(monkeypatch: pytest.MonkeyPatch, descending: bool) -> None:
    monkeypatch.setattr(spill, "BATCH", 16)
    monkeypatch.setattr(merge, "_FAN_IN", 3)
    chance = random.Random(7)
    rows = [
        row(chance.randrange(300), nth=i, host=f"h{i % 7}", message="x" * chance.randrange(90)) for i in range(2000)
    ]
    pending = Pending(descending=descending, memory=4000)
    for start in range(0, len(rows), 50):
        add(pending, rows[start : start + 50])
        assert len(pending) < 700
    assert pending.spilled > 20
    wanted = sorted(rows, key=place, reverse=descending)
    assert popped(pending) == [{k: v for k, v in r.items() if v is not None} for r in wanted]


def test_many_small_tables_become_few_runs() -> None:
    pending = Pending()
    for i in range(200):
        add(pending, [row(200 - i)])
        assert len(pending._runs) <= merge._RUNS + 1
    assert times(popped(pending)) == list(range(1, 201))


def test_rows_that_wait_do_not_hold_the_memory_of_rows_that_left() -> None:
    pending = Pending()
    add(pending, [row(i, message="x" * 1000, host=f"h{i}") for i in range(1000)])
    for _ in pending.pop(START + 990):
        pass
    assert sum(b.size for c in pending._runs[0].rows.columns for b in c.chunk(0).buffers() if b is not None) < 20_000
    assert len(pending._runs[0].rows.column("host").chunk(0).dictionary) == 10
    assert len(popped(pending)) == 10


def test_a_spill_gives_back_what_it_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spill, "BATCH", 3)
    kept = spill.Spill()
    first, second = (
        as_rows(table([row(i, host=None if i % 2 else "h") for i in range(a, b)]), COLUMNS) for a, b in ((0, 4), (4, 6))
    )
    kept.write(first)
    kept.write(second)
    kept.finish()
    assert len(kept) == 3
    assert kept.read(2).equals(second)
    assert rows_of([kept.read(0), kept.read(1)]) == rows_of([first])
    assert kept.read(0).schema == first.schema


@pytest.mark.parametrize("memory", [1, 3000, 1 << 20])
def test_backwards_turns_newest_first_into_oldest_first(monkeypatch: pytest.MonkeyPatch, memory: int) -> None:
    monkeypatch.setattr(spill, "BATCH", 4)
    turned = spill.Backwards(memory)
    for start in (30, 20, 10):
        turned.add(as_rows(table([row(start - i) for i in range(10)]), COLUMNS))
    assert times(rows_of(list(turned))) == list(range(1, 31))
