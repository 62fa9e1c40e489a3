"""The configurations in rsyslog/: rsyslogd takes them without a word, and they send what they promise."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.support.certificates import Authority
from tests.support.programs import require
from tests.support.receiver import Receiver, query
from tests.support.rsyslog import Rsyslog

FILES = sorted((Path(__file__).parents[2] / "rsyslog").glob("*.conf"))


def check(text: str, directory: Path) -> subprocess.CompletedProcess[str]:
    path = directory / "rsyslog.conf"
    path.write_text(text)
    return subprocess.run(
        [require("rsyslogd"), "-N1", "-f", str(path)],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.name)
def test_rsyslogd_takes_it(tmp_path: Path, file: Path) -> None:
    result = check(file.read_text(), tmp_path)
    assert result.returncode == 0
    told = [line for line in (result.stdout + result.stderr).splitlines() if "config validation run" not in line]
    assert told == []


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.name)
def test_the_check_would_notice(tmp_path: Path, file: Path) -> None:
    wrong = file.read_text().replace("queue.maxDiskSpace", "queue.maxDiskSpice")
    result = check(wrong, tmp_path)
    assert "queue.maxDiskSpice" in result.stdout + result.stderr


def test_both_can_be_used_together(tmp_path: Path) -> None:
    assert check("\n".join(file.read_text() for file in FILES), tmp_path).returncode == 0


def with_tls(text: str) -> str:
    """The configuration with its TLS lines in force."""
    changed, count = re.subn(r"^    # ((?:tls|StreamDriver)[\w.]*=)", r"    \1", text, flags=re.MULTILINE)
    assert count >= 6
    return changed


@pytest.mark.parametrize(("kind", "name"), [("relp_tls", "10-logsink-relp.conf"), ("tls", "10-logsink-tcp.conf")])
def test_with_tls_it_reaches_logsink(tmp_path: Path, kind: str, name: str) -> None:
    """Both certificates are checked, and the host's deployment and subject can be asked for."""
    authority = Authority(tmp_path / "certificates")
    sink, client = authority.issue("logs.example.com"), authority.issue("web-1.example.com", common_name="web-1")
    settings = {
        f"listen__{kind}": "127.0.0.1:0",
        "tls__cert": str(sink.cert),
        "tls__key": str(sink.key),
        "tls__client_ca": str(authority.pem),
        "tls__client_auth": "required",
    }
    with Receiver(f"file://{tmp_path}/store", tmp_path / "receiver", **settings) as receiver:
        text = with_tls(next(f for f in FILES if f.name == name).read_text())
        for before, after in (
            ('target="logs.example.com"', 'target="127.0.0.1"'),
            ('"2514"', f'"{receiver.port(kind)}"'),
            ('"5514"', f'"{receiver.port(kind)}"'),
            ("/etc/ssl/certs/ca-certificates.crt", str(authority.pem)),
            ("/etc/rsyslog-tls/client.crt", str(client.cert)),
            ("/etc/rsyslog-tls/client.key", str(client.key)),
            ("/var/spool/rsyslog", str(tmp_path)),
        ):
            text = text.replace(before, after)
        (tmp_path / "rsyslog").mkdir()
        with Rsyslog(tmp_path / "rsyslog", text, template=name.removeprefix("10-").removesuffix(".conf")) as rsyslog:
            rsyslog.send([b"<13>Jan  5 10:00:00 web1 app[12]: one", b"<13>Jan  5 10:00:00 web1 app[12]: two"])
            receiver.wait_for("logsink_frames_total", 2)
    one, two = [json.loads(line) for line in query(receiver.store, "-o", "json").splitlines()]
    assert (one["message"], two["message"], one["role"]) == ("one", "two", "web")
    assert one["transport"] == kind.replace("_", "-")
    assert "CN=web-1" in one["identity"]


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.name)
def test_nothing_gives_up(file: Path) -> None:
    text = file.read_text()
    for parameter in (
        'action.resumeRetryCount="-1"',
        "queue.filename=",
        "queue.maxDiskSpace=",
        'queue.saveOnShutdown="on"',
        "queue.spoolDirectory=",
    ):
        assert re.search(rf"^ *{re.escape(parameter)}", text, re.MULTILINE), parameter


async def test_what_arrives(tmp_path: Path) -> None:
    """The TCP one, run: deploy identity first, a message's own structured data behind it, one space before the text."""
    received = bytearray()
    ended = asyncio.Event()

    class Peer(asyncio.Protocol):
        def data_received(self, data: bytes) -> None:
            received.extend(data)

        def connection_lost(self, exc: Exception | None) -> None:
            ended.set()

    server = await asyncio.get_running_loop().create_server(Peer, "127.0.0.1", 0)
    text = next(f for f in FILES if "tcp" in f.name).read_text()
    text = text.replace("logs.example.com", "127.0.0.1").replace('"5514"', f'"{server.sockets[0].getsockname()[1]}"')
    text = text.replace("/var/spool/rsyslog", str(tmp_path))

    def run() -> list[bytes]:
        with Rsyslog(tmp_path, text, template="logsink-tcp") as rsyslog:
            rsyslog.send(
                [
                    b"<13>1 2026-01-05T10:00:00.123456+02:00 web2 su 7 ID47 - plain",
                    b'<13>1 2026-01-05T10:00:00.123456+02:00 web2 su 7 ID47 [a@1 b="c"] with data',
                    b"<13>Jan  5 10:00:00 web1 app[12]: old",
                ]
            )
            rsyslog.wait(3)
        return rsyslog.frames

    async with server:
        frames = await asyncio.to_thread(run)
        await asyncio.wait_for(ended.wait(), 60)
    instance = re.search(rb'instance="([^"]+)"', frames[0])
    assert instance
    deploy = (
        b'[deploy@32473 environment="production" role="web" deploy="2026-01-31-a1b2c3" instance="%b"]' % instance[1]
    )
    head = b"<13>1 2026-01-05T10:00:00.123456+02:00 web2 su 7 ID47 "
    assert frames[0] == head + deploy + b" plain"
    assert frames[1] == head + deploy + b'[a@1 b="c"] with data'
    assert frames[2].endswith(b" web1 app 12 - " + deploy + b" old")
    assert bytes(received) == b"".join(b"%d %b" % (len(frame), frame) for frame in frames)
