"""S3 servers for tests: versitygw where its program is installed, moto's in a thread everywhere.

As fixtures (a ``conftest.py`` imports those it wants)::

    s3_server          the better one there is, for the whole session
    s3_environment     the same, its settings in this process's environment for one test

or as context managers, ``moto()`` and ``versitygw()``. A program started by a test gets ``server.environment`` in its own.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.request
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.programs import require

BUCKET = "logs"
ACCESS_KEY = "testing-access-key"
SECRET_KEY = "testing-secret-key"
START = 20.0
"""Seconds for a server to listen; slower machines than that do not run the tests."""


@dataclass(frozen=True)
class Server:
    """A running S3 server with one bucket, ``logs``."""

    name: str
    endpoint: str
    data: Path | None = None
    """The directory that it keeps its buckets in, where it does: an object is a file."""

    @property
    def environment(self) -> dict[str, str]:
        """What a client needs in its environment; nothing of this machine's own AWS configuration is left to it."""
        return {
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ALLOW_HTTP": "true",  # for object_store and what is built upon it
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }

    def at(self, endpoint: str) -> Server:
        """The same server, reached another way: through a proxy."""
        return replace(self, endpoint=endpoint)

    def fresh_url(self) -> str:
        """A store's URL under which nothing is."""
        return f"s3://{BUCKET}/{uuid.uuid4().hex}"


def enter(monkeypatch: pytest.MonkeyPatch, server: Server) -> None:
    """Put a server's settings into this process's environment until the test ends."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)


@contextmanager
def versitygw(arguments: Iterable[str] = ()) -> Iterator[Server]:
    """A versitygw over a temporary directory. The test is skipped where it is not installed, and fails in CI."""
    program = require("versitygw")
    with tempfile.TemporaryDirectory(prefix="versitygw-") as work:
        data, meta = Path(work, "data"), Path(work, "meta")
        (data / BUCKET).mkdir(parents=True)
        metadata: list[str] = [] if _has_attributes(data) else ["--sidecar", str(meta)]
        if metadata:
            meta.mkdir()
        port = _free_port()
        command: list[str | Path] = [
            program,
            "--port",
            f"127.0.0.1:{port}",
            "--quiet",
            "--keep-alive",
            *arguments,
            "posix",
            *metadata,
            data,
        ]
        keys = {"ROOT_ACCESS_KEY_ID": ACCESS_KEY, "ROOT_SECRET_ACCESS_KEY": SECRET_KEY}
        with Path(work, "log").open("w+b") as log:
            process = subprocess.Popen(command, env=os.environ | keys, stdout=log, stderr=subprocess.STDOUT)
            try:
                _wait_for(port, process, Path(work, "log"))
                yield Server("versitygw", f"http://127.0.0.1:{port}", data)
            finally:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(5)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


@contextmanager
def moto() -> Iterator[Server]:
    """Moto's S3 in a thread of this process. It checks no signatures and forgets everything at the end."""
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
    from werkzeug.serving import make_server

    application = DomainDispatcherApplication(create_backend_app)
    one_writer = threading.Lock()

    def serialised(environ: Any, start_response: Any) -> Any:
        """Moto looks first and writes later: only one request at a time makes its If-None-Match hold in a race."""
        with one_writer:
            return application(environ, start_response)

    server = make_server("127.0.0.1", 0, serialised, threaded=True, request_handler=MotoRequestHandler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        endpoint = f"http://127.0.0.1:{server.server_port}"
        with urllib.request.urlopen(urllib.request.Request(f"{endpoint}/{BUCKET}", method="PUT")):
            yield Server("moto", endpoint)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="session")
def moto_server() -> Iterator[Server]:
    with moto() as server:
        yield server


@pytest.fixture(scope="session")
def versitygw_server() -> Iterator[Server]:
    with versitygw() as server:
        yield server


@pytest.fixture(scope="session")
def s3_server() -> Iterator[Server]:
    """The server to prefer: a real one in a process of its own where there is one."""
    try:
        require("versitygw")
    except pytest.skip.Exception:
        server = moto()
    else:
        server = versitygw()
    with server as running:
        yield running


@pytest.fixture
def s3_environment(s3_server: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    """``s3_server``, with its settings in this process's environment."""
    enter(monkeypatch, s3_server)
    return s3_server


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _has_attributes(directory: Path) -> bool:
    try:
        os.setxattr(directory, "user.logsink", b"1")
    except OSError:
        return False
    return True


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.01)  # there is nothing to wait on: the port is the only sign of life
        else:
            return
    raise RuntimeError(f"versitygw does not listen on port {port}: {log.read_text(errors='replace')}")
