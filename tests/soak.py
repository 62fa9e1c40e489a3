"""Receivers are killed at random while rsyslogd sends over RELP; at the end everything must be found: ``make soak``.

    python -m tests.soak [--minutes 5] [--rate 5000] [--store URL] [--seed N]

A receiver lives for a few seconds; three of four are killed with SIGKILL, the others are told to drain. The next one starts
on the same store and port, with no directory of its own. rsyslogd (windowSize 10000) sends numbered lines all the time.
Exit code 0: nothing is missing. Doubled rows are counted; they are what RELP sends again after a broken connection.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from tests.support.rsyslog import Rsyslog, relp

_LOGSINK = [sys.executable, "-m", "logsink"]
_ENVIRONMENT = {  # short, so that archiving, adoption and checkpoints all happen between two kills
    "LOGSINK_ARCHIVE__MAX_AGE": "3s",
    "LOGSINK_MAINTAIN__ORPHAN_AFTER": "10s",
    "LOGSINK_MAINTAIN__EVERY": "2s",
    "LOGSINK_MAINTAIN__CHECKPOINT_EVERY": "5",
    "LOGSINK_RECEIVE__DRAIN_TIMEOUT": "5s",
}


class Sender(threading.Thread):
    """Numbered lines to rsyslogd at a steady rate until told to stop."""

    def __init__(self, rsyslog: Rsyslog, rate: int) -> None:
        super().__init__(name="sender")
        self.sent = 0
        self.enough = threading.Event()
        self._rsyslog, self._rate = rsyslog, rate

    def run(self) -> None:
        pause = 0.1
        while not self.enough.wait(pause):
            count = int(self._rate * pause)
            self._rsyslog.send(
                b"<13>Jan  5 10:00:00 soak app: line %d" % n for n in range(self.sent, self.sent + count)
            )
            self.sent += count


def receiver(store: str, port: int, ready: Path) -> subprocess.Popen[bytes]:
    """A receiver that is ready."""
    ready.unlink(missing_ok=True)
    command = [*_LOGSINK, "serve", "--store", store, "--relp", f"127.0.0.1:{port}", "--ready-file", str(ready)]
    command += ["--log-level", "error"]
    process = subprocess.Popen(command, env=os.environ | _ENVIRONMENT, cwd=ready.parent)
    while not ready.exists():
        if process.poll() is not None:
            raise SystemExit(f"soak: a receiver does not start: exit code {process.returncode}")
        time.sleep(0.01)
    return process


def found(store: str) -> collections.Counter[int]:
    """How often each number is found."""
    query = [*_LOGSINK, "query", "--store", store, "-q", "-n", "all", "-o", "raw"]
    with subprocess.Popen(query, stdout=subprocess.PIPE) as process:
        assert process.stdout
        return collections.Counter(int(m[1]) for line in process.stdout if (m := re.search(rb" line (\d+)$", line)))


def main() -> int:
    """Run; 0 when nothing is missing."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--minutes", type=float, default=5)
    options.add_argument("--rate", type=int, default=5000)
    options.add_argument("--store", default="")
    options.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    given = options.parse_args()
    pick = random.Random(given.seed)
    with tempfile.TemporaryDirectory(prefix="soak-") as name, socket.create_server(("127.0.0.1", 0)) as probe:
        directory, port = Path(name), probe.getsockname()[1]
        probe.close()
        store, ready = given.store or f"file://{name}/store", directory / "ready.json"
        end, kills, drains = time.monotonic() + given.minutes * 60, 0, 0
        process = receiver(store, port, ready)
        (directory / "rsyslog").mkdir()
        with Rsyslog(directory / "rsyslog", relp(port, window=10_000, timeout=10)) as rsyslog:
            sender = Sender(rsyslog, given.rate)
            sender.start()
            while time.monotonic() < end:
                time.sleep(pick.uniform(0.5, 8))
                drain = pick.random() < 0.25
                process.send_signal(signal.SIGTERM if drain else signal.SIGKILL)
                process.wait()
                kills, drains = kills + (not drain), drains + drain
                process = receiver(store, port, ready)
            sender.enough.set()
            sender.join()
            rsyslog.wait(sender.sent, timeout=600)
        process.send_signal(signal.SIGTERM)
        process.wait()
        counts = found(store)
        missing = sender.sent - len(counts)
        doubled = sum(counts.values()) - len(counts)
    print(
        json.dumps(
            {
                "seed": given.seed,
                "killed": kills,
                "drained": drains,
                "sent": sender.sent,
                "found": len(counts),
                "missing": missing,
                "doubled": doubled,
            }
        )
    )
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
