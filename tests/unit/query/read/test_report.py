"""Reports of several queries for one answer."""

from __future__ import annotations

from logsink.damage import Damage
from logsink.query import Report


def test_reads_of_other_queries_are_added() -> None:
    report = Report(rows=1, requests=2, listings=3, bytes_read=4)
    found = report.with_reads(Report(rows=9, requests=10, listings=20, bytes_read=30, interrupted=True))
    assert found == Report(rows=1, requests=12, listings=23, bytes_read=34)
    assert report.requests == 2


def test_an_answer_is_incomplete_when_a_part_of_it_is() -> None:
    report, other = Report(), Report()
    for where, key, rows in ((report, "a", 1), (other, "b", None), (other, "a", 2)):
        where.note(Damage(key, "is missing", rows))
    found = report.including(other, Report(interrupted=True, requests=1))
    assert found.damage == [Damage("a", "is missing", 1), Damage("b", "is missing")]
    assert (found.interrupted, found.requests) == (True, 1)
    assert report.damage == [Damage("a", "is missing", 1)]


def test_each_object_is_named_once() -> None:
    report = Report()
    for part in (3, 4, 3):
        report.note(Damage("a", f"is damaged in part {part}", 10), part)
    assert report.damage == [Damage("a", "is damaged in part 3", 20)]
    report.note(Damage("a", "is damaged in part 5"), 5)
    assert report.damage == [Damage("a", "is damaged in part 3")]  # nobody knows how many rows
    report.note(Damage("a", "is missing", 100))
    report.note(Damage("b", "is missing"))
    assert report.damage == [Damage("a", "is missing", 100), Damage("b", "is missing")]
