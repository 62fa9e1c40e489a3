"""What many receivers ask of the store, in requests, bytes and dollars a day: their real code, in hours that take seconds.

    python -m benchmarks.scaling [--receivers 1 5 50 200] [--hours 2] [--warm-up 2.2] [--json FILE]

Receivers archive and maintain one bucket in memory that counts requests (tests/support/fleet.py). Time jumps to the next
timer. Each stores a segment of two rows every ten seconds; all figures but the bytes of data are those of any load that needs
one commit a minute. After the warm-up, in which the first hours are merged, what is asked for is counted and scaled to a day.

The journal (a PUT for each segment) and data files depend on the load, so they are in the details, and not in the table. The
marker is read every two seconds by each receiver, whatever else it does. Dollars are those of S3 Standard in us-east-1.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

from benchmarks.report import report
from tests.support.fleet import Figures, observe
from tests.support.virtual import simulate

DAY = 86_400.0

TITLES = {
    "receivers": "receivers",
    "commits": "commits a day",
    "put": "PUT a day",
    "get": "GET a day",
    "list": "LIST a day",
    "log_mb": "MB read a day",
    "dollars": "$ a day",
    "watch_dollars": "$ marker",
    "checkpoint_kb": "checkpoint kB",
    "live": "files",
    "cpu_s": "CPU s an hour",
}


def row(figures: Figures, cpu: float) -> dict[str, Any]:
    """Return one line of the table."""
    bill, day = figures.bill, DAY / figures.seconds
    areas = ("log", "checkpoints", "clock", "ledger")
    listed = bill.count("LIST")
    put, get = bill.count("PUT", *areas), bill.count("GET", *areas, "index")
    read = sum(n for (kind, where), n in bill.nbytes.items() if kind == "GET" and where in areas)
    dollars = 5e-6 * (put + listed) + 0.4e-6 * get
    return {
        "receivers": figures.receivers,
        "commits": round(figures.versions * day),
        "put": round(put * day),
        "get": round(get * day),
        "list": round(listed * day),
        "log_mb": round(read * day / 1e6),
        "dollars": round(dollars * day, 3),
        "watch_dollars": round(bill.dollars("marker") * day, 3),
        "checkpoint_kb": round(figures.checkpoint_bytes / 1e3),
        "live": figures.files,
        "cpu_s": round(cpu, 1),
    }


def details(figures: Figures) -> list[str]:
    """Return all requests by kind and by what they are about, a day."""
    day = DAY / figures.seconds
    return [
        f"{figures.receivers:>4} {kind:<6} {where:<12} {round(count * day):>12,}"
        for (kind, where), count in sorted(figures.bill.requests.items())
    ]


def main() -> None:
    """Simulate and report."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--receivers", type=int, nargs="*", default=[1, 5, 50])
    options.add_argument("--hours", type=float, default=2.0)
    options.add_argument("--warm-up", type=float, default=2.2)
    options.add_argument("--json", type=Path)
    given = options.parse_args()
    rows = []
    for receivers in given.receivers:
        began = time.process_time()
        figures = simulate(
            lambda loop: observe(
                loop,
                receivers,  # noqa: B023
                warm_up=3600 * given.warm_up,
                seconds=3600 * given.hours,
            )
        )
        rows.append(row(figures, (time.process_time() - began) / (given.hours + given.warm_up)))
        print("\n".join(details(figures)), flush=True)
    print()
    report("fleets", rows, TITLES, given.json, hours=given.hours, warm_up=given.warm_up)


if __name__ == "__main__":
    main()
