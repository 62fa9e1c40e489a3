"""How long it takes until something happens: the command line's answers, and a receiver until it is ready.

    python -m benchmarks.start [--rounds 5] [--json FILE]

Each in turn, after one round to warm the page cache; medians. Without kernels: of a copy of the package that has no machine
code yet, and with no other place where it could be kept.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import logsink
from benchmarks.report import report
from benchmarks.server import Server

KERNELS = ("*.nbi", "*.nbc", "*.o")
"""Files of machine code beside the modules."""


class Began:
    """Seconds and CPU seconds of the children that ended meanwhile, since it was made."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.monotonic(), self._used()

    @staticmethod
    def _used() -> float:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    def spent(self, running: float = 0.0) -> tuple[float, float]:
        """``running``: CPU seconds of a child that has not ended."""
        return time.monotonic() - self._wall, self._used() - self._cpu + running


def command(*arguments: str) -> tuple[float, float]:
    """A whole process."""
    program, began = Path(sys.executable).with_name("logsink"), Began()
    subprocess.run([program, *arguments], check=True, stdout=subprocess.DEVNULL)
    return began.spent()


def ready(environ: dict[str, str] | None = None) -> tuple[float, float]:
    """A receiver, until its ready file is there."""
    began = Began()
    with Server(environ=environ) as server:
        return began.spent(server.usage().cpu)


def ready_without_kernels() -> tuple[float, float]:
    with tempfile.TemporaryDirectory(prefix="logsink-bench-") as directory:
        package = Path(logsink.__file__).parent
        shutil.copytree(package, f"{directory}/logsink", ignore=shutil.ignore_patterns(*KERNELS))
        return ready(
            {"PYTHONPATH": directory, "PYTHONSAFEPATH": "1", "XDG_CACHE_HOME": f"{directory}/cache", "HOME": directory}
        )


ASKED: dict[str, Callable[[], tuple[float, float]]] = {
    "logsink --version": lambda: command("--version"),
    "logsink query --help": lambda: command("query", "--help"),
    "logsink serve, until ready": ready,
    "logsink serve, until ready, without kernels": ready_without_kernels,
}


def main() -> None:
    """Measure and report."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--json", type=Path)
    given = options.parse_args()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in ASKED}
    for number in range(given.rounds + 1):
        for name, ask in ASKED.items():
            one = ask()
            if number:
                found[name].append(one)
    rows = [
        {"command": name, "seconds": round(wall, 3), "cpu_s": round(cpu, 3)}
        for name, all_ in found.items()
        for wall, cpu in [tuple(statistics.median(column) for column in zip(*all_, strict=True))]
    ]
    titles = {"command": "", "seconds": "s", "cpu_s": "CPU s"}
    report("commands", rows, titles, given.json, rounds=given.rounds)


if __name__ == "__main__":
    main()
