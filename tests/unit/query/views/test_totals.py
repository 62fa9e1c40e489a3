"""Totals come from counts: what is asked of the store for them. That they are right is tests/property/test_totals.py."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from logsink.query import Between, Filter, Query, Report
from logsink.query.read import fold
from logsink.query.views import MEASURED, Totals
from tests.support.counted import put_counts
from tests.unit.query.archives import START, Meddled, archive, row

MINUTE = 60_000_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
FILES = [
    [row(n * 10 * MINUTE, host=f"web-{n % 2}", app="a", severity=n % 4 + 2, message="x" * n) for n in range(24)],
    [row(DAY + n, host="db", severity=None, message="é") for n in range(5)],
]


@pytest.fixture
async def store() -> Meddled:
    made = Meddled()
    await archive(made, FILES)
    await put_counts(made, together=True)
    made.reads.clear()
    return made


async def run(store: Meddled, totals: Totals, filter: Filter = Filter()) -> tuple[pa.Table | None, Report]:  # noqa: B008
    folding = fold(store, Query(filter, tuple(totals.columns)), totals.part, None, totals.sums(), totals.merge)
    parts = await folding.run()
    return totals.whole(parts) if parts else None, folding.report


@pytest.mark.parametrize("totals", [Totals(), Totals(("host", "deploy")), Totals(("app",), days=True)])
async def test_of_a_date_one_object_is_read_and_no_data_file(store: Meddled, totals: Totals) -> None:
    found, report = await run(store, totals)
    assert found is not None
    assert tuple(found.column_names[-5:]) == MEASURED
    assert sum(found.column("rows").to_pylist()) == 29
    assert sum(found.column("errors").to_pylist()) == 12
    assert sum(found.column("bytes").to_pylist()) == sum(range(24)) + 10
    assert [key.split("/")[0] for key in store.reads if "_delta_log" not in key] == ["index"]
    assert (report.files_read, report.counted) == (0, 2)


async def test_days_are_those_of_utc(store: Meddled) -> None:
    found, _ = await run(store, Totals(("host",), days=True))
    assert found is not None
    assert [(f"{one['day']:%F}", one["host"]) for one in found.to_pylist()] == [
        ("2026-11-22", "web-0"),
        ("2026-11-22", "web-1"),
        ("2026-11-23", "db"),
    ]


async def test_only_hours_that_a_range_divides_are_read(store: Meddled) -> None:
    found, report = await run(store, Totals(("host",)), Filter((Between("time", START + 30 * MINUTE, None),)))
    assert found is not None
    assert (report.files_read, report.rows) == (1, 26)
    assert found.column("first").cast(pa.int64()).to_pylist() == [START + DAY, START + 40 * MINUTE, START + 30 * MINUTE]


async def test_nothing_has_no_totals(store: Meddled) -> None:
    found, report = await run(store, Totals(("host",)), Filter((Between("time", START + 9 * DAY, None),)))
    assert (found, report.rows) == (None, 0)


async def test_senders_are_not_counted_and_their_rows_are_read(store: Meddled) -> None:
    found, report = await run(store, Totals(("sender",)))
    assert found is not None
    assert found.column("rows").to_pylist() == [29]
    assert (report.files_read, report.counted) == (2, 0)


def test_many_values_are_told_apart() -> None:
    """More combinations than there is room for in an array with a place for each, and in 64 bits."""
    count = 2000
    values = {
        name: [f"{name}{n}" for n in range(count)]
        for name in ("host", "app", "environment", "role", "deploy", "instance")
    }
    rows = pa.table(
        {
            **{name: pa.array(some).dictionary_encode() for name, some in values.items()},
            "severity": pa.array([3] * count, pa.int8()),
            **{name: pa.array(range(count), pa.int64()) for name in ("bytes", "first", "last")},
        }
    )
    totals = Totals(tuple(values))
    part = totals.sums().part(
        pa.concat_tables([rows, rows]).unify_dictionaries().combine_chunks(), np.full(2 * count, 3)
    )
    assert part.num_rows == count
    assert set(part.column("rows").to_pylist()) == {6}
    assert set(part.column("errors").to_pylist()) == {6}
    assert totals.whole([part, part]).column("rows").to_pylist() == [12] * count
