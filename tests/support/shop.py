"""A small shop's logs in a store that receivers write to, and questions about them: the ten of docs/tasks.md and others.

::

    with shop(url, s3.environment, tmp_path) as receiver:
        same_answers(url, "sc://127.0.0.1:50051", tmp_path)
"""

from __future__ import annotations

import asyncio
import csv
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from click.testing import CliRunner, Result

from logsink.archive import DeltaLog
from logsink.archive.compaction import Compactor
from logsink.cli.main import main
from logsink.store import open_store
from tests.support.receiver import Receiver
from tests.unit.archive.tables import Limits

TRACE = (
    "Traceback (most recent call last):",
    ' File "/srv/app/pool.py", line 41, in connection',
    "Caused by: FATAL: slots",
)
BEFORE_NOW = -10 * 365 * 86_400.0
"""So long after the end of an hour its files are merged: at once."""


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
def shop(url: str, environ: Mapping[str, str], tmp_path: Path) -> Iterator[Receiver]:
    """Fill the store at ``url``: rows in merged files, other files and the journal, with two receivers that run.

    The receiver that is given archives nothing: what is sent to it stays in the journal.
    """
    everything = list(lines())
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
        asyncio.run(_merge(url))
        archived = one.metric("logsink_archive_rows_total")
        send_all(one, everything[900:1300])
        one.wait_for("logsink_archive_rows_total", archived + 400)
        send_all(other, everything[1300:])
        other.wait_for("logsink_journal_segments_total", 1)
        yield other
    assert (one.exit_code, other.exit_code) == (0, 0)


def send_all(receiver: Receiver, frames: list[bytes]) -> None:
    sent = receiver.metric("logsink_frames_total")
    with socket.create_connection(("127.0.0.1", receiver.port("tcp"))) as sock:
        sock.sendall(b"\n".join(frames) + b"\n")
        receiver.wait_for("logsink_frames_total", sent + len(frames))


async def _merge(url: str) -> None:
    async with open_store(url) as store:
        assert await Compactor(DeltaLog(store), Limits(compact_after=BEFORE_NOW)).step()


def ask(url: str, *arguments: str) -> Result:
    verb, *rest = arguments
    result = CliRunner().invoke(main, [verb, "--store", url, "-q", *rest])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.stderr
    return result


def same_answers(url: str, server: str, tmp_path: Path) -> None:
    """Ask everything here and by a Spark Connect server: output and exit code must be the same."""
    for question in QUESTIONS + OTHERS:
        here, there = (
            ask(url, *(str(tmp_path / side) if word == "CURSOR" else word for word in question), *connect)
            for side, connect in (("here", ()), ("there", ("--connect", server)))
        )
        if question[0] == "sql":  # where a number may be a decimal for the one, and a double for the other
            assert _numbers(there.stdout) == _numbers(here.stdout)
        else:
            assert there.stdout_bytes == here.stdout_bytes, question
        assert there.exit_code == here.exit_code == (1 if question[-1].startswith("nothing") else 0), there.stderr


def _numbers(text: str) -> list[list[str | float]]:
    """A result of SQL as CSV, with its numbers as such."""
    _, *rows = csv.reader(text.splitlines())
    assert rows
    return [[name, *map(float, others)] for name, *others in rows]
