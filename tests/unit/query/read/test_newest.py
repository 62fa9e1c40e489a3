"""What a limit lets through, judged by times alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest

from logsink.query.columns import as_rows
from logsink.query.order import Pending, Position
from logsink.query.read.newest import Newest, Spoiled
from logsink.query.read.units import EARLIEST
from tests.unit.query.archives import START, row, table


def pending(limit: int, times: Sequence[int] = (), after: Position | None = None) -> Pending:
    waiting = Pending(descending=True, limit=limit, after=after)
    if times:
        rows = table([row(time) for time in times])
        waiting.add(as_rows(rows, ("time", "received", "receiver", "nth")))
    return waiting


def choose(newest: Newest, times: Sequence[int | None], mask: Sequence[bool] | None = None) -> list[bool]:
    instants = [None if time is None else START + time for time in times]
    column = pa.array(instants, pa.timestamp("us", tz="UTC"))
    return newest.choose(column, np.array([True] * len(times) if mask is None else mask)).tolist()


def test_of_a_row_group_the_newest_are_chosen() -> None:
    newest = Newest(pending(2))
    assert choose(newest, [1, 4, 3, None, 2]) == [False, True, True, False, False]
    assert newest.dropped
    assert newest.oldest == START + 3


def test_only_matching_rows_count() -> None:
    newest = Newest(pending(2))
    assert choose(newest, [1, 4, 3], [True, False, True]) == [True, False, True]
    assert not newest.dropped


def test_what_was_chosen_elsewhere_excludes_older_rows() -> None:
    newest = Newest(pending(2))
    choose(newest, [10, 11])
    assert choose(newest, [9, 10, 12]) == [False, True, True]


def test_rows_that_wait_already_exclude_older_rows() -> None:
    newest = Newest(pending(2, [10, 11, 12]))
    assert newest.oldest == START + 11
    assert choose(newest, [10, 12]) == [False, True]


def test_fewer_rows_than_the_limit_exclude_nothing() -> None:
    newest = Newest(pending(3, [10, 11]))
    assert newest.oldest == EARLIEST
    assert choose(newest, [1, 2]) == [True, True]


def test_damage_lets_older_rows_through_again() -> None:
    newest = Newest(pending(1))
    choose(newest, [10])
    newest.spoil()
    assert choose(newest, [9]) == [True]
    choose(newest, [8])
    with pytest.raises(Spoiled):
        newest.spoil()


def test_only_rows_that_wait_exclude_others_where_it_is_too_early() -> None:
    newest = Newest(pending(1, [5]), early=False)
    choose(newest, [10])
    assert choose(newest, [9, 5, 4]) == [True, True, False]


@pytest.mark.parametrize("limit", [1, 2])
def test_rows_that_were_handed_out_already_do_not_count(limit: int) -> None:
    newest = Newest(pending(limit, after=Position(START + 5, None, None, None)))
    assert choose(newest, [5, 5, 4]) == [True, True, True]
