"""``logsink query --connect`` on a small cluster over S3 while receivers run: the ten questions of docs/tasks.md and others."""

from __future__ import annotations

import asyncio
import csv
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from logsink.archive import DeltaLog
from logsink.archive.compaction import Compactor
from logsink.cli.main import main
from logsink.store import open_store
from tests.support.receiver import Receiver
from tests.support.s3 import enter, moto
from tests.support.spark import sail
from tests.unit.archive.tables import Limits

DOCUMENTED = Path(__file__).parents[2] / "docs" / "tasks.md"
TRACE = (
    "Traceback (most recent call last):",
    ' File "/srv/app/pool.py", line 41, in connection',
    "Caused by: FATAL: slots",
)
BEFORE_NOW = -10 * 365 * 86_400.0
"""So long after the end of an hour its files are merged: at once."""


def lines() -> Iterator[bytes]:
    """What a small shop logged on 2026-11-24 from 02:50 on, a line every 2 seconds, with a new deploy at 03:04."""
    for i in range(1500):
        minute, second = divmod(i * 2, 60)
        hour, minute = divmod(170 + minute, 60)
        deploy = "2026-11-23.1" if i < 420 else "2026-11-24.2"
        host, request = f"web-{i % 4 + (i >= 420) * 2}", f"{i * 7919 % 65536:08x}"
        head = f"2026-11-24T{hour:02}:{minute:02}:{second:02}.{i % 1000:03}000Z {host}"
        sd = f'[deploy@32473 request="{request}" role="web" deploy="{deploy}"]'
        if i % 23 == 0:
            yield f"<131>1 {head} app 2317 - {sd} ERROR request {request} failed: OperationalError".encode()
            for trace in TRACE:
                yield f"<131>1 {head} app 2317 - {sd} {trace}".encode()
        elif i % 10 == 0:
            yield f"<86>1 {head} sshd 99 - - Failed password for root from 10.0.0.{i % 200} port {8000 + i} ssh2".encode()
        else:
            yield f"<134>1 {head} app 2317 - {sd} request {request} done: 200 in {i % 97} ms".encode()


@contextmanager
def cluster(tmp_path: Path) -> Iterator[tuple[str, str, Receiver]]:
    """A store on S3 whose rows are in merged files, other files and the journal, with two receivers, and a server."""
    with moto() as s3, pytest.MonkeyPatch.context() as patch:
        enter(patch, s3)
        patch.setenv("TZ", "UTC")
        url, environ, everything = s3.fresh_url(), s3.environment, list(lines())
        archiving = {"archive__max_age": "1s", "maintain__checkpoint_every": "2", "maintain__every": "1s"}
        journal_only = {"archive__max_age": "1h", "maintain__orphan_after": "3h"}
        with (
            Receiver(url, tmp_path / "a", environ=environ, **archiving) as one,
            Receiver(url, tmp_path / "b", environ=environ, **journal_only) as other,
        ):
            for part in (everything[:500], everything[500:900]):
                archived = one.metric("logsink_archive_rows_total")
                send_all(one, part)
                one.wait_for("logsink_archive_rows_total", archived + len(part))
            asyncio.run(merge(url))
            archived = one.metric("logsink_archive_rows_total")
            send_all(one, everything[900:1300])
            one.wait_for("logsink_archive_rows_total", archived + 400)
            send_all(other, everything[1300:])
            other.wait_for("logsink_journal_segments_total", 1)
            with sail(workers=2, environ=environ) as server:
                yield url, server, other
        assert (one.exit_code, other.exit_code) == (0, 0)


def send_all(receiver: Receiver, frames: list[bytes]) -> None:
    sent = receiver.metric("logsink_frames_total")
    with socket.create_connection(("127.0.0.1", receiver.port("tcp"))) as sock:
        sock.sendall(b"\n".join(frames) + b"\n")
        receiver.wait_for("logsink_frames_total", sent + len(frames))


async def merge(url: str) -> None:
    async with open_store(url) as store:
        assert await Compactor(DeltaLog(store), Limits(compact_after=BEFORE_NOW)).step()


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str, Receiver]]:
    with cluster(tmp_path_factory.mktemp("shop")) as found:
        yield found


def ask(url: str, *arguments: str) -> Result:
    verb, *rest = arguments
    result = CliRunner().invoke(main, [verb, "--store", url, "-q", *rest])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.stderr
    return result


def numbers(text: str) -> list[list[str | float]]:
    """A result of SQL as CSV, with its numbers as such."""
    _, *rows = csv.reader(text.splitlines())
    assert rows
    return [[name, *map(float, others)] for name, *others in rows]


WHEN = ("-S", "2026-11-24 03:00", "-U", "2026-11-24 03:13")
SHARES = """SELECT app, count(*) AS lines, round(100.0 * sum((severity <= 3)::int) / count(*), 1) AS percent
            FROM logs GROUP BY app ORDER BY percent DESC LIMIT 5"""
QUESTIONS = (
    ("query", "-p", "err", "--role", "web", "--deploy", "2026-11-24.2", *WHEN, "-B", "5"),
    ("query", "--sd", "request=00001eef"),
    ("query", "-p", "err", "--cursor-file", "CURSOR"),
    (
        "query",
        "-p",
        "err",
        "--role",
        "web",
        "-S",
        "2026-11-24 02:50",
        "-U",
        "2026-11-24 03:40",
        "--hist",
        "10m",
        "--by",
        "deploy",
    ),
    ("query", "-M", "-n", "1", "OperationalError"),
    ("query", "-p", "err", "-S", "2026-11-24", "--patterns", "-n", "5"),
    ("query", "-H", "web-2", "-n", "5"),
    ("query", "-E", "port 8[0-9]{3} ssh2", "--top", "host", "-n", "5"),
    ("query", "-p", "err", "-H", "web-*", *WHEN, "-n", "all", "-o", "csv", "--fields", "time,host,deploy,message"),
    ("sql", *WHEN, "-o", "csv", SHARES),
)
OTHERS = (
    ("query", "--count"),
    ("query", "-n", "all", "-o", "raw"),
    ("query", "-n", "30", "-o", "json", "-r", "--dedupe"),
    ("query", "-w", "-i", "OPERATIONALERROR", "--around", "3s", "-n", "4"),
    ("query", "nothing of this kind"),
)


def test_the_questions_are_the_documented_ones() -> None:
    assert len(re.findall(r"^## \d+\.", DOCUMENTED.read_text(), re.MULTILINE)) == 10
    assert len(re.findall(r"^\$ logsink (?:query|sql)", DOCUMENTED.read_text(), re.MULTILINE)) == len(QUESTIONS)


@pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas:FutureWarning")
def test_ten_questions_have_the_same_answers(shop: tuple[str, str, Receiver], tmp_path: Path) -> None:
    url, server, _ = shop
    for question in QUESTIONS + OTHERS:
        here, there = (
            ask(url, *(str(tmp_path / side) if word == "CURSOR" else word for word in question), *connect)
            for side, connect in (("here", ()), ("there", ("--connect", server)))
        )
        if question[0] == "sql":  # where a number may be a decimal for the one, and a double for the other
            assert numbers(there.stdout) == numbers(here.stdout)
        else:
            assert there.stdout_bytes == here.stdout_bytes, question
        assert there.exit_code == here.exit_code == (1 if question[-1].startswith("nothing") else 0), there.stderr


@pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas:FutureWarning")
def test_what_was_stored_since_the_cursor_is_found(shop: tuple[str, str, Receiver], tmp_path: Path) -> None:
    url, server, receiver = shop
    cursor = ("query", "--cursor-file", str(tmp_path / "cursor"), "--connect", server)
    assert ask(url, *cursor, "-n", "1").exit_code == 0
    assert ask(url, *cursor).exit_code == 1
    send_all(receiver, [b"<13>1 2026-11-24T04:00:00Z web-9 app - - - later"])
    found = ask(url, *cursor, "-o", "cat")
    assert (found.exit_code, found.stdout) == (0, "later\n")


@pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas:FutureWarning")
def test_conditions_that_spark_has_not_are_refused_in_sql(shop: tuple[str, str, Receiver]) -> None:
    url, server, _ = shop
    refused = ask(url, "sql", "--connect", server, "--sd", "request=1", "SELECT 1 FROM logs")
    assert refused.exit_code == 2
    assert "cannot use this condition with --connect: structured_data has request=1" in refused.stderr
