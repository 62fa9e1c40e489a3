"""Totals are what a loop over the rows finds: from counts, files and journal, merged and retired, at the edges of hours."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from logsink.archive import DeltaLog
from logsink.archive.log import Remove
from logsink.query import Filter, Query
from logsink.query.read import fold
from logsink.query.request import Condition
from logsink.query.views import Totals
from logsink.store.memory import MemoryStore
from tests.property.test_counts import FIELDS, conditions, stores
from tests.support.counted import Counted, put_counts
from tests.unit.query.archives import Row, compact, table

DAY = 86_400_000_000
TEXTS = ("message", "structured_data", "raw")


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
    made=stores,
    asked=st.lists(conditions, max_size=3),
    fields=st.lists(st.sampled_from((*FIELDS, "sender")), max_size=4, unique=True),
    days=st.booleans(),
)
def test_totals_are_those_of_a_loop_over_the_rows(
    made: Counted, asked: Sequence[Condition], fields: Sequence[str], days: bool
) -> None:
    async def check(store: MemoryStore) -> None:
        filter, summary = Filter(tuple(asked)), Totals(fields, days=days)
        everything = [*made.archived, *made.last]
        assert await totals(store, filter, summary) == expected(everything, filter, fields, days)
        await compact(store, [made.archived])  # counts of files that are no more
        assert await totals(store, filter, summary) == expected(everything, filter, fields, days)
        await put_counts(store)
        assert await totals(store, filter, summary) == expected(everything, filter, fields, days)
        log = DeltaLog(store)
        snapshot = await log.load()
        await log.commit(snapshot, [Remove(file, data_change=True) for file in snapshot.files.values()])
        assert await totals(store, filter, summary) == expected(made.last, filter, fields, days)

    made.run(check)
