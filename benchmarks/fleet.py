"""What questions about a fleet cost over a year: `logsink hosts`, `deploys`, `usage`, and sums of `logsink query`.

    python -m benchmarks.fleet [--archive DIRECTORY] [--days 365] [--hosts 300] [--rows 27000000] [--only QUESTION]...
                               [--rounds 3] [--json FILE]

The archive is a table's log and the counts of one merged file a day: there are no data files, so that an answer proves that
none was opened (with `-p debug`, which all rows meet, `hosts` does not look how anybody ended). A host has six programs of the
system and three of its role, each of them rows of two severities or so in each hour, and is replaced with each deploy of its
role, every third day. The archive is kept in ``--archive``.

Each question is a whole process, asked once to warm the page cache, then ``--rounds`` times: medians of seconds and CPU
seconds, the highest peak of memory.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import datetime as dt
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from benchmarks.query import Case, run
from benchmarks.report import report
from logsink.archive import CountedFile, Counts, DataFile, DeltaLog, encode_counts
from logsink.archive.log import Add
from logsink.index import COUNTED, COUNTS, COUNTS_SCHEMA, HOUR, index_key
from logsink.store import open_store

ROLES = {"web": 0.4, "api": 0.33, "worker": 0.17, "db": 0.1}
"""The share of the hosts that each role has."""

SYSTEM = ("cron", "kernel", "rsyslogd", "sshd", "systemd", "systemd-logind")
PROGRAMS = ("access", "app", "sidecar")
SEVERITIES = {6: 1.0, 5: 0.5, 4: 0.4, 3: 0.3}
"""How often an hour of a program on a host has rows of a severity."""

EVERY = 3
"""Days from one deploy of a role to the next."""

DAY = 24 * HOUR

QUESTIONS = [
    Case("hosts -p debug", ["hosts", "-q", "-n", "20", "-p", "debug"]),
    Case("hosts -p debug --by host", ["hosts", "-q", "--by", "host", "-p", "debug"]),
    Case("hosts --by role --silent 10m", ["hosts", "-q", "--by", "role", "--silent", "10m", "-p", "debug"]),
    Case("deploys --role web", ["deploys", "-q", "--role", "web"]),
    Case("usage --by app,role", ["usage", "-q", "--by", "app,role"]),
    Case("usage --by day", ["usage", "-q", "--by", "day"]),
    Case("usage --by app,role,host,day", ["usage", "-q", "--by", "app,role,host,day", "-o", "csv"]),
    Case("query --top host", ["query", "-q", "--top", "host"]),
    Case("query --hist 1d", ["query", "-q", "--hist", "1d"]),
]


def day_of_counts(hosts: int, rows: int) -> dict[str, Any]:
    """The columns of the counts of one day, as numbers: which host, which program, hour and severity, and how many rows."""
    rng = np.random.default_rng(1)
    programs = len(SYSTEM) + len(PROGRAMS)
    shape = (programs, len(SEVERITIES), 24, hosts)
    there = rng.random(shape) < np.array(list(SEVERITIES.values()))[None, :, None, None]
    program, severity, hour, host = np.nonzero(there)
    weight = rng.lognormal(0, 1.5, len(host)) * np.where(program < len(SYSTEM), 0.05, 1) / 10.0**severity
    each = 1 + (weight * (rows / weight.sum())).astype(np.int64)
    low, high = np.sort(rng.integers(0, HOUR, (2, len(host))), axis=0)
    return {
        "program": program,
        "severity": severity,
        "hour": hour,
        "host": host,
        "rows": each,
        "low": low,
        "high": high,
    }


def counts_of(date: dt.date, number: int, day: dict[str, Any], hosts: int) -> tuple[DataFile, Counts]:
    """The merged file of a date and its counts; ``number``: of the day, from 0 on."""
    begin = (date - dt.date(1970, 1, 1)).days * DAY
    role_of = np.searchsorted(np.cumsum(list(ROLES.values())), (np.arange(hosts) + 0.5) / hosts)
    roles = list(ROLES)
    deploys = [f"{date - dt.timedelta(days=(number + n) % EVERY)}.{n}" for n in range(len(roles))]
    path = f"date={date}/compacted-{number:08x}.parquet"
    total = int(day["rows"].sum())
    sizes = np.array([len(name) for name in (*SYSTEM, *PROGRAMS)])[day["program"]] + 90
    host = day["host"]
    coded: dict[str, tuple[Any, list[str]]] = {
        "file": (np.zeros(len(host), np.int32), [path]),
        "host": (host, [f"{roles[role_of[n]]}-{n:03d}" for n in range(hosts)]),
        "app": (day["program"], [*SYSTEM, *PROGRAMS]),
        "environment": (np.zeros(len(host), np.int32), ["production"]),
        "role": (role_of[host], roles),
        "deploy": (role_of[host], deploys),
        "instance": (host, [f"i-{hash_of(deploys[role_of[n]], n):017x}" for n in range(hosts)]),
    }
    plain = {
        "first": begin + day["hour"] * HOUR + day["low"],
        "last": begin + day["hour"] * HOUR + day["high"],
        "bytes": day["rows"] * sizes,
        "rows": day["rows"],
        "hour": begin + day["hour"] * HOUR,
        "severity": np.array(list(SEVERITIES))[day["severity"]],
    }
    columns = {
        name: pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32)), pa.array(values))
        for name, (codes, values) in coded.items()
    } | {name: pa.array(values) for name, values in plain.items()}
    table = pa.table(
        [columns[name].cast(COUNTS_SCHEMA.field(name).type) for name in COUNTS_SCHEMA.names], schema=COUNTS_SCHEMA
    )
    stamps = {end: f"{date}T{end}Z" for end in ("00:00:00.000000", "23:59:59.999999")}
    low, high = stamps.values()
    said = {
        "numRecords": total,
        "minValues": {"time": low, "received": low, "host": "a", "app": "a", "severity": 3},
        "maxValues": {"time": high, "received": high, "host": "z", "app": "z", "severity": 6},
        "nullCount": dict.fromkeys(("time", "received", "host", "app", "severity"), 0),
    }
    file = DataFile(path, dt.date.fromisoformat(str(date)), total * 11, orjson.dumps(said).decode())
    assert set(COUNTED) <= set(columns)
    return file, Counts({path: CountedFile.of(file)}, table)


def hash_of(deploy: str, host: int) -> int:
    """A number for an instance, that looks like none before."""
    return int.from_bytes(np.random.default_rng([*deploy.encode(), host]).bytes(8)) >> 4


async def make(directory: Path, days: int, hosts: int, rows: int) -> None:
    """Make the archive: the newest day is yesterday."""
    day, today = day_of_counts(hosts, rows), dt.datetime.now(dt.UTC).date()
    async with open_store(f"file://{directory}") as store:
        log = DeltaLog(store)
        await log.create()
        files = []
        for number in range(days):
            date = today - dt.timedelta(days=days - number)
            file, counts = counts_of(date, number, day, hosts)
            files.append(Add(file))
            await store.put(index_key(date, f"{number:016x}", COUNTS), memoryview(encode_counts(counts)))
        await log.commit(await log.load(), files)


def measure(directory: Path, rounds: int, only: list[str]) -> list[dict[str, Any]]:
    """Ask everything."""
    rows = []
    for case in QUESTIONS:
        if only and not case.name.startswith(tuple(only)):
            continue
        command = [sys.executable, "-m", "logsink", *case.command, "--store", f"file://{directory}"]
        runs = [run(command) for _ in range(rounds + 1)][1:]
        rows.append(
            {
                "question": case.name,
                "s": round(statistics.median(one.wall for one in runs), 2),
                "cpu_s": round(statistics.median(one.cpu for one in runs), 2),
                "peak_rss_mb": round(max(one.peak for one in runs)),
                "lines": runs[-1].lines,
            }
        )
        print(rows[-1], file=sys.stderr, flush=True)
    return rows


def main() -> None:
    """Measure and report."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--archive", type=Path)
    options.add_argument("--days", type=int, default=365)
    options.add_argument("--hosts", type=int, default=300)
    options.add_argument("--rows", type=int, default=27_000_000, help="messages a day")
    options.add_argument("--only", action="append", default=[], help="questions whose name begins so")
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--json", type=Path)
    given = options.parse_args()
    with contextlib.ExitStack() as stack:
        made = given.archive or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="logsink-fleet-")))
        directory = made.absolute() / "year"
        if not directory.exists():
            asyncio.run(make(directory, given.days, given.hosts, given.rows))
        counted = [path.stat().st_size for path in directory.glob("index/*/*.counts.parquet")]
        rows = measure(directory, given.rounds, given.only)
    titles = {"question": "question", "s": "s", "cpu_s": "CPU s", "peak_rss_mb": "peak RSS MB", "lines": "lines out"}
    setting = {
        "days": given.days,
        "hosts": given.hosts,
        "rows_a_day": given.rows,
        "mb_of_counts": round(sum(counted) / 1e6),
    }
    report("questions", rows, titles, given.json, **setting)


if __name__ == "__main__":
    main()
