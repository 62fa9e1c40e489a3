"""Cursors as text."""

from __future__ import annotations

import pytest

from logsink.errors import ArgumentError
from logsink.query.views.cursor import Cursor


def test_a_cursor_is_text_without_spaces_and_back() -> None:
    cursor = Cursor({"r1.0": 3, "r1.1": 7}, {"r1": 1_795_874_317_000_000}, {"r1": 10})
    assert Cursor.parse(f" {cursor.text}\n") == cursor
    assert not set(cursor.text) & set(" \n=/+")


def test_a_cursor_never_goes_back() -> None:
    cursor = Cursor()
    for number in (-5, 3, 2):
        cursor.advance_lane("r1.0", number)
        cursor.advance_read("r1", number)
    assert (cursor.lanes, cursor.reads) == ({"r1.0": 3}, {"r1": 3})


@pytest.mark.parametrize("text", ["", "x", "AAAA", "eNqLVtJRUDBRUDAGAAi8AaA", "größe"])
def test_what_is_no_cursor(text: str) -> None:
    with pytest.raises(ArgumentError, match="as a cursor"):
        Cursor.parse(text)
