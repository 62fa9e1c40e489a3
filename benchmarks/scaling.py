"""What many receivers ask of the store, in requests, bytes and dollars a day: their real code, in hours that take seconds.

    python -m benchmarks.scaling [--receivers 1 5 50 200] [--hours 2] [--warm-up 2.2] [--json FILE]
    python -m benchmarks.scaling --formula [--receivers 1 5 50 200]

Receivers archive and maintain one bucket in memory that counts requests (tests/support/fleet.py). Time jumps to the next
timer. Each stores a segment of two rows every ten seconds. After the warm-up, in which the first hours are merged, what is
asked for is counted, scaled to a day, and compared with what the formula of docs/scaling.md says (tests/support/bill.py).

The journal (a PUT for each segment) and data files depend on the load, so they are in the details, and not in the table.
Dollars are those of S3 Standard in us-east-1.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

from benchmarks.report import report
from tests.support.bill import formula, per_day
from tests.support.fleet import Figures, observe
from tests.support.virtual import simulate

DAY = 86_400.0

TITLES = {
    "receivers": "receivers",
    "commits": "commits a day",
    "put": "PUT",
    "get": "GET",
    "list": "LIST",
    "log_mb": "MB read",
    "log_objects": "objects of the log",
    "dollars": "$ a day",
    "marker_dollars": "$ marker",
    "checkpoint_kb": "checkpoint kB",
    "live": "files",
    "cpu_s": "CPU s an hour",
}


def row(figures: Figures, cpu: float) -> dict[str, Any]:
    """Return one line of the table."""
    measured = per_day(figures)
    return measured._asdict() | {"receivers": figures.receivers, "live": figures.files, "cpu_s": round(cpu, 1)}


def ratios(figures: Figures, hours: float) -> str:
    """Return what was measured as multiples of what the formula says."""
    measured, said = per_day(figures)._asdict(), formula(figures.receivers, hours=hours)._asdict()
    return ", ".join(f"{TITLES[name]} {measured[name] / said[name]:.2f}" for name in said)


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
    options.add_argument("--formula", action="store_true", help="print what the formula says, and simulate nothing")
    given = options.parse_args()
    if given.formula:
        titles = {name: title for name, title in TITLES.items() if name not in ("live", "cpu_s")}
        report("formula", [formula(n)._asdict() | {"receivers": n} for n in given.receivers], titles, given.json)
        return
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
        print("\n".join(details(figures)))
        print(f"measured / formula: {ratios(figures, given.warm_up + given.hours)}\n", flush=True)
    print()
    report("fleets", rows, TITLES, given.json, hours=given.hours, warm_up=given.warm_up)


if __name__ == "__main__":
    main()
