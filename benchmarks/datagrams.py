"""What datagrams of many senders in turn cost beside those of one, and how many of each are lost.

    python -m benchmarks.datagrams [--messages 1000000] [--addresses 200] [--rate 100000] [--rounds 5] [--json FILE]

Two receivers run all the time and are sent the corpus in turn, one from a single address, the other from ``--addresses`` of
127.0.0.0/8, a datagram from each in turn. CPU seconds for a million messages received; medians of the rounds, the first of
which warms up. Lost is the share of all that were sent, at any place.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import senders
from benchmarks.corpus import corpus
from benchmarks.peers import Logsink
from benchmarks.report import report

TITLES = {
    "senders": "senders",
    "cpu_s_per_million": "CPU s/M",
    "lowest": "lowest",
    "highest": "highest",
    "ratio": "ratio",
    "lost_percent": "lost %",
    "peak_rss_mb": "peak RSS MB",
}


class Round(NamedTuple):
    """CPU seconds for a million received, and how many were received."""

    cpu: float
    received: int


class Receiver:
    """One receiver, and what is sent to it."""

    def __init__(self, data: bytes, addresses: int, rate: int) -> None:
        self.addresses, self.rounds = addresses, list[Round]()
        self.subject = Logsink(f"{addresses} senders", "udp")
        self._send, self._before = senders.datagrams(data, addresses, rate), 0

    def run(self) -> Round:
        """Send the corpus once."""
        cpu = self.subject.usage().cpu
        self._send(self.subject.port)
        frames = self.subject.finish()
        received, self._before = frames - self._before, frames
        return Round((self.subject.usage().cpu - cpu) / received * 1e6, received)

    def report(self, reference: float, sent: int) -> dict[str, Any]:
        """Medians."""
        cpu = [one.cpu for one in self.rounds]
        received = sum(one.received for one in self.rounds)
        return {
            "senders": self.addresses,
            "cpu_s_per_million": round(statistics.median(cpu), 3),
            "lowest": round(min(cpu), 3),
            "highest": round(max(cpu), 3),
            "ratio": round(statistics.median(cpu) / reference, 2),
            "lost_percent": round(100 * (1 - received / sent), 3),
            "peak_rss_mb": round(self.subject.usage().peak),
        }


def main() -> None:
    """Measure and report."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--messages", type=int, default=1_000_000)
    options.add_argument("--addresses", type=int, default=200)
    options.add_argument("--rate", type=int, default=100_000)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--json", type=Path)
    given = options.parse_args()
    data = corpus(given.messages)
    with ExitStack() as stack:
        receivers = [Receiver(data, addresses, given.rate) for addresses in (1, given.addresses)]
        for one in receivers:
            stack.enter_context(one.subject)
        for number in range(given.rounds + 1):
            for one in receivers:
                found = one.run()
                print(f"{number}: {one.addresses}: {found.cpu:.3f} s/M, {found.received} received", file=sys.stderr)
                if number:
                    one.rounds.append(found)
        reference = statistics.median(one.cpu for one in receivers[0].rounds)
        rows = [one.report(reference, given.rounds * given.messages) for one in receivers]
    setting = {"messages": given.messages, "rate": given.rate, "rounds": given.rounds}
    report("receivers", rows, TITLES, given.json, **setting)


if __name__ == "__main__":
    main()
