"""``logsink usage`` as its users meet it."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from logsink.archive import DeltaLog, settle
from logsink.cli.main import main
from logsink.journal.segment import Segment, SegmentName, encode_segment
from logsink.parse import FILE_SCHEMA, Settings
from logsink.store import open_store
from tests.unit.cli.fleet.fleets import FLEET
from tests.unit.query.archives import frames

ROWS = [one for some in FLEET for one in some]


def usage(url: str, *arguments: str, environ: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(main, ["usage", "--utc", "--store", url, *arguments], prog_name="logsink", env=environ)


def stored(url: str) -> int:
    return sum(path.stat().st_size for path in Path(url.removeprefix("file://"), "logs").glob("date=*/*.parquet"))


def test_the_largest_come_first_with_bars(url: str) -> None:
    result = usage(url, "--by", "app")
    assert result.exit_code == 0
    head, *lines = result.stdout.splitlines()
    assert head.split() == ["app", "rows", "bytes", "stored", "percent", "dollars"]
    assert [line.split()[0] for line in lines] == ["app", "rsyslogd", "-"]
    assert lines[0].count("█") == 50
    assert result.stderr.splitlines()[0].endswith(
        "of the store: $0.00 a month, at $0.023 for a GiB (query.storage_price)"
    )


@pytest.mark.parametrize("condition", [(), ("-H", "web-*"), ("-p", "err")])
def test_what_the_store_takes_is_shared_by_bytes(url: str, condition: tuple[str, ...]) -> None:
    environ = {"LOGSINK_QUERY__STORAGE_PRICE": "1000"}
    found = [
        json.loads(line)
        for line in usage(url, "-q", "-j", "--by", "host,role", *condition, environ=environ).stdout.splitlines()
    ]
    raw = sum(len(str(one["message"])) for one in ROWS)
    assert sum(one["percent"] for one in found) == pytest.approx(100)
    for one in found:
        assert one["stored"] == round(stored(url) * one["bytes"] / raw)
        assert one["dollars"] == pytest.approx(stored(url) * one["bytes"] / raw / 2**30 * 1000)
    assert sum(one["rows"] for one in found) == {(): 42, ("-H", "web-*"): 31, ("-p", "err"): 4}[condition]


def test_the_documentation_says_which_columns_are_refused(url: str) -> None:
    text = (Path(__file__).parents[4] / "docs/fleet.md").read_text()
    (said,) = re.findall(r"and all columns but (.*?)\. `bytes`", text, re.DOTALL)
    refused = {name for name in FILE_SCHEMA.names if usage(url, "-q", "--by", name).exit_code == 2}
    assert set(re.findall(r"`(\w+)`", said)) == refused


def test_days_are_in_order(url: str) -> None:
    found = [json.loads(line) for line in usage(url, "-q", "-j", "--by", "day,app").stdout.splitlines()]
    days = [one["day"] for one in found]
    assert days == sorted(days)
    assert sum(one["rows"] for one in found) == 42
    assert list(found[0]) == ["day", "app", "rows", "bytes", "stored", "percent", "dollars"]


def test_the_first_lines(url: str) -> None:
    result = usage(url, "--by", "host", "-n", "2")
    assert len(result.stdout.splitlines()) == 3
    assert "logsink: only the first 2 of 5 are shown; -n all shows all" in result.stderr


def test_nothing(url: str) -> None:
    result = usage(url, "-q", "-H", "nobody")
    assert (result.exit_code, result.stdout) == (1, "")


@pytest.mark.parametrize(
    ("by", "message"),
    [
        ("host,host", "cannot count by 'host,host' (name each column once)"),
        ("hots", "cannot find field 'hots' (did you mean host?"),
        ("time", "cannot count by 'time'"),
        ("message", "cannot count by 'message' (name columns such as app, role, host, deploy, day)"),
        (".status", "cannot count by '.status'"),
    ],
)
def test_mistakes(url: str, by: str, message: str) -> None:
    result = usage(url, "--by", by)
    assert result.exit_code == 2
    assert message in result.stderr


async def test_nothing_in_a_journal_that_had_to_be_read(tmp_path: Path) -> None:
    lines = [b"<14>1 - web-1 app - - - hello %d" % n for n in range(100)]
    segment = Segment(SegmentName("00000000-0000-0000-0000-000000000001", 0, 1), Settings(), frames(lines))
    async with open_store(f"file://{tmp_path}") as store:
        await settle(DeltaLog(store), create=True)
        await store.put(segment.name.key, encode_segment(segment))
    result = await asyncio.to_thread(usage, f"file://{tmp_path}", "-q", "-H", "nobody")
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", "")
