"""Which rows belong to a match."""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa
import pytest

from logsink.query.views.rules import CONTINUES, SECOND, Candidates, Neighbours, Record, concatenate


def candidates(*lines: tuple[int, int, str]) -> Candidates:
    """Candidates of these streams, seconds and messages; those with an ``!`` are matches."""
    stream, seconds, messages = zip(*lines, strict=True)
    match = np.array(["!" in message for message in messages])
    return Candidates(
        pa.table({"message": pa.array(messages)}),
        np.array(stream),
        np.array(seconds) * SECOND,
        np.where(match, np.cumsum(match) - 1, -1),
        np.zeros(len(lines), np.bool_),
    )


LINES = candidates((0, 0, "a"), (0, 1, "b"), (0, 2, "!"), (0, 90, "c"), (0, 91, "d"), (1, 2, "e"))


def shown(found: Candidates, mask: np.ndarray) -> str:
    return "".join(found.take(mask).rows.column("message").to_pylist())


@pytest.mark.parametrize(("before", "after", "lines"), [(0, 0, "!"), (1, 0, "b!"), (5, 1, "ab!c"), (0, 9, "!cd")])
def test_neighbours_are_of_the_stream(before: int, after: int, lines: str) -> None:
    rule = Neighbours(before, after)
    assert shown(LINES, rule.choose(LINES)) == lines
    assert rule.rows_per_match == before + after + 2


def test_one_neighbour_more_is_kept_before_a_match() -> None:
    assert shown(LINES, Neighbours(1, 1).keep(LINES)) == "ab!c"


def test_a_match_is_incomplete_while_its_window_may_hide_neighbours() -> None:
    rule = Neighbours(1, 1)
    assert [at.tolist() for at in rule.incomplete(LINES, 60 * SECOND)] == [[], [2]]
    assert [at.tolist() for at in rule.incomplete(LINES, 100 * SECOND)] == [[], []]
    assert [at.tolist() for at in Neighbours(2, 3).incomplete(LINES, 100 * SECOND)] == [[2], [2]]


@pytest.mark.parametrize("reverse", [False, True])
def test_a_record_is_a_line_and_those_that_continue_it(reverse: bool) -> None:
    lines = [(0, 0, "x"), (0, 1, "head"), (0, 1, "\tat"), (0, 2, "Caused by: !"), (0, 9, "\tlate"), (0, 9, "next")]
    found = candidates(*(reversed(lines) if reverse else lines))
    rule = Record(reverse=reverse)
    chosen = found.take(rule.choose(found)).rows.column("message").to_pylist()
    assert sorted(chosen) == ["\tat", "Caused by: !", "head"]
    assert rule.keep(found).all()
    assert [at.tolist() for at in rule.incomplete(found, 1)] == [[], []]
    assert rule.windows == (5 * SECOND,)


@pytest.mark.parametrize("line", ["\tat x", "... 12 more", "Caused by: y", "Traceback (most recent call last):", "})"])
def test_lines_that_continue_a_record(line: str) -> None:
    assert re.search(CONTINUES, line)
    assert not re.search(CONTINUES, "x" + line)


def test_rules_describe_themselves() -> None:
    assert str(Neighbours(2, 0)) == "of each match's host and app 2 lines before it and 0 after it"
    assert str(Neighbours(1, 1, ())) == "of each match 1 lines before it and 1 after it"
    assert str(Record("^ ")) == "the other lines of each match's record, by ^ "


def test_parts_together() -> None:
    assert concatenate(LINES, LINES).match.tolist() == 2 * LINES.match.tolist()
    assert LINES.matches.tolist() == [2]
