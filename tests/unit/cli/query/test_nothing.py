"""What ``logsink query`` says when it finds nothing: what is there instead."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from click.testing import CliRunner

from logsink.cli import report
from logsink.cli.main import main
from logsink.journal.segment import SegmentName
from logsink.query.read import tail
from logsink.query.views.similar import MissingValue
from logsink.store import open_store
from tests.unit.query.archives import archive, journal, json_parse, row

SECOND = 1_000_000
ROWS = [
    *(row(n * SECOND, host="web1.example.com", app="openssh", message="hello") for n in range(5)),
    *(row(n * SECOND, host="web2.example.com", app="nginx", message="hello", role="front") for n in range(3)),
    row(9 * SECOND, host="db1", app="cron\x1b", message="hello"),
]


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A store with ``ROWS``, the first in the journal."""
    monkeypatch.setattr(tail, "parse", json_parse)

    async def build() -> None:
        async with open_store(f"file://{tmp_path}") as store:
            await archive(store, [ROWS[1:4], ROWS[4:]])
            await journal(store, SegmentName("r1", 0, 1), ROWS[:1])

    asyncio.run(build())
    return f"file://{tmp_path}"


def said(url: str, *arguments: str) -> list[str]:
    """The lines on stderr but for the last."""
    result = CliRunner().invoke(main, ["query", "--store", url, "--utc", *arguments])
    assert result.exit_code == (0 if "--count" in arguments and result.stdout != "0\n" else 1), result.stderr
    return [line.removeprefix("logsink: ") for line in result.stderr.splitlines() if " found in " not in line]


@pytest.mark.parametrize(
    ("arguments", "lines"),
    [
        (("-u", "Openssh"), ["no app 'Openssh'; there is openssh (5 rows)"]),
        (("-u", "opnessh"), ["no app 'opnessh'; there is openssh (5 rows)"]),
        (("-u", "ssh"), ["no app 'ssh'; there is openssh (5 rows)"]),
        (("-u", "NGIN*", "--count"), ["no app 'NGIN*'; there is nginx (3 rows)"]),
        (("-H", "web1"), ["no host 'web1'; there is web1.example.com (5 rows)"]),
        (
            ("-H", "db1.example.com"),
            ["no host 'db1.example.com'; there are db1 (1 row), web1.example.com (5 rows), web2.example.com (3 rows)"],
        ),
        (("--role", "Front"), ["no role 'Front'; there is front (3 rows)"]),
        (("-u", "cron"), ["no app 'cron'; there is cron\\x1b (1 row)"]),
        (("-u", "zebra"), ["no app 'zebra'; the most frequent: openssh (5 rows), nginx (3 rows), cron\\x1b (1 row)"]),
        (
            ("-u", "opensssh", "-H", "DB1"),
            ["no host 'DB1'; there is db1 (1 row)", "no app 'opensssh'; there is openssh (5 rows)"],
        ),
        (("-u", "openssh", "-u", "sshd", "nowhere"), []),
        (("-u", "openssh", "-H", "db1"), []),
        (("nowhere",), []),
        (("HELLO",), ["no 'HELLO' in these letters; -i finds it in 9 rows"]),
        (("-E", "H[ae]llo", "-u", "nginx", "--count"), ["no 'H[ae]llo' in these letters; -i finds it in 3 rows"]),
        (("-v", "hello"), []),
        (("-i", "NOWHERE"), []),
        (("-S", "2999-01-01"), ["the time that was searched begins in the future, 2999-01-01 00:00:00"]),
        (("-u", "!openssh", "-u", "!nginx", "nowhere"), []),
        (
            ("-S", "2026-11-23"),
            ["the archive's newest row is of 2026-11-22 00:00:09, before the time that was searched"],
        ),
        (
            ("-U", "2026-11-21", "--count"),
            ["the archive's oldest row is of 2026-11-22 00:00:00, after the time that was searched"],
        ),
        (("-u", "Openssh", "-S", "2026-11-22 00:00:03"), ["no app 'Openssh'; there is openssh (2 rows)"]),
        (("-u", "Openssh", "-o", "json"), []),
        (("-u", "Openssh", "-q"), []),
    ],
)
def test_nothing_was_found(url: str, arguments: tuple[str, ...], lines: list[str]) -> None:
    assert said(url, *arguments) == lines


def test_without_time_to_count_nothing_is_said(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("logsink.query.views.similar.PATIENCE", -1)
    assert said(url, "-u", "Openssh") == []


def test_what_was_counted_in_part_is_the_least(capsys: pytest.CaptureFixture[str]) -> None:
    report.absent(MissingValue("app", "Openssh", [("openssh", 833_415)], alike=True, whole=False))
    assert capsys.readouterr().err == "logsink: no app 'Openssh'; there is openssh (at least 833,415 rows)\n"
