"""Notices: the first event gets a line at once, repetitions are counted, and lines and memory are bounded."""

from __future__ import annotations

import itertools
from collections import Counter

from logsink.notices import MINUTE, PER_MINUTE, REMEMBERED, Due, Notices

HOUR = 3600.0


def take(notices: Notices, sender: str, now: float, kind: str = "rejected", why: str = "") -> Due | None:
    return notices.take(kind, (sender, why), {"sender": sender}, now, HOUR)


def store(notices: Notices, now: float) -> Due | None:
    return notices.take("put_failed", (), {"error": now}, now, MINUTE)


def test_a_matter_is_told_once_then_counted_more_and_more_seldom() -> None:
    notices, lines = Notices(), []
    for second in range(int(5 * HOUR)):
        if due := take(notices, "a", float(second)):
            lines.append((second, due.times))
        lines += [(second, due.times) for _, due in notices.overdue(float(second))]
    first, *rest = lines
    assert first == (0, 1)
    assert rest[0] == (61, 61)
    assert [b - a for (a, _), (b, _) in itertools.pairwise(rest[:5])] == [120, 240, 480, 960]
    assert len(lines) < 20
    left = sum(due.times for _, due in notices.overdue(5 * HOUR, final=True))
    assert sum(times for _, times in lines) + left == 5 * HOUR


def test_another_reason_is_news() -> None:
    notices = Notices()
    assert take(notices, "a", 0.0, why="http")
    assert take(notices, "a", 0.0, why="tls")
    assert not take(notices, "a", 0.0, why="http")


def test_a_store_that_is_down_is_told_once_a_minute() -> None:
    notices, lines = Notices(), []
    for n in range(10 * 600):
        if due := store(notices, n / 10):
            lines.append((n / 10, due.times))
        lines += [(n / 10, due.times) for _, due in notices.overdue(n / 10)]
    assert lines[0] == (0.0, 1)
    assert 9 <= len(lines) <= 11
    assert all(590 <= times <= 610 for _, times in lines[1:])
    assert all(59 <= b - a <= 61 for (a, _), (b, _) in itertools.pairwise(lines))


def test_a_second_outage_is_news() -> None:
    notices = Notices()
    assert store(notices, 0.0)
    assert store(notices, 100.0) == Due({"error": 100.0})


def test_lines_about_senders_are_bounded_in_all_and_name_the_most() -> None:
    notices = Notices()
    told = [due for n in range(13_000) if (due := take(notices, f"10.0.0.{n % 250}", 100.0 + n / 10_000))]
    assert len(told) == PER_MINUTE
    ((kind, due),) = notices.overdue(161.3)
    assert kind == "rejected"
    assert due.times == 13_000 - PER_MINUTE
    assert due.senders.total() == due.times
    assert take(notices, "new", 161.3)


def test_senders_do_not_hide_the_store() -> None:
    notices = Notices()
    for n in range(1000):
        take(notices, str(n), 0.0)
    assert store(notices, 0.0)


def test_what_was_counted_of_one_sender_goes_with_its_next_line() -> None:
    notices = Notices()
    assert take(notices, "a", 0.0) == Due({"sender": "a"})
    for second in range(1, 10):
        assert take(notices, "a", float(second)) is None
    due = take(notices, "a", 10.0, why="other")
    assert due is not None
    assert (due.times, due.senders) == (10, Counter({"a": 10}))
    assert notices.overdue(HOUR, final=True) == []


def test_nothing_is_said_of_nothing() -> None:
    notices = Notices()
    take(notices, "a", 0.0)
    take(notices, "a", 1.0)
    assert [due.times for _, due in notices.overdue(62.0)] == [1]
    assert notices.overdue(1000.0) == []
    take(notices, "a", 1001.0)
    assert [due.times for _, due in notices.overdue(1062.0)] == [1]  # a minute again


def test_memory_is_bounded_and_the_longest_unheard_of_is_forgotten() -> None:
    notices = Notices()
    for n in range(REMEMBERED + 1):
        assert take(notices, str(n), 60.0 * n + 60)
        take(notices, "steady", 60.0 * n + 60)
    assert len(notices._known) == REMEMBERED
    for n in range(5 * REMEMBERED):
        take(notices, f"x{n}", 1e6)
    assert len(notices._counted["rejected"][1].senders) <= REMEMBERED
