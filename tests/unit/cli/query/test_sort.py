"""``--sort received``, and the note on clocks that are ahead."""

from __future__ import annotations

import asyncio
import datetime as dt
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from logsink.cli.main import main
from logsink.store import open_store
from tests.unit.query.archives import START, archive, row

SECOND, DAY = 1_000_000, 86_400_000_000
YEARS = 40 * 365 * DAY
ROWS = [row(n * SECOND, host="web1", message=f"line {n}", nth=n) for n in range(6)]
for n, host in ((1, "fw1"), (3, "fw2\x1b")):
    ROWS[n] |= {"time": START + YEARS + n, "host": host}
ROWS[4] |= {"time": START - DAY}


@pytest.fixture
def url(tmp_path: Path) -> str:
    async def build() -> None:
        async with open_store(f"file://{tmp_path}") as store:
            await archive(store, [ROWS[:2], ROWS[2:4], ROWS[4:]])

    asyncio.run(build())
    return f"file://{tmp_path}"


def run(url: str, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["query", "--store", url, "--utc", *arguments])


def lines(url: str, *arguments: str) -> list[int]:
    result = run(url, "-q", "-o", "cat", *arguments)
    assert (result.exit_code, result.stderr) == (0, "")
    return [int(line.removeprefix("line ")) for line in result.stdout.splitlines()]


def test_the_order_of_arrival(url: str) -> None:
    assert lines(url) == [4, 0, 2, 5, 1, 3]
    assert lines(url, "--sort", "received") == [0, 1, 2, 3, 4, 5]
    assert lines(url, "--sort", "received", "-n", "2") == [4, 5]
    assert lines(url, "--sort", "received", "-n", "2", "-r") == [5, 4]
    assert lines(url, "--sort", "time", "-n", "2") == [1, 3]
    assert "newest first, by received" in run(url, "--explain", "--sort", "received").stdout


def test_lines_that_arrived_together_keep_their_order(tmp_path: Path) -> None:
    """Lines of two seconds in one read: ``nth`` counts those of each second."""
    url, times = f"file://{tmp_path}", ((0, 0), (0, 1), (SECOND, 0), (SECOND, 1))
    rows = [row(time, received=START + SECOND, nth=nth, message=f"line {n}") for n, (time, nth) in enumerate(times)]

    async def build() -> None:
        async with open_store(url) as store:
            await archive(store, [rows])

    asyncio.run(build())
    assert lines(url, "--sort", "received") == [0, 1, 2, 3]
    assert lines(url, "--sort", "received", "-r", "-n", "3") == [3, 2, 1]


def test_rows_that_lead_for_ever_are_noted(url: str) -> None:
    said = (
        "logsink: 2 rows (host fw1, fw2\\x1b) shown as newest have times in the future, more than a day after being received: "
        "a clock is wrong; --sort received orders by arrival, -U now leaves them out"
    )
    assert run(url, "-n", "3").stderr.splitlines()[0] == said
    assert run(url, "-n", "3", "-r").stderr.splitlines()[0] == said
    assert run(url, "-n", "1", "-o", "json", "--fields", "message").stderr.startswith(
        "logsink: 1 row shown as newest has a time"
    )
    for arguments in (
        ("-n", "all"),
        ("-n", "2", "--sort", "received"),
        ("-n", "2", "-U", "now"),
        ("-n", "2", "-H", "web1"),
        ("--count",),
    ):
        assert "in the future" not in run(url, *arguments).stderr
    assert "in the future" not in run(url, "-n", "3", "-q").stderr


def test_a_clock_that_is_a_little_ahead_is_not_noted(tmp_path: Path) -> None:
    now = int(dt.datetime.now(dt.UTC).timestamp()) * SECOND

    async def build() -> None:
        async with open_store(f"file://{tmp_path}") as store:
            await archive(store, [[row() | {"time": now + DAY // 2, "received": now}]])

    asyncio.run(build())
    assert "in the future" not in run(f"file://{tmp_path}", "-n", "1").stderr


@pytest.mark.parametrize("other", [("--dedupe",), ("-A", "1"), ("--around", "30s"), ("-M",), ("--count",)])
def test_what_has_an_order_of_its_own_is_refused(url: str, other: tuple[str, ...]) -> None:
    result = run(url, "--sort", "received", *other)
    assert result.exit_code == 2
    assert result.stderr.startswith("logsink: cannot use --sort received with ")
