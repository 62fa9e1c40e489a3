"""What `logsink client-config syslog-ng` prints: a real syslog-ng takes it, queues, and sends what it promises."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from logsink.cli.client_config.agents import syslog_ng
from logsink.cli.client_config.request import Request, Target, source
from tests.support.receiver import Receiver, query

ROOT = Path(__file__).parents[2] / ".tools" / "syslog-ng"
IDENTITY = {"role": source("role", "web"), "deploy": source("deploy", "$DEPLOY")}


def command(directory: Path, request: Request, life: str = "1") -> tuple[list[str], dict[str, str]]:
    """The command that runs syslog-ng with the configuration for ``request``, and its environment."""
    modules = next(iter((ROOT / "usr/lib/syslog-ng").glob("[0-9]*")), None)
    if modules is None:
        pytest.skip("syslog-ng is not unpacked (`make test` does it where Debian has it)")
    text = syslog_ng(request).replace("/var/lib/syslog-ng", str(directory)).replace("time-reopen(5)", "time-reopen(1)")
    source_ = f'source s_src {{ internal(); unix-dgram("{directory}/log"); }};\n'
    path = directory / "syslog-ng.conf"
    path.write_text(text + source_)
    libraries = [
        *(ROOT / "usr/lib").glob("*-linux-*"),
        *(ROOT / "lib").glob("*-linux-*"),
        ROOT / "usr/lib/syslog-ng",
        modules,
    ]
    files = {
        "cfgfile": path,
        "persist-file": directory / "persist",
        "control": directory / "ctl",
        "pidfile": directory / "pid",
    }
    return (
        [
            str(ROOT / "usr/sbin/syslog-ng"),
            f"--module-path={modules}",
            *(f"--{name}={file}" for name, file in files.items()),
        ],
        os.environ
        | {"LD_LIBRARY_PATH": ":".join(map(str, libraries))}
        | {"DEPLOY": "d-7", "LOG_BOOT": "b00t", "LOG_LIFE": life, "LOG_INSTANCE": "i-1", "LOG_ENVIRONMENT": ""},
    )


@pytest.mark.parametrize("tls", [False, True])
def test_syslog_ng_takes_it(tmp_path: Path, tls: bool) -> None:
    request = Request(
        Target("logs.internal", 1), "tcp", tls, ca="/dev/null", cert="/dev/null" * tls, key="/dev/null" * tls
    )
    words, environ = command(tmp_path, request)
    checked = subprocess.run([*words, "--syntax-only"], env=environ, capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")
    (tmp_path / "syslog-ng.conf").write_text(
        (tmp_path / "syslog-ng.conf").read_text().replace("time-reopen", "time-reopn")
    )
    wrong = subprocess.run([*words, "--syntax-only"], env=environ, capture_output=True, text=True, check=False)
    assert wrong.returncode != 0


@contextmanager
def running(directory: Path, request: Request, life: str) -> Iterator[socket.socket]:
    """Run syslog-ng, and give a socket on which it takes messages."""
    words, environ = command(directory, request, life)
    with (directory / "syslog-ng.log").open("ab") as log:
        process = subprocess.Popen([*words, "--foreground", "--no-caps", "--stderr"], env=environ, stderr=log)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
            deadline = time.monotonic() + 60
            while True:
                try:
                    client.connect(str(directory / "log"))
                    break
                except OSError:  # not there yet, or of an earlier life
                    assert time.monotonic() < deadline, (directory / "syslog-ng.log").read_text()
                    time.sleep(0.02)
            yield client
    finally:
        process.terminate()
        process.wait(60)


def test_without_the_drop_in_nothing_is_numbered(tmp_path: Path) -> None:
    """The numbers of two lives that nobody can tell apart would have holes."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(60)
        with running(tmp_path, Request(Target("127.0.0.1", server.getsockname()[1]), "tcp"), "") as client:
            client.send(b"<13>Jan  5 10:00:00 app[7]: hello")
            connection, _ = server.accept()
            frame = b""
            with connection:
                while not frame.endswith(b"hello\n"):
                    frame += connection.recv(1 << 16)
    assert b'[deploy@32473 instance="i-1"]' in frame


def test_an_ipv6_address_is_reached(tmp_path: Path) -> None:
    try:
        server = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("there is no IPv6")
    with server:
        server.settimeout(60)
        with running(tmp_path, Request(Target("::1", server.getsockname()[1]), "tcp"), "") as client:
            client.send(b"<13>Jan  5 10:00:00 app[7]: hello")
            connection, _ = server.accept()
            connection.close()


def test_it_queues_and_numbers_what_it_receives(tmp_path: Path) -> None:
    """What was taken while the receiver was away arrives after a restart, with its number and life."""
    receiver = Receiver(f"file://{tmp_path}/store", tmp_path / "receiver")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = receiver.listen["tcp"] = free.getsockname()[1]
    request = Request(Target("127.0.0.1", port), "tcp", identity=IDENTITY)
    with running(tmp_path, request, "1") as client:
        for number in range(50):
            client.send(b"<13>Jan  5 10:00:00 app[7]: early %d" % number)
    with receiver, running(tmp_path, request, "2") as client:
        client.send(b"<13>Jan  5 10:00:00 app[7]: late")
        receiver.wait_for("logsink_frames_total", 51)
    found = [json.loads(line) for line in query(receiver.store, "-n", "0", "-u", "app", "-o", "json").splitlines()]
    assert [row["message"] for row in found] == [*(f"early {number}" for number in range(50)), "late"]
    assert {(row["role"], row["deploy"], row["instance"], row.get("environment")) for row in found} == {
        ("web", "d-7", "i-1", None)
    }
    boots: dict[str, list[int]] = {}
    for row in found:
        number = re.search(r'boot="b00t\.(\d)" seq="(\d+)"', row["structured_data"])
        assert number
        boots.setdefault(number[1], []).append(int(number[2]))
    assert sorted(boots["1"]) == list(range(min(boots["1"]), min(boots["1"]) + 50))
    assert boots["2"][0] > max(boots["1"])
