"""What doctor says of the receiver on this machine."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from logsink.cli.doctor.server import Sender, _readiness, server_findings
from logsink.config import load
from logsink.kinds import Address

READY = b'HTTP/1.0 200 OK\r\n\r\n{"ready": true, "receiver": "r"}'


@contextmanager
def answering(reply: bytes) -> Iterator[Address]:
    """Something that answers each connection with these bytes."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1 << 16)
                connection.sendall(reply)

        thread = threading.Thread(target=serve)
        thread.start()
        yield Address("127.0.0.1", server.getsockname()[1])
        thread.join()


@pytest.mark.parametrize(
    "reply",
    [
        b"SSH-2.0-OpenSSH_9\r\n",
        b"HTTP/1.0 200 OK\r\n\r\n[1, 2]",
        b"HTTP/1.0 404 Not Found\r\n\r\n<html>",
        b"HTTP/1.0 200 OK\r\nContent-Length: 100\r\n\r\n{",
    ],
)
def test_what_is_no_receiver_is_said_to_be_none(reply: bytes) -> None:
    with answering(reply) as address:
        found = _readiness(address, "")
    assert found.state == "failed"
    assert "what answers there is no receiver" in found.detail


def test_ledgers_that_could_not_be_written(tmp_path: Path) -> None:
    def found(program: str, **environ: str) -> list[tuple[str, str]]:
        config = load(None, {"LOGSINK_STORE": str(tmp_path)} | environ, {})
        findings = server_findings(config, program, Sender(), sends=False)
        return [(one.state, one.detail) for one in findings if one.check == "ledgers"]

    assert found("maintainer") == []
    assert found("reader", LOGSINK_LEDGER__OBJECT_LOCK="30d") == []
    ((state, detail),) = found("maintainer", LOGSINK_LEDGER__OBJECT_LOCK="30d")
    assert (state, "a directory has no S3 Object Lock" in detail) == ("failed", True)
    ((state, detail),) = found("maintainer", LOGSINK_LEDGER__SIGN_KEY=str(tmp_path / "none.pem"))
    assert (state, "none.pem" in detail) == ("failed", True)


def test_this_machine_is_asked_without_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with answering(READY) as address:
        assert _readiness(address, "").state == "ok"
