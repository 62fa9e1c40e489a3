"""The number of all rows, from the table's log: how few requests it takes, and where the files are read instead."""

from __future__ import annotations

import datetime

import orjson
import pytest

from logsink.archive import DataFile
from logsink.archive.log import Add, DeltaLog, Remove
from logsink.archive.snapshot import LOG, commit_key
from logsink.journal import SegmentName
from logsink.query import Between, Filter, Query
from logsink.query.read import Fold, Tuning, fold, make_plan, tail, uncounted
from logsink.query.views import Counts, Histogram, Summary
from logsink.store.memory import MemoryStore
from tests.support.counted import put_counts
from tests.support.trips import Trips
from tests.unit.query.archives import START, Meddled, archive, journal, json_parse, parquet, row

FILES = [[row(10 * n + k, host=f"h{n}") for k in range(4)] for n in range(50)]
ALL = 4 * len(FILES)


def counting(store: MemoryStore | Trips, filter: Filter = Filter(), summary: Summary | None = None) -> Fold:  # noqa: B008
    summary = summary or Counts()
    query = Query(filter, tuple(summary.columns))
    return fold(store, query, summary.part, Tuning(indexed=0), summary.sums(), summary.merge)


async def number(folding: Fold) -> int:
    parts = await folding.run()
    rows = sum(Counts().whole(parts).column(0).to_pylist()) if parts else 0
    assert rows == folding.report.rows
    return int(rows)


def data_files(store: Meddled) -> list[str]:
    return [key for key in store.reads if key.startswith("logs/date=")]


@pytest.fixture
async def store() -> Meddled:
    made = Meddled()
    await archive(made, FILES)
    return made


async def test_it_takes_no_request_but_those_that_tell_what_there_is(store: Meddled) -> None:
    await put_counts(store)
    trips = Trips(store)
    folding = counting(trips)
    assert await number(folding) == ALL
    assert all(key.startswith(LOG) or key == "journal/*" for trip in trips.asked for key in trip)
    assert trips.requests <= 6
    report = folding.report
    assert (report.counted, report.files_read, report.passed) == (len(FILES), 0, report.bytes)


async def test_it_is_that_of_the_files_and_of_the_journal(store: Meddled, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail, "parse", json_parse)
    await journal(store, SegmentName("r1", 0, 1), [row(99, host="h0"), row(100, host="h9")])
    log = DeltaLog(store)
    snapshot = await log.load()
    await log.commit(snapshot, [Remove(next(iter(snapshot.files.values())), data_change=True)])
    assert await number(counting(store)) == ALL - 4 + 2
    assert not data_files(store)


@pytest.mark.parametrize(
    ("filter", "summary"),
    [
        (Filter((Between("time", START, None),)), Counts()),
        (Filter(), Counts(("host",))),
        (Filter(), Histogram(3_600_000_000, datetime.UTC)),
    ],
)
async def test_anything_else_reads_the_files(store: Meddled, filter: Filter, summary: Summary) -> None:
    folding = counting(store, filter, summary)
    await folding.run()
    assert (folding.report.rows, folding.report.files_read) == (ALL, len(FILES))


async def test_copies_are_hidden_from_the_rows_only() -> None:
    store = Meddled()
    await archive(store, [[row(k, host="h", raw=b"the same") for k in range(3)]])
    query = Query(Filter(), ("severity",), dedupe=True)
    folding = fold(store, query, Counts().part, Tuning(indexed=0), Counts().sums(), Counts().merge)
    await folding.run()
    assert (folding.report.rows, folding.report.files_read) == (3, 1)


async def test_a_file_of_which_the_log_does_not_tell_is_read(store: Meddled) -> None:
    body, day = parquet(FILES[0]), datetime.date(2026, 11, 22)
    file = DataFile(f"date={day}/other.parquet", day, len(body), "{}")
    await store.put(file.key, body)
    log = DeltaLog(store)
    await log.commit(await log.load(), [Add(file)])
    folding = counting(store)
    assert await number(folding) == ALL + 4
    assert (set(data_files(store)), folding.report.counted) == ({file.key}, len(FILES))
    rest, counted = await uncounted(store, await make_plan(store, Filter()), Query(), Counts().sums())
    assert ([left.path for left in rest.files], counted) == ([file.path], len(FILES))


async def test_a_damaged_log_counts_nothing(store: Meddled) -> None:
    """Of the commits that are left, none says which files there are: those that are shown are read."""
    await archive(store, [[row(1)]])
    await archive(store, [[row(2)]])
    await store.put(commit_key(2), b"{}\n")
    folding = counting(store)
    assert await number(folding) == ALL + 1
    assert folding.report.files_read == len(FILES) + 1
    assert folding.report.damage


async def test_commits_that_prove_nothing_count_nothing(store: Meddled) -> None:
    for version in range((await DeltaLog(store).load()).version + 1):
        lines = [orjson.loads(line) for line in (await store.get(commit_key(version))).splitlines()]
        lines[0]["commitInfo"].pop("logsink")
        await store.put(commit_key(version), b"".join(orjson.dumps(line) + b"\n" for line in lines))
    folding = counting(store)
    assert await number(folding) == ALL
    assert (folding.report.files_read, folding.report.counted) == (len(FILES), 0)


async def test_nothing_counts_after_an_interrupt(store: Meddled) -> None:
    folding = counting(store)
    folding.stop()
    assert await number(folding) == 0


async def test_a_table_without_files_has_no_rows() -> None:
    store = Meddled()
    await DeltaLog(store).create()
    assert await number(counting(store)) == 0
