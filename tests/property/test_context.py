"""Any rows, spread over any files and segments: what belongs to matches is what a look at every row finds."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator, Sequence
from contextlib import aclosing
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logsink.journal.segment import SegmentName
from logsink.query import Between, Filter, Query, Report, Tuning
from logsink.query.read import tail
from logsink.query.read.answer import Answer
from logsink.query.views import context
from logsink.query.views.around import AroundMatches, AroundTime, around_matches, around_time
from logsink.query.views.context import GAP, with_context
from logsink.query.views.rules import UNLIMITED, Neighbours, Record, Rule
from logsink.store.memory import MemoryStore
from tests.support.examples import examples
from tests.unit.query.archives import START, Row, archive, journal, json_parse, place, rows_of

SECOND = 1_000_000


@pytest.fixture(scope="module", autouse=True)
def _small() -> Iterator[None]:
    """Windows that hold a few rows each."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tail, "parse", json_parse)
        patch.setattr(Neighbours, "windows", (2 * SECOND, 5 * SECOND, UNLIMITED))
        patch.setattr(context, "_HELD_ROWS", 8)
        yield


@st.composite
def stored_rows(draw: st.DrawFn) -> list[Row]:
    """Rows of distinct places, of few hosts and apps, many of them at one time."""
    one = st.fixed_dictionaries(
        {
            "time": st.integers(0, 20).map(lambda t: START + t * SECOND),
            "received": st.none() | st.integers(0, 2).map(lambda t: START + t),
            "receiver": st.sampled_from(("r1", "r2")),
            "nth": st.integers(0, 3),
            "host": st.sampled_from((None, "web", "db")),
            "app": st.sampled_from((None, "a")),
            "severity": st.sampled_from((3, 6, 6)),
            "message": st.sampled_from(("error", "  at line 1", "Caused by: x", "fine", "\tat line 2")),
        }
    )
    return list({place(row): row for row in draw(st.lists(one, max_size=40))}.values())


def wanted(rows: Sequence[Row], rule: Rule, limit: int | None, reverse: bool) -> list[tuple[bool, Row]]:
    """What must come out, with the gaps."""
    ordered = sorted(rows, key=place, reverse=reverse)
    matches = [row for row in ordered if row["severity"] == 3 and row["time"] >= START + 5 * SECOND]
    if limit is not None:
        matches = matches[:limit] if reverse else matches[len(matches) - min(limit, len(matches)) :]
    streams: dict[Any, list[Row]] = {}
    for row in ordered:
        streams.setdefault(tuple(row.get(name) for name in rule.stream), []).append(row)
    found: list[tuple[int, list[Row]]] = []
    for stream in streams.values():
        chosen = set[int]()
        for i, row in enumerate(stream):
            if row in matches:
                chosen |= _belonging(stream, i, rule)
        block: list[int] = []
        for i in [*sorted(chosen), -1]:
            if block and i != block[-1] + 1:
                found.append(
                    (min(matches.index(stream[k]) for k in block if stream[k] in matches), [stream[k] for k in block])
                )
                block = []
            block.append(i)
    blocks = [block for _, block in sorted(found, key=lambda pair: pair[0])]
    return [(n > 0 and row is block[0], row) for n, block in enumerate(blocks) for row in block]


def _belonging(stream: Sequence[Row], i: int, rule: Rule) -> set[int]:
    if isinstance(rule, Neighbours):
        return set(range(max(0, i - rule.before), min(len(stream), i + rule.after + 1)))
    assert isinstance(rule, Record)
    if rule.reverse:
        last = len(stream) - 1
        return {last - k for k in _belonging(stream[::-1], last - i, Record(rule.continues, within=rule.within))}
    head = i
    while head and _continues(stream[head]):
        head -= 1
    end = i + 1
    while end < len(stream) and _continues(stream[end]):
        end += 1
    return {k for k in range(head, end) if abs(stream[k]["time"] - stream[i]["time"]) <= rule.within}


def _continues(row: Row) -> bool:
    return bool(row["message"].startswith((" ", "\t", "Caused by: ")))


async def found(
    rows: Sequence[Row],
    places: Sequence[int],
    rule: Rule | AroundMatches | AroundTime,
    limit: int | None,
    reverse: bool,
    group: int,
) -> tuple[list[tuple[bool, Row]], Report]:
    store = await stored(rows, places, group)
    filter = Filter((Between("severity", 3, 4), Between("time", START + 5 * SECOND, None)))
    query = Query(filter, ("host", "app", "severity", "message", "procid"), limit, reverse)
    gaps, out = list[bool](), list[Row]()
    if isinstance(rule, AroundMatches):
        source: Answer = around_matches(store, query, rule, Tuning(threads=2))
    elif isinstance(rule, AroundTime):
        source = around_time(store, query, rule, Tuning(threads=2))
    else:
        source = with_context(store, query, rule, Tuning(threads=2))
    async with aclosing(source) as tables:
        async for table in tables:
            gaps += table.column(GAP).to_pylist() if GAP in table.column_names else [False] * table.num_rows
            out += rows_of([table.drop_columns([*({GAP, "sender"} & set(table.column_names))])])
    return list(zip(gaps, out, strict=True)), source.report


async def stored(rows: Sequence[Row], places: Sequence[int], group: int) -> MemoryStore:
    """A store with the rows in three files and two segments."""
    store = MemoryStore()
    await archive(
        store, [f for k in range(3) if (f := [r for r, at in zip(rows, places, strict=True) if at == k])], group=group
    )
    for k in range(3, 5):
        await journal(store, SegmentName("new", k, 1), [r for r, at in zip(rows, places, strict=True) if at == k])
    return store


STREAMS = st.sampled_from((("host", "app"), ("host",), ()))
RULES = st.builds(Neighbours, st.integers(0, 3), st.integers(0, 3), STREAMS) | st.just(Record())


@settings(max_examples=examples(40))
@given(stored_rows(), RULES, st.none() | st.integers(1, 6), st.booleans(), st.integers(1, 9), st.data())
def test_blocks_are_those_that_a_look_at_every_row_finds(
    rows: list[Row], rule: Rule, limit: int | None, reverse: bool, group: int, data: st.DataObject
) -> None:
    if isinstance(rule, Record):
        rule = Record(reverse=reverse)
    places = data.draw(st.lists(st.integers(0, 4), min_size=len(rows), max_size=len(rows)))
    got, report = asyncio.run(found(rows, places, rule, limit, reverse, group))
    expected = wanted(rows, rule, limit, reverse)
    assert got == [(gap, {k: v for k, v in row.items() if v is not None}) for gap, row in expected]
    matches = [row for _, row in got if row["severity"] == 3 and row["time"] >= START + 5 * SECOND]
    assert report.rows <= len(matches)


@settings(max_examples=examples(20))
@given(stored_rows(), RULES, st.booleans(), st.data())
def test_a_few_matches_at_a_time_give_the_same_lines(
    rows: list[Row], rule: Rule, reverse: bool, data: st.DataObject
) -> None:
    if isinstance(rule, Record):
        rule = Record(reverse=reverse)
    places = data.draw(st.lists(st.integers(0, 4), min_size=len(rows), max_size=len(rows)))
    whole, _ = asyncio.run(found(rows, places, rule, None, reverse, 4))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(context, "_ROWS_AT_ONCE", 1)
        parts, _ = asyncio.run(found(rows, places, rule, None, reverse, 4))
    assert sorted((place(row) for _, row in parts)) == sorted(place(row) for _, row in whole)


def _kept(row: Row) -> Row:
    return {k: v for k, v in row.items() if v is not None}


def near(rows: Sequence[Row], span: AroundMatches, limit: int | None, reverse: bool) -> list[tuple[bool, Row]]:
    """What must come out for a span, with the gaps."""
    ordered = sorted(rows, key=place)
    matches = [row for row in ordered if row["severity"] == 3 and row["time"] >= START + 5 * SECOND]
    matches = matches[len(matches) - min(limit, len(matches)) :] if limit is not None else matches
    shown = [
        row
        for row in ordered
        if any(
            abs(row["time"] - match["time"]) <= span.reach and all(row.get(n) == match.get(n) for n in span.stream)
            for match in matches
        )
    ]
    half = SECOND // 2
    covered = {t for match in matches for t in range(match["time"] - span.reach, match["time"] + span.reach + 1, half)}
    shown = shown[::-1] if reverse else shown
    gaps = [False] + [
        any(t not in covered for t in range(min(a["time"], b["time"]), max(a["time"], b["time"]), half))
        for a, b in itertools.pairwise(shown)
    ]
    return list(zip(gaps, shown, strict=False))


@settings(max_examples=examples(40))
@given(
    stored_rows(),
    st.integers(0, 4),
    STREAMS,
    st.none() | st.integers(1, 6),
    st.booleans(),
    st.integers(1, 9),
    st.data(),
)
def test_what_is_within_some_seconds_of_a_match_is_what_a_look_at_every_row_finds(
    rows: list[Row],
    reach: int,
    stream: tuple[str, ...],
    limit: int | None,
    reverse: bool,
    group: int,
    data: st.DataObject,
) -> None:
    places = data.draw(st.lists(st.integers(0, 4), min_size=len(rows), max_size=len(rows)))
    span = AroundMatches(reach * SECOND, stream)
    out, report = asyncio.run(found(rows, places, span, limit, reverse, group))
    assert [row for _, row in out] == [_kept(row) for _, row in near(rows, span, limit, reverse)]
    matches = sum(row["severity"] == 3 and row["time"] >= START + 5 * SECOND for row in rows)
    assert report.rows == (matches if limit is None else min(limit, matches))
    assert [gap for gap, _ in out] == [gap for gap, _ in near(rows, span, limit, reverse)]


@settings(max_examples=examples(40))
@given(stored_rows(), st.integers(-1, 22), st.none() | st.integers(1, 8), st.booleans(), st.integers(1, 9), st.data())
def test_around_a_moment_are_the_last_before_it_and_the_first_behind_it(
    rows: list[Row], second: int, limit: int | None, reverse: bool, group: int, data: st.DataObject
) -> None:
    places = data.draw(st.lists(st.integers(0, 4), min_size=len(rows), max_size=len(rows)))
    at = START + second * SECOND
    ordered = [row for row in sorted(rows, key=place) if row["severity"] == 3 and row["time"] >= START + 5 * SECOND]
    before, after = [row for row in ordered if row["time"] < at], [row for row in ordered if row["time"] >= at]
    if limit is not None:
        before, after = before[max(0, len(before) - limit // 2) :], after[: limit - limit // 2]
    out, report = asyncio.run(found(rows, places, AroundTime(at), limit, reverse, group))
    both = [_kept(row) for row in before + after]
    assert [row for _, row in out] == (both[::-1] if reverse else both)
    assert report.rows == len(both)
