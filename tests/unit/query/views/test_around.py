"""Rows around a time, and near matches."""

from __future__ import annotations

from contextlib import aclosing

import pytest

from logsink.query import Filter, Holds, Query
from logsink.query.read import Answer
from logsink.query.views.around import AroundMatches, AroundTime, around_matches, around_time
from logsink.query.views.context import GAP
from logsink.store.memory import MemoryStore
from tests.unit.query.archives import START, archive, row

SECOND = 1_000_000
MIDDLE = AroundTime(START + 10 * SECOND)
BOOM = Filter((Holds("message", ("boom",)),))


async def store() -> MemoryStore:
    """Rows of 20 seconds in two files; those of 5 and 15 match ``BOOM``, hosts take turns."""
    made = MemoryStore()
    rows = [row(n * SECOND, host=f"h{n % 2}", message="boom" if n in (5, 15) else f"{n}") for n in range(20)]
    await archive(made, [rows[:12], rows[12:]])
    return made


async def messages(answer: Answer) -> list[str]:
    """The messages of all rows, with a bar before those that begin behind a gap."""
    found: list[str] = []
    async with aclosing(answer) as tables:
        async for rows in tables:
            gaps = rows.column(GAP).to_pylist() if GAP in rows.column_names else [False] * rows.num_rows
            found += ["|" * gap + m for gap, m in zip(gaps, rows.column("message").to_pylist(), strict=True)]
    return found


@pytest.mark.parametrize(
    ("limit", "reverse", "found"),
    [
        (4, False, ["8", "9", "10", "11"]),
        (3, False, ["9", "10", "11"]),
        (1, False, ["10"]),
        (4, True, ["11", "10", "9", "8"]),
    ],
)
async def test_half_of_the_limit_on_each_side(limit: int, reverse: bool, found: list[str]) -> None:
    answer = around_time(await store(), Query(limit=limit, reverse=reverse), MIDDLE)
    assert answer.plan is None
    assert answer.report.rows == 0
    assert await messages(answer) == found
    assert answer.report.rows == limit
    assert answer.report.files == 2
    assert answer.plan is not None


@pytest.mark.parametrize("reverse", [False, True])
async def test_without_a_limit_all_rows_come(reverse: bool) -> None:
    found = await messages(around_time(await store(), Query(reverse=reverse), MIDDLE))
    assert len(found) == 20
    assert found[0 if reverse else -1] == "19"


async def test_rows_near_matches() -> None:
    answer = around_matches(await store(), Query(BOOM), AroundMatches(SECOND))
    assert await messages(answer) == ["4", "boom", "6", "|14", "boom", "16"]
    assert answer.report.rows == 2
    found = await messages(around_matches(await store(), Query(BOOM), AroundMatches(2 * SECOND, ("host",))))
    assert found == ["3", "boom", "7", "|13", "boom", "17"]
    assert await messages(around_matches(await store(), Query(BOOM, reverse=True), AroundMatches(0))) == [
        "boom",
        "|boom",
    ]


async def test_nothing_is_near_no_match() -> None:
    nothing = Query(Filter((Holds("message", ("nothing",)),)))
    assert await messages(around_matches(await store(), nothing, AroundMatches(SECOND))) == []


async def test_an_answer_that_was_stopped_ends() -> None:
    for answer in (
        around_time(await store(), Query(limit=4), MIDDLE),
        around_matches(await store(), Query(BOOM), AroundMatches(SECOND)),
    ):
        answer.stop()
        await messages(answer)
        assert answer.report.interrupted


def test_what_is_shown_is_described() -> None:
    assert str(MIDDLE).startswith("half of them before 2026-")
    assert str(AroundMatches(1_500_000, ("host",))) == "with each match the rows of its host within 1.5 s of it"
