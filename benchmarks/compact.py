"""What merging small files costs: ``logsink maintain --once`` on a table of an hour's files.

    python -m benchmarks.compact [--messages 2000000] [--files 60] [--rounds 3] [--corpus FILE] [--json FILE]

Tables of the same messages, as one receiver and as four at the same time have left them, and one where nothing is due, which is
what starting costs. Each round merges a fresh copy of each. CPU seconds and peak memory are the whole process's, from the
kernel; the ratio is to what the archiver's part took (rows to files, without parsing), in this run; medians.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.corpus import corpus
from benchmarks.parse import cost
from benchmarks.report import report
from logsink.archive.file import NewFile, write_files
from logsink.archive.log import Add, DeltaLog, Txn
from logsink.parse import Frames, Origin, Settings, parse
from logsink.store import open_store

HOUR = 1_769_817_600_000_000
"""The hour in which everything came in: microseconds since the epoch, and over."""

TITLES = {
    "table": "",
    "cpu_s": "CPU s",
    "cpu_s_per_million": "CPU s/M",
    "ratio": "of writing them",
    "peak_rss_mb": "peak RSS MB",
    "files_before": "files",
    "files_after": "after",
    "mb_before": "MB",
    "mb_after": "after",
}

_MAINTAIN = """
import re, resource, sys
from logsink.cli.main import main
main(standalone_mode=False)
used = resource.getrusage(resource.RUSAGE_SELF)
peak = re.search(r"VmHWM:\\s*(\\d+)", open("/proc/self/status").read())[1]
print(used.ru_utime + used.ru_stime, int(peak) / 1024, file=sys.stderr)
"""
"""The command, which then says what it took: what the kernel tells of a child has its parent's memory in it."""


class Round(NamedTuple):
    """One merge of a table: CPU seconds, MB of memory at most."""

    cpu: float
    peak: float


class Table:
    """A table on disk, and what was measured of merging copies of it."""

    def __init__(self, name: str, directory: Path) -> None:
        self.name, self.directory = name, directory
        self.rounds: list[Round] = []
        self.before, self.after = (0, 0), (0, 0)

    def run(self) -> None:
        """Merge a copy."""
        copy = self.directory.with_name("copy")
        shutil.copytree(self.directory, copy)
        self.before = asyncio.run(live(copy))
        command = [sys.executable, "-c", _MAINTAIN, "maintain", "--once", "--store", f"file://{copy}"]
        done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=True)
        self.rounds.append(Round(*map(float, done.stderr.split())))
        self.after = asyncio.run(live(copy))
        shutil.rmtree(copy)

    def report(self, messages: int, reference: float) -> dict[str, Any]:
        cpu = statistics.median(one.cpu for one in self.rounds)
        return {
            "table": self.name,
            "cpu_s": round(cpu, 2),
            "cpu_s_per_million": round(cpu / messages * 1e6, 3),
            "ratio": round(cpu / reference, 2),
            "peak_rss_mb": round(max(one.peak for one in self.rounds)),
            "files_before": self.before[0],
            "files_after": self.after[0],
            "mb_before": round(self.before[1] / 1e6, 2),
            "mb_after": round(self.after[1] / 1e6, 2),
        }


async def live(directory: Path) -> tuple[int, int]:
    """How many files the table has, and their bytes."""
    async with open_store(f"file://{directory}") as store:
        files = (await DeltaLog(store).load()).files.values()
    return len(files), sum(file.size for file in files)


def frames_of(lines: Sequence[bytes], received: int) -> Frames:
    """These frames, read 200 at a time within a minute."""
    number = np.arange(len(lines), dtype=np.int64) // 200
    return Frames(
        np.frombuffer(b"".join(lines), np.uint8),
        np.cumsum([0, *map(len, lines)]).astype(np.int32),
        np.zeros(len(lines), np.int32),
        received + number * (60_000_000 // (int(number[-1]) + 1)),
        np.zeros(len(lines), np.int32),
        (Origin("192.0.2.1", None, "tcp"),),
    )


def files_of(lines: Sequence[bytes], files: int, receivers: int) -> Iterator[tuple[str, int, NewFile, float]]:
    """Receiver, sequence, file, and the CPU seconds that writing it took."""
    rounds = max(1, files // receivers)
    for minute, part in enumerate(np.array_split(np.arange(len(lines)), rounds)):
        for receiver in range(receivers):
            mine = [lines[k] for k in part[receiver::receivers]]
            rows = parse(frames_of(mine, HOUR + minute * 3_600_000_000 // rounds), Settings(), f"r{receiver}")
            made: list[NewFile] = []
            lanes = {f"r{receiver}.0": (minute + 1, minute + 1)}
            spent = cost(lambda: made.extend(write_files(rows, lanes, f"r{receiver}", f"{minute:x}")))  # noqa: B023
            for new in made:
                yield f"r{receiver}", minute + 1, new, spent


async def build(directory: Path, lines: Sequence[bytes], files: int, receivers: int) -> float:
    """A table of the messages; the CPU seconds of its files."""
    total = 0.0
    async with open_store(f"file://{directory}") as store:
        log = DeltaLog(store)
        await log.create()
        for receiver, sequence, new, spent in files_of(lines, files, receivers):
            await store.put(new.file.key, memoryview(new.body))
            await log.commit(await log.load(), [Add(new.file), Txn(f"{receiver}.0", sequence)])
            total += spent
    return total


def main() -> None:
    """Measure and report."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--messages", type=int, default=2_000_000)
    options.add_argument("--files", type=int, default=60)
    options.add_argument("--corpus", type=Path)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--json", type=Path)
    given = options.parse_args()
    data = given.corpus.read_bytes() if given.corpus else corpus(given.messages)
    lines = data.splitlines()
    with tempfile.TemporaryDirectory(prefix="logsink-bench-") as directory:
        tables = [
            Table(name, Path(directory, str(n)))
            for n, name in enumerate(("one receiver", "four receivers", "nothing due"))
        ]
        reference = asyncio.run(build(tables[0].directory, lines, given.files, 1))
        asyncio.run(build(tables[1].directory, lines, given.files, 4))
        asyncio.run(build(tables[2].directory, lines[:1000], 1, 1))
        for number in range(given.rounds):
            for one in tables:
                one.run()
                print(f"{number}: {one.name}: {one.rounds[-1].cpu:.2f} s", file=sys.stderr)
        rows = [one.report(len(lines), reference) for one in tables]
    report(
        "tables",
        rows,
        TITLES,
        given.json,
        messages=len(lines),
        bytes=len(data),
        writing_cpu_s=round(reference, 2),
        rounds=given.rounds,
    )


if __name__ == "__main__":
    main()
