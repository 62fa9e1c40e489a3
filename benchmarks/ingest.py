"""What a million messages cost, from the socket to where they stay: ``make bench``.

    python -m benchmarks.ingest [--only NAME]... [--messages 1000000 | --corpus FILE] [--format 5424|3164]
                                [--connections 1] [--rounds 5] [--json FILE]

Every subject runs all the time, and in each round each is sent the corpus in turn, so that a noisy machine is noisy for all.
The first round warms up. For logsink the end is the committed table, for others when they do nothing any more. CPU seconds
are the server's, user and system, from the kernel; the ratio is to the first subject of the same run; medians. Each round
begins with a yardstick (``benchmarks.yardstick``). ``--corpus``: one syslog message a line.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import senders
from benchmarks.corpus import corpus
from benchmarks.peers import Logsink, RsyslogFile, Subject, SyslogNg, VictoriaLogs, installed
from benchmarks.report import report
from benchmarks.yardstick import Yardstick
from tests.support.s3 import versitygw

TITLES = {
    "subject": "",
    "cpu_s_per_million": "CPU s/M",
    "lowest": "lowest",
    "highest": "highest",
    "ratio": "ratio",
    "frames_per_s": "frames/s",
    "peak_rss_mb": "peak RSS MB",
    "stored_mb_per_million": "stored MB/M",
    "objects": "objects",
    "ack_p50_ms": "ack p50 ms",
    "ack_p99_ms": "ack p99 ms",
}


class Round(NamedTuple):
    """One corpus through one subject: CPU seconds per million, frames a second until the sender was done, page faults."""

    cpu: float
    rate: float
    faults: float


class Entry:
    """A subject with its sender and what was measured of it."""

    def __init__(self, subject: Subject, send: senders.Send, frames: int) -> None:
        self.subject, self.rounds = subject, list[Round]()
        self._send, self._frames = send, frames

    def run(self) -> Round:
        """Send the corpus once."""
        before, began = self.subject.usage(), time.perf_counter()
        self._send(self.subject.port)
        sent = time.perf_counter() - began
        self.subject.finish()
        after = self.subject.usage()
        million = self._frames / 1e6
        return Round((after.cpu - before.cpu) / million, self._frames / sent, (after.faults - before.faults) / million)

    def report(self, reference: float, total: int) -> dict[str, Any]:
        """Medians, and what it holds at the end."""
        objects, size = self.subject.stored()
        cpu = statistics.median(one.cpu for one in self.rounds)
        latency = self.subject.latency()
        return {
            "subject": self.subject.name,
            "cpu_s_per_million": round(cpu, 3),
            "lowest": round(min(one.cpu for one in self.rounds), 3),
            "highest": round(max(one.cpu for one in self.rounds), 3),
            "ratio": round(cpu / reference, 2),
            "frames_per_s": round(statistics.median(one.rate for one in self.rounds)),
            "peak_rss_mb": round(self.subject.usage().peak),
            "stored_mb_per_million": round(size / total, 2) if size else None,
            "objects": objects or None,
            "ack_p50_ms": round(latency[0] * 1000, 1) if latency else None,
            "ack_p99_ms": round(latency[1] * 1000, 1) if latency else None,
        }


def entries(stack: ExitStack, given: argparse.Namespace, data: bytes) -> list[Entry]:
    """What takes part, started; what is not installed is named on stderr."""
    made: dict[str, Callable[[], tuple[Subject, senders.Send]]] = {
        "tcp": lambda: (Logsink("logsink, TCP lines", "tcp"), senders.lines(data, given.connections)),
        "workers": lambda: (
            Logsink("logsink, TCP lines, 2 workers", "tcp", environ={"LOGSINK_WORKERS": "2"}),
            senders.lines(data, given.connections),
        ),
        "octet": lambda: (Logsink("logsink, TCP octet-counted", "tcp"), senders.counted(data, given.connections)),
        "tls": lambda: _secured(data, given.connections),
        "relp": lambda: (Logsink("logsink, RELP", "relp"), senders.relp(data, given.connections)),
        "udp": lambda: (Logsink("logsink, UDP", "udp"), senders.datagrams(data)),
        "s3": lambda: _s3(stack, senders.lines(data, given.connections)),
        "rsyslog": lambda: (RsyslogFile(), senders.lines(data, given.connections)),
        "rsyslog-gzip": lambda: (RsyslogFile(gzip=True), senders.lines(data, given.connections)),
        "rsyslog-relp": lambda: (RsyslogFile(relp=True), senders.relp(data, given.connections)),
        "syslog-ng": lambda: (SyslogNg(), senders.lines(data, given.connections)),
        "victorialogs": lambda: (VictoriaLogs(), senders.lines(data, given.connections)),
    }
    needs = {"s3": "versitygw", "rsyslog": "rsyslogd", "syslog-ng": "syslog-ng", "victorialogs": "victoria-logs"}
    found, frames = [], data.count(b"\n")
    for name in given.only or made:
        program = next((needs[one] for one in needs if name.startswith(one)), None)
        if program and not installed(program):
            print(f"left out: {name} ({program} is not installed)", file=sys.stderr)
            continue
        subject, send = made[name]()
        found.append(Entry(stack.enter_context(subject), send, frames))
    return found


def _secured(data: bytes, connections: int) -> tuple[Subject, senders.Send]:
    subject = Logsink("logsink, TLS lines", "tls")
    return subject, senders.secured(data, subject.authority, connections)


def _s3(stack: ExitStack, send: senders.Send) -> tuple[Subject, senders.Send]:
    server = stack.enter_context(versitygw())
    return Logsink("logsink, TCP lines, S3", "tcp", store=server.fresh_url(), environ=server.environment), send


def main() -> None:
    """Measure and report."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--only", action="append", default=[])
    options.add_argument("--messages", type=int, default=1_000_000)
    options.add_argument("--corpus", type=Path)
    options.add_argument("--format", choices=("5424", "3164"), default="5424")
    options.add_argument("--connections", type=int, default=1)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--json", type=Path)
    given = options.parse_args()
    data = given.corpus.read_bytes() if given.corpus else corpus(given.messages, given.format)
    with ExitStack() as stack:
        running = entries(stack, given, data)
        yardstick = Yardstick(data, data.count(b"\n"))
        for number in range(given.rounds + 1):
            yardstick.run()
            for entry in running:
                one = entry.run()
                print(f"{number}: {entry.subject.name}: {one.cpu:.3f} s/M, {one.rate:.0f}/s", file=sys.stderr)
                if number:
                    entry.rounds.append(one)
        total = data.count(b"\n") * (given.rounds + 1)
        reference = statistics.median(one.cpu for one in running[0].rounds)
        rows = [entry.report(reference, total) for entry in running]
        rows.append(yardstick.report(reference, TITLES))
    report(
        "subjects",
        rows,
        TITLES,
        given.json,
        messages=data.count(b"\n"),
        bytes=len(data),
        format=given.format,
        connections=given.connections,
        rounds=given.rounds,
    )


if __name__ == "__main__":
    main()
