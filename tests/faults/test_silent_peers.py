"""Peers that are gone without a word: their connections end, and what had come of them is there."""

from __future__ import annotations

import json
import socket
from pathlib import Path

from tests.support.network import Cable
from tests.support.receiver import COMMAND, Receiver, query

OPEN = b"1 open 30 relp_version=0\ncommands=syslog\n"
SENT = {
    "tcp": b"<13>1 - - a - - - whole\n<13>1 - - a - - - half a li",
    "relp": OPEN + b"2 syslog 25 <13>1 - - a - - - by relp\n3 syslog 100 <13>1 - - a - - - half",
    "http": b"GET /metrics HT",
}


def connect(address: tuple[str, int], sent: bytes) -> socket.socket:
    sock = socket.create_connection(address)
    sock.sendall(sent)
    return sock


def test_a_link_that_goes_down_without_a_word(tmp_path: Path) -> None:
    with Cable() as cable:
        receiver = Receiver(f"file://{tmp_path}/store", tmp_path / "serve", receive__keepalive="3s")
        receiver.command, receiver.host = [*cable.command(cable.near), *COMMAND], cable.NEAR
        with receiver:
            socks = [
                cable.run(cable.far, connect, (cable.NEAR, receiver.port(kind)), sent) for kind, sent in SENT.items()
            ]
            cable.run(cable.near, receiver.wait_for, "logsink_frames_total", 2)
            assert cable.run(cable.near, receiver.metric, "logsink_connections") == 2
            cable.pull()
            receiver._wait(lambda: cable.run(cable.near, receiver.metric, "logsink_connections") == 0)
            for sock in socks:
                sock.close()
        assert receiver.exit_code == 0, receiver.log
    rows = [json.loads(line) for line in query(receiver.store, "-n", "0", "-o", "json").splitlines()]
    assert sorted((row["message"], "incomplete" in row["flags"]) for row in rows) == [
        ("by relp", False),
        ("half a li", True),
        ("whole", False),
    ]
    assert f"a tcp connection of {cable.FAR} broke: " in receiver.log
    assert "Traceback" not in receiver.log
