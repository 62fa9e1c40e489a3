"""How many requests a query of an archive in S3 makes, and how many of them one after the other."""

from __future__ import annotations

from contextlib import aclosing
from random import Random

import pytest

from logsink.query import Between, Filter, Holds, OneOf, Query, Tuning, search
from logsink.query.read import datafile, fold
from logsink.query.read.tuning import FETCHES
from logsink.store.memory import MemoryStore
from tests.support.trips import Trips
from tests.unit.query.archives import START, Row, archive, row

COLUMNS = ("time", "host", "app", "severity", "message")
GROUPS = 4
"""Row groups of a run: of the same time, and of different apps."""
ROWS = 8
"""Rows of a row group."""
RUN = GROUPS * ROWS

NARROW = Filter((OneOf("host", ("h",)), OneOf("app", ("app1",)), Between("time", START + 2 * RUN, START + 3 * RUN)))
ERRORS = Filter((Between("severity", 0, 4),))


class Bucket(MemoryStore):
    """A store whose requests cost something."""

    def __init__(self) -> None:
        super().__init__()
        self.url = "s3://bucket"


@pytest.fixture
async def merged(monkeypatch: pytest.MonkeyPatch) -> Trips:
    """Merged files that lie behind each other in time, each a run of row groups that are larger than is fetched by the way."""
    monkeypatch.setattr(datafile, "WHOLE", 1000)
    store, chance = Bucket(), Random(1)

    def at(time: int, group: int) -> Row:
        # a message that cannot be compressed, but one of four of the newest rows is an error
        return row(time, host="h", app=f"app{group}", severity=time % 4 + 3, message=chance.randbytes(500).hex())

    files = [[at(f * RUN + n * GROUPS + g, g) for g in range(GROUPS) for n in range(ROWS)] for f in range(6)]
    await archive(store, files, group=ROWS)
    return Trips(store)


async def asked(store: Trips, query: Query) -> int:
    """Ask, and return how many rows were found."""
    found = 0
    async with aclosing(search(store, query)) as tables:
        async for rows in tables:
            found += rows.num_rows
    return found


@pytest.mark.parametrize("limit", [None, 1000])
async def test_host_app_and_minutes(merged: Trips, limit: int | None) -> None:
    assert await asked(merged, Query(NARROW, COLUMNS, limit=limit)) == ROWS
    assert merged.requests <= 12
    assert len(merged.asked) <= 6


@pytest.mark.parametrize(("filter", "count"), [(Filter(), 5), (ERRORS, 2)])
async def test_the_newest_few(merged: Trips, filter: Filter, count: int) -> None:
    assert await asked(merged, Query(filter, COLUMNS, limit=count)) == count
    assert merged.requests <= 12
    assert len(merged.asked) <= 6


async def test_small_files_take_a_request_each_and_32_go_out_at_once() -> None:
    store, files = Bucket(), 3 * FETCHES
    await archive(store, [[row(f, host="h", severity=f % 8, message=f"<{f}>")] for f in range(files)])
    for filter, count in ((Filter(), files), (Filter((OneOf("host", ("h", "i")), Holds("message", ("1",)))), 0)):
        trips = Trips(store)
        found = await asked(trips, Query(filter, COLUMNS))
        assert found == count if count else 0 < found < files
        keys = [key for trip in trips.asked for key in trip if key.endswith(".parquet")]
        assert len(keys) == len(set(keys))
        assert trips.most_at_once == FETCHES
        assert len(trips.asked) <= 3 + 2 * files // FETCHES


async def test_sums_fetch_as_many_row_groups_at_once_whatever_the_number_of_cores(merged: Trips) -> None:
    async def sums(store: Trips, tuning: Tuning) -> int:
        return sum(
            part.num_rows for part in await fold(store, Query(columns=("app",)), lambda rows: rows, tuning).run()
        )

    assert await sums(merged, Tuning.of(merged)._replace(threads=1)) == 6 * RUN
    assert merged.most_at_once == 6 * GROUPS
    narrow = Trips(merged)
    assert await sums(narrow, Tuning(threads=1, ahead=0)) == 6 * RUN
    assert narrow.most_at_once <= 6
