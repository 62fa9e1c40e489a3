"""How fast a receiver takes messages for as long as they come, and what memory it needs for that: senders at full rate.

    python -m benchmarks.sustained [--messages 20000000] [--corpus FILE] [--connections 1] [--json FILE]

Lines over TCP, a corpus of a million again and again. Four times a second its memory is looked at, and what waits in it; the
highest in each tenth of the messages tells whether it is flat. Rates: until the last message is read, and until its row is in
the table.
"""

from __future__ import annotations

import argparse
import threading
import time
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import senders
from benchmarks.corpus import corpus
from benchmarks.report import report
from benchmarks.server import Server

PERIOD = 0.25
PARTS = 10


class Sample(NamedTuple):
    """At one time: seconds since the beginning, messages read, rows in the table; MB resident, unstored, and not archived."""

    at: float
    frames: float
    rows: float
    resident: float
    unstored: float
    backlog: float


def look(server: Server, began: float) -> Sample:
    """How it stands now."""
    names = ("frames_total", "archive_rows_total", "journal_unstored_bytes", "archive_backlog_bytes")
    frames, rows, unstored, backlog = (server.metric(f"logsink_{name}") for name in names)
    return Sample(time.monotonic() - began, frames, rows, server.usage().resident, unstored / 1e6, backlog / 1e6)


def watched(server: Server, send: senders.Send, times: int, messages: int) -> list[Sample]:
    """Send, and look on until all of it is in the table."""

    def sender() -> None:
        for _ in range(times):
            send(server.port("tcp"))

    began, samples = time.monotonic(), list[Sample]()
    thread = threading.Thread(target=sender)
    thread.start()
    while not samples or samples[-1].rows < messages:
        samples.append(look(server, began))
        time.sleep(PERIOD)
    thread.join()
    return samples


def parts(samples: list[Sample], messages: int) -> list[dict[str, Any]]:
    """The highest of each tenth."""
    rows = []
    for part in range(PARTS):
        within = [one for one in samples if part * messages <= PARTS * one.frames < (part + 1) * messages]
        if within:
            names = ("resident", "unstored", "backlog")
            rows.append({"part": part + 1} | {name: round(max(getattr(one, name) for one in within)) for name in names})
    return rows


def main() -> None:
    """Measure and report."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--messages", type=int, default=20_000_000)
    options.add_argument("--corpus", type=Path)
    options.add_argument("--connections", type=int, default=1)
    options.add_argument("--json", type=Path)
    given = options.parse_args()
    data = given.corpus.read_bytes() if given.corpus else corpus(1_000_000)
    times = max(1, given.messages // data.count(b"\n"))
    messages = times * data.count(b"\n")
    with Server() as server:
        before = server.usage()
        samples = watched(server, senders.lines(data, given.connections), times, messages)
        after = server.usage()
    read = next(one.at for one in samples if one.frames >= messages)
    titles = {"part": "tenth", "resident": "resident MB", "unstored": "unstored MB", "backlog": "not archived MB"}
    report(
        "tenths",
        parts(samples, messages),
        titles,
        given.json,
        messages=messages,
        connections=given.connections,
        cpu_s_per_million=round((after.cpu - before.cpu) / messages * 1e6, 3),
        read_per_s=round(messages / read),
        archived_per_s=round(messages / samples[-1].at),
        peak_rss_mb=round(after.peak),
    )


if __name__ == "__main__":
    main()
