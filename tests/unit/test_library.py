"""The archive from Python."""

from __future__ import annotations

import asyncio
import datetime as dt
import threading
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import logsink
from logsink.damage import Damage
from logsink.errors import ArgumentError, NotFound
from logsink.library import DamageWarning, batches
from logsink.query import Query
from logsink.query.output import DEFAULT_COLUMNS
from logsink.query.read import Search
from logsink.store import open_store
from tests.unit.query.archives import archive, row

SECOND = 1_000_000
ROWS = [row(n * SECOND, host=f"web{n % 3}", app="a", severity=n % 8, message=f"line {n}") for n in range(50)]


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Any:
    url = f"file://{tmp_path_factory.mktemp('archive')}/store"

    async def build() -> None:
        async with open_store(url) as store:
            await archive(store, [ROWS[:20], ROWS[20:]])

    asyncio.run(build())
    return logsink.open(url)


def numbers(reader: pa.RecordBatchReader) -> list[int]:
    return [int(message.split()[1]) for message in reader.read_all()["message"].to_pylist()]


def test_everything(logs: Any) -> None:
    reader = logs.scan()
    assert reader.schema.names == list(DEFAULT_COLUMNS)
    found = reader.read_all()
    assert found["message"].to_pylist() == [one["message"] for one in ROWS]
    assert found["host"].type == pa.string()


@pytest.mark.parametrize(
    ("pattern", "wanted", "expected"),
    [
        (("line 7",), {}, [7]),
        (("line [12]3",), {"regex": True}, [13, 23]),
        ((), {"host": "web1", "limit": 3}, [43, 46, 49]),
        ((), {"host": ["web1", "web2"], "limit": 2, "newest_first": True}, [49, 47]),
        ((), {"priority": "emerg", "until": "2026-11-22T00:00:10Z"}, [0, 8]),
        ((), {"since": dt.datetime(2026, 11, 22, 0, 0, 48, tzinfo=dt.UTC)}, [48, 49]),
        ((), {"since": dt.datetime(2026, 11, 22, 1, 0, 48), "zone": dt.timezone(dt.timedelta(hours=1))}, [48, 49]),  # noqa: DTZ001
        (("line 8",), {"pattern": "line 7"}, [7, 8]),
        ((), {"grep": "LINE 4$"}, []),
        ((), {"host": "!web*"}, []),
        ((), {"dedupe": False, "app": "b"}, []),
    ],
)
def test_what_is_found(logs: Any, pattern: tuple[str, ...], wanted: dict[str, Any], expected: list[int]) -> None:
    assert numbers(logs.scan(*pattern, columns=["message"], **wanted)) == expected


def test_others_take_it(logs: Any) -> None:
    duckdb = pytest.importorskip("duckdb")
    found = duckdb.from_arrow(logs.scan(columns=["host"])).aggregate("host, count(*)").order("host").fetchall()
    assert found == [("web0", 17), ("web1", 17), ("web2", 16)]


def test_pandas_takes_it(logs: Any) -> None:
    pytest.importorskip("pandas")
    found = logs.scan(columns=["time", "host", "severity"]).read_pandas()
    assert found.groupby("host").size().to_dict() == {"web0": 17, "web1": 17, "web2": 16}
    assert str(found["time"].iloc[0]) == "2026-11-22 00:00:00+00:00"


def test_polars_takes_it(logs: Any) -> None:
    polars = pytest.importorskip("polars")
    assert polars.from_arrow(logs.scan(columns=["host"])).height == 50
    assert polars.from_arrow(logs.scan("nowhere", columns=["host"])).height == 0


def test_nothing_found_is_one_batch_without_rows(logs: Any) -> None:
    """polars makes no frame of none at all."""
    found = logs.scan("nowhere", columns=["time", "host"])
    assert [(batch.num_rows, batch.schema.names) for batch in found] == [(0, ["time", "host"])]


async def test_where_a_loop_runs_already(logs: Any) -> None:
    assert len(numbers(logs.scan())) == 50


def test_whoever_stops_early_leaves_no_thread(logs: Any) -> None:
    reader = logs.scan()
    assert reader.read_next_batch().num_rows
    del reader
    assert not [thread for thread in threading.enumerate() if thread.name == "logsink-scan"]


class Endless(Search):
    """One table, and then nothing for ever."""

    async def _tables(self) -> AsyncGenerator[pa.Table, None]:
        yield pa.table({"message": ["one"]})
        await asyncio.Event().wait()


def test_whoever_stops_early_does_not_wait_for_what_is_searched_for(tmp_path: Path) -> None:
    schema, query = pa.schema([("message", pa.string())]), Query()
    found = batches(f"file://{tmp_path}", schema, lambda store: Endless(store, query, None))
    assert next(found).num_rows == 1
    found.close()  # type: ignore[attr-defined]
    assert not [thread for thread in threading.enumerate() if thread.name == "logsink-scan"]


def test_an_interrupt_reaches_whoever_takes_batches_in_a_thread(tmp_path: Path) -> None:
    schema, query, stopped = pa.schema([("message", pa.string())]), Query(), threading.Event()
    found = batches(f"file://{tmp_path}", schema, lambda store: Endless(store, query, None), stopped=stopped)
    assert next(found).num_rows == 1
    stopped.set()
    with pytest.raises(KeyboardInterrupt):
        next(found)


def test_errors(logs: Any, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="cannot find column 'hosts'"):
        logs.scan(columns=["hosts"])
    with pytest.raises(ArgumentError, match="cannot use 'hosts' as a condition"):
        logs.scan(hosts="x")
    with pytest.raises(ArgumentError, match="cannot read 'teatime' as a time"):
        logs.scan(since="teatime")
    with pytest.raises(ArgumentError, match="cannot show the newest -1 rows"):
        logs.scan(limit=-1)
    with pytest.raises(ArgumentError, match=r"cannot use .* as the time zone of a session"):
        logs.sql("SELECT 1", zone=dt.timezone(dt.timedelta(hours=2)))
    with pytest.raises(NotFound, match="cannot find a logsink store"):
        logsink.open(f"file://{tmp_path}").scan().read_all()
    assert repr(logsink.open("file:///x")) == "logsink.open('file:///x')"


@pytest.fixture
def damaged(tmp_path: Path) -> Any:
    """An archive of two files, of which the first is missing and the second is there."""
    url = f"file://{tmp_path}/store"

    async def build() -> None:
        async with open_store(url) as store:
            await archive(store, [ROWS[:20], ROWS[20:]])
            await store.delete(["logs/date=2026-11-22/0-0.parquet"])

    asyncio.run(build())
    return logsink.open(url)


LOST = Damage("logs/date=2026-11-22/0-0.parquet", "is missing", 20)


@pytest.mark.parametrize("terms", [{}, {"limit": 100}, {"newest_first": True}])
def test_damage_is_warned_of_and_the_rest_is_found(damaged: Any, terms: dict[str, Any]) -> None:
    reader = damaged.scan(**terms)
    with pytest.warns(DamageWarning, match=r"rows are missing: logs/.*0-0\.parquet is missing \(20 rows\); ") as caught:
        assert sorted(numbers(reader)) == list(range(20, 50))
    assert len(caught) == 1
    assert damaged.damage == [LOST]


def test_damage_in_sql(damaged: Any) -> None:
    pytest.importorskip("duckdb")
    with pytest.warns(DamageWarning):
        assert damaged.sql("SELECT count(*) AS n FROM logs").to_pylist() == [{"n": 30}]
    with pytest.warns(DamageWarning):
        assert numbers(damaged.scan()) == list(range(20, 50))
    assert damaged.damage == [LOST]


def test_no_damage(logs: Any) -> None:
    logs.scan().read_all()
    assert logs.damage == []
