"""Report how much of each module the tests run, and fail below the gates: ``python -m tests.support.coverage_gates``.

Reads what ``coverage run`` has left in the working directory. Kernels count where tests run them as Python (``.py``): compiled
code is not measured.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

TOTAL = 95.0
"""Least percentage of lines of the whole package."""

MODULE = 90.0
"""Least percentage of lines of each module in ``ROOMS``."""

ROOMS = ("wire", "parse", "journal", "archive", "query", "store", "index")


class Lines(NamedTuple):
    """Lines that can run, and those that did."""

    every: int
    run: int

    @property
    def percent(self) -> float:
        return 100.0 * self.run / self.every if self.every else 100.0


def failures(modules: Mapping[str, Lines]) -> list[str]:
    """Return a line for each gate that ``modules`` (path from the root to lines) do not pass."""
    total = Lines(sum(one.every for one in modules.values()), sum(one.run for one in modules.values()))
    found = [
        f"{path}: {lines.percent:.1f} % of lines run in tests; at least {MODULE:g} % must"
        for path, lines in sorted(modules.items())
        if Path(path).parts[1] in ROOMS and lines.percent < MODULE
    ]
    if total.percent < TOTAL:
        found.append(f"logsink: {total.percent:.1f} % of lines run in tests; at least {TOTAL:g} % must")
    return found


def measured() -> dict[str, Lines]:
    """Return the lines of each module, from the data in the working directory."""
    with tempfile.TemporaryDirectory() as directory:
        report = Path(directory, "coverage.json")
        command = [sys.executable, "-m", "coverage", "json", "-q", "-o", str(report)]
        subprocess.run(command, check=True)
        files = json.loads(report.read_text(encoding="utf-8"))["files"]
    found = {}
    for path, file in files.items():
        summary = file["summary"]
        found[path] = Lines(summary["num_statements"], summary["covered_lines"])
    return found


def main() -> int:
    failed = failures(measured())
    print("\n".join(failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
