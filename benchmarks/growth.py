"""What a question costs as an archive grows: the same questions of ten million rows, a hundred million, a billion.

    python -m benchmarks.growth [--archive DIRECTORY] [--corpus FILE] [--days 10] [--linked 90] [--rows 10000000]
                                [--only QUESTION]... [--rounds 3] [--s3] [--json FILE]

The archives are made once and kept in ``--archive`` (``benchmarks.grown``): one day, ``--days``, and these with ``--linked``
more. The newest day is in all of them, and what is sought by an id, by time, or by being newest, is in that day only.

Each question is a whole process of ``logsink query``. Locally it is asked once to warm the page cache, then ``--rounds`` times,
all archives in turn: medians of seconds and CPU seconds, the highest peak of memory. With ``--s3`` a real S3 server holds the
same files, and each request waits 30 ms more on its way: seconds, requests, bytes asked for, and what they cost at the prices
of S3 Standard in us-east-1. Once without the user's cache, and once with a cache that the same question has filled.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import multiprocessing
import os
import shutil
import statistics
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import grown
from benchmarks.query import Case, Run, run
from benchmarks.report import report
from logsink.store import MARKER, open_store
from tests.support.proxy import Forward, Proxy, Request, in_thread
from tests.support.s3 import BUCKET, versitygw

DELAY = 0.03
"""Seconds that each request waits on its way to the S3 server."""

GET, LIST = 0.0004 / 1000, 0.005 / 1000
"""Dollars a request of S3 Standard in us-east-1."""

_ALL = ["-n", "all"]


class Archive(NamedTuple):
    """A store of so many rows, in a directory."""

    rows: int
    directory: Path

    @property
    def name(self) -> str:
        return f"{self.rows / 1e6:,.0f} M"

    def data_bytes(self) -> int:
        """Bytes of its data files that are merged, as all live ones are."""
        return sum(path.stat().st_size for path in Path(self.directory, "logs").glob("date=*/compacted-*.parquet"))


def questions(host: str, app: str, since: str, until: str) -> list[Case]:
    """What is asked. The host logs all the time; the ten minutes are in the newest day."""
    return [
        Case("planted id, -w", ["-w", grown.PLANTED, *_ALL]),
        Case("planted id within a text", [f"payment {grown.PLANTED} of", *_ALL]),
        Case("absent token, -w", ["-w", "deadbeefcafef00d", *_ALL]),
        Case("host, app, 10 minutes", ["-H", host, "-u", app, "-S", since, "-U", until, *_ALL]),
        Case("newest 100 errors", ["-p", "err", "-n", "100"]),
        Case("count by app, severity", ["--stats", "by=app,severity"]),
        Case("histogram by day", ["--hist", "1d"]),
        Case("top hosts", ["--top", "host"]),
        Case("count of errors", ["--count", "-p", "err"]),
        Case("absent part of a word (nothing helps)", ["deadbeefcafef00d", "--count"]),
    ]


class Material(NamedTuple):
    """The archives, the smallest first, and host and app of a line."""

    archives: list[Archive]
    host: str
    app: str


def material(directory: Path, source: Path | None, days: int, rows: int, linked: int) -> Material:
    """Make what is missing. In a process of its own: what it held would count as its children's."""
    corpus = grown.Corpus(grown.lines_of(source))
    return Material(archives(directory, corpus, days, rows, linked), *corpus.sender())


def archives(directory: Path, corpus: grown.Corpus, days: int, rows: int, linked: int) -> list[Archive]:
    """Make what is missing of the archives."""
    whole = directory / "whole"
    asyncio.run(grown.grow(whole, corpus, days, rows, 0))
    dates = grown.days_in(whole)
    found = [Archive(rows, directory / "day"), Archive(rows * days, whole)]
    if not found[0].directory.exists():
        asyncio.run(grown.excerpt(whole, found[0].directory, dates[-1:]))
    if linked:
        found.append(Archive(rows * (days + linked), directory / "linked"))
        if not found[2].directory.exists():
            asyncio.run(grown.excerpt(whole, found[2].directory, dates))
            asyncio.run(grown.add_links(found[2].directory, linked))
    return found


def local(archives: list[Archive], cases: list[Case], rounds: int) -> list[dict[str, Any]]:
    """Ask everything of every archive, in turn."""
    runs: dict[tuple[str, str], list[Run]] = {}
    for number in range(rounds + 1):
        for case in cases:
            for archive in archives:
                one = run(_command(case, f"file://{archive.directory}"))
                print(f"{number}: {archive.name}: {case.name}: {one.wall:.2f} s, {one.lines} lines", file=sys.stderr)
                if number:
                    runs.setdefault((case.name, archive.name), []).append(one)
    return [_row(question, archive, found) for (question, archive), found in runs.items()]


def _command(case: Case, store: str) -> list[str]:
    return [sys.executable, "-m", "logsink", "query", "--quiet", "--store", store, *case.command]


def _row(question: str, archive: str, found: list[Run]) -> dict[str, Any]:
    return {
        "question": f"{question}: {archive}",
        "s": round(statistics.median(one.wall for one in found), 2),
        "lowest": round(min(one.wall for one in found), 2),
        "highest": round(max(one.wall for one in found), 2),
        "cpu_s": round(statistics.median(one.cpu for one in found), 2),
        "peak_rss_mb": round(max(one.peak for one in found)),
        "lines": found[-1].lines,
    }


@contextlib.contextmanager
def served(archive: Archive) -> Iterator[Proxy]:
    """The archive in a real S3 server, behind a proxy that has each request wait."""
    with versitygw() as server, in_thread(server.endpoint, lambda _: Forward(delay=DELAY)) as proxy:
        assert server.data is not None
        data = server.data / BUCKET / "archive"
        shutil.copytree(archive.directory, data, copy_function=_linked)
        os.environ.update(server.environment)
        asyncio.run(_put_again())
        os.environ.update(server.at(proxy.url).environment)
        yield proxy


async def _put_again() -> None:
    """Put log, index and marker through the server: only what came that way has an ETag, as all objects of S3 have."""
    async with open_store(f"s3://{BUCKET}/archive") as store:
        for prefix in ("logs/_delta_log/", "index/", MARKER):
            for key in [entry.key async for entry in store.list(prefix)]:
                await store.put(key, await store.get(key))


def _linked(source: str, target: str) -> str:
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copy2(source, target)
    return target


def remote(archive: Archive, cases: list[Case]) -> list[dict[str, Any]]:
    """Ask everything of an archive in S3: without a cache, and with that of a first time, which is not counted."""
    rows, size = [], archive.data_bytes()
    with served(archive) as proxy, tempfile.TemporaryDirectory(prefix="logsink-cache-") as cache:
        os.environ["XDG_CACHE_HOME"] = cache
        for case, cached in itertools.product(cases, (False, True)):
            command = _command(case, f"s3://{BUCKET}/archive")
            if not cached:
                run(command)
                command.append("--no-cache")
            proxy.requests.clear()
            one = run(command)
            listings = sum("list-type=2" in request.target for request in proxy.requests)
            gets, nbytes = len(proxy.requests) - listings, sum(map(_asked, proxy.requests))
            print(f"S3: {archive.name}: {case.name}: {one.wall:.2f} s, {gets + listings} requests", file=sys.stderr)
            rows.append(
                {
                    "question": f"{case.name}: {archive.name}{', cached' if cached else ''}",
                    "s": round(one.wall, 2),
                    "requests": gets + listings,
                    "mb": round(nbytes / 1e6, 2),
                    "share": round(100 * nbytes / size, 3),
                    "dollars": f"{gets * GET + listings * LIST:.6f}",
                    "lines": one.lines,
                }
            )
    return rows


def _asked(request: Request) -> int:
    """How many bytes a ranged request asks for; 0 of others, which read small objects whole."""
    first, _, last = request.headers.get("range", "").removeprefix("bytes=").partition("-")
    if not last:
        return 0
    return int(last) + (1 - int(first) if first else 0)


LOCAL = {
    "question": "question",
    "s": "s",
    "lowest": "lowest",
    "highest": "highest",
    "cpu_s": "CPU s",
    "peak_rss_mb": "peak RSS MB",
    "lines": "lines out",
}
REMOTE = {
    "question": "question, S3 and 30 ms a request",
    "s": "s",
    "requests": "requests",
    "mb": "MB asked for",
    "share": "% of data",
    "dollars": "$",
    "lines": "lines out",
}


def main() -> None:
    """Measure and report."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--archive", type=Path)
    options.add_argument("--corpus", type=Path, help="RFC 5424, one message a line")
    options.add_argument("--days", type=int, default=10)
    options.add_argument("--rows", type=int, default=10 * grown.MILLION, help="messages a day")
    options.add_argument("--linked", type=int, default=90)
    options.add_argument("--only", action="append", default=[], help="questions whose name begins so")
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--s3", action="store_true", help="also from a real S3 server")
    options.add_argument("--json", type=Path)
    given = options.parse_args()
    with contextlib.ExitStack() as stack:
        directory = given.archive or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="logsink-growth-")))
        directory = directory.absolute()
        directory.mkdir(parents=True, exist_ok=True)
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
            made, host, app = process.submit(
                material, directory, given.corpus, given.days, given.rows, given.linked
            ).result()
        since, until = (f"{grown.days_in(made[0].directory)[-1]}T12:{minute}:00Z" for minute in ("20", "30"))
        cases = [
            case
            for case in questions(host, app, since, until)
            if not given.only or case.name.startswith(tuple(given.only))
        ]
        rows = local(made, cases, given.rounds)
        if given.s3:
            far = [row for archive in made[:2] for row in remote(archive, cases)]
            report("s3", far, REMOTE, given.json and given.json.with_suffix(".s3.json"), delay=DELAY)
    report("questions", rows, LOCAL, given.json, rows_a_day=given.rows, days=given.days, linked=given.linked)


if __name__ == "__main__":
    main()
