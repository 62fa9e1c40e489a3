"""What is measured: `logsink serve` and others, each started on a directory of its own, fed on a port, asked what it cost.

A peer that is not installed here is left out, and the report says so.
"""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Self

from benchmarks.server import Server, Usage, usage

QUIET = 2.0
"""Seconds without work after which a peer is taken to have finished."""


class Subject(ABC):
    """Something that takes syslog. A context manager; ``port`` is where."""

    name: str
    port: int

    @property
    @abstractmethod
    def pid(self) -> int:
        """Its process, which others may be children of."""

    @abstractmethod
    def __enter__(self) -> Self: ...
    @abstractmethod
    def __exit__(self, *_: object) -> None: ...
    @abstractmethod
    def usage(self) -> Usage: ...
    @abstractmethod
    def finish(self) -> int | None:
        """Wait until what was sent is where it stays; how many frames it has taken so far, if it tells."""

    @abstractmethod
    def stored(self) -> tuple[int, int]:
        """Objects and bytes it keeps."""

    def latency(self) -> tuple[float, float] | None:
        """p50 and p99 of acknowledgements, seconds, where it tells."""
        return None


class Logsink(Subject):
    """One receiver; ``kind`` of listener; ``store`` or a directory of its own."""

    def __init__(
        self, name: str, kind: str, *, store: str | None = None, environ: dict[str, str] | None = None
    ) -> None:
        self.name, self._kind = name, kind
        self._server = Server(store=store, environ=environ, tls=kind == "tls")

    def __enter__(self) -> Self:
        self._server.__enter__()
        self.port = self._server.port(self._kind)
        return self

    def __exit__(self, *_: object) -> None:
        self._server.__exit__()

    @property
    def pid(self) -> int:
        return self._server.pid

    @property
    def authority(self) -> Path:
        return self._server.authority

    def usage(self) -> Usage:
        return self._server.usage()

    def finish(self) -> int:
        _idle(self)  # who asks it for its metrics all the time measures that
        frames = int(self._server.metric("logsink_frames_total"))
        self._server.wait_for_rows(frames)
        return frames

    def stored(self) -> tuple[int, int]:
        self._server.wait_for_deletions()
        return self._server.stored()

    def latency(self) -> tuple[float, float] | None:
        return self._server.quantiles("logsink_ack_seconds", (0.5, 0.99))


class Program(Subject):
    """A program that is started with a port of its own, and has finished when it does nothing any more."""

    command: list[str]

    def __init__(self) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="peer-")
        self.path = Path(self._directory.name)
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = int(probe.getsockname()[1])

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def data(self) -> Path:
        """Where it keeps what it took."""
        return self.path / "data"

    def __enter__(self) -> Self:
        self.data.mkdir()
        self._process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.monotonic() + 30
        while True:
            with socket.socket() as sock:
                if sock.connect_ex(("127.0.0.1", self.port)) == 0:
                    return self
            if self._process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"{self.name} does not start: {' '.join(self.command)}")
            time.sleep(0.05)

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(60)
        self._directory.cleanup()

    def usage(self) -> Usage:
        return usage(self._process.pid)

    def finish(self) -> None:
        _idle(self)

    def stored(self) -> tuple[int, int]:
        files = [file for file in self.data.rglob("*") if file.is_file()]
        return len(files), sum(file.stat().st_size for file in files)


class RsyslogFile(Program):
    """rsyslogd that writes a file, plain or gzip, what comes by imptcp or imrelp."""

    def __init__(self, *, gzip: bool = False, relp: bool = False) -> None:
        super().__init__()
        self.name = f"rsyslog, {'RELP' if relp else 'TCP'} to a {'gzip' if gzip else 'plain'} file"
        module, kind = ("imrelp", "imrelp") if relp else ("imptcp", "imptcp")
        zipped = 'zipLevel="6" veryRobustZip="off"' if gzip else ""
        # imptcp's own backlog is 5: of 1,000 connections at once a quarter to a third of what they send is lost.
        backlog = "" if relp else ' socketBacklog="1100"'
        configuration = self.path / "rsyslog.conf"
        configuration.write_text(
            f'global(workDirectory="{self.path}")\n'
            'main_queue(queue.type="LinkedList" queue.size="200000" queue.dequeueBatchSize="1024")\n'
            f'module(load="{module}")\n'
            f'input(type="{kind}" address="127.0.0.1" port="{self.port}"{backlog})\n'
            f'action(type="omfile" file="{self.data}/log" {zipped} asyncWriting="off" flushOnTXEnd="off" '
            'ioBufferSize="64k" template="RSYSLOG_SyslogProtocol23Format")\n'
        )
        self.command = ["rsyslogd", "-n", "-f", str(configuration), "-i", str(self.path / "pid")]


class SyslogNg(Program):
    """syslog-ng that writes a plain file what comes over TCP."""

    name = "syslog-ng, TCP to a plain file"

    def __init__(self) -> None:
        super().__init__()
        configuration = self.path / "syslog-ng.conf"
        configuration.write_text(
            "@version: 3.35\n"  # later ones read it too
            "options { keep-hostname(yes); use-dns(no); frac-digits(6); log-fifo-size(200000); };\n"
            f'source s {{ network(transport("tcp") ip("127.0.0.1") port({self.port}) flags(syslog-protocol)\n'
            "    max-connections(1100) log-fetch-limit(1000) log-iw-size(110000)); };\n"
            f'destination d {{ file("{self.data}/log" flags(syslog-protocol) flush-lines(1000)); }};\n'
            "log { source(s); destination(d); flags(flow-control); };\n"
        )
        places = {"cfgfile": configuration.name, "persist-file": "persist", "pidfile": "pid", "control": "control"}
        self.command = ["syslog-ng", "--foreground", "--no-caps", "--stderr"]
        self.command += [f"--{option}={self.path}/{name}" for option, name in places.items()]


class VictoriaLogs(Program):
    """VictoriaLogs, single node, syslog over TCP."""

    name = "VictoriaLogs, TCP"

    def __init__(self) -> None:
        super().__init__()
        self.command = [
            "victoria-logs",
            f"-storageDataPath={self.data}",
            f"-syslog.listenAddr.tcp=127.0.0.1:{self.port}",
            "-httpListenAddr=127.0.0.1:0",
            "-retentionPeriod=100y",
        ]


def installed(program: str) -> bool:
    """Whether a peer can take part."""
    return shutil.which(program) is not None


def _idle(subject: Subject) -> None:
    """Until it has used no more than 20 ms of CPU for ``QUIET`` seconds."""
    last, since = subject.usage().cpu, time.monotonic()
    while time.monotonic() - since < QUIET:
        time.sleep(0.1)
        now = subject.usage().cpu
        if now - last > 0.02:
            last, since = now, time.monotonic()
