"""A store to which happened what months do to one: merged files, a date that was retired, a checkpoint, and a commit after it.

``SUMS`` is what every engine is asked of it, and ``expected`` what logsink answers.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from logsink.archive import DataFile, DeltaLog
from logsink.archive.checkpointing import checkpoint
from logsink.archive.compaction import Compactor
from logsink.archive.log import Add, Txn
from logsink.archive.retention import retire
from logsink.store import open_store
from tests.support.receiver import Receiver, query
from tests.unit.archive.tables import Limits
from tests.unit.query.archives import parquet, row, statistics

ROWS = 30_000

AGES = 10 * 365 * 86_400.0
"""Seconds of which everything is older or younger."""

SUMS = """SELECT count(*) AS n, sum(severity) AS severities, sum(length(message)) AS octets, count(DISTINCT host) AS hosts,
                 sum(CASE WHEN app IS NULL THEN 1 ELSE 0 END) AS without_app FROM logs"""


class Sums(NamedTuple):
    """What every engine has to agree on."""

    n: int
    severities: int
    octets: int
    hosts: int
    without_app: int


def lines() -> Iterator[bytes]:
    for i in range(ROWS):
        app = b"-" if i % 11 == 0 else b"app%d" % (i % 7)
        yield b"<%d>1 2026-11-22T03:12:05.%06dZ web-%d %s %d - - message %d" % (i % 192, i, i % 40, app, i % 99, i)


def make(directory: Path) -> Path:
    """Make the store in a directory, and return its path."""
    with Receiver(
        f"file://{directory}/store", directory / "serve", archive__max_age="1s", maintain__every="1s"
    ) as receiver:
        sent, rest = 0, list(lines())
        for part in (rest[:10_000], rest[10_000:20_000], rest[20_000:]):
            with socket.create_connection(("127.0.0.1", receiver.port("tcp"))) as sock:
                sock.sendall(b"\n".join(part) + b"\n")
            sent += len(part)
            receiver.wait_for("logsink_archive_rows_total", sent)
    assert receiver.exit_code == 0, receiver.log
    asyncio.run(_age(f"file://{directory}/store"))
    return directory / "store"


async def _age(url: str) -> None:
    """Do to a store what months do: merge its files, retire a date of long ago, write a checkpoint, and commit once more."""
    async with open_store(url) as store:
        log, body = DeltaLog(store), parquet([row(n) for n in range(1000)])
        old = DataFile("date=2001-01-01/old.parquet", dt.date(2001, 1, 1), len(body), statistics([row()] * 1000))
        await store.put(old.key, body)
        await log.commit(await log.load(), [Add(old)])
        assert await Compactor(log, Limits(compact_after=-AGES)).step()
        assert await retire(log, 365 * 86_400.0)
        assert await checkpoint(log, 1) > 0
        await log.commit(await log.load(), [Txn("nobody.0", 1)])
        assert all(file.date > old.date for file in (await log.load()).files.values())


def copy(store: Path, url: str) -> None:
    """Copy every object of the store to another, at ``url``."""

    async def run() -> None:
        async with open_store(f"file://{store}") as source, open_store(url) as target:
            async for entry in source.list(""):
                await target.put(entry.key, await source.get(entry.key))

    asyncio.run(run())


def expected(store: Path) -> Sums:
    """Return the sums of what ``logsink query`` shows."""
    rows = [json.loads(line) for line in query(f"file://{store}", "-n", "0", "-o", "json").splitlines()]
    return Sums(
        len(rows),
        sum(row["severity"] for row in rows),
        sum(len(row["message"]) for row in rows),
        len({row["host"] for row in rows}),
        sum("app" not in row for row in rows),
    )
