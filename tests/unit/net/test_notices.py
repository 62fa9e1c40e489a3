"""What is told: news, not floods; with bounded memory."""

from __future__ import annotations

from logsink.net.notices import AGAIN, PER_MINUTE, REMEMBERED, Notices


def test_a_matter_is_told_once_an_hour() -> None:
    notices = Notices()
    assert notices.due("a", 0.0)
    assert not notices.due("a", 1.0)
    assert not notices.due("a", AGAIN - 1)
    assert notices.due("a", AGAIN)


def test_lines_of_a_minute_are_bounded() -> None:
    notices = Notices()
    assert sum(notices.due(n, 100.0) for n in range(PER_MINUTE * 3)) == PER_MINUTE
    assert not notices.due("another", 159.0)
    assert notices.due("another", 160.0)


def test_what_was_not_told_is_told_later() -> None:
    notices = Notices()
    for n in range(PER_MINUTE):
        notices.due(n, 0.0)
    assert not notices.due("late", 1.0)
    assert notices.due("late", 61.0)


def test_memory_is_bounded_and_the_longest_unheard_of_is_forgotten() -> None:
    notices = Notices()
    for n in range(REMEMBERED + 1):
        assert notices.due(n, 60.0 * n + 60)
        notices.due("steady", 60.0 * n + 60)
    assert len(notices._told) == REMEMBERED
    assert "steady" in notices._told
    assert 0 not in notices._told
