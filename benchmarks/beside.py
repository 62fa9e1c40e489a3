"""The same questions asked of logsink, of VictoriaLogs and of zstdgrep, about the same messages.

    python -m benchmarks.beside [--archive STORE] [--kept DIRECTORY] [--rows 1000000] [--corpus FILE] [--rounds 3]
                                [--only QUESTION]... [--streams FIELDS] [--json FILE]

``--archive``: a store whose rows came as RFC 5424, one that ``benchmarks.growth`` has made for example; without it, a day of
``--rows`` is made. ``--kept``: what the others read is made there once, day by day, so that a run that was stopped goes on:
each day's lines as a zstd file, and VictoriaLogs' data, sent to it over TCP. Who is not installed has no figures.
``--streams``: the fields that name VictoriaLogs' streams, whose rows it keeps together; by default hosts and their programs.
Without an administrator's choice (``--streams ""``) it takes host, app and process id.

logsink is a cold command: a process that starts, reads the store and ends. VictoriaLogs is a server that has been running and
was asked the same before, over HTTP. zstdgrep reads all files. Medians of seconds and of CPU seconds, all of them in turn.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import http.client
import json
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import grown
from benchmarks.peers import installed
from benchmarks.query import ABSENT, REGEX, run
from benchmarks.report import report
from benchmarks.server import usage
from logsink.archive import DeltaLog
from logsink.store import open_store

TITLES = {
    "question": "question",
    "logsink": "logsink s",
    "victoria": "VictoriaLogs s",
    "ratio": "times",
    "cpu_s": "logsink CPU s",
    "victoria_cpu_s": "VictoriaLogs CPU s",
    "zstdgrep": "zstdgrep s",
    "lines": "lines of logsink",
    "victoria_lines": "of VictoriaLogs",
}

_ALL = ["-n", "all"]


class Case(NamedTuple):
    """A question: arguments of ``logsink query``, the same in LogsQL, the most rows of that, and arguments of zstdgrep."""

    name: str
    ours: list[str]
    logsql: str
    limit: int = 0
    grep: list[str] | None = None


def questions(host: str, app: str, since: str, until: str) -> list[Case]:
    """What is asked."""
    stream = f'{{hostname="{host}"}}'
    both = f'{{hostname="{host}",app_name="{app}"}}'
    return [
        Case("absent text", [ABSENT, *_ALL], f'"{ABSENT}"', grep=["-F", ABSENT]),
        Case("planted id, -w", ["-w", grown.PLANTED, *_ALL], f'"{grown.PLANTED}"', grep=["-F", grown.PLANTED]),
        Case("regular expression", ["-E", REGEX, *_ALL], f'_msg:~"{REGEX}"', grep=["-E", REGEX]),
        Case("all rows of one host", ["-H", host, *_ALL, "-o", "json"], stream, grep=["-F", f" {host} "]),
        Case(
            "host, app, 10 minutes",
            ["-H", host, "-u", app, "-S", since, "-U", until, *_ALL],
            f"_time:[{since},{until}) {both}",
        ),
        Case("newest 100 errors", ["-p", "err", "-n", "100"], "severity:<=3", limit=100),
        Case("count by app", ["--stats", "by=app"], "* | stats by (app_name) count() n"),
        Case("histogram by hour", ["--hist", "1h"], "* | stats by (_time:1h) count() n"),
    ]


class Victoria:
    """VictoriaLogs on a directory, while the context lasts. ``streams``: the fields of its streams; "" for its own choice."""

    def __init__(self, directory: Path, streams: str) -> None:
        self.directory = directory
        self._streams = [f"-syslog.streamFields.tcp={json.dumps(streams.split(','))}"] if streams else []
        self._ports = [_free_port(), _free_port()]

    def __enter__(self) -> Victoria:
        command = [
            "victoria-logs",
            f"-storageDataPath={self.directory}",
            f"-syslog.listenAddr.tcp=127.0.0.1:{self._ports[0]}",
            *self._streams,
            f"-httpListenAddr=127.0.0.1:{self._ports[1]}",
            "-retentionPeriod=100y",
        ]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.monotonic() + 60
        while True:
            with contextlib.suppress(OSError):
                self.ask("* | limit 1")
                return self
            if self._process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"VictoriaLogs does not start: {' '.join(command)}")
            time.sleep(0.1)

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(120)

    def cpu(self) -> float:
        """Return the CPU seconds that it has used."""
        return usage(self._process.pid).cpu

    def ask(self, logsql: str, limit: int = 0) -> int:
        """Have it answer, and return the number of lines."""
        form = {"query": logsql} | ({"limit": str(limit)} if limit else {})
        connection = http.client.HTTPConnection("127.0.0.1", self._ports[1], timeout=600)
        with contextlib.closing(connection):
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            connection.request("POST", "/select/logsql/query", urllib.parse.urlencode(form), headers)
            answer = connection.getresponse()
            lines = 0
            while piece := answer.read(1 << 20):
                lines += piece.count(b"\n")
        if answer.status != http.HTTPStatus.OK:
            raise RuntimeError(f"VictoriaLogs refuses {logsql}")
        return lines

    def rows(self, day: date) -> int:
        """Return how many messages of a day it has."""
        form = urllib.parse.urlencode({"query": f"_time:{day} | stats count() n"})
        connection = http.client.HTTPConnection("127.0.0.1", self._ports[1], timeout=600)
        with contextlib.closing(connection):
            connection.request("GET", f"/select/logsql/query?{form}")
            text = connection.getresponse().read().decode()
        return int(text.partition('"n":"')[2].partition('"')[0] or 0)

    def load(self, packed: Path) -> None:
        """Send it the lines of a zstd file."""
        with (
            socket.create_connection(("127.0.0.1", self._ports[0])) as sock,
            subprocess.Popen(["zstd", "-dcq", str(packed)], stdout=subprocess.PIPE) as unpacked,
        ):
            assert unpacked.stdout
            while piece := unpacked.stdout.read(1 << 20):
                sock.sendall(piece)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


class Day(NamedTuple):
    """The messages of one day, as a zstd file of lines, and how many there are."""

    date: date
    packed: Path
    rows: int


def prepare(archive: str, kept: Path) -> list[Day]:
    """Make what is missing of the zstd files."""
    days = []
    for day, rows in asyncio.run(_rows_by_day(archive)):
        packed = kept / f"{day}.zst"
        if not packed.exists():
            print(f"writing {packed}", file=sys.stderr)
            asked = ["-S", f"{day}", "-U", f"{day + timedelta(1)}", *_ALL, "-o", "raw", "--quiet", "--utc"]
            part = packed.with_suffix(".part")
            with part.open("wb") as target:
                query = subprocess.Popen(_command(archive, asked), stdout=subprocess.PIPE)
                subprocess.run(["zstd", "-3q"], stdin=query.stdout, stdout=target, check=True)
                if query.wait():
                    raise RuntimeError(f"cannot read the messages of {day}")
            part.rename(packed)
        days.append(Day(day, packed, rows))
    return days


async def _rows_by_day(archive: str) -> list[tuple[date, int]]:
    async with open_store(archive) as store:
        files = (await DeltaLog(store).load()).files.values()
    return sorted(
        {day: sum(file.rows for file in files if file.date == day) for day in {f.date for f in files}}.items()
    )


def _command(archive: str, arguments: list[str]) -> list[str]:
    return [sys.executable, "-m", "logsink", "query", "--store", archive, *arguments]


def load(victoria: Victoria, days: list[Day]) -> None:
    """Send what VictoriaLogs does not have yet; wait until it has."""
    for day in days:
        done = victoria.directory / f"{day.date}.loaded"
        if done.exists():
            continue
        if 0 < victoria.rows(day.date) < day.rows:
            part = f"partitions/{day.date:%Y%m%d}"
            raise RuntimeError(f"VictoriaLogs has a part of {day.date}, for loading was stopped: delete its {part}")
        began = time.monotonic()
        if not victoria.rows(day.date):
            victoria.load(day.packed)
        while (rows := victoria.rows(day.date)) < day.rows and time.monotonic() - began < 1800:
            time.sleep(1)
        print(f"{day.date}: VictoriaLogs has {rows:,} of {day.rows:,} rows", file=sys.stderr)
        if rows < day.rows:
            raise RuntimeError(f"VictoriaLogs lacks {day.rows - rows:,} rows of {day.date}")
        done.touch()


class Cost(NamedTuple):
    """What one answer cost: seconds, CPU seconds, and its lines."""

    wall: float
    cpu: float
    lines: int


def process(command: list[str]) -> Cost:
    """Run a command that answers."""
    found = run(command)
    return Cost(found.wall, found.cpu, found.lines)


def served(victoria: Victoria, case: Case) -> Cost:
    """Have the server answer. Its CPU seconds are counted in hundredths."""
    before, began = victoria.cpu(), time.perf_counter()
    lines = victoria.ask(case.logsql, case.limit)
    return Cost(time.perf_counter() - began, victoria.cpu() - before, lines)


def measured(
    archive: str, victoria: Victoria | None, days: list[Day], cases: list[Case], rounds: int
) -> Iterator[dict[str, Any]]:
    """Ask everything, all in turn; the first time warms the page cache and does not count."""
    files = [str(day.packed) for day in days]
    for case in cases:
        asks: dict[str, Callable[[], Cost]] = {"logsink": partial(process, _command(archive, ["--quiet", *case.ours]))}
        if victoria is not None:
            asks["victoria"] = partial(served, victoria, case)
        if case.grep and files and installed("zstdgrep"):
            asks["zstdgrep"] = partial(process, ["zstdgrep", "-h", *case.grep, *files])
        costs: dict[str, list[Cost]] = {name: [] for name in asks}
        for number in range(rounds + 1):
            for name, ask in asks.items():
                cost = ask()
                print(f"{number}: {case.name}: {name}: {cost.wall:.2f} s, {cost.lines} lines", file=sys.stderr)
                if number:
                    costs[name].append(cost)
        yield row(case.name, costs)


def row(question: str, costs: dict[str, list[Cost]]) -> dict[str, Any]:
    """Return what one question cost: medians; nothing of those that were not asked."""
    wall = {name: round(statistics.median(one.wall for one in each), 2) for name, each in costs.items()}
    cpu = {name: round(statistics.median(one.cpu for one in each), 2) for name, each in costs.items()}
    there = "victoria" in costs
    return {
        "question": question,
        "logsink": wall["logsink"],
        "victoria": wall.get("victoria"),
        "ratio": round(wall["logsink"] / wall["victoria"], 1) if there and wall["victoria"] else None,
        "cpu_s": cpu["logsink"],
        "victoria_cpu_s": cpu.get("victoria"),
        "zstdgrep": wall.get("zstdgrep"),
        "lines": costs["logsink"][-1].lines,
        "victoria_lines": costs["victoria"][-1].lines if there else None,
    }


def made(kept: Path, corpus: Path | None, rows: int) -> str:
    """Make an archive of one day where there is none yet, and return its URL."""
    directory = kept / "archive"
    asyncio.run(grown.grow(directory, grown.Corpus(grown.lines_of(corpus)), 1, rows, 0))
    return f"file://{directory}"


def narrow(archive: str) -> tuple[str, str, str, str]:
    """Return host and app of a row of the newest day, and ten minutes in which it is."""
    asked = _command(archive, ["--quiet", "--utc", "-r", "-o", "json"])

    def rows(*arguments: str) -> list[dict[str, str]]:
        return [json.loads(line) for line in subprocess.check_output([*asked, *arguments]).splitlines()]

    day = rows("-n", "1")[0]["time"][:10]
    since, until = (f"{day}T12:{minute}:00Z" for minute in ("20", "30"))
    found = next(one for one in rows("-S", since, "-U", until, "-n", "1000") if "host" in one and "app" in one)
    return found["host"], found["app"], since, until


def main() -> None:
    """Measure and report."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--archive", help="URL or directory of a store")
    options.add_argument("--kept", type=Path, help="where to keep what others read, and an archive that is made")
    options.add_argument(
        "--rows", type=int, default=grown.MILLION, help="messages of an archive that is made, a million at least"
    )
    options.add_argument("--corpus", type=Path, help="RFC 5424, one message a line, for an archive that is made")
    options.add_argument("--only", action="append", default=[], help="questions whose name begins so")
    options.add_argument("--streams", default="hostname,app_name", help="names of VictoriaLogs' streams")
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--json", type=Path)
    given = options.parse_args()
    with contextlib.ExitStack() as stack:
        kept = given.kept or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="logsink-beside-")))
        kept = kept.absolute()
        kept.mkdir(parents=True, exist_ok=True)
        archive = given.archive or made(kept, given.corpus, given.rows)
        archive = archive if "://" in archive else f"file://{Path(archive).absolute()}"
        cases = [
            case for case in questions(*narrow(archive)) if not given.only or case.name.startswith(tuple(given.only))
        ]
        days = prepare(archive, kept) if installed("zstd") else []
        data = kept / "-".join(["victoria-logs", *filter(None, given.streams.split(","))])
        victoria = stack.enter_context(Victoria(data, given.streams)) if days and installed("victoria-logs") else None
        if victoria is not None:
            load(victoria, days)
        rows = list(measured(archive, victoria, days, cases, given.rounds))
        sizes = {
            "messages": sum(day.rows for day in days),
            "zstd_mib": round(sum(day.packed.stat().st_size for day in days) / 2**20),
            "victoria_mib": round(sum(path.stat().st_size for path in data.rglob("*") if path.is_file()) / 2**20),
        }
        report("questions", rows, TITLES, given.json, rounds=given.rounds, **sizes)


if __name__ == "__main__":
    main()
