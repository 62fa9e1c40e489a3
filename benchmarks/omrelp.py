"""A million frames over one connection of a real rsyslogd: RELP to logsink, TCP to logsink, RELP to another rsyslogd.

    python -m benchmarks.omrelp [--messages 1000000 | --corpus FILE] [--window 10000] [--rounds 5] [--json FILE]

The action has a queue of its own, as in rsyslog/10-logsink-relp.conf; without, one thread of rsyslogd parses and sends. The
receiver is stopped (SIGSTOP) while that queue fills, in memory, so that neither what makes the messages nor the input of
rsyslogd has a part in it; then it goes on, and the clock runs until rsyslogd has nothing to do any more: with RELP, until the
last frame is acknowledged. CPU seconds are the receiver's, until its table is committed. All receivers run all the
time, and in each round each has its turn; the first round warms up. A yardstick (``benchmarks.yardstick``) stands beside.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks import senders
from benchmarks.corpus import corpus
from benchmarks.ingest import TITLES
from benchmarks.peers import QUIET, Logsink, Program, RsyslogFile, Subject, installed
from benchmarks.report import report
from benchmarks.yardstick import Yardstick

_CONFIGURATION = """
global(workDirectory="{directory}" maxMessageSize="64k")
main_queue(queue.type="FixedArray" queue.size="{room}" queue.dequeueBatchSize="1024" queue.workerThreads="1"
           queue.timeoutShutdown="100")
module(load="imptcp")
module(load="omrelp")
input(type="imptcp" address="127.0.0.1" port="{port}")
action({action} template="RSYSLOG_SyslogProtocol23Format" action.resumeRetryCount="-1" action.resumeInterval="1"
       queue.type="LinkedList" queue.size="{room}" queue.timeoutShutdown="100")
"""


class Forwarder(Program):
    """rsyslogd with one connection to a receiver. ``room``: of its queues; inputs wait when one is 70 % full."""

    name = "rsyslogd"

    def __init__(self, action: str, room: int) -> None:
        super().__init__()
        file = self.path / "rsyslog.conf"
        file.write_text(_CONFIGURATION.format(directory=self.path, room=room, port=self.port, action=action))
        self.command = ["rsyslogd", "-n", "-f", str(file), "-i", str(self.path / "pid")]


def busy(pid: int) -> float:
    """Until a process has used no CPU for ``QUIET`` seconds; when (monotonic) it last did.

    Looks are cheap, for there are many: all that takes CPU meanwhile slows down what is measured.
    """
    last, since = [b""], time.monotonic()
    with Path(f"/proc/{pid}/stat").open("rb", buffering=0) as stat:
        while time.monotonic() - since < QUIET:
            stat.seek(0)
            now = stat.read().rpartition(b")")[2].split()[11:13]  # user and system
            if now != last:
                last, since = now, time.monotonic()
            time.sleep(0.01)
    return since


class Entry:
    """A receiver, and how rsyslogd reaches it."""

    def __init__(self, subject: Subject, action: str) -> None:
        self.subject, self._action = subject, action
        self.rates, self.cpu = list[float](), list[float]()

    def run(self, data: bytes, frames: int) -> None:
        """Pass all of ``data`` through, once."""
        action = self._action.format(port=self.subject.port)
        with Forwarder(action, 2 * frames) as forwarder:
            os.kill(self.subject.pid, signal.SIGSTOP)
            senders.lines(data)(forwarder.port)
            busy(forwarder.pid)
            before, began = self.subject.usage(), time.monotonic()
            os.kill(self.subject.pid, signal.SIGCONT)
            took = busy(forwarder.pid) - began
            self.subject.finish()
            self.rates.append(frames / took)
            self.cpu.append((self.subject.usage().cpu - before.cpu) / (frames / 1e6))
        print(f"{self.subject.name}: {self.rates[-1]:.0f}/s, {self.cpu[-1]:.3f} s/M", file=sys.stderr)

    def report(self, reference: float) -> dict[str, Any]:
        """Medians, without the first round."""
        cpu, latency = statistics.median(self.cpu[1:]), self.subject.latency()
        return {
            "subject": self.subject.name,
            "cpu_s_per_million": round(cpu, 3),
            "lowest": round(min(self.cpu[1:]), 3),
            "highest": round(max(self.cpu[1:]), 3),
            "ratio": round(cpu / reference, 2),
            "frames_per_s": round(statistics.median(self.rates[1:])),
            "peak_rss_mb": round(self.subject.usage().peak),
            "stored_mb_per_million": None,
            "objects": None,
            "ack_p50_ms": round(latency[0] * 1000, 1) if latency else None,
            "ack_p99_ms": round(latency[1] * 1000, 1) if latency else None,
        }


def main() -> None:
    """Measure and report."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--messages", type=int, default=1_000_000)
    options.add_argument("--corpus", type=Path)
    options.add_argument("--window", type=int, default=10_000)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--json", type=Path)
    given = options.parse_args()
    if not installed("rsyslogd"):
        raise SystemExit("omrelp: rsyslogd is not installed")
    data = given.corpus.read_bytes() if given.corpus else corpus(given.messages)
    frames = data.count(b"\n")
    relp = f'type="omrelp" target="127.0.0.1" port="{{port}}" windowSize="{given.window}"'
    tcp = 'type="omfwd" target="127.0.0.1" port="{port}" protocol="tcp" TCP_Framing="octet-counted"'
    running = [
        Entry(Logsink("omfwd (TCP) to logsink", "tcp"), tcp),
        Entry(Logsink("omrelp to logsink", "relp"), relp),
        Entry(RsyslogFile(relp=True), relp),
    ]
    yardstick = Yardstick(data, frames)
    with ExitStack() as stack:
        for entry in running:
            stack.enter_context(entry.subject)
        for _ in range(given.rounds + 1):
            yardstick.run()
            for entry in running:
                entry.run(data, frames)
        reference = statistics.median(running[0].cpu[1:])
        rows = [entry.report(reference) for entry in running]
        rows.append(yardstick.report(reference, TITLES))
    report("subjects", rows, TITLES, given.json, messages=frames, window=given.window, rounds=given.rounds)


if __name__ == "__main__":
    main()
