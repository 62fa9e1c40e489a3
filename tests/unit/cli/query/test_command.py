"""``logsink query`` as its users meet it."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from logsink.cli.main import main
from logsink.cli.query.command import command
from logsink.cli.report import summary
from logsink.journal.segment import SegmentName
from logsink.query import Query, Report
from logsink.query.read import tail
from logsink.store import open_store
from tests.unit.query.archives import START, archive, journal, json_parse, row

SECOND = 1_000_000
ROWS = [
    row(0 * SECOND, host="web1", app="sshd", severity=6, message="session opened", raw=b"<38>session opened"),
    row(1 * SECOND, host="web2", app="sshd", severity=3, message="Failed password", raw=b"<35>Failed password"),
    row(2 * SECOND, host="db1", app="postgres", severity=4, message="slow query", raw=b"<36>slow\nquery"),
    row(3 * SECOND, host="web1", app="nginx", severity=3, message="upstream timed out", raw=b"<35>upstream timed out"),
]


@pytest.fixture
def archived(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A store with ``ROWS`` but the last."""
    for name in [n for n in os.environ if n.startswith("LOGSINK_")]:
        monkeypatch.delenv(name)
    place = f"file://{tmp_path}/store"

    async def build() -> None:
        async with open_store(place) as store:
            await archive(store, [ROWS[:2], ROWS[2:3]])

    asyncio.run(build())
    return place


@pytest.fixture
def url(archived: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A store with ``ROWS``, the last of them in the journal."""
    monkeypatch.setattr(tail, "parse", json_parse)
    monkeypatch.setattr("logsink.query.output.syslog.raw_frames", lambda rows: rows.column("raw").combine_chunks())

    async def build() -> None:
        async with open_store(archived) as store:
            await journal(store, SegmentName("r1", 0, 1), [r | {"raw": None} for r in ROWS[3:]])

    asyncio.run(build())
    return archived


def query(url: str, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["query", "--store", url, *arguments])


def messages(result: Result) -> list[str]:
    assert result.exit_code in (0, 1), result.output
    return [json.loads(line)["message"] for line in result.stdout.splitlines()]


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        ((), [0, 1, 2, 3]),
        (("-r",), [3, 2, 1, 0]),
        (("-n", "2"), [2, 3]),
        (("-n", "2", "-r"), [3, 2]),
        (("-n", "0"), [0, 1, 2, 3]),
        (("-n", "all"), [0, 1, 2, 3]),
        (("-p", "err"), [1, 3]),
        (("-p", "warning..warning"), [2]),
        (("-H", "web*"), [0, 1, 3]),
        (("-H", "web1", "-H", "db?"), [0, 2, 3]),
        (("-u", "sshd", "-u", "nginx", "-p", "3"), [1, 3]),
        (("password",), [1]),
        (("PASSWORD",), []),
        (("-i", "PASSWORD"), [1]),
        (("password", "slow"), [1, 2]),
        (("-E", "^(session|slow)"), [0, 2]),
        (("--utc", "-S", "2026-11-22T00:00:01", "-U", "2026-11-22 00:00:03"), [1, 2]),
        (("-S", "2026-11-22T01:00:03+01:00"), [3]),
        (("-U", f"@{START // SECOND + 1}"), [0]),
        (("--utc", "-S", "2026-11-22", "-U", "2026-11-23"), [0, 1, 2, 3]),
        (("--", "-p"), []),
    ],
)
def test_what_is_found(url: str, arguments: tuple[str, ...], wanted: list[int]) -> None:
    result = query(url, "-q", "-o", "json", *arguments)
    assert messages(result) == [ROWS[i]["message"] for i in wanted]
    assert result.exit_code == (0 if wanted else 1)
    assert result.stderr == ""


def test_output_formats(url: str) -> None:
    assert query(url, "--utc", "-n", "1").stdout == "2026-11-22 00:00:03.000Z web1 nginx: upstream timed out\n"
    assert query(url, "-o", "cat", "-H", "db1").stdout == "slow query\n"
    assert query(url, "-o", "raw", "-H", "db1").stdout == "<36>slow\nquery\n"
    assert query(url, "-o", "raw", "--framing", "octet", "-H", "db1").stdout == "14 <36>slow\nquery"
    assert "\x1b[31m" in query(url, "--color", "always").stdout
    assert "\x1b" not in query(url).stdout


def test_the_summary_on_stderr(url: str) -> None:
    result = query(url, "-p", "err")
    form = r"logsink: 2 found in \d+\.\d+ s; read [\d.]+ of [\d.]+ KiB; includes everything .* by \d\d:\d\d:\d\d \S+\n"
    assert re.fullmatch(form, result.stderr)


@pytest.mark.parametrize(
    ("zone", "name"),
    [("UTC", "UTC"), ("Europe/Berlin", "CES?T"), ("America/Sao_Paulo", "UTC-03"), ("local", "(NZST|NZDT)")],
)
def test_the_summary_names_the_zone(url: str, monkeypatch: pytest.MonkeyPatch, zone: str, name: str) -> None:
    monkeypatch.setenv("TZ", "Pacific/Auckland")
    time.tzset()
    try:
        assert re.search(rf" acknowledged by \S+ {name}$", query(url, "-z", zone).stderr)
    finally:
        monkeypatch.undo()
        time.tzset()


def test_what_requests_cost_is_told_when_it_is_a_cent() -> None:
    report = Report()
    for requests, said in ((12_000, ""), (12_500_000, "about $5.00; ")):
        report.requests = requests
        with CliRunner().isolation() as (_, stderr, _):
            summary(report, Query(), 1.0, url="s3://bucket", zone=dt.UTC)
        assert f"read 0 B; {said}includes" in stderr.getvalue().decode()


@pytest.mark.parametrize(
    ("part", "whole", "shown"),
    [
        (130 << 20, 182 << 20, "130 of 182 MiB"),
        (7 << 20, 8_800_000, "7.0 of 8.4 MiB"),
        (5000, 200 << 20, "4.9 KiB of 200 MiB"),
        (0, 200 << 20, "0 of 200 MiB"),
        (5000, 4700, "4.6 of 4.6 KiB"),
        (500, 900, "500 of 900 B"),
        (519_000, 0, "506.8 KiB"),
        (0, 0, "0 B"),
    ],
)
def test_what_was_read_is_a_share(part: int, whole: int, shown: str) -> None:
    report = Report()
    report.bytes_read, report.bytes = part, whole
    with CliRunner().isolation() as (_, stderr, _):
        summary(report, Query(), 1.53, url="file:///x", zone=dt.UTC)
    expected = f"logsink: 0 found in 1.5 s; read {shown}; includes everything acknowledged by 00:00:00 UTC\n"
    assert stderr.getvalue().decode() == expected


def test_a_notice_when_the_limit_cut_something(url: str) -> None:
    assert "only the newest 2 are shown" in query(url, "-n", "2").stderr
    assert "only the newest" not in query(url, "-n", "4").stderr
    assert query(url, "-n", "2", "-q").stderr == ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ("-S", "soonish"),
            "logsink: cannot read 'soonish' as a time: 'soonish' is not understood (write 15m, '2 days ago',",
        ),
        (("-U", "5"), "logsink: cannot read '5' as a time: 5 of what"),
        (("-E", "("), "logsink: cannot use regular expression '(': missing ): ( (write a backslash before "),
        (("-E", "a(?!b)"), "logsink: cannot use regular expression 'a(?!b)': invalid perl operator: (?! (RE2 has no "),
        (
            ("-E", r"(a)\1"),
            r"logsink: cannot use regular expression '(a)\\1': invalid escape sequence: \1 (RE2 has \d ",
        ),
        (("-p", "fatal"), "logsink: cannot read 'fatal' as a priority"),
        (("-H", "web[9-0]"), "logsink: cannot use glob 'web[9-0]': "),
        (("-n", "many"), "logsink: cannot read 'many' as a number of lines (write digits, or all)"),
        (("-n", "-1"), "logsink: cannot read '-1' as a number of lines"),
        (("-o", "xml"), "logsink: invalid value for '-o'"),
        (("--nonsense",), "logsink: no such option"),
        (("--store", "gopher://x"), "logsink: "),
        (("--store", "/nonexistent/logsink"), "logsink: "),
        (("-c", "timeout"), "logsink: cannot find settings file 'timeout', which -c names (--count counts rows)"),
        (
            ("--tail", "5"),
            "logsink: cannot tell what 5 is for: --tail takes no number, and 5 would be searched for (-n 5 ",
        ),
    ],
)
def test_errors_are_one_line_and_exit_code_2(url: str, arguments: tuple[str, ...], said: str) -> None:
    result = query(url, *arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith(said)
    assert len(result.stderr.splitlines()) == 1


def test_no_store_there(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "nowhere"):
        result = query(f"file://{place}")
        assert result.exit_code == 2
        assert result.stderr.startswith(f"logsink: cannot find a logsink store at file://{place} (")
        assert len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "nowhere").exists()


def test_an_empty_store_is_nothing_found(tmp_path: Path) -> None:
    async def build() -> None:
        async with open_store(f"file://{tmp_path}") as store:
            await archive(store, [])

    asyncio.run(build())
    result = query(f"file://{tmp_path}")
    assert result.exit_code == 1
    assert result.stdout == ""


def test_the_store_comes_from_the_environment_too(url: str) -> None:
    result = CliRunner().invoke(main, ["query", "-o", "cat"], env={"LOGSINK_STORE": url})
    assert len(result.stdout.splitlines()) == 4


def run(*arguments: str, **options: object) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "logsink", "query", *arguments], capture_output=True, timeout=60, check=False, **options
    )  # type: ignore[call-overload]


def test_a_process_of_its_own(archived: str) -> None:
    found = run("--store", archived, "-o", "cat", "-q")
    assert (found.returncode, found.stdout, found.stderr) == (0, b"session opened\nFailed password\nslow query\n", b"")
    assert run("--store", archived, "-q", "nowhere to be found").returncode == 1
    bad = run("--store", archived, "-E", "(")
    assert (bad.returncode, bad.stdout) == (2, b"")
    assert bad.stderr.count(b"\n") == 1


def test_an_endpoint_that_is_not_there() -> None:
    nobody = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y", "AWS_EC2_METADATA_DISABLED": "true"}
    environ = os.environ | nobody | {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}
    found = run("--store", "s3://nothing-here/logs", env=environ)
    assert found.returncode == 2
    assert found.stderr.startswith(b"logsink: cannot ")
    assert found.stderr.count(b"\n") == 1
    assert found.stdout == b""


def test_a_store_that_never_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("logsink.cli.contact.CONTACT", 0.2)
    for name, value in {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y"}.items():
        monkeypatch.setenv(name, value)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        result = CliRunner().invoke(main, ["query", "--store", "s3://bucket/logs"])
    assert result.exit_code == 2
    assert result.stderr.startswith("logsink: cannot reach s3://bucket/logs: no answer in 0.2 s (check the network")


def test_an_interrupt_ends_it_quietly() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        environ = os.environ | {
            "AWS_ACCESS_KEY_ID": "x",
            "AWS_SECRET_ACCESS_KEY": "y",
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{silent.getsockname()[1]}",
        }
        program = [sys.executable, "-m", "logsink", "query", "--store", "s3://bucket/logs"]
        with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environ) as process:
            silent.settimeout(60)
            connection, _ = silent.accept()  # it waits for an answer now
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
            connection.close()
    assert (process.returncode, out, err.strip()) == (130, b"", b"")


def test_a_reader_that_goes_away_ends_it_quietly(archived: str) -> None:
    program = [sys.executable, "-m", "logsink", "query", "--store", archived, "-q"]
    with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == 0


def test_help_imports_nothing_heavy() -> None:
    heavy = "{'numpy', 'pyarrow', 'aiobotocore', 'asyncio', 'numba', 'pydantic'}"
    code = f"import sys, logsink.cli.query.command; print(*({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == []


def test_help_of_every_option_is_one_line() -> None:
    lines = (
        CliRunner().invoke(main, ["query", "--help"], terminal_width=100).stdout.partition("Message:")[2].splitlines()
    )
    wrapped = [line for line, after in pairwise(lines) if re.search(r"\S {2,}\S", line) and after.startswith(" " * 20)]
    assert wrapped == []


def test_help_shows_every_option() -> None:
    text = CliRunner().invoke(main, ["query", "--help"]).stdout
    for option in command.params:
        for name in option.opts:
            assert name in text or name == "pattern"
    assert "logsink query timeout --since 1h" in text
