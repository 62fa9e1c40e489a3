"""``--context-by`` and ``--around`` on the command line."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from logsink.cli.main import main
from logsink.store import open_store
from tests.unit.query.archives import archive, row

SECOND = 1_000_000
ROWS = [
    row(
        n * 10 * SECOND,
        host=("web1", "web2", "web1")[n % 3],
        app=("a", "a", "b")[n % 3],
        message=f"line {n}",
        severity=6,
    )
    for n in range(30)
]
ROWS[15]["message"] = "boom"  # of web1 and a, 2:30 after midnight


@pytest.fixture
def url(tmp_path: Path) -> str:
    async def build() -> None:
        async with open_store(f"file://{tmp_path}") as store:
            await archive(store, [ROWS[:14], ROWS[14:]])

    asyncio.run(build())
    return f"file://{tmp_path}"


def run(url: str, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["query", "--store", url, "--utc", "-q", *arguments])


def lines(url: str, *arguments: str) -> list[str]:
    result = run(url, "-o", "cat", *arguments)
    assert result.exit_code == 0, result.stderr
    return [line.removeprefix("line ") for line in result.stdout.splitlines()]


def test_context_of_the_app_the_host_or_all(url: str) -> None:
    assert lines(url, "boom", "-C", "1") == ["12", "boom", "18"]
    assert lines(url, "boom", "-C", "1", "--context-by", "app") == ["12", "boom", "18"]
    assert lines(url, "boom", "-C", "1", "--context-by", "host") == ["14", "boom", "17"]
    assert lines(url, "boom", "-B", "2", "-A", "1", "--context-by", "all") == ["13", "14", "boom", "16"]
    assert lines(url, "boom", "-B", "2", "-A", "1", "--context-by", "all", "-r") == ["16", "boom", "14", "13"]


def test_what_happened_within_some_time_of_a_match(url: str) -> None:
    assert lines(url, "boom", "--around", "20s") == ["13", "14", "boom", "16", "17"]
    assert lines(url, "boom", "--around", "30 sec", "--context-by", "host") == ["12", "14", "boom", "17", "18"]
    assert lines(url, "boom", "--around", "30s", "--context-by", "app") == ["12", "boom", "18"]
    assert lines(url, "boom", "--around", "20s", "-r") == ["17", "16", "boom", "14", "13"]
    assert lines(url, "-E", "boom|line 20|line 17", "--around", "10s") == [
        "14",
        "boom",
        "16",
        "17",
        "18",
        "--",
        "19",
        "20",
        "21",
    ]
    assert lines(url, "boom", "--around", "20s", "-S", "2026-11-22 00:02:25") == ["13", "14", "boom", "16", "17"]


def test_what_happened_around_a_time(url: str) -> None:
    assert lines(url, "--around", "2026-11-22 00:02:25", "-n", "4") == ["13", "14", "boom", "16"]
    assert lines(url, "--around", "2026-11-22 00:02:30", "-n", "4") == ["13", "14", "boom", "16"]
    assert lines(url, "--around", "2026-11-22 00:02:30", "-n", "3", "-r") == ["16", "boom", "14"]
    assert lines(url, "--around", "2026-11-22 00:02:30", "-n", "4", "-H", "web2") == ["10", "13", "16", "19"]
    assert len(lines(url, "--around", "2026-11-22 00:02:30")) == 30
    assert lines(url, "--around", "2026-11-22 00:00:10", "-n", "6") == ["0", "1", "2", "3"]
    assert run(url, "--around", "1 hour ago", "-n", "2").exit_code == 0


def test_one_line_on_stderr_counts_the_matches(url: str) -> None:
    found = CliRunner().invoke(main, ["query", "--store", url, "boom", "--around", "20s"])
    assert found.stderr.startswith("logsink: 1 found in ")
    found = CliRunner().invoke(main, ["query", "--store", url, "--utc", "--around", "2026-11-22 00:02:30", "-n", "4"])
    assert found.stderr.startswith("logsink: 4 found in ")
    assert len(found.stderr.splitlines()) == 1
    assert run(url, "nowhere", "--around", "20s").exit_code == 1


def test_the_plan_tells_what_is_shown_besides(url: str) -> None:
    assert (
        "besides  with each match the rows of its host within 30 s of it"
        in run(url, "--explain", "--around", "30s", "--context-by", "host").stdout
    )
    assert "half of them before 2026-11-22T00:02:30" in run(url, "--explain", "--around", "2026-11-22 00:02:30").stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--around", "30s", "-C", "2"), "cannot use --around with -A, -B, -C (run a query for each)"),
        (("--around", "30s", "-M"), "cannot use --around with --multiline"),
        (("--around", "30s", "--count"), "cannot use --around with --count (leave one of them out)"),
        (("--around", "30s", "-f"), "cannot use --around with --follow"),
        (("--around", "whenever"), "cannot read 'whenever' as a time: 'whenever' is not understood"),
        (("--around", "3:10", "--context-by", "all"), "cannot use --context-by without -A, -B, -C or --around SPAN"),
        (
            ("--context-by", "all"),
            "cannot use --context-by without -A, -B, -C or --around SPAN (add -C 5, for instance)",
        ),
    ],
)
def test_what_does_not_go_together(url: str, arguments: tuple[str, ...], said: str) -> None:
    result = run(url, *arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"logsink: {said}")
