"""How fast compressed data may become frames, and how much of it streams may look back at."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logsink.net.rates import _REMEMBERED, BURST, Rates, Windows


def test_a_burst_is_free_and_what_is_beyond_it_is_waited_for() -> None:
    rates = Rates(100)
    assert rates.left("a", 50.0) == 100 * BURST
    assert rates.take("a", 100, 50.0) == 0
    assert rates.left("a", 50.0) == 0
    assert rates.take("a", 250, 50.0) == 2.5
    assert rates.take("b", 100, 50.0) == 0, "others do not wait"
    assert rates.take("a", 0, 52.5) == 0
    assert rates.left("a", 53.0) == 50


@given(st.lists(st.tuples(st.integers(0, 500), st.integers(0, 30)), min_size=1))
def test_no_more_than_the_limit_over_any_time(steps: list[tuple[int, int]]) -> None:
    """Of one who waits as long as it is told, and then some."""
    rates, now, given_at = Rates(100), 1000.0, list[tuple[float, int]]()
    for octets, pause in steps:
        given_at.append((now, octets))
        now += rates.take("a", octets, now) + pause / 10
    for first, (began, _) in enumerate(given_at):
        for last in range(first + 1, len(given_at)):  # what the last gives is waited for after it
            total = sum(octets for _, octets in given_at[first:last])
            assert total <= 100 * (given_at[last][0] - began + BURST) + 1e-6


def test_only_those_are_forgotten_that_may_have_everything_again() -> None:
    rates = Rates(100)
    rates.take("slow", 1000, 0.0)
    for number in range(_REMEMBERED):
        rates.take(f"{number}", 1, 0.0)
    rates.take("new", 1, 2.0)
    assert len(rates._paid) == 2
    assert rates.take("slow", 0, 2.0) == pytest.approx(7.0)


def test_of_what_streams_look_back_at_one_sender_gets_half() -> None:
    windows = Windows(100)
    assert windows.grow("a", 30)
    assert windows.grow("a", 20)
    assert not windows.grow("a", 1)
    assert windows.grow("a", -1)
    assert windows.grow("b", 20)
    assert not windows.grow("b", 10)
    assert windows.grow("b", -30)
    assert windows.grow("a", -50)
    assert (windows._held, windows._total) == ({}, 0)
