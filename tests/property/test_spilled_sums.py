"""A sum is the same in memory, in temporary files, and in plain Python: over journal and files together."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logsink.journal.segment import SegmentName
from logsink.query import Filter, Query
from logsink.query.read import Tuning, fold, folding, tail
from logsink.query.views import Counts, LargeSum, Summary, Values
from logsink.store.memory import MemoryStore
from tests.support.counted import put_counts
from tests.unit.query.archives import Row, archive, journal, json_parse, row

rows = st.builds(
    lambda host, severity, message: row(message=message, severity=severity, **({} if host is None else {"host": host})),
    st.sampled_from((None, "", "web-1", "web-2", "é", "10", "9")),
    st.sampled_from((0, 3)),
    st.sampled_from("abc"),
)


@pytest.fixture(autouse=True)
def _spilling(monkeypatch: pytest.MonkeyPatch) -> None:
    """Frames are JSON, and parts are added up when there are two."""
    monkeypatch.setattr(tail, "parse", json_parse)
    monkeypatch.setattr(folding, "_PARTS", 1)


async def summed(store: MemoryStore, summary: Summary, *, memory: int, limit: int | None, counts: bool) -> list[Any]:
    """The rows of a summary; ``memory``: bytes of it that are held."""
    sums = summary.sums() if counts else None
    query, tuning = Query(Filter(), tuple(summary.columns)), Tuning(sums=memory)
    running = fold(store, query, summary.part, tuning, sums, summary.merge, summary.keyed)
    parts = await running.run()
    if running.runs is None:
        return summary.whole(parts).slice(0, limit).to_pylist() if parts else []
    assert not memory
    large = LargeSum(summary, running.runs, parts, limit)
    for _ in large.sort():
        pass
    return [each for found in large for each in found.to_pylist()]


def plain(fields: Sequence[str], found: Sequence[Row]) -> list[Row]:
    """The same sum in plain Python: the most frequent first, then by values, null last."""
    counts = Counter(tuple(each.get(field) for field in fields) for each in found)
    order = sorted(counts, key=lambda key: (-counts[key], [(value is None, value) for value in key]))
    return [dict(zip(fields, key, strict=True)) | {"count": counts[key]} for key in order]


@settings(max_examples=40)
@given(
    files=st.lists(st.lists(rows, min_size=1, max_size=12), min_size=1, max_size=4),
    last=st.lists(st.lists(rows, min_size=1, max_size=5), max_size=2),
    fields=st.lists(st.sampled_from(("host", "severity", "message")), min_size=1, max_size=3, unique=True),
    limit=st.sampled_from((None, 2)),
    counts=st.booleans(),
)
def test_a_sum_in_files_is_the_sum_in_memory_and_in_python(
    files: list[list[Row]], last: list[list[Row]], fields: list[str], limit: int | None, counts: bool
) -> None:
    async def run() -> None:
        store = MemoryStore()
        await archive(store, files, group=5)
        if counts:
            await put_counts(store)
        for number, found in enumerate(last):
            await journal(store, SegmentName("r9", 0, number + 1), found)
        every = [each for found in (*files, *last) for each in found]
        for summary, expected in (
            (Counts(fields), plain(fields, every)),
            (Values("message"), [{"message": letter} for letter in sorted({each["message"] for each in every})]),
        ):
            for memory in (0, 1 << 20):
                found = await summed(store, summary, memory=memory, limit=limit, counts=counts)
                assert found == expected[:limit]

    asyncio.run(run())
