"""Fair shares: the law holds whatever comes, and nobody waits for ever."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from logsink.net.shares import RESUME, Shares


def test_one_sender_gets_half() -> None:
    shares = Shares(100)
    assert not any(shares.take(n, "a", 10) for n in range(5))
    assert shares.take(5, "a", 10)
    assert shares.waiting == {"a"}
    assert not shares.take(6, "a", 10), "it waits already"
    assert not shares.take(7, "b", 10), "there is room for another"


def test_two_senders_get_a_third_each() -> None:
    shares = Shares(99)
    assert not shares.take(1, "a", 33)
    assert not shares.take(1, "b", 33)
    assert shares.take(1, "a", 1)
    assert shares.take(1, "b", 1)


def test_a_sender_goes_on_when_enough_is_stored() -> None:
    shares = Shares(100)
    for n in range(6):
        shares.take(n, "a", 10)
    assert shares.oldest == 0
    assert shares.stored(0) == []  # holds 50, may hold 50
    assert shares.stored(1) == ["a"]  # 40 of 60
    assert RESUME * 60 >= 40
    assert shares.waiting == set()
    assert shares.stored(5) == []
    assert shares.oldest is None


def test_a_sender_goes_on_when_others_are_stored() -> None:
    shares = Shares(100)
    shares.take(1, "b", 40)
    assert shares.take(2, "a", 31)
    assert shares.stored(1) == ["a"]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("take"), st.sampled_from("abcd"), st.integers(1, 40)),
        st.tuples(st.just("store"), st.none(), st.integers(1, 5)),
    ),
    max_size=60,
)


@given(STEPS)
def test_against_a_model(steps: list[tuple[str, str | None, int]]) -> None:
    shares, owed, ordinal, durable = Shares(100), list[tuple[int, str, int]](), 0, 0
    for what, sender, number in steps:
        if what == "take" and sender is not None:
            if sender in shares.waiting:
                continue
            ordinal += 1
            owed.append((ordinal, sender, number))
            shares.take(ordinal, sender, number)
        else:
            durable = min(durable + number, ordinal)
            owed = [one for one in owed if one[0] > durable]
            shares.stored(durable)
        held: Counter[str] = Counter()
        for _, whose, octets in owed:
            held[whose] += octets
        if what == "take" and sender is not None:
            assert (sender in shares.waiting) == (held[sender] > 100 - held.total())
        else:
            assert all(held[one] > RESUME * (100 - held.total()) for one in shares.waiting if one)
        assert shares.oldest == (owed[0][0] if owed else None)
    shares.stored(ordinal)
    assert shares.waiting == set()
    assert shares._held == {}
    assert shares._total == 0
