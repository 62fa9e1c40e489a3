"""The installed command as a user runs it: `logsink serve` as a child, `logsink query` to its end.

::

    with Receiver(url, tmp_path) as receiver:
        ...                                     # receiver.port("tcp"), receiver.metric("logsink_frames_total")
        query(url, "-o", "json")                # stdout; raises with stderr for exit code 2
    assert receiver.exit_code == 0              # SIGTERM, drained
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

COMMAND = [sys.executable, "-m", "logsink"]

PATIENCE = 60.0
"""Most seconds to wait for anything; generous, since only a broken test waits that long."""


class Receiver:
    """One `logsink serve` with every kind of listener on a free port. ``settings`` are environment variables without prefix."""

    def __init__(
        self, store: str, directory: Path, *, environ: Mapping[str, str] | None = None, **settings: str
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.store, self.exit_code = store, -1
        self._ready, self._log = directory / "ready.json", directory / "serve.log"
        clean = {k: v for k, v in os.environ.items() if not k.startswith("LOGSINK_")}
        settings = {"receive__own_events": "false"} | settings  # nothing is found but what is sent
        own = {f"LOGSINK_{key.upper()}": value for key, value in settings.items()}
        self._environ = clean | dict(environ or {}) | own
        self._ports: dict[str, list[str] | str] = {}
        self.host = "127.0.0.1"
        self.command, self.listen = COMMAND, dict.fromkeys(("tcp", "udp", "relp", "http"), 0)
        self.process: subprocess.Popen[bytes] | None = None

    def launch(self) -> subprocess.Popen[bytes]:
        """Start it; entering the object waits until it is ready, too."""
        command = [*self.command, "serve", "--store", self.store, "--ready-file", str(self._ready)]
        for kind, port in self.listen.items():
            command += [f"--{kind}", f"{self.host}:{port}"]
        self._ready.unlink(missing_ok=True)
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=log, env=self._environ)
        return self.process

    def __enter__(self) -> Self:
        self.launch()
        self.await_ready()
        return self

    def await_ready(self) -> None:
        """Wait until it is ready."""
        self._wait(self._ready.exists)
        self._ports = json.loads(self._ready.read_text())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.stop()

    @staticmethod
    def loaded(pid: int) -> str:
        """The files that are loaded as code, or mapped otherwise, in a process."""
        return Path(f"/proc/{pid}/maps").read_text()

    @property
    def log(self) -> str:
        """What it said so far."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def port(self, kind: str) -> int:
        """Port of its listener of this kind: tcp, udp, relp, http."""
        address = self._ports[kind]
        return int((address if isinstance(address, str) else address[0]).rpartition(":")[2])

    def metric(self, name: str) -> float:
        """Sum of one metric over its labels."""
        with urllib.request.urlopen(f"http://{self.host}:{self.port('http')}/metrics", timeout=PATIENCE) as reply:
            text = reply.read().decode()
        return sum(float(m) for m in re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)$", text, re.MULTILINE))

    def readiness(self) -> tuple[int, dict[str, object]]:
        """Status and detail of ``/readyz``."""
        try:
            with urllib.request.urlopen(f"http://{self.host}:{self.port('http')}/readyz", timeout=PATIENCE) as reply:
                return reply.status, json.load(reply)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)

    @property
    def resident(self) -> int:
        """Octets of memory that the process holds."""
        assert self.process is not None
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def wait_for(self, metric: str, value: float) -> None:
        """Until a metric has reached ``value``."""
        self._wait(lambda: self.metric(metric) >= value)

    def send_signal(self, number: signal.Signals) -> None:
        """Signal the process; does not wait."""
        assert self.process is not None
        self.process.send_signal(number)

    def stop(self) -> int:
        """SIGTERM, and wait for the end. Idempotent; the exit code."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.wait()

    def again(self, number: signal.Signals) -> int:
        """Signal it again and again until it ends, as somebody does who cannot wait; the exit code."""
        assert self.process is not None
        while self.process.poll() is None:
            self.process.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(0.1)
        return self.wait()

    def kill(self) -> None:
        """SIGKILL, and wait."""
        assert self.process is not None
        self.process.kill()
        self.wait()

    def wait(self) -> int:
        """Wait for the end; the exit code."""
        assert self.process is not None
        try:
            self.exit_code = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.exit_code = self.process.wait()
        return self.exit_code

    def _wait(self, condition) -> None:  # type: ignore[no-untyped-def]
        assert self.process is not None
        deadline = time.monotonic() + PATIENCE
        while not condition():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"logsink serve did not get there: {self.log}")
            time.sleep(0.02)  # another process: nothing here is told when it changes


def run(*arguments: str, environ: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[bytes]:
    """Run `logsink` to its end."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("LOGSINK_")}
    return subprocess.run(
        [*COMMAND, *arguments], capture_output=True, env=clean | dict(environ or {}), timeout=PATIENCE, check=False
    )


def query(store: str, *arguments: str, environ: Mapping[str, str] | None = None) -> bytes:
    """What `logsink query` prints. Raises when it ends with an error; no match is no error."""
    done = run("query", "--store", store, *arguments, environ=environ)
    if done.returncode not in (0, 1) or b"Traceback" in done.stderr:
        raise RuntimeError(f"exit code {done.returncode}: {done.stderr.decode(errors='replace')}")
    return done.stdout


def query_frames(store: str, *arguments: str, environ: Mapping[str, str] | None = None) -> list[bytes]:
    """Every frame that matches, as it came."""
    out = query(store, "-n", "0", "-o", "raw", "--framing", "octet", *arguments, environ=environ)
    frames, at = [], 0
    while at < len(out):
        space = out.index(b" ", at)
        end = space + 1 + int(out[at:space])
        frames.append(out[space + 1 : end])
        at = end
    return frames


def found_once(url: str, sent: Iterable[bytes], environ: Mapping[str, str] | None = None) -> None:
    """Every frame that was sent is found, as often as it was sent, and nothing else."""
    found = collections.Counter(query_frames(url, environ=environ))
    assert found == collections.Counter(sent)


async def until(condition: Callable[[], bool]) -> None:
    """Until another process has got there; ``condition`` runs in a thread."""
    async with asyncio.timeout(PATIENCE):
        while not await asyncio.to_thread(condition):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
