"""Sums that the archive has counted, on the command line."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from logsink.cli.main import main
from logsink.store import open_store
from tests.support.counted import put_counts
from tests.unit.query.archives import archive, row

HOUR = 3_600_000_000
FILES = [[row(n * HOUR // 4, host=f"web-{n % 2}", severity=n % 2 + 3) for n in range(10)], [row(9 * HOUR, host="db")]]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    place = f"file://{tmp_path_factory.mktemp('archive')}/store"

    async def fill() -> None:
        async with open_store(place) as store:
            await archive(store, FILES)
            await put_counts(store)

    asyncio.run(fill())
    return place


def query(url: str, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["query", "--store", url, "--utc", *arguments], prog_name="logsink")


def test_explain_says_what_is_counted(url: str) -> None:
    counted = query(url, "--explain", "--top", "host").stdout
    assert "to read  at most 0 files, 0 B\n" in counted
    assert "counted  2 files are not read: counts have the sums\n" in counted
    partly = query(url, "--explain", "--count", "-S", "2026-11-22 00:45").stdout
    assert "counted  1 file is not read: counts have the sums; 1 file only for hours that the sum divides\n" in partly
    assert "counted" not in query(url, "--explain", "--count", "hello").stdout
    assert "counted" not in query(url, "--explain").stdout


def test_sums_need_no_data_file(url: str) -> None:
    for file in Path(url.removeprefix("file://"), "logs").glob("date=*/*.parquet"):
        file.rename(file.with_suffix(".away"))
    try:
        assert query(url, "-q", "--count").stdout == "11\n"
        assert query(url, "-q", "--values", "host").stdout == "db\nweb-0\nweb-1\n"
        assert query(url, "-q", "--count", "-p", "err").stdout == "5\n"
        assert (
            query(url, "-q", "--hist", "1d", "-o", "csv").stdout == '"time","count"\n2026-11-22 00:00:00.000000Z,11\n'
        )
        assert query(url, "--count", "hello").exit_code == 2
    finally:
        for file in Path(url.removeprefix("file://"), "logs").glob("date=*/*.away"):
            file.rename(file.with_suffix(".parquet"))
