"""Reports of several queries for one answer."""

from __future__ import annotations

from logsink.query import Report


def test_reads_of_other_queries_are_added() -> None:
    report = Report(rows=1, requests=2, listings=3, bytes_read=4)
    found = report.with_reads(Report(rows=9, requests=10, listings=20, bytes_read=30, interrupted=True))
    assert found == Report(rows=1, requests=12, listings=23, bytes_read=34)
    assert report.requests == 2


def test_an_answer_is_incomplete_when_a_part_of_it_is() -> None:
    report = Report(unreadable=["a"])
    found = report.including(Report(unreadable=["b", "a"]), Report(interrupted=True, requests=1))
    assert found == Report(unreadable=["a", "b"], interrupted=True, requests=1)
    assert report == Report(unreadable=["a"])
