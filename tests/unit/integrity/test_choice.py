"""Of files with the same rows one counts, and no row is left out that some file holds."""

from __future__ import annotations

import random

from logsink.integrity.choice import Candidate, choose
from tests.unit.archive.tables import data_file


def candidate(name: str, *intervals: tuple[int, int], live: bool = False, lane: str = "r.0") -> Candidate:
    return Candidate(data_file(name), {lane: intervals}, live)


def names(chosen: list[Candidate]) -> list[str]:
    return sorted(one.file.path.rpartition("/")[2].removesuffix(".parquet") for one in chosen)


def test_a_merged_file_wins_over_its_inputs() -> None:
    inputs = [candidate("a", (1, 2)), candidate("b", (3, 4))]
    assert names(choose([*inputs, candidate("m", (1, 4))])) == ["m"]


def test_live_files_stay() -> None:
    inputs = [candidate("a", (1, 2), live=True), candidate("b", (3, 4), live=True)]
    assert names(choose([*inputs, candidate("m", (1, 4))])) == ["a", "b"]


def test_a_merged_file_comes_in_for_an_input_that_is_gone() -> None:
    assert names(choose([candidate("b", (3, 4), live=True), candidate("m", (1, 4))])) == ["m"]


def test_a_larger_file_does_not_displace_what_only_others_hold() -> None:
    pool = [candidate("one", (1, 4)), candidate("two", (3, 8)), candidate("left", (1, 2)), candidate("right", (5, 8))]
    chosen = choose(pool)
    assert sum(one.sequences for one in chosen) == 8


def test_lanes_do_not_mix() -> None:
    assert names(choose([candidate("a", (1, 4)), candidate("b", (1, 4), lane="r.1")])) == ["a", "b"]


def test_no_row_twice_and_none_left_out_where_files_were_merged_in_any_order() -> None:
    for seed in range(200):
        chance = random.Random(seed)
        leaves = [candidate(f"leaf{n}", (n, n)) for n in range(1, 13)]
        pool, tree = list(leaves), list(leaves)
        while len(tree) > 2:
            at = chance.randrange(len(tree) - 1)
            one, other = tree[at], tree.pop(at + 1)
            first, last = one.lanes["r.0"][0][0], other.lanes["r.0"][0][1]
            tree[at] = candidate(f"merged{first}-{last}", (first, last))
            pool.append(tree[at])
            if chance.random() < 0.5:  # the inputs are deleted
                pool = [kept for kept in pool if kept not in (one, other)]
        chosen = choose(pool)
        held = sorted(n for one in chosen for first, last in one.lanes["r.0"] for n in range(first, last + 1))
        assert held == list(range(1, 13)), (seed, names(chosen))
