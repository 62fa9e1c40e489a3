"""Receivers are killed at random while rsyslogd sends over RELP; at the end everything must be found: ``make soak``.

    python -m benchmarks.soak [--minutes 5 | --messages 1000000] [--kills 20] [--rate 20000] [--window 10000] [--tls] [--s3]

A receiver lives for a moment; of ten nine are killed with SIGKILL, one is told to drain. The next one starts on the same store
and port, in a directory of its own that is wiped with it. rsyslogd sends numbered lines all the time. ``--s3``: the store is
versitygw behind a proxy that fails 5 % of the requests, loses 1 % of the replies and delays 2 % for 5 seconds.

Printed as JSON: sent; acknowledged, counted by a relay that everything goes through (not with ``--tls``: null); found, how many
of them; doubled, how many rows too many: messages that were stored, and sent again to the next receiver because the
acknowledgement did not come out; hidden, how many of those ``--dedupe`` hides, and left, how many it does not. Exit code 0:
nothing is missing, and nothing left.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from tests.support.certificates import Authority
from tests.support.proxy import chaos, in_thread
from tests.support.rsyslog import Rsyslog, relp
from tests.support.s3 import versitygw

_LOGSINK = [sys.executable, "-m", "logsink"]
_ENVIRONMENT = {  # short, so that archiving, adoption and checkpoints all happen between two kills
    "LOGSINK_ARCHIVE__MAX_AGE": "3s",
    "LOGSINK_MAINTAIN__ORPHAN_AFTER": "10s",
    "LOGSINK_MAINTAIN__EVERY": "2s",
    "LOGSINK_MAINTAIN__CHECKPOINT_EVERY": "5",
    "LOGSINK_RECEIVE__DRAIN_TIMEOUT": "5s",
    "LOGSINK_RECEIVE__OWN_EVENTS": "false",
}
_DRAINED = 0.1  # of the receivers


class Sender(threading.Thread):
    """Numbered lines to rsyslogd at a steady rate, until there are enough or it is told to stop."""

    def __init__(self, rsyslog: Rsyslog, rate: int, messages: int) -> None:
        super().__init__(name="sender")
        self.sent = 0
        self.enough = threading.Event()
        self._rsyslog, self._rate, self._messages = rsyslog, rate, messages

    def run(self) -> None:
        began = time.monotonic()
        while not self.enough.wait(0.05):
            due = min(int((time.monotonic() - began) * self._rate), self._messages)
            self._rsyslog.send(b"<13>Jan  5 10:00:00 soak app: line %d" % n for n in range(self.sent, due))
            self.sent = due
            if due == self._messages:
                self.enough.set()


class Relay(threading.Thread):
    """Passes connections on to ``port`` of the receiver, and counts the acknowledgements that come back."""

    _RSP = re.compile(rb"[0-9]+ rsp 6 200 OK\n")
    _LONGEST = 32

    def __init__(self, port: int) -> None:
        super().__init__(name="relay", daemon=True)
        self.acknowledged = 0
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1400)  # as receivers do
        self.port = int(self._listener.getsockname()[1])
        self._lock = threading.Lock()

    def run(self) -> None:
        while True:
            client, _ = self._listener.accept()
            try:
                server = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                client.close()
                continue
            for source, target, counts in ((client, server, False), (server, client, True)):
                threading.Thread(target=self._pass, args=(source, target, counts), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, counts: bool) -> None:
        rest = b""
        try:
            while data := source.recv(1 << 18):
                target.sendall(data)
                if counts:
                    rest += data
                    found = list(self._RSP.finditer(rest))
                    rest = rest[found[-1].end() :] if found else rest[-self._LONGEST :]
                    with self._lock:
                        self.acknowledged += len(found)
        except OSError:
            pass
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


class Receivers:
    """One receiver after the other on one port."""

    def __init__(self, directory: Path, store: str, environ: dict[str, str], secure: list[str]) -> None:
        self.killed = self.drained = 0
        self._directory, self._store, self._environ, self._secure = directory, store, environ, secure
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = int(probe.getsockname()[1])
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """The next one, until it is ready."""
        home = self._directory / f"home-{self.killed + self.drained}"
        home.mkdir()
        self._home, ready = home, home / "ready.json"
        listen = ["--relp-tls" if self._secure else "--relp", f"127.0.0.1:{self.port}"]
        command = [
            *_LOGSINK,
            "serve",
            "--store",
            self._store,
            "--ready-file",
            str(ready),
            "--log-level",
            "error",
            *listen,
        ]
        environ = os.environ | _ENVIRONMENT | self._environ | {"HOME": str(home), "TMPDIR": str(home)}
        self._process = subprocess.Popen(
            command, env=environ | dict(pair.split("=", 1) for pair in self._secure), cwd=home
        )
        while not ready.exists():
            if self._process.poll() is not None:
                raise SystemExit(f"soak: a receiver does not start: exit code {self._process.returncode}")
            time.sleep(0.01)

    def end(self, *, drain: bool) -> None:
        """End it, and wipe what it had."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM if drain else signal.SIGKILL)
        self._process.wait()
        shutil.rmtree(self._home, ignore_errors=True)
        self.killed, self.drained = self.killed + (not drain), self.drained + drain


def found(store: str, environ: dict[str, str], *more: str) -> collections.Counter[int]:
    """How often each number is found."""
    query = [*_LOGSINK, "query", "--store", store, "-q", "-n", "all", "-o", "raw", *more]
    with subprocess.Popen(query, stdout=subprocess.PIPE, env=os.environ | environ) as process:
        assert process.stdout
        return collections.Counter(int(m[1]) for line in process.stdout if (m := re.search(rb" line (\d+)$", line)))


@contextmanager
def place(directory: Path, given: argparse.Namespace) -> Iterator[tuple[str, dict[str, str], dict[str, str]]]:
    """The store's URL, the environment of receivers, and that of queries."""
    if not given.s3:
        yield given.store or f"file://{directory}/store", {}, {}
        return
    with versitygw() as server:
        fate = chaos(given.seed, errors=0.05, lost=0.01, delayed=0.02, delay=5.0)
        with in_thread(server.endpoint, fate) as proxy:
            yield server.fresh_url(), server.at(proxy.url).environment, server.environment


def main() -> int:
    """Run; 0 when all is as it must be."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--minutes", type=float, default=5)
    options.add_argument("--messages", type=int, default=1 << 40)
    options.add_argument("--kills", type=int, default=0, help="go on until there were so many")
    options.add_argument("--rate", type=int, default=20_000)
    options.add_argument("--window", type=int, default=10_000)
    options.add_argument("--life", type=float, default=4.0, help="seconds that a receiver lives at most")
    options.add_argument("--store", default="")
    options.add_argument("--s3", action="store_true")
    options.add_argument("--tls", action="store_true")
    options.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    given = options.parse_args()
    pick, began = random.Random(given.seed), time.monotonic()
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="soak-")))
        store, environ, reading = stack.enter_context(place(directory, given))
        secure, extra = _secured(directory) if given.tls else ([], "")
        receivers = Receivers(directory, store, environ, secure)
        receivers.start()
        relay = Relay(receivers.port)
        relay.start()
        port = receivers.port if given.tls else relay.port
        (directory / "rsyslog").mkdir()
        end = began + given.minutes * 60
        with Rsyslog(directory / "rsyslog", relp(port, window=given.window, timeout=10) + extra) as rsyslog:
            sender = Sender(rsyslog, given.rate, given.messages)
            sender.start()
            while not sender.enough.is_set() or receivers.killed < given.kills:
                time.sleep(pick.uniform(0.2, given.life))
                receivers.end(drain=pick.random() < _DRAINED)
                receivers.start()
                if time.monotonic() > end:
                    sender.enough.set()
            sender.join()
            rsyslog.wait(sender.sent, timeout=1800)
        took = time.monotonic() - began
        receivers.end(drain=True)
        counts, deduped = found(store, reading), found(store, reading, "--dedupe")
    doubled, left = counts.total() - len(counts), deduped.total() - len(deduped)
    missing = max(sender.sent - len(counts), sender.sent - len(deduped))
    result = {
        "seed": given.seed,
        "seconds": round(took),
        "killed": receivers.killed,
        "drained": receivers.drained - 1,
        "sent": sender.sent,
        "acknowledged": None if given.tls else relay.acknowledged,
        "found": len(counts),
        "missing": missing,
        "doubled": doubled,
        "hidden": doubled - left,
        "left": left,
    }
    print(json.dumps(result))
    return 1 if missing or left else 0


def _secured(directory: Path) -> tuple[list[str], str]:
    """Settings of receivers, and parameters of omrelp."""
    authority = Authority(directory / "certificates")
    issued, own = authority.issue("localhost"), authority.issue("client.example.com")
    settings = [f"LOGSINK_TLS__CERT={issued.cert}", f"LOGSINK_TLS__KEY={issued.key}"]
    return settings, (
        f' tls="on" tls.caCert="{authority.pem}" tls.authMode="name" tls.permittedPeer=["localhost"] '
        f'tls.myCert="{own.cert}" tls.myPrivKey="{own.key}"'
    )


if __name__ == "__main__":
    sys.exit(main())
