"""Sums from counts: what is read for them, what is left to be read, and that no state of the counts changes a sum."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from logsink.archive import Counts as StoredCounts
from logsink.archive import (
    DeltaLog,
    Remove,
    chunk_span,
    decode_counts,
    encode_counts,
    read_counts_head,
)
from logsink.archive import counts as stored
from logsink.errors import Refused, StoreError
from logsink.index import COUNTS, COUNTS_SCHEMA, index_date, index_key
from logsink.query import Between, Filter, Holds, Not, OneOf, Query, Report
from logsink.query.read import Fold, countable, fold, make_plan, uncounted
from logsink.query.read import counted as module
from logsink.query.request import InSpans
from logsink.query.views import Counts, Histogram, Patterns, Summary
from logsink.store import Entry
from tests.support.counted import put_counts
from tests.unit.query.archives import START, Meddled, archive, compact, row

MINUTE = 60_000_000
HOUR = 60 * MINUTE
FILES = [
    [row(n * 10 * MINUTE, host=f"web-{n % 2}", app="a", severity=n % 2) for n in range(12)],
    [row(n * 10 * MINUTE, host="db", app=None, severity=3, message="é") for n in range(12, 24)],
    [row(5 * HOUR + n, host=f"h{n}") for n in range(5)],
]
EVERYTHING = Filter()


@pytest.fixture
async def store() -> Meddled:
    """A store of three files whose counts stand in three objects."""
    made = Meddled()
    await archive(made, FILES)
    await put_counts(made)
    made.reads.clear()
    return made


async def run(store: Meddled, summary: Summary, filter: Filter = EVERYTHING) -> tuple[list[Any], Report]:
    folding = folded(store, summary, filter)
    parts = await folding.run()
    return summary.whole(parts).to_pylist() if parts else [], folding.report


def folded(store: Meddled, summary: Summary, filter: Filter = EVERYTHING) -> Fold:
    return fold(store, Query(filter, tuple(summary.columns)), summary.part, sums=summary.sums())


async def keys_of(store: Meddled) -> list[str]:
    return [entry.key async for entry in store.list("index/")]


def since(time: int, until: int | None = None) -> Filter:
    return Filter((Between("time", START + time, None if until is None else START + until),))


@pytest.mark.parametrize(
    "summary", [Counts(), Counts(("host",)), Counts(("app", "severity")), Histogram(24 * HOUR, dt.UTC, "severity")]
)
async def test_a_sum_reads_no_data_file(store: Meddled, summary: Summary) -> None:
    found, report = await run(store, summary)
    assert sum(each["count"] for each in found) == report.rows == 29
    assert (report.counted, report.files_read) == (3, 0)
    assert report.passed == report.bytes
    assert not any(key.endswith(".parquet") and key.startswith("logs/date=") for key in store.reads)


async def test_only_hours_that_a_range_divides_are_read(store: Meddled) -> None:
    plan, counted = await uncounted(
        store, await make_plan(store, since(90 * MINUTE)), Query(since(90 * MINUTE)), sums()
    )
    assert counted == 3
    hour = InSpans.of("time", np.array([START + HOUR]), np.array([START + 2 * HOUR - 1]))
    assert [file.path[-11:] for file in plan.files] == ["0-0.parquet"]
    assert repr(plan.left[plan.files[0].path]) == repr(hour)
    found, report = await run(store, Counts(), since(90 * MINUTE))
    assert (found, report.files_read) == ([{"count": 20}], 1)
    for divided, expected in (
        (since(HOUR), 23),
        (since(0, HOUR), 6),
        (since(10 * HOUR), 0),
        (since(-HOUR, 9 * HOUR), 29),
    ):
        found, report = await run(store, Counts(), divided)
        assert (report.rows, report.files_read) == (expected, 0)


async def test_rows_of_a_divided_hour_count_once_though_some_need_not_be_read() -> None:
    store = Meddled()
    rows = [row(n * MINUTE, host="a") for n in range(60)] + [row(n * MINUTE, host="b") for n in range(40, 60)]
    await archive(store, [rows])
    await put_counts(store)
    for filter, expected in ((since(30 * MINUTE), 50), (since(0, 50 * MINUTE), 60), (since(59 * MINUTE), 2)):
        found, report = await run(store, Counts(), filter)
        assert (report.rows, report.counted) == (expected, 1)
        assert sum(each["count"] for each in found) == expected


async def test_neighbours_that_agree_in_all_columns_of_a_sum_are_summed_first() -> None:
    store = Meddled()
    rows = [row(n * HOUR, host=f"h{n}", app=app, severity=3) for app in ("a", "b", "c") for n in range(9)]
    await archive(store, [rows])
    await put_counts(store)
    for fields in (("app", "severity"), ("severity", "app"), ("severity",), ("app",), ("host", "severity")):
        found, report = await run(store, Counts(fields))
        assert report.counted == 1
        expected = Counter(tuple(each[field] for field in fields) for each in rows)
        assert {tuple(each[field] for field in fields): each["count"] for each in found} == expected


def sums() -> module.Sums:
    made = Counts().sums()
    assert made is not None
    return made


async def test_only_hours_that_a_step_divides_are_read(store: Meddled) -> None:
    histogram = Histogram(2 * HOUR, ZoneInfo("Asia/Kolkata"))
    found, report = await run(store, histogram)
    assert report.rows == sum(each["count"] for each in found) == 29
    assert (report.counted, report.files_read) == (3, 2)
    assert (await run(store, Histogram(2 * HOUR, dt.UTC)))[1].files_read == 0


async def test_of_days_that_begin_at_half_past_an_hour_only_that_hour_is_read() -> None:
    store, zone = Meddled(), ZoneInfo("Asia/Kolkata")
    days = [[row(day * 24 * HOUR + n * 10 * MINUTE) for n in range(144)] for day in range(3)]
    await archive(store, days)
    await put_counts(store)
    histogram = Histogram(24 * HOUR, zone)
    counts = histogram.sums()
    plan, counted = await uncounted(store, await make_plan(store, EVERYTHING), Query(EVERYTHING, ("time",)), counts)
    half_past = [START + (24 * day + 18) * HOUR for day in range(3)]
    spans = [InSpans.of("time", np.array([at]), np.array([at + HOUR - 1])) for at in half_past]
    assert (counted, sorted(map(repr, plan.left.values()))) == (3, sorted(map(repr, spans)))
    found, _ = await run(store, histogram)
    assert [each["count"] for each in found] == [18 * 6 + 3, 144, 144, 33]


async def test_a_file_without_counts_is_read(store: Meddled) -> None:
    keys = await keys_of(store)
    await store.delete(keys[:1])
    found, report = await run(store, Counts(("host",)))
    assert sum(each["count"] for each in found) == 29
    assert (report.counted, report.files_read) == (2, 1)


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda body: b"",
    "cut": lambda body: body[:-1],
    "beginning missing": lambda body: body[1:],
    "half": lambda body: body[: len(body) // 2],
    "longer": lambda body: body + b"x",
    "zeros": lambda body: bytes(len(body)),
    "foreign": lambda body: b"PAR1" + 200 * b"x" + b"PAR1",
    **{f"bit {n}": lambda body, n=n: _flipped(body, n) for n in range(4, 2600, 37)},
}


def _flipped(body: bytes, at: int) -> bytes:
    at = at * len(body) // 2600
    return body[:at] + bytes([body[at] ^ 16]) + body[at + 1 :]


@pytest.mark.parametrize("end", [64, 1 << 17])
@pytest.mark.parametrize("damage", DAMAGES)
async def test_damaged_counts_change_no_sum(
    store: Meddled, damage: str, end: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored, "_END", end)
    key = (await keys_of(store))[0]
    await store.put(key, DAMAGES[damage](await store.get(key)))
    for summary in (Counts(("host", "severity")), Histogram(HOUR, dt.UTC)):
        found, report = await run(store, summary)
        assert sum(each["count"] for each in found) == report.rows == 29
        assert not report.damaged


async def test_counts_of_other_files_are_passed_over(store: Meddled) -> None:
    files = list((await DeltaLog(store).load()).files.values())
    keys = await keys_of(store)
    bodies = [await store.get(key) for key in keys]
    await compact(
        store, [FILES[0] + FILES[1], FILES[2]]
    )  # other files; one has the name of an old one, but another size
    assert sum(each["count"] for each in (await run(store, Counts(("host",))))[0]) == 29
    await store.delete(keys)
    for number, body in enumerate(bodies):
        await store.put(index_key(dt.date(2027, 1, 1), f"{number:016x}", COUNTS), body)
    assert (await run(store, Counts(("host",))))[1].counted == 0
    assert len(files) == 3


async def test_conditions_choose_among_counts(store: Meddled) -> None:
    for condition, expected in (
        (OneOf("host", ("web-*",)), 12),
        (Between("severity", 0, 1), 6),
        (OneOf("app", ("b",)), 0),
    ):
        found, report = await run(store, Counts(("app",)), Filter((condition,)))
        assert sum(each["count"] for each in found) == report.rows == expected
        assert report.files_read == 0


async def test_of_an_object_only_the_files_of_the_plan_count(store: Meddled) -> None:
    await store.delete(await keys_of(store))
    await put_counts(store, together=True)
    for filter, expected in ((since(2 * HOUR, 4 * HOUR), 12), (Filter((OneOf("host", ("h3",)),)), 1)):
        found, report = await run(store, Counts(), filter)
        assert (found, report.counted, report.files_read) == ([{"count": expected}], 1, 0)
    path = next(iter((await DeltaLog(store).load()).files))
    log = DeltaLog(store)
    await log.commit(await log.load(), [Remove((await log.load()).files[path], data_change=True)])
    assert (await run(store, Counts(("severity",))))[1].rows == 17


@pytest.mark.parametrize("column", ["rows", "hour", "file"])
async def test_a_changed_byte_of_a_column_that_is_read_is_found(store: Meddled, column: str) -> None:
    key = (await keys_of(store))[0]
    body = bytearray(await store.get(key))
    at = COUNTS_SCHEMA.get_field_index(column)
    body[chunk_span(read_counts_head(key, bytes(body)).metadata.row_group(0).column(at))[1] - 1] ^= 1
    await store.put(key, body)
    _, report = await run(store, Histogram(HOUR, dt.UTC))
    assert (report.rows, report.counted) == (29, 2)


@pytest.mark.parametrize("said", [{"size": 1}, {"tail": "1:" + 32 * "0"}])
async def test_counts_of_a_file_that_the_log_describes_otherwise_are_passed_over(
    store: Meddled, said: dict[str, Any]
) -> None:
    key = (await keys_of(store))[0]
    counts = decode_counts(key, await store.get(key))
    files = {path: one._replace(**said) for path, one in counts.files.items()}
    await store.put(key, memoryview(encode_counts(StoredCounts(files, counts.table))))
    found, report = await run(store, Counts(("severity",)))
    assert (sum(each["count"] for each in found), report.counted) == (29, 2)


async def test_of_objects_with_the_same_files_one_counts(store: Meddled) -> None:
    bodies = [await store.get(key) for key in await keys_of(store)]
    await put_counts(store, together=True)
    for number, body in enumerate(bodies):
        await store.put(index_key(dt.date(2026, 11, 22), f"{number + 7:016x}", COUNTS), body)
    found, report = await run(store, Counts(("severity",)))
    assert (sum(each["count"] for each in found), report.counted) == (29, 3)


class Refusing(Meddled):
    """Refuses what has to do with the index."""

    def __init__(self, *, listing: bool) -> None:
        super().__init__()
        self._listing = listing

    async def _refused(self) -> AsyncIterator[Entry]:
        raise Refused("cannot list")
        yield

    def list(self, prefix: str = "", after: str = "") -> AsyncIterator[Entry]:
        return self._refused() if self._listing and prefix.startswith("index") else super().list(prefix, after)

    async def get(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        if index_date(key, COUNTS):
            raise Refused("cannot get")
        return await super().get(key, start, end)


@pytest.mark.parametrize("listing", [True, False])
async def test_a_store_that_refuses_the_index_gives_the_same_sums(listing: bool) -> None:
    store = Refusing(listing=listing)
    await archive(store, FILES)
    await put_counts(store)
    found, report = await run(store, Counts(("severity",)))
    assert (sum(each["count"] for each in found), report.counted) == (29, 0)


async def test_counts_that_vanish_while_they_are_read(store: Meddled, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored, "_END", 1)
    gone = 0

    async def vanish(key: str) -> None:
        nonlocal gone
        if index_date(key, COUNTS):
            gone += 1
            if gone > 4:
                await store.delete([key])

    store.before = vanish
    assert (await run(store, Counts(("severity",))))[1].rows == 29


async def test_a_sum_begins_anew_when_a_file_is_merged_meanwhile(store: Meddled) -> None:
    merged = False

    async def merge(key: str) -> None:
        nonlocal merged
        if key.startswith("logs/date=") and not merged:
            merged = True
            await compact(store, [FILES[0] + FILES[1] + FILES[2]])

    store.before = merge
    found, report = await run(store, Counts(("host",)), since(90 * MINUTE))
    assert sum(each["count"] for each in found) == report.rows == 20
    assert (report.restarts, report.counted) == (1, 0)


async def test_a_file_that_is_missing_is_noticed_where_it_must_be_read(store: Meddled) -> None:
    (first, *_) = (await DeltaLog(store).load()).files.values()
    await store.delete([first.key])
    _, report = await run(store, Counts(("severity",)))
    assert (report.rows, report.damaged) == (29, {})
    _, report = await run(store, Counts(), since(30 * MINUTE))
    assert [damage.key for damage in report.damage] == [first.key]


async def test_a_sum_that_is_stopped_counts_no_further(store: Meddled) -> None:
    folding = folded(store, Counts(("severity",)))
    folding.stop()
    assert await folding.run() == []
    assert folding.report.interrupted


async def test_a_sum_that_is_cancelled_ends_its_listing(store: Meddled) -> None:
    store.before = lambda key: asyncio.sleep(3600)
    task = asyncio.create_task(folded(store, Counts(("severity",))).run())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_an_error_of_the_store_is_raised(store: Meddled) -> None:
    def fail(key: str) -> None:
        raise Refused("cannot get anything")

    store.before = fail
    with pytest.raises(StoreError):
        await folded(store, Counts()).run()


def test_what_counts_can_answer() -> None:
    assert countable(
        Filter((Between("severity", 0, 4), OneOf("host", ("a*",)), Between("time", 1, 2))), Counts().sums()
    )
    assert countable(EVERYTHING, Histogram(24 * HOUR, dt.UTC, "host").sums())
    for filter, summary in (
        (Filter((Holds("message", ("x",)),)), Counts()),
        (Filter((Between("received", 1, 2),)), Counts()),
        (Filter((Not(Between("time", 1, 2)),)), Counts()),
        (EVERYTHING, Counts(("procid",))),
        (EVERYTHING, Counts(("host", ".user"))),
        (EVERYTHING, Counts(("time",))),
        (EVERYTHING, Histogram(90 * MINUTE, dt.UTC)),
        (EVERYTHING, Histogram(HOUR, dt.UTC, "sender")),
        (EVERYTHING, Patterns()),
    ):
        assert not countable(filter, summary.sums())


async def test_copies_are_not_counted(store: Meddled) -> None:
    query = Query(EVERYTHING, ("severity",), dedupe=True)
    plan = await make_plan(store, EVERYTHING)
    assert await uncounted(store, plan, query, sums()) == (plan, 0)


LONG = [row(n * HOUR // 2, host=f"web-{n % 2}", app="a", severity=3) for n in range(10 * 24)]
"""Rows of five days, two of each hour."""


@pytest.fixture
async def days() -> Meddled:
    """A store of one file whose counts have days."""
    made = Meddled()
    await archive(made, [LONG])
    (key,) = await put_counts(made)
    assert read_counts_head(key, await made.get(key)).days is not None
    made.reads.clear()
    return made


async def without_days(store: Meddled) -> None:
    """Put the counts as an older version did."""
    (key,) = await keys_of(store)
    counts = decode_counts(key, await store.get(key))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stored, "FEWER", 1000)
        await store.put(key, memoryview(encode_counts(counts)))
    assert read_counts_head(key, await store.get(key)).days is None


DAYS_SUFFICE: list[tuple[Summary, Filter, bool]] = [
    (Counts(("host",)), EVERYTHING, True),
    (Histogram(24 * HOUR, dt.UTC, "host"), EVERYTHING, True),
    (Histogram(7 * 24 * HOUR, dt.UTC), EVERYTHING, True),
    (Counts(), since(0, 48 * HOUR), True),
    (Counts(("host",)), since(24 * HOUR, 1000 * HOUR), True),
    (Counts(), since(1000 * HOUR), True),
    (Histogram(HOUR, dt.UTC), EVERYTHING, False),
    (Histogram(24 * HOUR, ZoneInfo("Europe/Berlin")), EVERYTHING, False),
    (Counts(("host",)), since(HOUR), False),
    (Histogram(24 * HOUR, dt.UTC), since(0, 47 * HOUR), False),
]


@pytest.mark.parametrize(("summary", "filter", "suffice"), DAYS_SUFFICE)
async def test_days_are_summed_up_where_they_suffice(
    days: Meddled, summary: Summary, filter: Filter, suffice: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise hours are, and the sum is the same as without days."""
    read = list[str]()
    monkeypatch.setattr(module._Object, "read", _told(read, "hours", module._Object.read))
    monkeypatch.setattr(module._Object, "days", _told(read, "days", module._Object.days))
    found, report = await run(days, summary, filter)
    assert ("hours" in read) != suffice
    assert report.files_read == 0
    await without_days(days)
    again, report = await run(days, summary, filter)
    assert (again, report.files_read) == (found, 0)


def _told(calls: list[str], name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def told(*args: Any) -> Any:
        calls.append(name)
        return function(*args)

    return told


async def test_damaged_days_change_no_sum(days: Meddled) -> None:
    (key,) = await keys_of(days)
    body = await days.get(key)
    at = read_counts_head(key, body).days
    assert at is not None
    for place in range(at.start, at.end, 97):
        await days.put(key, body[:place] + bytes([body[place] ^ 1]) + body[place + 1 :])
        found, report = await run(days, Counts())
        assert (found, report.counted, report.files_read) == ([{"count": 240}], 1, 0)


@pytest.mark.parametrize("end", [64, 1 << 17])
async def test_of_an_object_with_days_these_are_fetched(
    days: Meddled, end: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored, "_END", end)
    found, _ = await run(days, Counts(("host",)))
    assert found == [{"host": "web-0", "count": 120}, {"host": "web-1", "count": 120}]
    assert len([key for key in days.reads if key.startswith("index/")]) == (1 if end > 64 else 4)
