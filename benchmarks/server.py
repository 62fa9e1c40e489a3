"""A `logsink serve` under measurement: started on a store of its own, asked for its metrics, its CPU read from the kernel."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

import trustme

_TICK = os.sysconf("SC_CLK_TCK")


class Usage(NamedTuple):
    """CPU seconds (user and system, children included), highest resident size so far and the present one in MB, page faults."""

    cpu: float
    peak: float
    resident: float
    faults: int


def usage(pid: int) -> Usage:
    """What process ``pid`` and those that it has started have used, by the kernel's accounting."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    status = Path(f"/proc/{pid}/status").read_text()
    peak, resident = (int(re.findall(rf"{name}:\s+(\d+) kB", status)[0]) / 1000 for name in ("VmHWM", "VmRSS"))
    cpu = sum(int(n) for n in fields[11:15]) / _TICK
    own = Usage(cpu, peak, resident, int(fields[7]) + int(fields[8]))
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return Usage(*(sum(values) for values in zip(own, *(usage(int(child)) for child in children), strict=True)))


_ENVIRONMENT = {"LOGSINK_ARCHIVE__MAX_AGE": "2s", "LOGSINK_RECEIVE__OWN_EVENTS": "false"}


class Server:
    """One receiver. A context manager; ``ports`` is its ready file."""

    def __init__(
        self, *, store: str | None = None, environ: Mapping[str, str] | None = None, tls: bool = False
    ) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="logsink-bench-")
        self.path = Path(self._directory.name)
        self.store = store or f"file://{self.path}/store"
        self._environ = os.environ | _ENVIRONMENT | dict(environ or {})
        self.ports: dict[str, list[str]] = {}
        self._kinds: tuple[str, ...] = ("tcp", "udp", "relp", "http")
        if tls:
            self._secure()

    def __enter__(self) -> Server:
        ready, any_port = self.path / "ready.json", "127.0.0.1:0"
        command = [sys.executable, "-m", "logsink", "serve", "--store", self.store, "--ready-file", str(ready)]
        for kind in self._kinds:
            command += [f"--{kind}", any_port]
        self._log = (self.path / "log").open("wb")
        self._process = subprocess.Popen(command, stderr=self._log, env=self._environ)
        while not ready.exists():
            if self._process.poll() is not None:
                raise RuntimeError((self.path / "log").read_text())
            time.sleep(0.02)
        self.ports = json.loads(ready.read_text())
        return self

    def kill(self) -> None:
        """End it at once, so that its journal stays as it is."""
        self._process.kill()

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(120)
        self._log.close()
        self._directory.cleanup()

    def port(self, kind: str) -> int:
        """The port of the first listener of this kind."""
        return int(self.ports[kind][0].rpartition(":")[2])

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    @property
    def authority(self) -> Path:
        """Who issued its certificate, with ``tls``: a PEM file."""
        return self.path / "ca.pem"

    def usage(self) -> Usage:
        """See ``usage``."""
        return usage(self.pid)

    def metric(self, name: str) -> float:
        """Sum of a metric over its labels."""
        return sum(float(m) for m in re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)$", self._metrics(), re.MULTILINE))

    def quantiles(self, name: str, wanted: tuple[float, float]) -> tuple[float, float] | None:
        """Quantiles of a histogram, interpolated within a bucket; None when it is empty."""
        found = re.findall(rf'^{name}_bucket{{le="([^"]+)"}} (\S+)$', self._metrics(), re.MULTILINE)
        edges, counts = [float(edge) for edge, _ in found], [float(count) for _, count in found]
        if not counts or not counts[-1]:
            return None

        def at(quantile: float) -> float:
            rank = quantile * counts[-1]
            n = next(i for i, count in enumerate(counts) if count >= rank)
            below, low = (counts[n - 1], edges[n - 1]) if n else (0.0, 0.0)
            high = edges[n] if edges[n] != float("inf") else low
            return low + (high - low) * (rank - below) / (counts[n] - below)

        return at(wanted[0]), at(wanted[1])

    def _metrics(self) -> str:
        with urllib.request.urlopen(f"http://{self.ports['http']}/metrics") as reply:
            return str(reply.read().decode())

    def _secure(self) -> None:
        """A TLS listener as well, with a certificate that is made here."""
        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(self.authority))
        leaf = authority.issue_cert("localhost")
        cert, key = self.path / "server.crt", self.path / "server.key"
        leaf.private_key_pem.write_to_path(str(key))
        for pem in leaf.cert_chain_pems:
            pem.write_to_path(str(cert), append=True)
        self._environ |= {"LOGSINK_TLS__CERT": str(cert), "LOGSINK_TLS__KEY": str(key)}
        self._kinds = ("tcp", "tls", "udp", "relp", "http")

    def wait_for_rows(self, rows: int) -> None:
        """Until the table holds so many rows of this receiver."""
        while self.metric("logsink_archive_rows_total") < rows:
            time.sleep(0.25)  # each look costs the server 3 ms

    def wait_for_deletions(self) -> None:
        """Until the journal holds nothing any more: a minute and more after the last commit."""
        while self.metric("logsink_journal_segments_deleted_total") < self.metric("logsink_journal_segments_total"):
            time.sleep(0.5)

    def stored(self) -> tuple[int, int]:
        """Objects and bytes under a ``file://`` store; zeros for another."""
        if not self.store.startswith("file://"):
            return 0, 0
        files = [f for f in Path(self.store.removeprefix("file://")).rglob("*") if f.is_file()]
        return len(files), sum(f.stat().st_size for f in files)
