"""A real haproxy in front of a receiver, as a child of the test."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.programs import require

START = 30.0

_CONFIGURATION = """
global
    log 127.0.0.1:{log} format {log_format} local0
defaults
    mode tcp
    log global
    timeout connect 10s
    timeout client 60s
    timeout server 60s
frontend front
    bind 127.0.0.1:{port}
    default_backend back
backend back
    server sink 127.0.0.1:{target} source {source} {options}
"""


@contextmanager
def haproxy(
    directory: Path, target: int, *, options: str, source: str = "127.0.0.9", log: int = 9, log_format: str = "rfc3164"
) -> Iterator[int]:
    """The port of a haproxy that passes TCP connections on to ``target`` from the address ``source``.

    ``options`` are those of its ``server`` line; its own log goes to the UDP port ``log``.
    """
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    configuration = directory / "haproxy.cfg"
    configuration.write_text(
        _CONFIGURATION.format(port=port, target=target, options=options, source=source, log=log, log_format=log_format)
    )
    command = [require("haproxy"), "-db", "-f", str(configuration)]
    with (directory / "haproxy.log").open("wb") as said:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
    try:
        _wait(process, port, directory / "haproxy.log")
        yield port
    finally:
        process.terminate()
        process.wait()


def _wait(process: subprocess.Popen[bytes], port: int, said: Path) -> None:
    deadline = time.monotonic() + START
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=START).close()
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"haproxy does not start: {said.read_text(errors='replace')}") from None
            time.sleep(0.02)  # it tells nobody when it is ready
        else:
            return
