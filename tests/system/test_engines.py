"""The archive is not ours: engines that know nothing of logsink read the same rows from it."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import pytest
from click.testing import CliRunner

from logsink.archive import DataFile, DeltaLog
from logsink.archive.compaction import Compactor
from logsink.archive.log import Add, Txn
from logsink.archive.maintenance import checkpoint
from logsink.archive.retention import retire
from logsink.cli.main import main
from logsink.query.spark import connected
from logsink.store import open_store
from tests.support.receiver import Receiver, query
from tests.support.s3 import enter, moto
from tests.support.spark import in_ci, sail
from tests.unit.archive.tables import Limits
from tests.unit.query.archives import parquet, row, statistics

ROWS = 30_000

AGES = 10 * 365 * 86_400.0
"""Seconds of which everything is older or younger."""

SUMS = """SELECT count(*) AS n, sum(severity) AS severities, sum(length(message)) AS octets, count(DISTINCT host) AS hosts,
                 sum(CASE WHEN app IS NULL THEN 1 ELSE 0 END) AS without_app FROM logs"""


class Sums(NamedTuple):
    """What every engine has to agree on."""

    n: int
    severities: int
    octets: int
    hosts: int
    without_app: int


def lines() -> Iterator[bytes]:
    for i in range(ROWS):
        app = b"-" if i % 11 == 0 else b"app%d" % (i % 7)
        yield b"<%d>1 2026-11-22T03:12:05.%06dZ web-%d %s %d - - message %d" % (i % 192, i, i % 40, app, i % 99, i)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store whose files were merged, a date of which was retired, and whose log was checkpointed after that."""
    directory = tmp_path_factory.mktemp("engines")
    settings = {"archive__max_age": "1s", "maintain__every": "1s"}
    with Receiver(f"file://{directory}/store", directory / "serve", **settings) as receiver:
        sent, rest = 0, list(lines())
        for part in (rest[:10_000], rest[10_000:20_000], rest[20_000:]):
            with socket.create_connection(("127.0.0.1", receiver.port("tcp"))) as sock:
                sock.sendall(b"\n".join(part) + b"\n")
            sent += len(part)
            receiver.wait_for("logsink_archive_rows_total", sent)
    assert receiver.exit_code == 0, receiver.log
    asyncio.run(_age(f"file://{directory}/store"))
    return directory / "store"


async def _age(url: str) -> None:
    """Do to a store what months do: merge its files, retire a date of long ago, write a checkpoint, and commit once more."""
    async with open_store(url) as store:
        log, body = DeltaLog(store), parquet([row(n) for n in range(1000)])
        old = DataFile("date=2001-01-01/old.parquet", dt.date(2001, 1, 1), len(body), statistics([row()] * 1000))
        await store.put(old.key, body)
        await log.commit(await log.load(), [Add(old)])
        assert await Compactor(log, Limits(compact_after=-AGES)).step()
        assert await retire(log, 365 * 86_400.0)
        assert await checkpoint(log, 1) > 0
        await log.commit(await log.load(), [Txn("nobody.0", 1)])
        assert all(file.date > old.date for file in (await log.load()).files.values())


@pytest.fixture(scope="module")
def bucket(store: Path) -> Iterator[str]:
    """The same store on an S3 server that talks HTTP, whose settings are in the environment; its URL."""
    with moto() as server, pytest.MonkeyPatch.context() as patch:
        enter(patch, server)
        url = server.fresh_url()

        async def copy() -> None:
            async with open_store(f"file://{store}") as source, open_store(url) as target:
                async for entry in source.list(""):
                    await target.put(entry.key, await source.get(entry.key))

        asyncio.run(copy())
        yield url


@pytest.fixture(scope="module")
def expected(store: Path) -> Sums:
    rows = [json.loads(line) for line in query(f"file://{store}", "-n", "0", "-o", "json").splitlines()]
    return Sums(
        len(rows),
        sum(row["severity"] for row in rows),
        sum(len(row["message"]) for row in rows),
        len({row["host"] for row in rows}),
        sum("app" not in row for row in rows),
    )


def test_logsink_itself(expected: Sums) -> None:
    assert expected == Sums(
        ROWS, sum(i % 192 & 7 for i in range(ROWS)), sum(len(f"message {i}") for i in range(ROWS)), 40, -(-ROWS // 11)
    )


def test_deltalake(store: Path, expected: Sums) -> None:
    from deltalake import DeltaTable, QueryBuilder

    table = QueryBuilder().register("logs", DeltaTable(str(store / "logs"))).execute(SUMS).read_all()
    assert Sums(*(column.to_pylist()[0] for column in table.columns)) == expected


def test_duckdb_over_the_files_that_the_log_lists(store: Path, expected: Sums) -> None:
    import duckdb
    from deltalake import DeltaTable

    files = DeltaTable(str(store / "logs")).file_uris()
    with duckdb.connect() as connection:
        connection.read_parquet(files).create_view("logs")
        assert Sums(*connection.sql(SUMS).fetchall()[0]) == expected


@pytest.mark.parametrize("where", ["directory", "S3"])
def test_polars(where: str, store: Path, request: pytest.FixtureRequest, expected: Sums) -> None:
    polars = pytest.importorskip("polars", exc_type=ImportError)
    url = str(store) if where == "directory" else request.getfixturevalue("bucket")
    with polars.SQLContext(logs=polars.scan_delta(f"{url}/logs")) as context:
        sums = SUMS.replace("length(", "char_length(")
        assert Sums(*context.execute(sums, eager=True).row(0)) == expected


@pytest.mark.parametrize("where", ["directory", "S3"])
def test_clickhouse(where: str, store: Path, request: pytest.FixtureRequest, expected: Sums) -> None:
    """In a process of its own: chdb's library and those of others do not share one well."""
    if find_spec("chdb") is None:
        pytest.skip("chdb is not installed")
    table = f"deltaLakeLocal('{store}/logs')"
    if where == "S3":
        url = request.getfixturevalue("bucket").removeprefix("s3://")
        keys = f"'{os.environ['AWS_ACCESS_KEY_ID']}', '{os.environ['AWS_SECRET_ACCESS_KEY']}'"
        table = f"deltaLake('{os.environ['AWS_ENDPOINT_URL']}/{url}/logs/', {keys})"
    sums = SUMS.replace("FROM logs", f"FROM {table}")
    code = "import sys, chdb; print(chdb.query(sys.argv[1], 'CSV'))"
    command = [sys.executable, "-c", code, sums]  # which reads only what is below its working directory
    done = subprocess.run(command, cwd=store, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert Sums(*map(int, done.stdout.strip().split(","))) == expected


@pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas:FutureWarning")
@pytest.mark.parametrize("where", ["directory", "S3"])
def test_sail(where: str, store: Path, request: pytest.FixtureRequest, expected: Sums) -> None:
    """One process over a directory, a small cluster over S3."""
    url = f"file://{store}" if where == "directory" else request.getfixturevalue("bucket")
    with sail(workers=0 if where == "directory" else 2) as server:
        with connected(server, url) as session:
            session.table().createOrReplaceTempView("logs")
            (found,) = session.spark.sql(SUMS).collect()
            assert Sums(*found) == expected
        result = CliRunner().invoke(main, ["sql", "--store", url, "--connect", server, "-o", "csv", SUMS])
        assert Sums(*map(int, result.stdout.splitlines()[1].split(","))) == expected, result.stderr
        for asked in (
            ["--count"],
            ["--stats", "by=app,severity"],
            ["-H", "web-1?", "-p", "err", "-n", "50", "-o", "json"],
        ):
            here, there = (
                CliRunner().invoke(main, ["query", "--store", url, "-q", *asked, *more])
                for more in ([], ["--connect", server])
            )
            assert (there.exit_code, there.stdout) == (0, here.stdout), there.stderr


@pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas:FutureWarning")
def test_a_missing_file_is_named_although_another_reads(store: Path) -> None:
    first = min(store.glob("logs/date=*/compacted*.parquet"))
    first.rename(store / "away")
    try:
        with sail() as server:
            for asked in (["sql", SUMS], ["query", "--count"]):
                result = CliRunner().invoke(main, [*asked, "--store", f"file://{store}", "--connect", server])
                assert result.exit_code == 2
                assert f"{first.relative_to(store)} is missing" in result.stderr
    finally:
        (store / "away").rename(first)


def test_in_ci_every_engine_is_there() -> None:
    if in_ci():
        assert all(map(find_spec, ("chdb", "polars", "pysail.spark", "pyspark.sql")))
