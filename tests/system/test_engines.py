"""The archive is not ours: engines that know nothing of logsink read the same rows from it."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.receiver import Receiver, query, run

ROWS = 30_000

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
    """A store whose table has several commits and a checkpoint, and whose receiver is gone."""
    directory = tmp_path_factory.mktemp("engines")
    settings = {"archive__max_age": "1s", "maintain__checkpoint_every": "2", "maintain__every": "1s"}
    with Receiver(f"file://{directory}/store", directory / "serve", **settings) as receiver:
        sent, rest = 0, list(lines())
        for part in (rest[:10_000], rest[10_000:20_000], rest[20_000:]):
            with socket.create_connection(("127.0.0.1", receiver.port("tcp"))) as sock:
                sock.sendall(b"\n".join(part) + b"\n")
            sent += len(part)
            receiver.wait_for("logsink_archive_rows_total", sent)
        receiver.wait_for("logsink_checkpoints_total", 1)
    assert receiver.exit_code == 0, receiver.log
    return directory / "store"


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


@pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas:FutureWarning")
def test_spark_sql_on_a_small_cluster(store: Path, expected: Sums, monkeypatch: pytest.MonkeyPatch) -> None:
    sail = pytest.importorskip("pysail.spark", exc_type=ImportError)
    pyspark = pytest.importorskip("pyspark.sql", exc_type=ImportError)
    monkeypatch.setenv("SAIL_MODE", "local-cluster")
    monkeypatch.setenv("SAIL_CLUSTER__WORKER_INITIAL_COUNT", "2")
    monkeypatch.setenv("SAIL_CLUSTER__WORKER_MAX_COUNT", "2")
    server = sail.SparkConnectServer("127.0.0.1", 0)
    server.start(background=True)
    try:
        _, port = server.listening_address
        session = pyspark.SparkSession.builder.remote(f"sc://127.0.0.1:{port}").getOrCreate()
        session.read.format("delta").load(f"file://{store}/logs").createOrReplaceTempView("logs")
        (row,) = session.sql(SUMS).collect()
        assert Sums(*row) == expected
        session.stop()
        done = run("sql", "--store", f"file://{store}", "--connect", f"sc://127.0.0.1:{port}", "-o", "csv", SUMS)
        assert Sums(*map(int, done.stdout.decode().splitlines()[1].split(","))) == expected, done.stderr
        assert done.returncode == 0
        first = min(store.glob("logs/date=*/*.parquet"))
        first.rename(store / "away")
        try:
            done = run("sql", "--store", f"file://{store}", "--connect", f"sc://127.0.0.1:{port}", SUMS)
            assert done.returncode == 2
            assert f"{first.relative_to(store)} is missing".encode() in done.stderr
        finally:
            (store / "away").rename(first)
    finally:
        server.stop()


def test_in_ci_every_engine_is_there() -> None:
    if os.environ.get("CI") == "true":
        import pysail.spark
        import pyspark.sql

        assert pysail.spark
        assert pyspark.sql
