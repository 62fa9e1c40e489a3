"""Gaps of lanes: what is found is what a plain count of the numbers finds."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from logsink.journal import Gap, SegmentName, find_gaps

MOST = 12
LANES = st.tuples(st.sampled_from(["a", "b-1"]), st.integers(0, 10))
NAMES = st.sets(st.builds(lambda lane, sequence: SegmentName(lane[0], lane[1], sequence), LANES, st.integers(1, MOST)))
NUMBERS = st.dictionaries(LANES, st.integers(0, MOST)).map(
    lambda found: {f"{receiver}.{lane}": last for (receiver, lane), last in found.items()}
)


def missing(names: set[SegmentName], txn: dict[str, int], said: dict[str, int]) -> set[SegmentName]:
    """The model: every number above the txn, up to the last that is there or said to be stored, and is not there."""
    lanes = {(name.receiver, name.lane) for name in names}
    lanes |= {(receiver, int(lane)) for receiver, _, lane in (app_id.rpartition(".") for app_id in said)}
    found = set()
    for receiver, lane in lanes:
        app_id = f"{receiver}.{lane}"
        there = {name.sequence for name in names if name.app_id == app_id}
        last = max(there | {said.get(app_id, 0)})
        found |= {SegmentName(receiver, lane, n) for n in range(txn.get(app_id, 0) + 1, last + 1) if n not in there}
    return found


def numbers(found: list[Gap]) -> set[SegmentName]:
    """The numbers in these gaps, which must be disjoint and must not touch each other."""
    each = [SegmentName(gap.receiver, gap.lane, n) for gap in found for n in range(gap.first, gap.last + 1)]
    assert len(each) == len(set(each))
    assert not {(gap.app_id, gap.last + 1) for gap in found} & {(gap.app_id, gap.first) for gap in found}
    assert all(gap.first <= gap.last for gap in found)
    return set(each)


@given(names=NAMES, txn=NUMBERS)
def test_gaps_before_what_is_listed(names: set[SegmentName], txn: dict[str, int]) -> None:
    assert numbers(find_gaps(sorted(names), txn)) == missing(names, txn, {})


@given(names=NAMES, txn=NUMBERS, said=NUMBERS)
def test_gaps_before_what_segments_say(names: set[SegmentName], txn: dict[str, int], said: dict[str, int]) -> None:
    assert numbers(find_gaps(sorted(names), txn, said)) == missing(names, txn, said)


@given(lane=LANES, first=st.integers(1, MOST), more=st.integers(0, 3))
def test_a_gap_of_one_number_has_its_key(lane: tuple[str, int], first: int, more: int) -> None:
    gap = Gap(*lane, first, first + more)
    begin = SegmentName(*lane, first).key
    assert gap.key == begin if not more else gap.key.startswith(begin.removesuffix(".arrow") + "-")
    assert (SegmentName.from_key(gap.key) is not None) == (not more)
    assert Gap.from_key(gap.key) == Gap.of(gap.app_id, first, first + more) == gap
    assert gap.damage.what.startswith("are" if more else "is")
