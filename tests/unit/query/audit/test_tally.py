"""A tally is the same however rows are split, and knows what looking at every row would tell."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logsink.flags import Flag
from logsink.query.audit import findings as findings_module
from logsink.query.audit import tally
from logsink.query.audit.findings import Findings, findings
from logsink.query.audit.tally import Tally
from logsink.query.columns import SCHEMA, as_rows
from logsink.query.request import Filter, OneOf
from tests.unit.query.archives import Row, row, table
from tests.unit.query.audit.fleet import shipped

SECOND = 1_000_000


def numbered(boot: str, number: int, **values: Any) -> Row:
    text = f'[deploy@32473 boot="{boot}" seq="{number}"]'
    return row(number * SECOND, structured_data=text, instance=f"i-{boot}", flags=0) | values


def tallied(rows: list[Row], *cuts: int, of: Tally | None = None) -> pa.Table:
    counting = of or Tally(Filter())
    whole = as_rows(table(rows), SCHEMA.names)
    edges = [0, *sorted(min(cut, len(rows)) for cut in cuts), len(rows)]
    parts = [counting.part(whole.slice(a, b - a)) for a, b in itertools.pairwise(edges)]
    first = counting.merge(parts[: len(parts) // 2]) if len(parts) > 1 else parts[0]
    return counting.merge([first, *parts[len(parts) // 2 if len(parts) > 1 else 1 :]])


ROWS = st.lists(
    st.tuples(
        st.sampled_from("ab"),
        st.one_of(st.integers(0, 40), st.integers(4090, 4100), st.integers(0, 20_000)),
        st.booleans(),
    ),
    max_size=60,
)


@settings(max_examples=30)
@given(ROWS, st.lists(st.integers(0, 60), max_size=4))
def test_numbers_as_sets_have_them(sent: list[tuple[str, int, bool]], cuts: list[int]) -> None:
    rows = [numbered(boot, number, flags=int(Flag.MAYBE_RESENT) if again else 0) for boot, number, again in sent]
    found = findings(tallied(rows, *cuts))
    for boot in found.boots:
        mine = [(number, again) for name, number, again in sent if name == boot.boot]
        numbers = {number for number, _ in mine}
        plain = [number for number, again in mine if not again]
        assert (boot.rows, boot.numbers, boot.doubles) == (len(mine), len(numbers), len(mine) - len(numbers))
        assert boot.unexplained == len(plain) - len(set(plain))
        assert (boot.least, boot.most) == (min(numbers), max(numbers))
        missing = {n for hole in found.holes if hole.boot == boot.boot for n in range(hole.first, hole.last + 1)}
        assert missing == set(range(min(numbers), max(numbers))) - numbers
    assert {boot.boot for boot in found.boots} == {boot for boot, _, _ in sent}


def test_complete_spans_take_no_memory() -> None:
    rows = shipped(3, boots=2, each=20_000).parts(5000)
    counting = Tally(Filter())
    parts = [counting.part(part) for part in rows]
    for whole in (counting.merge(parts), counting.merge([counting.merge(parts[::2]), counting.merge(parts[1::2])])):
        boots = whole.filter(pc.equal(whole.column("what"), tally.NUMBERS))
        assert boots.num_rows == 2 * 3  # the first span lacks number 0, the last one is not full
        assert [hole.first for hole in findings(whole).holes] == []


def test_a_boot_without_complete_spans_behind_one_that_has_them() -> None:
    whole = [numbered("a", number) for number in range(tally.SPAN)]
    found = findings(tallied([*whole, *(numbered("b", number) for number in (1, 2, 5, tally.SPAN + 1))]))
    assert [(boot.boot, boot.rows, boot.numbers, boot.unexplained) for boot in found.boots] == [
        ("a", tally.SPAN, tally.SPAN, 0),
        ("b", 4, 4, 0),
    ]
    assert [(hole.boot, hole.first, hole.last) for hole in found.holes] == [("b", 3, 4), ("b", 6, tally.SPAN)]


@pytest.mark.parametrize("each", [5_000, pytest.param(50_000, marks=pytest.mark.slow)])
def test_no_false_holes(each: int) -> None:
    """Restarts, rebinds, two receivers whose clocks differ, and messages that were sent again: in a million messages, none."""
    counting, sent = Tally(Filter()), shipped(1, each=each)
    found = findings(counting.merge([counting.part(part) for part in sent.parts(1 << 16)]))
    assert found.holes == []
    assert sum(boot.numbers for boot in found.boots) == 20 * each
    assert sum(boot.doubles for boot in found.boots) == sent.rows.num_rows - 20 * each > each // 5
    assert {(boot.unexplained, boot.reordered) for boot in found.boots} == {(0, 0)}


def test_a_hundred_holes_with_their_sizes() -> None:
    counting, sent = Tally(Filter()), shipped(2, each=10_000, holes=100)
    found = findings(counting.merge([counting.part(part) for part in sent.parts(1 << 14)]))
    assert sorted((hole.boot, hole.first, hole.last) for hole in found.holes) == sorted(sent.holes)
    assert len(sent.holes) == 100
    assert found.missing == sum(last - first + 1 for _, first, last in sent.holes)


def many(boots: int, least: int, lost: int, late: int) -> pa.Table:
    """Three messages of each boot, of a host each, numbered from ``least`` on: one is lost, and one boot's arrive backwards."""
    boot = np.repeat(np.arange(boots), 3)
    number = least + np.tile(np.arange(3), boots)
    at = np.where(boot == late, 3 * boots - number + least, np.arange(3 * boots))
    kept = (boot != lost) | (number != least + 1)
    names = pa.array([f"b{k:06d}" for k in range(boots)]).take(pa.array(boot))
    texts = pc.binary_join_element_wise('[a boot="', names, '" seq="', pa.array(number).cast(pa.string()), '"]', "")
    times = pa.array(1_790_000_000_000_000 + at * 1000).cast(pa.timestamp("us", "UTC"))
    columns = {
        "structured_data": texts,
        "host": names,
        "time": times,
        "received": times,
        "nth": pa.array(at, pa.int32()),
    }
    return as_rows(pa.table(columns | {"flags": pa.array(0 * at, pa.int32())}).filter(pa.array(kept)), SCHEMA.names)


@pytest.mark.parametrize("least", [1, 10**15 - 3])
@pytest.mark.parametrize(
    ("boots", "of"),
    [(5_000, 3_000), (9_000, 27_000), pytest.param(tally.MOST_SPANS // 2, 1 << 17, marks=pytest.mark.slow)],
)
def test_many_boots(boots: int, of: int, least: int) -> None:
    """As many boots and senders in several parts, in one, and as there may be; numbers are the least and the greatest."""
    counting, rows = Tally(Filter()), many(boots, least, lost=boots - 10, late=boots - 5)
    whole = counting.merge([counting.part(rows.slice(at, of)) for at in range(0, rows.num_rows, of)])
    assert (whole.num_rows, counting.dropped) == (2 * boots, set())
    assert set(whole.column("rows").to_pylist()) == {2, 3}
    told = findings(whole.filter(pc.greater_equal(whole.column("name"), f"b{boots - 20:06d}")))
    assert [(hole.boot, hole.first, hole.last) for hole in told.holes] == [(f"b{boots - 10:06d}", least + 1, least + 1)]
    assert [(boot.boot, boot.reordered) for boot in told.boots if boot.reordered] == [(f"b{boots - 5:06d}", 2)]
    assert len(told.boots) == len(told.senders) == 20


def test_order_is_that_of_arrival_at_one_receiver() -> None:
    arrived = [1, 2, 5, 3, 4, 6]
    rows = [numbered("a", number, received=row(k)["received"], nth=0) for k, number in enumerate(arrived)]
    assert findings(tallied(rows)).boots[0].reordered == 2
    apart = [r | {"receiver": f"r{r['time'] // SECOND % 2}"} for r in rows]
    assert findings(tallied(apart)).boots[0].reordered == 1
    again = [r | {"flags": int(Flag.MAYBE_RESENT)} for r in rows]
    assert findings(tallied(again)).boots[0].reordered == 0


def test_senders() -> None:
    rows = [
        row(0, host="h", flags=int(Flag.TRUNCATED)),
        row(SECOND, host="h", flags=int(Flag.INCOMPLETE | Flag.TRUNCATED), instance=None),
        numbered("a", 1, host="h", received=row(-5 * SECOND)["received"]),
        row(9 * SECOND, host="late", received=row(99 * SECOND)["received"]),
        row(0, host="guessed", flags=int(Flag.TIME_INFERRED), received=row(-99 * SECOND)["received"]),
        row(0, host=None),
    ]
    found = {sender.name: sender for sender in findings(tallied(rows, 2, 3)).senders}
    assert {name: (s.rows, s.unnumbered, s.truncated, s.incomplete, s.clock) for name, s in found.items()} == {
        "h": (2, 2, 2, 1, 0),
        "i-a": (1, 0, 0, 0, 6 * SECOND),
        "late": (1, 1, 0, 0, -90 * SECOND),
        "guessed": (1, 1, 0, 0, 0),
        "": (1, 1, 0, 0, 0),
    }
    assert found["guessed"].ahead is None
    assert (found["h"].first, found["h"].last) == (rows[0]["time"], rows[1]["time"])


def quiet(minutes: list[int]) -> Findings:
    return findings(tallied([row(minute * 60 * SECOND, host="h") for minute in minutes], 100))


def test_unusual_pauses() -> None:
    steady = [*range(300), *range(345, 900)]
    found = quiet(steady).quiet
    assert [(q.until - q.since, q.usual) for q in found] == [(46 * 60 * SECOND, 1)]
    assert quiet([*range(300), *range(305, 900)]).quiet == []  # short
    assert quiet([*range(0, 9000, 60), *range(9060, 12_000, 60)]).quiet == []  # as usual
    nights = [day * 1440 + minute for day in range(5) for minute in range(600)]
    assert quiet(nights).quiet == []  # a habit
    assert quiet([0, 1, 2, 500]).quiet == []  # too little is known
    assert findings_module.LEAST_QUIET == 10


def test_senders_and_boots_that_conditions_choose() -> None:
    rows = [numbered(boot, number, role=role) for boot, role in (("a", "web"), ("b", "db")) for number in (1, 2, 4)]
    rows[1] = rows[1] | {"role": "other"}  # as a container says of itself
    found = findings(tallied(rows, of=Tally(Filter((OneOf("role", ("web",)),)))))
    assert [(hole.boot, hole.first, hole.last) for hole in found.holes] == [("a", 3, 3)]
    assert [(sender.name, sender.rows) for sender in found.senders] == [("i-a", 2)]


def test_numbers_that_are_none_are_dropped_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tally, "MOST_SPANS", 20)
    rows = [numbered("good", number) for number in range(1, 50)]
    rows += [numbered("bad", number * 1_000_003, instance="i-good") for number in range(1, 50)]
    rows = [r | {"time": row(0)["time"]} for r in rows]
    counting = Tally(Filter())
    found = findings(tallied(rows, 30, 60, of=counting), [name for _, name in counting.dropped])
    assert [boot.boot for boot in found.boots] == ["good"]
    assert (found.holes, found.dropped) == ([], ["bad"])


def test_no_rows() -> None:
    found = findings(tallied([]))
    assert found == Findings([], [], [], [], [])
    assert np.iinfo(np.int64).max > 0


def test_rows_of_logsink_itself_are_told_of_only_where_they_have_numbers() -> None:
    own = [row(n * SECOND, host=app, app=app) for n, app in enumerate(("logsink", "logsink-doctor"))]
    rows = [*own, row(SECOND, host="switch-1"), numbered("a", 1, app="logsink"), numbered("a", 3, app="app")]
    found = findings(tallied(rows))
    assert {each.name: each.unnumbered for each in found.senders} == {"switch-1": 1, "i-a": 0}
    assert [boot.boot for boot in found.boots] == ["a"]
    assert len(found.holes) == 1
