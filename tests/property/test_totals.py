"""Totals are what a loop over the rows finds: from counts, files and journal, merged and retired, at the edges of hours."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logsink.archive import DeltaLog
from logsink.archive import counts as stored
from logsink.archive.log import Remove
from logsink.journal.segment import SegmentName
from logsink.query import Filter, Query
from logsink.query.read import fold, tail
from logsink.query.request import Condition
from logsink.query.views import Totals
from logsink.store.memory import MemoryStore
from tests.property.test_counts import FIELDS, conditions, rows
from tests.support.counted import put_counts
from tests.unit.query.archives import Row, archive, compact, journal, json_parse, table

DAY = 86_400_000_000
TEXTS = ("message", "structured_data", "raw")


@pytest.fixture(autouse=True)
def _frames_are_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail, "parse", json_parse)


def expected(found: Sequence[Row], filter: Filter, fields: Sequence[str], days: bool) -> list[dict[str, Any]]:
    """The totals of the rows that meet the filter, one row at a time."""
    totals: dict[tuple[Any, ...], dict[str, Any]] = {}
    for one, kept in zip(found, filter.mask(table(found)) if found else (), strict=True):
        if not kept:
            continue
        key = (*((instant(one["time"] // DAY * DAY),) if days else ()), *(one.get(name) for name in fields))
        total = totals.setdefault(key, {"rows": 0, "errors": 0, "bytes": 0, "first": one["time"], "last": one["time"]})
        severity = one.get("severity")
        total["rows"] += 1
        total["errors"] += severity is not None and severity <= 3
        total["bytes"] += sum(len((one.get(name) or "").encode()) for name in TEXTS)
        total["first"], total["last"] = min(total["first"], one["time"]), max(total["last"], one["time"])
    names = (*(("day",) if days else ()), *fields)
    ordered = sorted(
        totals.items(), key=lambda item: [(value is None, "" if value is None else value) for value in item[0]]
    )
    return [
        dict(zip(names, key, strict=True)) | total | {name: instant(total[name]) for name in ("first", "last")}
        for key, total in ordered
    ]


def instant(time: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(0, dt.UTC) + dt.timedelta(microseconds=time)


async def totals(store: MemoryStore, filter: Filter, asked: Totals) -> list[dict[str, Any]]:
    folding = fold(store, Query(filter, tuple(asked.columns)), asked.part, None, asked.sums(), asked.merge)
    parts = await folding.run()
    return asked.whole(parts).to_pylist() if parts else []


@settings(max_examples=40)
@given(
    files=st.lists(st.lists(rows, min_size=1, max_size=30), min_size=1, max_size=4),
    last=st.lists(rows, max_size=5),
    asked=st.lists(conditions, max_size=3),
    fields=st.lists(st.sampled_from((*FIELDS, "sender")), max_size=4, unique=True),
    days=st.booleans(),
    together=st.booleans(),
    fewer=st.sampled_from((0, 1, 2)),
    lost=st.sets(st.integers(0, 3)),
    group=st.sampled_from((3, 1 << 16)),
)
def test_totals_are_those_of_a_loop_over_the_rows(
    files: Sequence[Sequence[Row]],
    last: Sequence[Row],
    asked: Sequence[Condition],
    fields: Sequence[str],
    days: bool,
    together: bool,
    fewer: int,
    lost: set[int],
    group: int,
) -> None:
    async def run() -> None:
        store, filter, summary = MemoryStore(), Filter(tuple(asked)), Totals(fields, days=days)
        await archive(store, files, group=group)
        if last:
            await journal(store, SegmentName("r9", 0, 1), last)
        keys = await put_counts(store, together=together)
        await store.delete([key for number, key in enumerate(keys) if number in lost])
        archived = [one for some in files for one in some]
        assert await totals(store, filter, summary) == expected([*archived, *last], filter, fields, days)
        await compact(store, [archived])  # counts of files that are no more
        assert await totals(store, filter, summary) == expected([*archived, *last], filter, fields, days)
        await put_counts(store)
        assert await totals(store, filter, summary) == expected([*archived, *last], filter, fields, days)
        log = DeltaLog(store)
        snapshot = await log.load()
        await log.commit(snapshot, [Remove(file, data_change=True) for file in snapshot.files.values()])
        assert await totals(store, filter, summary) == expected(last, filter, fields, days)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stored, "FEWER", fewer)  # days there are always, or where they are fewer than hours
        asyncio.run(run())
