"""Sockets that a service manager keeps open: what comes while there is no receiver waits in the kernel."""

from __future__ import annotations

import json
import os
import shlex
import socket
import subprocess
from pathlib import Path

import pytest

from tests.support.receiver import COMMAND, Receiver, found_once


class Activated(Receiver):
    """`logsink serve` with sockets handed over, by kind, as systemd does it."""

    def __init__(self, directory: Path, socks: dict[str, socket.socket], **settings: str) -> None:
        super().__init__(f"file://{directory.parent}/store", directory, **settings)
        self._socks = socks
        # Descriptors from 3 on, and LISTEN_PID, are of the process that the command becomes.
        moves = " ".join(f"{3 + n}<&{sock.fileno()}" for n, sock in enumerate(socks.values()))
        names = ":".join(socks)
        environ = f"LISTEN_PID=$$ LISTEN_FDS={len(socks)} LISTEN_FDNAMES={names}"
        script = f'export {environ}; exec {shlex.join(COMMAND)} "$@" {moves}'
        self.command = ["bash", "-c", script, "bash"]
        self.listen = {}

    def launch(self) -> subprocess.Popen[bytes]:
        command = [*self.command, "serve", "--store", self.store, "--ready-file", str(self._ready)]
        self._ready.unlink(missing_ok=True)
        with self._log.open("wb") as log:
            fds = [sock.fileno() for sock in self._socks.values()]
            self.process = subprocess.Popen(command, stderr=log, env=self._environ, pass_fds=fds)
        return self.process


@pytest.fixture
def socks() -> dict[str, socket.socket]:
    """One of each kind, far from the descriptors that they become."""
    made = {kind: socket.create_server(("127.0.0.1", 0)) for kind in ("tcp", "relp", "http")}
    made["udp"] = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made["udp"].bind(("127.0.0.1", 0))
    far = {}
    for number, (kind, sock) in enumerate(made.items()):
        os.dup2(sock.fileno(), 60 + number)
        sock.close()
        far[kind] = socket.socket(fileno=60 + number)
    return far


def test_what_comes_before_and_between_receivers_is_received(socks: dict[str, socket.socket], tmp_path: Path) -> None:
    at = {kind: sock.getsockname() for kind, sock in socks.items()}
    clients, sent = [], []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        for life in range(3):
            lines = [b"<13>1 - - a - - - %b %d" % (kind, life) for kind in (b"tcp", b"udp")]
            clients.append(socket.create_connection(at["tcp"]))
            clients[-1].sendall(lines[0] + b"\n")
            udp.sendto(lines[1], at["udp"])
            sent += lines
            clients[-1].shutdown(socket.SHUT_WR)
            with Activated(tmp_path / f"serve-{life}", socks) as receiver:
                receiver.wait_for("logsink_frames_total", 2)
                assert {kind: receiver.port(kind) for kind in at} == {kind: one[1] for kind, one in at.items()}
                assert json.loads(receiver._ready.read_text())["tls"] == []  # and no default beside them
            assert receiver.exit_code == 0, receiver.log
    for one in (*clients, *socks.values()):
        one.close()
    found_once(receiver.store, sent)


@pytest.mark.parametrize(
    ("names", "settings", "problem"),
    [
        ({"tcp": "tcp"}, {"workers": "2"}, "cannot share the sockets of LISTEN_FDS among 2 workers"),
        ({"logsink.socket": "tcp"}, {}, "its socket is named 'logsink.socket'"),
        ({"udp": "tcp"}, {}, "that is another kind of socket"),
    ],
)
def test_sockets_that_are_of_no_use(
    names: dict[str, str], settings: dict[str, str], problem: str, socks: dict[str, socket.socket], tmp_path: Path
) -> None:
    receiver = Activated(tmp_path / "serve", {name: socks[kind] for name, kind in names.items()}, **settings)
    receiver.launch()
    assert receiver.wait() == 2
    assert problem in receiver.log
    assert receiver.log.count("\n") == 1
    for one in socks.values():
        one.close()
