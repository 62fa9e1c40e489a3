"""A real rsyslogd as a child of the test: no root, no system paths, no fixed ports.

::

    with Rsyslog(tmp_path, tcp(port, octet_counted=True), template=SYSLOG23) as rsyslog:
        rsyslog.send(lines)             # lines: whole syslog messages, parsed by rsyslog (imtcp) and written anew by template
        rsyslog.wait(len(lines))        # until rsyslog has handed them all to the action (kernel, or librelp's window)
    frames = rsyslog.frames             # byte for byte what was forwarded, in order; after the `with`: sent to the end

How what left is known: a second action with the same template goes, octet-counted, to a thread of this process. Both are
"direct" actions of one queue with one worker, and rsyslog commits them in the order they stand in: what is in ``frames``
has been given to the action under test before. One LF at the end of a frame (a part of ``SYSLOG23``) is left out, as
receivers do.

Leaving the ``with`` stops rsyslogd by SIGTERM and waits: TCP data is sent, and with RELP everything acknowledged and the
session closed (up to ``STOP`` seconds; a receiver that no longer answers costs that time). ``kill`` stops it with SIGKILL.

``send`` and ``wait`` block: call them with ``asyncio.to_thread`` where the receiver runs in the same loop.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

from tests.support.programs import require

FORWARD = "RSYSLOG_ForwardFormat"
TRADITIONAL = "RSYSLOG_TraditionalForwardFormat"
SYSLOG23 = "RSYSLOG_SyslogProtocol23Format"
TEMPLATES = (FORWARD, TRADITIONAL, SYSLOG23)

START = STOP = 60.0
"""Most seconds to start and to stop; generous, since only a broken test waits that long."""

_ALWAYS = 'template="{template}" action.resumeRetryCount="-1" action.resumeInterval="1" action.resumeIntervalMax="1"'

_CONFIGURATION = """
global(workDirectory="{directory}" maxMessageSize="64k" abortOnUncleanConfig="on")
main_queue(queue.type="LinkedList" queue.size="2000000" queue.timeoutEnqueue="600000" queue.workerThreads="1"
           queue.timeoutShutdown="{stop}" {pace})
module(load="imtcp")
{modules}
input(type="imtcp" address="127.0.0.1" port="0" listenPortFileName="{directory}/port")
{forward}
action(type="omfwd" target="127.0.0.1" port="{capture}" protocol="tcp" TCP_Framing="octet-counted" {always})
"""


def tcp(port: int, *, octet_counted: bool = False) -> str:
    """Action: omfwd over TCP, line-framed as is its default, or octet-counted."""
    framing = "octet-counted" if octet_counted else "traditional"
    return f'type="omfwd" target="127.0.0.1" port="{port}" protocol="tcp" TCP_Framing="{framing}"'


def udp(port: int) -> str:
    """Action: omfwd over UDP. Give ``Rsyslog`` a ``rate``, or the receiver's socket buffer overflows."""
    return f'type="omfwd" target="127.0.0.1" port="{port}" protocol="udp"'


def relp(port: int, *, window: int = 10_000, timeout: int = 90) -> str:
    """Action: omrelp with ``window`` unacknowledged frames at most; ``timeout`` seconds without progress mean a new session."""
    return f'type="omrelp" target="127.0.0.1" port="{port}" windowSize="{window}" timeout="{timeout}"'


class Rsyslog:
    """One rsyslogd with the given action. A context manager; see the module's docstring.

    directory   its working directory; must exist and be its own
    action      ``tcp(...)``, ``udp(...)``, ``relp(...)``, or any other parameters of ``action()`` but template and resume*;
                or whole statements with an action of their own, as in rsyslog/
    template    name of a template, built in or from those statements
    rate        at most about so many messages a second leave, in bursts of 50
    """

    def __init__(self, directory: Path, action: str, *, template: str = FORWARD, rate: int | None = None) -> None:
        self._directory = directory
        self._capture = _Capture()
        self._input: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._log = directory / "rsyslogd.log"
        batch = 50
        pace = f'queue.dequeueBatchSize="{batch}" queue.dequeueSlowdown="{batch * 1_000_000 // rate}"' if rate else ""
        always = _ALWAYS.format(template=template)
        whole = "action(" in action
        self._text = _CONFIGURATION.format(
            directory=directory,
            modules='module(load="omrelp")' if "omrelp" in action and not whole else "",
            forward=action if whole else f"action({action} {always})",
            capture=self._capture.port,
            always=always,
            pace=pace,
            stop=round(STOP * 1000),
        )

    @property
    def frames(self) -> list[bytes]:
        """What was forwarded so far, in order, without framing."""
        with self._capture.changed:
            return list(self._capture.frames)

    @property
    def log(self) -> str:
        """What rsyslogd said on stderr and stdout."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def send(self, lines: Iterable[bytes]) -> None:
        """Give these messages to rsyslogd. They may hold any byte; rsyslog escapes control characters."""
        assert self._input is not None
        for chunk in _chunks(lines):
            self._input.sendall(chunk)

    def wait(self, count: int, timeout: float = 120.0) -> None:
        """Until ``count`` messages in all have been forwarded. ``TimeoutError`` with rsyslogd's log otherwise."""
        with self._capture.changed:
            if self._capture.changed.wait_for(lambda: len(self._capture.frames) >= count, timeout):
                return
        raise TimeoutError(f"{len(self.frames)} of {count} messages left rsyslogd in {timeout} s; it says: {self.log}")

    def stop(self) -> None:
        """End it as systemd would, and wait. Idempotent."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it as the kernel would. Idempotent."""
        self._end(signal.SIGKILL)

    def __enter__(self) -> Rsyslog:
        configuration = self._directory / "rsyslog.conf"
        configuration.write_text(self._text)
        command = [require("rsyslogd"), "-n", "-f", str(configuration), "-i", str(self._directory / "pid")]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            self._input = self._connect()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.stop() if kind is None else self.kill()

    def _connect(self) -> socket.socket:
        """To the port it has written down, once it listens there: it writes it down between bind and listen."""
        assert self._process is not None
        file, deadline = self._directory / "port", time.monotonic() + START
        while self._process.poll() is None and time.monotonic() < deadline:
            try:
                return socket.create_connection(("127.0.0.1", int(file.read_text())), timeout=STOP)
            except (FileNotFoundError, ValueError, ConnectionRefusedError):  # not there, empty, not yet listening
                time.sleep(0.01)  # it tells nobody when it is ready
        raise RuntimeError(f"rsyslogd does not start: {self.log}")

    def _end(self, number: signal.Signals) -> None:
        if self._input is not None:
            self._input.close()
        if self._process is not None and self._process.poll() is None:
            os.kill(self._process.pid, number)
            try:
                self._process.wait(STOP + 5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._capture.close()


class _Capture:
    """A thread that takes octet-counted frames from one connection after another."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.changed = threading.Condition()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._run, name="rsyslog-capture", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Take what is still on its way, then end."""
        try:
            self._listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            return
        self._thread.join()
        self._listener.close()

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                self._read(connection)

    def _read(self, connection: socket.socket) -> None:
        pending = b""
        while chunk := connection.recv(1 << 20):
            pending += chunk
            found, start = [], 0
            while (space := pending.find(b" ", start, start + 8)) > 0:
                end = space + 1 + int(pending[start:space])
                if end > len(pending):
                    break
                found.append(pending[space + 1 : end].removesuffix(b"\n"))
                start = end
            pending = pending[start:]
            with self.changed:
                self.frames += found
                self.changed.notify_all()
        assert not pending, f"rsyslogd left half a frame: {pending[:100]!r}"


def _chunks(lines: Iterable[bytes], size: int = 1 << 18) -> Iterable[bytes]:
    """The lines octet-counted, in pieces of about ``size`` bytes."""
    parts, length = [], 0
    for line in lines:
        parts.append(b"%d %b" % (len(line), line))
        length += len(parts[-1])
        if length >= size:
            yield b"".join(parts)
            parts, length = [], 0
    yield b"".join(parts)
