"""Apache Spark with Delta Lake reads the archive, by itself and for ``logsink query --connect`` (`make test-spark`)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from click.testing import CliRunner

from logsink.cli.main import main
from logsink.query.spark import connected
from tests.support import aged
from tests.support.aged import SUMS, Sums
from tests.support.s3 import Server, enter, moto
from tests.support.shop import ask, same_answers, send_all, shop
from tests.support.spark import spark

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas:FutureWarning"),
]


class Cluster(NamedTuple):
    """A Spark Connect server of a driver and two workers, and the S3 server that it reads from."""

    url: str
    s3: Server


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with moto() as s3, pytest.MonkeyPatch.context() as patch:
        enter(patch, s3)
        patch.setenv("TZ", "UTC")
        with spark(environ=s3.environment) as url:
            yield Cluster(url, s3)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return aged.make(tmp_path_factory.mktemp("spark"))


@pytest.mark.parametrize("where", ["directory", "S3"])
def test_sums_after_merging_retention_and_a_checkpoint(where: str, cluster: Cluster, store: Path) -> None:
    url, expected = f"file://{store}", aged.expected(store)
    if where == "S3":
        url = cluster.s3.fresh_url()
        aged.copy(store, url)
    with connected(cluster.url, url) as session:
        session.table().createOrReplaceTempView("logs")
        (found,) = session.spark.sql(SUMS).collect()
        assert Sums(*found) == expected
    result = ask(url, "sql", "--connect", cluster.url, "-o", "csv", SUMS)
    assert Sums(*map(int, result.stdout.splitlines()[1].split(","))) == expected


def test_the_table_needs_nothing_of_a_reader_beyond_version_1(cluster: Cluster, store: Path) -> None:
    with connected(cluster.url, f"file://{store}") as session:
        (found,) = session.spark.sql(f"DESCRIBE DETAIL delta.`{store}/logs`").collect()
    assert (found.format, found.minReaderVersion, found.minWriterVersion) == ("delta", 1, 2)
    assert found.partitionColumns == ["date"]
    assert set(found.tableFeatures) == {"appendOnly", "invariants"}  # which every table of writer version 2 has


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Kathmandu"])
def test_times_are_the_same_instants_in_every_zone(zone: str, cluster: Cluster, store: Path) -> None:
    statement = """SELECT min(time) AS first, max(time) AS last, count(*) AS n FROM logs
                   WHERE time < TIMESTAMP '2026-11-22 03:12:05.010' AND host = 'web-3'"""
    here, there = (
        CliRunner().invoke(
            main, ["sql", "--store", f"file://{store}", "-q", "--timezone", zone, "-o", "csv", *more, statement]
        )
        for more in ((), ("--connect", cluster.url))
    )
    assert (there.exit_code, there.stdout) == (here.exit_code, here.stdout), there.stderr
    assert here.exit_code == 0


@pytest.mark.parametrize("where", ["directory", "S3"])
def test_ten_questions_have_the_same_answers(where: str, cluster: Cluster, tmp_path: Path) -> None:
    url = cluster.s3.fresh_url() if where == "S3" else f"file://{tmp_path}/store"
    with shop(url, cluster.s3.environment, tmp_path) as receiver:
        same_answers(url, cluster.url, tmp_path)
        cursor = ("query", "--cursor-file", str(tmp_path / "cursor"), "--connect", cluster.url)
        assert ask(url, *cursor, "-n", "1").exit_code == 0
        send_all(receiver, [b"<13>1 2026-11-24T04:00:00Z web-9 app - - - later"])
        found = ask(url, *cursor, "-o", "cat")
        assert (found.exit_code, found.stdout) == (0, "later\n")


def test_a_missing_file_is_named(cluster: Cluster, store: Path) -> None:
    first = min(store.glob("logs/date=*/compacted*.parquet"))
    first.rename(store / "away")
    try:
        for asked in (["sql", SUMS], ["query", "--count"]):
            result = CliRunner().invoke(main, [*asked, "--store", f"file://{store}", "--connect", cluster.url])
            assert result.exit_code == 2
            assert f"{first.relative_to(store)} is missing" in result.stderr
    finally:
        (store / "away").rename(first)
