"""Sums that do not fit into memory are printed as those that do, and can be interrupted."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from click.testing import CliRunner, Result

from logsink.cli.main import main
from logsink.cli.options import summaries
from logsink.query.read import folding, tuning
from logsink.store import open_store
from tests.unit.query.archives import archive, row

HOUR = 3_600_000_000
FILES = [
    [row(n * HOUR // 4 + f, host=f"web-{n % 7}", severity=n % 5, procid=str(n * f % 11), message=f"port {n} of {f}\x1b")
     for n in range(20)]
    for f in range(4)
]  # fmt: skip
QUESTIONS = [
    ("--stats", "by=host,severity"),
    ("--stats", "by=message", "-n", "3"),
    ("--top", "message"),
    ("--values", "procid"),
    ("--values", "time", "-n", "5"),
    ("--hist", "10m"),
    ("--hist", "1h", "--by", "severity"),
    ("--hist", "1s", "--by", "host", "-n", "50"),
    ("--patterns",),
]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    place = f"file://{tmp_path_factory.mktemp('archive')}/store"

    async def fill() -> None:
        async with open_store(place) as store:
            await archive(store, FILES)

    asyncio.run(fill())
    return place


@pytest.fixture
def nothing_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folding, "_PARTS", 1)
    monkeypatch.setattr(tuning.Tuning, "of", classmethod(lambda cls, _: cls(sums=0)))


def query(url: str, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["query", "--store", url, "--utc", *arguments], prog_name="logsink")


def said(result: Result) -> tuple[int, bytes, list[str]]:
    """The exit code, the output, and what is said but for the summary, which has times in it."""
    return result.exit_code, result.stdout_bytes, [line for line in result.stderr.splitlines() if "found" not in line]


@pytest.mark.parametrize("output", ["text", "json", "csv"])
@pytest.mark.parametrize("question", QUESTIONS, ids=" ".join)
def test_the_output_is_the_same(
    url: str, question: tuple[str, ...], output: str, request: pytest.FixtureRequest
) -> None:
    expected = said(query(url, *question, "-o", output))
    assert expected[0] == 0
    request.getfixturevalue("nothing_fits")
    assert said(query(url, *question, "-o", output)) == expected


SLOW = """
import os, signal, sys, time
from logsink.cli.main import main
from logsink.cli.options import summaries
from logsink.query.order import runs
from logsink.query.read import folding, tuning
from logsink.query.views import LargeSum
folding._PARTS = 1
tuning.Tuning.of = classmethod(lambda cls, _: cls(sums=0))
tables = LargeSum.__iter__

def slow(self):
    for _ in range(2):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.3)  # the second one ends it
    while True:
        yield from tables(self)

LargeSum.__iter__ = slow
main()
"""


def test_interrupts_end_the_output(url: str, tmp_path: Path) -> None:
    environ = os.environ | {"TMPDIR": str(tmp_path)}
    program = [sys.executable, "-c", SLOW, "query", "--store", url, "--values", "message"]
    done = subprocess.run(
        program, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=60, check=False
    )
    assert done.returncode == 130, done.stderr
    assert b"interrupted" in done.stderr
    assert b"Traceback" not in done.stderr
    assert os.listdir(tmp_path) == []


def test_a_full_disk_is_said_with_its_remedy(url: str) -> None:
    program = [sys.executable, "-c", SLOW.replace("import os,", "import tempfile, os,").replace("main()", "")]
    program[2] += "tempfile.tempdir = '/nowhere'\nmain()\n"
    done = subprocess.run(
        [*program, "query", "--store", url, "--top", "message"], capture_output=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (2, b"")
    assert (
        b"cannot write what does not fit into memory to /nowhere: no such file or directory (set TMPDIR" in done.stderr
    )


def test_no_bar_is_ever_longer_than_it_is_shown(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor before the largest count is known: 50 characters for each of a billion rows are a lot."""
    longest: list[int] = []
    monkeypatch.setattr(summaries._Scale, "with_bars", _noting(summaries._Scale.with_bars, longest))
    assert query(url, "--hist", "1h").exit_code == 0
    assert max(longest) == summaries.BAR


def _noting(real: Callable[[Any, pa.Table], pa.Table], longest: list[int]) -> Callable[[Any, pa.Table], pa.Table]:
    def noted(self: Any, rows: pa.Table) -> pa.Table:
        made = real(self, rows)
        longest.append(max(map(len, made.columns[-1].to_pylist())))
        return made

    return noted
