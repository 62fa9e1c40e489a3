"""Sums of rows: what a fold reads and lists, and how it begins anew. Sums from counts are in ``test_counted``."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress

import pyarrow as pa
import pytest

from logsink.errors import SpillError, Unavailable
from logsink.flags import Flag
from logsink.journal import SegmentName
from logsink.query import Filter, Holds, OneOf, Query
from logsink.query.order import Runs
from logsink.query.read import Fold, Tuning, fold, folding, make_plan, tail, uncounted
from logsink.query.views import Counts, LargeSum
from logsink.store import Entry
from tests.support.counted import put_counts
from tests.support.indexed import put_index
from tests.unit.query.archives import Meddled, archive, compact, journal, json_parse, row

FILES = [[row(10 * n + k, host=f"h{n}", message=f"word{n} in a line") for k in range(4)] for n in range(3)]
FIRST = Filter((Holds("message", ("word1",), words=True),))


class Listed(Meddled):
    """Notes what is listed."""

    def __init__(self) -> None:
        super().__init__()
        self.lists: list[str] = []

    def list(self, prefix: str = "", after: str = "") -> AsyncIterator[Entry]:
        self.lists.append(prefix)
        return super().list(prefix, after)


@pytest.fixture
async def store() -> Listed:
    made = Listed()
    await archive(made, FILES)
    await put_index(made)
    await put_counts(made)
    made.lists.clear()
    return made


def folded(store: Meddled, filter: Filter = Filter(), *, counts: bool = False, dedupe: bool = False) -> Fold:  # noqa: B008
    """The sum of rows by host; with ``counts``, from counts where they suffice."""
    summary = Counts(("host",))
    query = Query(filter, ("host",), limit=1, dedupe=dedupe)
    return fold(store, query, summary.part, Tuning(indexed=0), summary.sums() if counts else None)


async def by_host(folding: Fold) -> dict[str, int]:
    parts = await folding.run()
    return {one["host"]: one["count"] for one in Counts(("host",)).whole(parts).to_pylist()} if parts else {}


async def test_all_rows_are_summed_whatever_the_limit(store: Listed) -> None:
    folding = folded(store)
    assert await by_host(folding) == {"h0": 4, "h1": 4, "h2": 4}
    assert (folding.report.rows, folding.report.files_read, folding.report.counted) == (12, 3, 0)
    assert "index/" not in store.lists


async def test_rows_of_the_journal_are_summed_too(store: Listed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail, "parse", json_parse)
    await journal(store, SegmentName("r1", 0, 1), [row(99, host="h0"), row(100, host="h9")])
    for counts in (False, True):
        assert await by_host(folded(store, counts=counts)) == {"h0": 5, "h1": 4, "h2": 4, "h9": 1}


async def test_the_index_is_asked_which_files_hold_a_word(store: Listed) -> None:
    folding = folded(store, FIRST)
    assert await by_host(folding) == {"h1": 4}
    assert (folding.report.excluded, folding.report.files_read) == (2, 1)
    assert store.lists.count("index/") == 1


async def test_filters_and_counts_are_listed_together(store: Listed) -> None:
    """A condition on a host has a key, and counts know it, too."""
    folding = folded(store, Filter((OneOf("host", ("h1",)),)), counts=True)
    assert await by_host(folding) == {"h1": 4}
    assert folding.report.files_read == 0
    assert store.lists.count("index/") == 1


async def test_counts_need_no_condition_and_filters_are_not_asked_without_one(store: Listed) -> None:
    lost = next(key for key in [entry.key async for entry in store.list("index/")] if key.endswith(".parquet"))
    await store.delete([lost])
    store.lists.clear()
    folding = folded(store, counts=True)
    assert await by_host(folding) == {"h0": 4, "h1": 4, "h2": 4}
    assert (folding.report.counted, folding.report.files_read) == (2, 1)
    assert store.lists.count("index/") == 1
    assert not any(key.endswith(".index") for key in store.reads)


async def test_without_counts_the_index_still_says_which_files_to_read(store: Listed) -> None:
    await store.delete([entry.key async for entry in store.list("index/") if entry.key.endswith(".parquet")])
    folding = folded(store, Filter((OneOf("host", ("h1",)),)), counts=True)
    assert await by_host(folding) == {"h1": 4}
    assert (folding.report.counted, folding.report.files_read) == (0, 1)


async def test_copies_are_left_out_and_counts_not_asked() -> None:
    store = Listed()
    sent = {"host": "h", "sender": "10.0.0.1", "flags": int(Flag.MAYBE_RESENT)}
    frames = (("r1", b"the same"), ("r2", b"the same"), ("r3", b"another"))
    rows = [row(k, receiver=receiver, raw=raw, **sent) for k, (receiver, raw) in enumerate(frames)]
    await archive(store, [rows])
    await put_counts(store)
    store.lists.clear()
    folding = folded(store, counts=True, dedupe=True)
    assert await by_host(folding) == {"h": 2}
    assert (folding.report.rows, folding.report.hidden) == (2, 1)
    assert "index/" not in store.lists


def merging(store: Meddled, times: int) -> Callable[[str], Awaitable[None] | None]:
    """Merge all files when one of them is read, so many times."""
    left = times

    def before(key: str) -> Awaitable[None] | None:
        nonlocal left
        if not key.startswith("logs/date=") or not left:
            return None
        left -= 1
        return compact(store, [[one for rows in FILES for one in rows]])

    return before


async def test_a_sum_begins_anew_when_files_were_merged_meanwhile(store: Listed) -> None:
    store.before = merging(store, 2)
    folding = folded(store, FIRST)
    assert await by_host(folding) == {"h1": 4}
    report = folding.report
    assert (report.restarts, report.rows, report.excluded, report.damage) == (2, 4, 0, [])
    assert report.passed <= report.bytes


async def test_what_was_found_before_a_sum_begins_anew_counts_no_more(store: Listed) -> None:
    """Neither do rows, nor a file that was missing then and is merged now."""
    files = (await make_plan(store, Filter())).files
    await store.delete([files[0].key])
    summary, merge = Counts(("host",)), merging(store, 1)
    folding = fold(store, Query(Filter(), ("host",)), summary.part, Tuning(prefetch=1, indexed=0))
    store.before = lambda key: merge(key) if folding.parts else None
    assert await by_host(folding) == {"h0": 4, "h1": 4, "h2": 4}
    report = folding.report
    assert (report.restarts, report.rows, report.damage) == (1, 12, [])


async def test_a_sum_that_never_ends_is_given_up(store: Listed) -> None:
    store.before = merging(store, 1)
    query = Query(Filter(), ("host",))
    with pytest.raises(Unavailable, match="objects were removed while it ran, 1 times over"):
        await fold(store, query, Counts(("host",)).part, Tuning(attempts=1)).run()


async def test_what_is_missing_is_named_and_the_rest_is_summed(store: Listed) -> None:
    gone = (await make_plan(store, FIRST)).files[0]
    await store.delete([gone.key])
    folding = folded(store)
    assert sum((await by_host(folding)).values()) == 8
    assert [damage.key for damage in folding.report.damage] == [gone.key]


async def test_parts_that_were_made_are_there_when_it_is_cancelled(store: Listed) -> None:
    def part(rows: pa.Table) -> pa.Table:
        return rows

    folding = fold(store, Query(Filter(), ("host",)), part, Tuning(prefetch=1, indexed=0))
    reads = 0

    def wait(key: str) -> Awaitable[None] | None:
        nonlocal reads
        reads += key.startswith("logs/date=")
        return asyncio.sleep(3600) if folding.parts else None

    store.before = wait
    task = asyncio.ensure_future(folding.run())
    async with asyncio.timeout(30):
        while not folding.parts:  # noqa: ASYNC110  a part is no event
            await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert 0 < sum(part.num_rows for part in folding.parts) == folding.report.rows <= 12
    assert reads


async def test_what_is_left_beside_counts(store: Listed) -> None:
    plan = await make_plan(store, Filter())
    query, sums = Query(Filter(), ("host",)), Counts(("host",)).sums()
    rest, counted = await uncounted(store, plan, query, sums)
    assert (list(rest.files), counted) == ([], 3)
    for other, of in (
        (query, None),
        (query._replace(dedupe=True), sums),
        (query._replace(filter=FIRST), sums),
    ):
        assert await uncounted(store, plan, other, of) == (plan, 0)


async def cancelled(store: Listed, monkeypatch: pytest.MonkeyPatch, add: Callable[[Runs, pa.Table], None]) -> Fold:
    """A fold that is cancelled while ``add`` is to add to its runs for the first time: it may raise something else."""
    monkeypatch.setattr(folding, "_PARTS", 1)
    summary, adding = Counts(("host",)), threading.Event()

    def slow(self: Runs, part: pa.Table) -> None:
        adding.set()
        time.sleep(0.1)  # the task is cancelled meanwhile
        add(self, part)

    monkeypatch.setattr(Runs, "add", slow)
    query, tuning = Query(Filter(), ("host",)), Tuning(prefetch=1, indexed=0, sums=0)
    running = fold(store, query, summary.part, tuning, None, summary.merge, summary.keyed)
    task = asyncio.ensure_future(running.run())
    async with asyncio.timeout(30):
        while not adding.is_set():  # noqa: ASYNC110  set by a thread
            await asyncio.sleep(0)
    task.cancel()
    await asyncio.sleep(0)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    return running


async def test_a_sum_in_files_has_everything_when_it_is_cancelled(
    store: Listed, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = await cancelled(store, monkeypatch, Runs.add)
    assert running.runs is not None
    large = LargeSum(Counts(("host",)), running.runs, running.parts, None)
    assert list(large.sort())
    found = sum(each["count"] for table in large for each in table.to_pylist())
    assert found == running.report.rows == 8


async def test_a_sum_that_lacks_parts_is_no_sum_when_it_is_cancelled(
    store: Listed, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Runs, part: pa.Table) -> None:
        raise SpillError("cannot write what does not fit into memory: no space left on device")

    with pytest.raises(SpillError):
        await cancelled(store, monkeypatch, full)


async def test_a_sum_in_files_begins_anew_in_memory(store: Listed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folding, "_PARTS", 1)
    summary, merge = Counts(("host",)), merging(store, 1)
    query, tuning = Query(Filter(), ("host",)), Tuning(prefetch=1, indexed=0, sums=0)
    running = fold(store, query, summary.part, tuning, None, summary.merge, summary.keyed)
    store.before = lambda key: merge(key) if running.runs else None
    await running.run()
    assert (running.report.restarts, running.report.rows, running.runs) == (1, 12, None)
