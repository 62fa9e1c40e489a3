"""What is damaged or missing in a store: each verb shows the rest, names it once on stderr, and ends with exit code 2."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from logsink.archive.log import Txn
from logsink.cli import report
from logsink.cli.main import main
from logsink.damage import Damage
from logsink.journal import SegmentName
from logsink.query.read import tail
from logsink.store import open_store
from tests.unit.query.archives import archive, journal, json_parse, row

SECOND = 1_000_000
ROWS = [row(n * SECOND, host=f"web{n % 2}", message=f"line {n}", raw=b"<13>x%d" % n) for n in range(6)]
SEGMENTS = [SegmentName("r1", 0, 1), SegmentName("r1", 0, 2)]
GONE = "logs/date=2026-11-22/0-1.parquet"
SAID = f"logsink: {GONE} is missing; 2 rows of it are not shown"


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Three files of two rows, of which the second is missing, and two segments of a row, of which the second is damaged."""
    monkeypatch.setattr(tail, "parse", json_parse)
    place = f"file://{tmp_path}/store"

    async def build() -> None:
        async with open_store(place) as store:
            await archive(store, [ROWS[:2], ROWS[2:4], ROWS[4:]])
            await journal(store, SEGMENTS[0], [row(10 * SECOND, message="line 10", raw="x")])
            await store.delete([GONE])
            await store.put(SEGMENTS[1].key, b"damaged")

    asyncio.run(build())
    return place


def logsink(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def check(result: Result) -> None:
    """What all of them have in common."""
    assert result.exit_code == 2, result.output
    lines = result.stderr.splitlines()
    assert lines.count(SAID) == 1, result.stderr
    assert len([line for line in lines if SEGMENTS[1].key in line and "rows are not shown" in line]) == 1, result.stderr
    assert len([line for line in lines if GONE in line]) == 1


@pytest.mark.parametrize(
    "arguments",
    [(), ("-n", "all"), ("-n", "100", "-r"), ("-C", "1", "line"), ("--sort", "received"), ("-q",), ("--dedupe",)],
)
def test_rows(url: str, arguments: tuple[str, ...]) -> None:
    result = logsink("query", "--store", url, "-o", "json", *arguments)
    check(result)
    found = {json.loads(line)["message"] for line in result.stdout.splitlines()}
    assert found == {"line 0", "line 1", "line 4", "line 5", "line 10"}
    assert ("2 objects damaged or missing" in result.stderr) == ("-q" not in arguments)


def test_sums(url: str) -> None:
    result = logsink("query", "--store", url, "--count", "-S", "2020-01-01")
    check(result)
    assert result.stdout == "5\n"
    check(logsink("query", "--store", url, "--top", "host"))
    check(logsink("query", "--store", url, "--hist", "1h"))


def test_sql(url: str) -> None:
    pytest.importorskip("duckdb")
    result = logsink("sql", "--store", url, "SELECT count(*) AS n FROM logs")
    check(result)
    assert result.stdout.split() == ["n", "5"]


def test_nothing_found_is_no_answer_either(url: str) -> None:
    check(logsink("query", "--store", url, "nowhere to be found"))


def test_what_is_not_needed_does_not_matter(url: str) -> None:
    result = logsink("query", "--store", url, "-o", "cat", "-U", "@1795305601")
    assert GONE not in result.stderr
    assert result.stdout == "line 0\n"


def test_what_is_recorded_as_lost(tmp_path: Path) -> None:
    place = f"file://{tmp_path}/store"

    async def build() -> None:
        async with open_store(place) as store:
            await archive(store, [ROWS], txn=[Txn("lost:journal/r1/0/7.arrow", 12), Txn("lost:other", 3)])
            await archive(store, [], txn=[Txn("accepted:other", 1)])

    asyncio.run(build())
    for arguments in (("-n", "0"), ("-n", "1"), ("--count",), ("--explain",)):
        result = logsink("query", "--store", place, *arguments)
        assert result.exit_code == 2
        assert "journal/r1/0/7.arrow is recorded as lost" in (
            result.stdout if "--explain" in arguments else result.stderr
        )
        assert "other" not in result.stderr


def test_a_log_that_is_gone(url: str, tmp_path: Path) -> None:
    for commit in (tmp_path / "store/logs/_delta_log").iterdir():
        commit.unlink()
    result = logsink("query", "--store", url, "-o", "cat")
    assert (result.exit_code, result.stdout) == (2, "line 10\n")
    assert "logsink: logs/_delta_log/ is gone, and data files are there" in result.stderr
    explained = logsink("query", "--store", url, "--explain")
    assert explained.exit_code == 2
    assert "damage   logs/_delta_log/ is gone, and data files are there" in explained.stdout


def test_no_more_than_some_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    report.damage([Damage(f"k{n}", "is missing", n) for n in range(report.MOST_DAMAGES + 1)])
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "logsink: k0 is missing; 0 rows of it are not shown"
    assert lines[1] == "logsink: k1 is missing; 1 row of it is not shown"
    assert lines[-1] == "logsink: and 1 more is damaged or missing; logsink verify names all"
    assert len(lines) == report.MOST_DAMAGES + 1
    report.damage([Damage("k", "is missing")])
    assert capsys.readouterr().err == "logsink: k is missing; its rows are not shown\n"


def test_a_follower_names_damage_once_and_goes_on(tmp_path: Path) -> None:
    place = f"file://{tmp_path}/store"

    async def store_segments(*sequences: int) -> None:
        async with open_store(place) as store:
            for sequence in sequences:
                await journal(store, SegmentName("r1", 0, sequence), [row(sequence)])

    async def damage_one() -> None:
        async with open_store(place) as store:
            await store.put(SEGMENTS[1].key, b"damaged")
            await journal(store, SegmentName("r1", 0, 3), [row(3)])

    asyncio.run(store_segments(1))
    program = [sys.executable, "-m", "logsink", "query", "--store", place, "-f", "-o", "cat", "-q"]
    with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        asyncio.run(damage_one())
        named = process.stderr.readline().decode()
        process.stdout.readline()
        asyncio.run(store_segments(4))
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert SEGMENTS[1].key in named
    assert "its rows are not shown" in named
    assert (process.returncode, out, err.strip()) == (130, b"", b"")
