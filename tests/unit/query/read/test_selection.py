"""Narrowing a row group down, and which columns that decodes."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from logsink.query import Filter, Holds, OneOf
from logsink.query.read.datafile import Chunks, open_file
from logsink.query.read.selection import MESSAGE, Selection
from tests.unit.query.archives import parquet, row, rows_of

ROWS = [row(n, host=f"h{n % 3}", message=f"number {n}") for n in range(30)]
COLUMNS = ("host", MESSAGE)


@pytest.fixture
async def selection() -> Selection:
    body = parquet(ROWS)

    async def fetch(key: str, start: int, end: int) -> bytes:
        return body[start:end]

    (group,) = (await open_file(fetch, "logs/x.parquet", len(body))).row_groups(())
    chunks = Chunks(group)
    await chunks.fetch(fetch, ("time", *COLUMNS))
    return Selection(chunks, group.rows)


def found(selection: Selection, columns: Sequence[str] = COLUMNS) -> list[tuple[str, str]]:
    return [(r["host"], r["message"]) for r in rows_of([selection.rows(columns)])]


async def test_all_rows_at_first(selection: Selection) -> None:
    assert found(selection) == [(r["host"], r["message"]) for r in ROWS]


async def test_conditions_leave_fewer_and_fewer_rows(selection: Selection) -> None:
    selection.filter_small(Filter((OneOf("host", ("h1",)),)))
    assert selection.mask.sum() == 10
    assert set(selection.decoded) == {"host"}
    selection.filter_messages(Filter((Holds(MESSAGE, ("number 1", "28")),)))
    assert found(selection) == [("h1", f"number {n}") for n in (1, 10, 13, 16, 19, 28)]


async def test_a_condition_that_needs_no_text_decodes_all_messages(selection: Selection) -> None:
    selection.filter_messages(Filter((Holds(MESSAGE, ("NUMBER 2",), ignore_case=True),)))
    assert [message for _, message in found(selection)] == ["number 2", *(f"number {n}" for n in range(20, 30))]


async def test_no_row_is_left(selection: Selection) -> None:
    selection.filter_messages(Filter((Holds(MESSAGE, ("nowhere",)),)))
    assert not selection.mask.any()


async def test_a_column_is_decoded_once(selection: Selection) -> None:
    assert selection.column("time") is selection.column("time")
    selection.mask[5:] = False
    assert found(selection) == [(r["host"], r["message"]) for r in ROWS[:5]]
