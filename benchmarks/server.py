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

_TICK = os.sysconf("SC_CLK_TCK")


class Usage(NamedTuple):
    """CPU seconds (user and system, children included), highest resident size so far in MB, and page faults."""

    cpu: float
    peak: float
    faults: int


def usage(pid: int) -> Usage:
    """What process ``pid`` has used, by the kernel's accounting; its waited-for children are in it."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    status = Path(f"/proc/{pid}/status").read_text()
    peak = re.search(r"VmHWM:\s+(\d+) kB", status)
    cpu = sum(int(n) for n in fields[11:15]) / _TICK
    return Usage(cpu, int(peak[1]) / 1000 if peak else 0.0, int(fields[7]) + int(fields[8]))


class Server:
    """One receiver. A context manager; ``ports`` is its ready file."""

    def __init__(self, *, store: str | None = None, environ: Mapping[str, str] | None = None) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="logsink-bench-")
        self.path = Path(self._directory.name)
        self.store = store or f"file://{self.path}/store"
        self._environ = os.environ | {"LOGSINK_ARCHIVE__MAX_AGE": "2s"} | dict(environ or {})
        self.ports: dict[str, list[str]] = {}

    def __enter__(self) -> Server:
        ready, any_port = self.path / "ready.json", "127.0.0.1:0"
        command = [sys.executable, "-m", "logsink", "serve", "--store", self.store, "--ready-file", str(ready)]
        for kind in ("tcp", "udp", "relp", "http"):
            command += [f"--{kind}", any_port]
        self._log = (self.path / "log").open("wb")
        self._process = subprocess.Popen(command, stderr=self._log, env=self._environ)
        while not ready.exists():
            if self._process.poll() is not None:
                raise RuntimeError((self.path / "log").read_text())
            time.sleep(0.02)
        self.ports = json.loads(ready.read_text())
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(120)
        self._log.close()
        self._directory.cleanup()

    def port(self, kind: str) -> int:
        """The port of the first listener of this kind."""
        return int(self.ports[kind][0].rpartition(":")[2])

    def usage(self) -> Usage:
        """See ``usage``."""
        return usage(self._process.pid)

    def metric(self, name: str) -> float:
        """Sum of a metric over its labels."""
        with urllib.request.urlopen(f"http://{self.ports['http']}/metrics") as reply:
            text = reply.read().decode()
        return sum(float(m) for m in re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)$", text, re.MULTILINE))

    def wait_for_rows(self, rows: int) -> None:
        """Until the table holds so many rows of this receiver."""
        while self.metric("logsink_archive_rows_total") < rows:
            time.sleep(0.05)

    def stored(self) -> tuple[int, int]:
        """Objects and bytes under a ``file://`` store."""
        files = [f for f in Path(self.store.removeprefix("file://")).rglob("*") if f.is_file()]
        return len(files), sum(f.stat().st_size for f in files)
