"""Whether `logsink query -f` shows what several receivers take in, each line once and in order, and how soon: ``make follow``.

    python -m benchmarks.follow [--minutes 5] [--rate 20000] [--receivers 2] [--age 10s] [--json FILE]

Each receiver takes numbered lines of usual length over RELP from a sender of its own, all together ``--rate`` a second, and
commits to the archive every ``--age``; small files of an hour that ends meanwhile are merged. One follower reads the store.

Printed as JSON: lines sent, acknowledged and shown; wrong, how many were not the next one of their sender (missing, doubled, or
out of order); commits and merges; seconds from the acknowledgement of a line (as its sender sees it) until the follower has
written it (p50, p99, most; of every 100th line; below zero: it was faster); CPU seconds and MB of the follower. Exit code 0:
every line was shown, in order.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import IO

import numpy as np

from benchmarks.report import machine
from benchmarks.senders import OPEN, WINDOW
from benchmarks.server import Server, usage

EVERY = 100
"""Of so many lines one is timed."""

PATIENCE = 60.0
"""Seconds in which the follower must show what is left at the end."""

_PADDING = b"lorem ipsum " * 9


class Sender(threading.Thread):
    """Numbered lines over RELP, ``rate`` a second as soon as somebody looks on (``seen``; after the first line).

    ``acked`` are the times at which every 100th line was acknowledged.
    """

    def __init__(self, name: str, port: int, rate: float, lines: int, seen: threading.Event) -> None:
        super().__init__(name=name)
        self._seen = seen
        self.acked: list[float] = []
        self.sent = self.acknowledged = 0
        self._port, self._rate, self._lines = port, rate, lines

    def run(self) -> None:
        with socket.create_connection(("127.0.0.1", self._port)) as sock:
            sock.sendall(OPEN)
            sock.recv(4096)
            reader = threading.Thread(target=self._read, args=(sock,))
            reader.start()
            self._send(sock, 1)
            self._seen.wait()
            began = time.monotonic()
            while self.sent < self._lines:
                due = 1 + int((time.monotonic() - began) * self._rate)
                self._send(sock, min(due, self.acknowledged + WINDOW, self._lines))
                time.sleep(0.01)  # the rate
            reader.join()

    def _send(self, sock: socket.socket, upto: int) -> None:
        sock.sendall(b"".join(self._frame(number) for number in range(self.sent, upto)))
        self.sent = upto

    def _frame(self, number: int) -> bytes:
        line = b"<13>1 - host app - - - %s %d %s" % (self.name.encode(), number, _PADDING)
        return b"%d syslog %d %s\n" % (2 + number % 999_999_000, len(line), line)

    def _read(self, sock: socket.socket) -> None:
        rest = b""
        while self.acknowledged < self._lines and (got := sock.recv(1 << 18)):
            now, rest = time.monotonic(), rest + got
            whole = rest.rfind(b"\n") + 1
            before, self.acknowledged = self.acknowledged, self.acknowledged + rest.count(b" rsp 6 ", 0, whole)
            rest = rest[whole:]
            self.acked += [now] * (-(-self.acknowledged // EVERY) + before // -EVERY)


class Follower(threading.Thread):
    """Reads what the command writes; ``shown`` are, for each sender, the times at which every 100th line came."""

    def __init__(self, output: IO[bytes], names: list[str], lines: int) -> None:
        super().__init__(name="follower", daemon=True)
        self.shown: dict[bytes, list[float]] = {name.encode(): [] for name in names}
        self.lines = self.wrong = 0
        self.seen, self.done = threading.Event(), threading.Event()
        """Whether every sender's first line came, and every line."""
        self._output, self._all = output, lines * len(names)
        self._next = dict.fromkeys(self.shown, 0)

    def run(self) -> None:
        rest = b""
        while got := os.read(self._output.fileno(), 1 << 20):
            now = time.monotonic()
            *lines, rest = (rest + got).split(b"\n")
            for line in lines:
                name, number, _ = line.split(b" ", 2)
                self.wrong += int(number) != self._next[name]
                self._next[name] = int(number) + 1
                if int(number) % EVERY == 0:
                    self.shown[name].append(now)
            self.lines += len(lines)
            if all(self.shown.values()):
                self.seen.set()
            if self.lines >= self._all:
                self.done.set()


def measured(minutes: float, rate: int, receivers: int, age: str) -> dict[str, object]:
    """One run."""
    environ = {
        "LOGSINK_ARCHIVE__MAX_AGE": age,
        "LOGSINK_MAINTAIN__COMPACT_AFTER": "0s",
        "LOGSINK_MAINTAIN__EVERY": "5s",
    }
    each = int(minutes * 60 * rate / receivers)
    names = [f"sender-{n}" for n in range(receivers)]
    with ExitStack() as stack:
        first = stack.enter_context(Server(environ=environ))
        servers = [first, *(stack.enter_context(Server(store=first.store, environ=environ)) for _ in names[1:])]
        command = [
            sys.executable,
            "-m",
            "logsink",
            "query",
            "--store",
            first.store,
            *["-f", "-q", "-n", "all", "-o", "cat"],
        ]
        process = stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE))
        assert process.stdout is not None
        follower = Follower(process.stdout, names, each)
        follower.start()
        senders = [
            Sender(name, server.port("relp"), rate / receivers, each, follower.seen)
            for name, server in zip(names, servers, strict=True)
        ]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join()
        follower.done.wait(PATIENCE)
        follower.join(2)  # more than there should be?
        used = usage(process.pid)
        process.send_signal(signal.SIGINT)
        process.wait()
        follower.join()
        commits, merges = (
            int(sum(server.metric(f"logsink_{name}_total") for server in servers))
            for name in ("archive_commits", "compactions")
        )
    late = []
    for sender in senders:
        shown = follower.shown[sender.name.encode()]
        pairs = list(zip(sender.acked, shown, strict=False))[1:]  # the first one waited for the follower to start
        late += [came - acked for acked, came in pairs]
    p50, p99, most = np.quantile(late, (0.5, 0.99, 1.0)).round(3).tolist()
    return {
        "machine": machine(),
        "minutes": minutes,
        "rate": rate,
        "receivers": receivers,
        "sent": sum(sender.sent for sender in senders),
        "acknowledged": sum(sender.acknowledged for sender in senders),
        "shown": follower.lines,
        "wrong": follower.wrong,
        "commits": commits,
        "merges": merges,
        "late": {"p50": p50, "p99": p99, "most": most},
        "follower": {"cpu": used.cpu, "peak_mb": round(used.peak)},
    }


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--rate", type=int, default=20_000)
    parser.add_argument("--receivers", type=int, default=2)
    parser.add_argument("--age", default="10s")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    found = measured(given.minutes, given.rate, given.receivers, given.age)
    text = json.dumps(found, indent=2)
    print(text)
    if given.json:
        given.json.write_text(text + "\n")
    return 0 if found["sent"] == found["shown"] and not found["wrong"] else 1


if __name__ == "__main__":
    sys.exit(main())
