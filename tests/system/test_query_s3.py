"""``logsink query`` on an S3 server: what it finds, and what it says when it cannot get there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping

import pytest

from logsink.store import open_store
from tests.support.s3 import Server, s3_environment, s3_server, versitygw_server
from tests.unit.query.archives import Row, archive, row

__all__ = ["s3_environment", "s3_server", "versitygw_server"]


def query(url: str, environ: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "LOGSINK_"))}
    command = [sys.executable, "-m", "logsink", "query", "--store", url, *arguments]
    return subprocess.run(command, env=clean | dict(environ), capture_output=True, text=True, check=False, timeout=120)


def rows(file: int, count: int = 300) -> list[Row]:
    return [row(file * 1000 + i, host=f"h{i % 3}", message=f"message {file * count + i}") for i in range(count)]


async def test_rows_come_by_ranged_reads(s3_environment: Server) -> None:
    url = s3_environment.fresh_url()
    async with open_store(url) as store:
        await archive(store, [rows(file) for file in range(12)], group=50)
    found = query(url, s3_environment.environment, "-o", "cat", "-n", "all")
    assert found.stdout.splitlines() == [f"message {i}" for i in range(3600)], found.stderr
    assert re.fullmatch(r"logsink: 3,600 found in \S+ s; read \S+ of \S+ KiB; includes everything .*\n", found.stderr)
    found = query(url, s3_environment.environment, "-o", "cat", "-r", "-n", "2", "-H", "h1")
    assert found.stdout.splitlines() == ["message 3598", "message 3595"]


def assert_refused(done: subprocess.CompletedProcess[str], said: str) -> None:
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("logsink: cannot ")
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_no_store_no_bucket(s3_server: Server) -> None:
    url = s3_server.fresh_url()
    assert_refused(query(url, s3_server.environment), f"cannot find a logsink store at {url}")
    assert_refused(query("s3://no-such-bucket/logs", s3_server.environment), "bucket")


@pytest.mark.parametrize(
    "wrong", [{"AWS_SECRET_ACCESS_KEY": "wrong"}, {"AWS_ACCESS_KEY_ID": "nobody"}], ids=["secret", "key"]
)
def test_bad_credentials(versitygw_server: Server, wrong: dict[str, str]) -> None:
    assert_refused(query("s3://logs/x", versitygw_server.environment | wrong), "s3://logs/x")


def test_no_credentials(s3_server: Server) -> None:
    environ = {k: v for k, v in s3_server.environment.items() if "KEY" not in k}
    assert_refused(query("s3://logs/x", environ), "credentials")
