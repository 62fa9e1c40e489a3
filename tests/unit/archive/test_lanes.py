"""Intervals of sequences by lane: against sets of numbers, which say the same more slowly."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logsink.archive import lanes
from logsink.archive.lanes import Lanes
from logsink.errors import FormatError

INTERVALS = st.lists(
    st.tuples(st.integers(1, 12), st.integers(0, 4)).map(lambda one: (one[0], one[0] + one[1])), max_size=5
)
LANES = st.dictionaries(st.sampled_from(["r.0", "r.1", "s.0"]), INTERVALS).map(lanes.union)


def numbers(held: Lanes) -> set[tuple[str, int]]:
    return {(lane, n) for lane, intervals in held.items() for a, b in intervals for n in range(a, b + 1)}


@given(one=LANES, other=LANES)
def test_they_are_sets_of_sequences(one: Lanes, other: Lanes) -> None:
    together = lanes.union(one, other)
    assert numbers(together) == numbers(one) | numbers(other)
    assert lanes.inside(one, other) == (numbers(one) <= numbers(other))
    for lane in ("r.0", "q.0"):
        assert [n for n in range(20) if lanes.covers(one, lane, n)] == sorted(n for on, n in numbers(one) if on == lane)
        left = numbers({lane: tuple(lanes.missing(one, lane, 3, 9))})
        assert left == {(lane, n) for n in range(3, 10)} - numbers(one)


@given(LANES)
def test_one_set_is_said_in_one_way_only(held: Lanes) -> None:
    for intervals in held.values():
        assert all(b + 1 < c for (_, b), (c, _) in pairwise(intervals))
        assert intervals
    assert lanes.parse(lanes.encode(held)) == held
    assert lanes.lanes_of((("logsink.lanes", lanes.encode(held)),)) == held


def test_a_tag_is_sorted_json() -> None:
    held = lanes.union({"r.1": [(7, 9)]}, {"r.0": [(4, 6), (1, 2), (3, 3)]}, {"r.1": [(1, 1)], "r.2": []})
    assert lanes.encode(held) == '{"r.0":[[1,6]],"r.1":[[1,1],[7,9]]}'


def test_a_file_without_the_tag_says_nothing() -> None:
    assert lanes.lanes_of((("logsink.tail", "1:x"),)) is None


@pytest.mark.parametrize(
    "text", ["", "[]", "1", '{"r.0":1}', '{"r.0":[1]}', '{"r.0":[[1,2,3]]}', '{"r.0":[[2,1]]}', '{"r.0":[["1",2]]}',
             '{"r.0":[[0,1]]}', '{"r.0":[[true,1]]}', '{"r.0":null}']
)  # fmt: skip
def test_what_says_nothing_that_can_be_true(text: str) -> None:
    with pytest.raises(FormatError, match="cannot read lanes"):
        lanes.parse(text)
