"""The archive is not ours: engines that know nothing of logsink read the same rows from it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from click.testing import CliRunner

from logsink.cli.main import main
from logsink.query.spark import connected
from tests.support import aged
from tests.support.aged import ROWS, SUMS, Sums
from tests.support.s3 import enter, moto
from tests.support.spark import in_ci, sail


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return aged.make(tmp_path_factory.mktemp("engines"))


@pytest.fixture(scope="module")
def bucket(store: Path) -> Iterator[str]:
    """The same store on an S3 server that talks HTTP, whose settings are in the environment; its URL."""
    with moto() as server, pytest.MonkeyPatch.context() as patch:
        enter(patch, server)
        url = server.fresh_url()
        aged.copy(store, url)
        yield url


@pytest.fixture(scope="module")
def expected(store: Path) -> Sums:
    return aged.expected(store)


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
        first = "SELECT min(time) AS first FROM logs"
        result = CliRunner().invoke(
            main, ["sql", "--store", url, "--connect", server, "-z", "America/New_York", "-o", "csv", first]
        )
        assert result.stdout == '"first"\n2026-11-21 22:12:05.000000-0500\n', result.stderr
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
