"""What a question costs: `logsink query` as a whole process, beside zstd and grep over one file of the same lines.

    python -m benchmarks.query [--only NAME]... [--messages 1000000 | --corpus FILE] [--archive DIRECTORY]
                               [--merged] [--tail 20000] [--rounds 5] [--peer COMMAND] [--json FILE]

The archive is made by a receiver from the corpus, and with ``--merged`` its files are merged, as receivers do it when their
hour is over; the newest ``--tail`` rows of a second one stay in its journal. All are kept in ``--archive`` for the next time.

Every question is asked once to warm the page cache, then all of them in turn ``--rounds`` times: medians of seconds, of CPU
seconds of the process and its children, and their highest resident size. What is asked for (host, app, ten minutes) is taken
from a line in the middle of the corpus.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import multiprocessing
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import senders
from benchmarks.corpus import corpus
from benchmarks.peers import installed
from benchmarks.report import report
from benchmarks.server import Server
from logsink.archive import DeltaLog
from logsink.archive.compaction import Compactor
from logsink.config import Maintain
from logsink.query import Report
from logsink.store import CountingStore, open_store

ABSENT = "no message says this"
REGEX = "port 8[0-9]{3} ssh2"

_WAIT = {"LOGSINK_ARCHIVE__MAX_AGE": "1h", "LOGSINK_MAINTAIN__ORPHAN_AFTER": "3h"}
"""What a receiver's environment says so that its segments stay in the journal."""


class Case(NamedTuple):
    """A question: its name, the command without the store, and whether it reads the second archive, with a tail."""

    name: str
    command: list[str]
    tail: bool = False


class Run(NamedTuple):
    """One process: seconds, CPU seconds with its children, highest resident size in MB, lines it wrote, its exit code."""

    wall: float
    cpu: float
    peak: float
    lines: int
    code: int


def run(command: list[str]) -> Run:
    """Run it to its end; what it writes is read and counted."""
    began, lines = time.perf_counter(), 0
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stderr
        while piece := os.read(process.stdout.fileno(), 1 << 20):
            lines += piece.count(b"\n")
        complaint = process.stderr.read()
        _, status, used = os.wait4(process.pid, 0)
        wall = time.perf_counter() - began
        process.returncode = code = os.waitstatus_to_exitcode(status)
    if code not in (0, 1):
        raise RuntimeError(f"{' '.join(command)}: {complaint.decode()}")
    return Run(wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1000, lines, code)


def questions(line: str) -> list[Case]:
    """The list of them. ``line``: one of the corpus, RFC 5424, that some are about."""
    _, stamp, host, app, *_ = line.split(" ", 4)
    middle = datetime.fromisoformat(stamp).astimezone(UTC)
    since, until = ((middle + timedelta(minutes=n)).isoformat() for n in (-5, 5))
    plain = [
        ("host, app, 10 minutes", ["-H", host, "-u", app, "-S", since, "-U", until, "-n", "all"]),
        ("newest 100 errors", ["-p", "err", "-n", "100"]),
        ("absent text", [ABSENT, "-n", "all"]),
        ("regular expression", ["-E", REGEX, "-n", "all"]),
        ("count by app", ["--stats", "by=app"]),
    ]
    cases = [Case(f"{name}{', tail' if tail else ''}", asked, tail) for tail in (False, True) for name, asked in plain]
    return [*cases, Case("all rows as json", ["-n", "all", "-o", "json"]), Case("all rows as text", ["-n", "all"])]


def peers(line: str, packed: Path, chosen: list[str]) -> list[Case]:
    """The same by others, over one zstd file of the lines, where their programs are installed."""
    _, _, host, app, *_ = line.split(" ", 4)
    fields, shell = f" {re.escape(host)} {re.escape(app)} ", ["sh", "-c"]
    found = {
        "zstdgrep": [
            Case("absent text: zstdgrep", ["zstdgrep", "-F", ABSENT, str(packed)]),
            Case("regular expression: zstdgrep", ["zstdgrep", "-E", REGEX, str(packed)]),
        ],
        "zstd": [
            Case("host, app: zstd, grep", [*shell, f"zstd -dc {packed} | LC_ALL=C grep -F '{fields}'"]),
            Case("absent text: zstd, grep", [*shell, f"zstd -dc {packed} | LC_ALL=C grep -F '{ABSENT}'"]),
            Case(
                "count by app: zstd, awk",
                [*shell, f"zstd -dc {packed} | awk '{{n[$4]++}} END {{for (a in n) print n[a], a}}'"],
            ),
        ],
    }
    for program in [*found]:
        if (chosen and program not in chosen) or not installed(program):
            print(f"left out: {program}{'' if chosen else ' (not installed)'}", file=sys.stderr)
            del found[program]
    return [case for cases in found.values() for case in cases]


class Material(NamedTuple):
    """Two stores, the second with rows in its journal, the lines as one zstd file, a line of them, and their size."""

    full: str
    tailed: str
    packed: Path
    line: str
    size: int
    messages: int


def material(directory: Path, source: Path | int, tail: int, merged: bool) -> Material:
    """What is asked about, made unless it is there. In a process of its own: what it held would count as its children's."""
    data = corpus(source) if isinstance(source, int) else source.read_bytes()
    fresh, packed = directory / "store", directory / "corpus.zst"
    full, tailed = (
        (directory / "merged", directory / f"merged-tail-{tail}") if merged else (fresh, directory / f"tail-{tail}")
    )
    begin, count = data.index(b"\n", len(data) // 2) + 1, data.count(b"\n")
    if not fresh.exists():
        print(f"archiving {len(data) >> 20} MiB ...", file=sys.stderr)
        with (
            _made(fresh) as draft,
            Server(store=f"file://{draft}", environ={"LOGSINK_ARCHIVE__MAX_AGE": "60s"}) as server,
        ):
            senders.lines(data)(server.port("tcp"))
            server.wait_for_rows(count)
            server.wait_for_deletions()
    if not full.exists():
        with _made(full) as draft:
            shutil.copytree(fresh, draft, copy_function=os.link)
            asyncio.run(merge_all(f"file://{draft}"))
    if not tailed.exists():
        with _made(tailed) as draft:
            shutil.copytree(full, draft, copy_function=os.link)
            with Server(store=f"file://{draft}", environ=_WAIT) as server:
                senders.lines(b"".join(data.splitlines(keepends=True)[-tail:]) if tail else b"")(server.port("tcp"))
                while server.metric("logsink_frames_total") < tail or server.metric("logsink_journal_unstored_bytes"):
                    time.sleep(0.05)
                server.kill()
    if not packed.exists() and installed("zstd"):
        with _made(packed) as draft:
            subprocess.run(["zstd", "-q", "-3", "-o", str(draft)], input=data, check=True)
    line = data[begin : data.index(b"\n", begin)].decode()
    return Material(f"file://{full}", f"file://{tailed}", packed, line, len(data), count)


class _Tomorrow(CountingStore):
    """A store whose clock is a day ahead: the hours and the date in which rows were received are over."""

    async def now(self) -> float:
        return await super().now() + 86_400


async def merge_all(url: str) -> None:
    """Merge everything that is due a day later."""
    async with open_store(url) as store:
        compactor = Compactor(DeltaLog(_Tomorrow(store, Report())), Maintain())
        while done := await compactor.step():
            print(f"merged {done.files} files, {done.rows:,} rows", file=sys.stderr)
        compactor.close()


@contextlib.contextmanager
def _made(path: Path) -> Iterator[Path]:
    """A path that becomes ``path`` when all went well."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    yield draft
    draft.rename(path)


TITLES = {
    "question": "question",
    "s": "s",
    "lowest": "lowest",
    "highest": "highest",
    "cpu_s": "CPU s",
    "peak_rss_mb": "peak RSS MB",
    "lines": "lines out",
    "lines_per_s": "lines/s",
}


def main() -> None:
    """Measure and report."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--only", action="append", default=[], help="questions whose name begins so")
    options.add_argument("--messages", type=int, default=1_000_000)
    options.add_argument("--corpus", type=Path, help="RFC 5424, one message a line")
    options.add_argument("--archive", type=Path)
    options.add_argument("--merged", action="store_true", help="merge the archive's files first")
    options.add_argument("--tail", type=int, default=20_000)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--peer", action="append", default=[], help="zstdgrep, zstd; none: neither")
    options.add_argument("--json", type=Path)
    given = options.parse_args()
    with contextlib.ExitStack() as stack:
        directory = given.archive or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="logsink-query-")))
        directory.mkdir(parents=True, exist_ok=True)
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
            source = given.corpus or given.messages
            made = process.submit(material, directory.resolve(), source, given.tail, given.merged).result()
        query = [sys.executable, "-m", "logsink", "query", "--quiet", "--store"]
        ours = [
            case._replace(command=[*query, made.tailed if case.tail else made.full, *case.command])
            for case in questions(made.line)
        ]
        cases = [
            case
            for case in ours + peers(made.line, made.packed, given.peer)
            if not given.only or case.name.startswith(tuple(given.only))
        ]
        runs: dict[str, list[Run]] = {case.name: [] for case in cases}
        for number in range(given.rounds + 1):
            for case in cases:
                one = run(case.command)
                print(f"{number}: {case.name}: {one.wall:.2f} s, {one.lines} lines", file=sys.stderr)
                if number:
                    runs[case.name].append(one)
    rows = [_row(name, found) for name, found in runs.items()]
    figures = {
        "messages": made.messages,
        "bytes": made.size,
        "merged": given.merged,
        "tail": given.tail,
        "rounds": given.rounds,
    }
    report("questions", rows, TITLES, given.json, **figures)


def _row(name: str, found: list[Run]) -> dict[str, Any]:
    wall = statistics.median(one.wall for one in found)
    return {
        "question": name,
        "s": round(wall, 2),
        "lowest": round(min(one.wall for one in found), 2),
        "highest": round(max(one.wall for one in found), 2),
        "cpu_s": round(statistics.median(one.cpu for one in found), 2),
        "peak_rss_mb": round(max(one.peak for one in found)),
        "lines": found[-1].lines,
        "lines_per_s": round(found[-1].lines / wall),
    }


if __name__ == "__main__":
    main()
