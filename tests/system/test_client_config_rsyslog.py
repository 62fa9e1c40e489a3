"""What `logsink client-config rsyslog` prints: rsyslogd takes it without a word, and sends what it promises."""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import socket
import subprocess
from contextlib import ExitStack
from pathlib import Path

import pytest

from logsink.cli.client_config.request import Request, Target, source
from logsink.cli.client_config.rsyslog import configuration, general
from tests.support.certificates import Authority
from tests.support.programs import require
from tests.support.receiver import Receiver, query
from tests.support.rsyslog import Rsyslog

HERE = Target("127.0.0.1", 1)
IDENTITY = {
    "role": source("role", "web"),
    "deploy": source("deploy", "$DEPLOY"),
    "environment": source("role", "file:/e"),
}
LABELS = {"deploy": source("deploy", "container-label:com.acme.deploy")}
VARIANTS = [
    *itertools.starmap(
        lambda protocol, library, family: Request(HERE, protocol, True, library, ca="/dev/null", family=family),
        itertools.product(("relp", "tcp"), ("openssl", "gnutls"), ("debian", "redhat")),
    ),
    Request(HERE, "relp"),
    Request(HERE, "tcp", identity=LABELS),
    Request(HERE, "relp", True, ca="/dev/null", cert="/dev/null", key="/dev/null", identity=IDENTITY),
    Request(HERE, "tcp", True, ca="/dev/null", cert="/dev/null", key="/dev/null", identity=IDENTITY),
    Request(HERE, inputs=("journal", "file:/var/log/nginx/*.log", "file:/srv/app/log/app.log")),
    Request(HERE, inputs=("socket", "kernel"), family="redhat"),
]


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


@pytest.mark.parametrize("request_", VARIANTS, ids=lambda one: "-".join((one.protocol, one.family, *one.inputs)))
def test_rsyslogd_takes_it(tmp_path: Path, request_: Request) -> None:
    text = configuration(request_)
    result = check(re.sub(r"/var/(spool|lib)/rsyslog", str(tmp_path), text), tmp_path)
    told = [line for line in (result.stdout + result.stderr).splitlines() if "config validation run" not in line]
    assert told == []
    assert result.returncode == 0
    for parameter in (
        'action.resumeRetryCount="-1"',
        "queue.filename=",
        'queue.saveOnShutdown="on"',
        "rebindInterval=",
    ):
        assert re.search(rf"^ *{re.escape(parameter)}", text, re.MULTILINE), parameter


def test_the_check_would_notice(tmp_path: Path) -> None:
    result = check(configuration(VARIANTS[0]).replace("queue.maxDiskSpace", "queue.maxDiskSpice"), tmp_path)
    assert "queue.maxDiskSpice" in result.stdout + result.stderr


@pytest.mark.parametrize("name", general())
def test_a_placeholder_left_in_is_refused(tmp_path: Path, name: str) -> None:
    """The files in rsyslog/ have one line to edit, and rsyslogd does not take them before."""
    text = general()[name]
    refused = check(text, tmp_path)
    assert refused.returncode != 0
    assert "EDIT" in refused.stderr
    assert check(text.replace("target=EDIT:logs.example.com", 'target="127.0.0.1"'), tmp_path).returncode == 0


def test_both_can_be_used_together(tmp_path: Path) -> None:
    both = "".join(general().values()).replace("target=EDIT:logs.example.com", 'target="127.0.0.1"')
    assert check(both, tmp_path).returncode == 0


def test_rsyslogd_says_goodbye(tmp_path: Path) -> None:
    with Receiver(f"file://{tmp_path}/store", tmp_path / "receiver") as receiver:
        text = spooling(Request(Target("127.0.0.1", receiver.port("relp"))), tmp_path, own=True)
        with Rsyslog(tmp_path, text, template="logsink-relp") as rsyslog:
            rsyslog.send([b"<13>Jan  5 10:00:00 web1 app: hello"])
        assert query(receiver.store, "-u", "rsyslogd", "exiting on signal 15")
        assert b"logsink" not in query(receiver.store, "-u", "rsyslogd-*"), "rsyslogd warns of nothing in our file"


CLIENTS = [
    ("relp", "openssl", False),
    ("relp", "gnutls", True),
    ("tcp", "openssl", True),
    ("tcp", "gnutls", False),
]


def test_with_tls_it_reaches_logsink(tmp_path: Path) -> None:
    """Both certificates are checked, and the host's deploy and subject can be asked for."""
    authority = Authority(tmp_path / "certificates")
    sink, client = authority.issue("localhost"), authority.issue("web-1.internal", common_name="web-1")
    settings = {
        "listen__relp_tls": "127.0.0.1:0",
        "listen__tls": "127.0.0.1:0",
        "tls__cert": str(sink.cert),
        "tls__key": str(sink.key),
        "tls__client_ca": str(authority.pem),
        "tls__client_auth": "optional",
    }
    with Receiver(f"file://{tmp_path}/store", tmp_path / "receiver", **settings) as receiver, ExitStack() as stack:
        for number, (kind, library, has_certificate) in enumerate(CLIENTS):
            asked = Request(
                Target("localhost", receiver.port("relp_tls" if kind == "relp" else "tls")),
                kind,  # type: ignore[arg-type]
                True,
                library,  # type: ignore[arg-type]
                ca=str(authority.pem),
                cert=str(client.cert) if has_certificate else "",
                key=str(client.key) if has_certificate else "",
                identity={"role": source("role", f"role-{number}")},
            )
            place = tmp_path / f"client{number}"
            place.mkdir()
            rsyslog = stack.enter_context(Rsyslog(place, spooling(asked, place), template=f"logsink-{kind}"))
            rsyslog.send([b"<13>Jan  5 10:00:00 web1 app[12]: hello"])
        receiver.wait_for("logsink_frames_total", len(CLIENTS))
    rows = {row["role"]: row for row in map(json.loads, query(receiver.store, "-o", "json").splitlines())}
    assert len(rows) == len(CLIENTS)
    for number, (kind, _, has_certificate) in enumerate(CLIENTS):
        row = rows[f"role-{number}"]
        assert (row["message"], row["transport"]) == ("hello", "relp-tls" if kind == "relp" else "tls")
        assert ("CN=web-1" in row.get("identity", "")) == has_certificate


def test_the_last_words_of_a_quiet_host_come_after_a_restart_of_logsink(tmp_path: Path) -> None:
    """Over TLS, omrelp notices only at the next message that a connection is gone: a mark is one."""
    authority = Authority(tmp_path / "certificates")
    sink, client = authority.issue("localhost"), authority.issue("web-1.internal")
    settings = {"tls__cert": str(sink.cert), "tls__key": str(sink.key)}
    settings |= {"tls__client_ca": str(authority.pem), "tls__client_auth": "required"}
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    settings["listen__relp_tls"] = f"127.0.0.1:{port}"
    first, second = (Receiver(f"file://{tmp_path}/store", tmp_path / name, **settings) for name in ("first", "second"))
    certificate = {"ca": str(authority.pem), "cert": str(client.cert), "key": str(client.key)}
    asked = Request(Target("localhost", port), "relp", True, **certificate, mark=3)
    with Rsyslog(tmp_path, spooling(asked, tmp_path, own=True), template="logsink-relp") as rsyslog:
        with first:
            rsyslog.send([b"<13>Jan  5 10:00:00 web1 app: hello"])
            first.wait_for("logsink_frames_total", 1)
        rsyslog.send([b"<13>Jan  5 10:00:00 web1 app: the disk is full"])
        with second:
            second.wait_for("logsink_frames_total", 2)
    assert query(second.store, "the disk is full")
    assert query(second.store, "-u", "rsyslogd", "MARK")


def spooling(request: Request, directory: Path, *, own: bool = False) -> str:
    """The configuration, with its queue's files in ``directory``, and without ``own`` messages of rsyslogd."""
    text, setting = configuration(request), 'global(processInternalMessages="on")'
    assert setting in text
    return text.replace('"/var/spool/rsyslog"', f'"{directory}"').replace(setting, setting if own else "")


class Peer(asyncio.Protocol):
    """Keeps the octet-counted frames that it reads."""

    def __init__(self) -> None:
        self.data = b""
        self.ended = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        self.data += data

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended.set()

    @property
    def frames(self) -> list[bytes]:
        frames, at = [], 0
        while at < len(self.data):
            space = self.data.index(b" ", at)
            at = space + 1 + int(self.data[at:space])
            frames.append(self.data[space + 1 : at])
        return frames


async def test_what_arrives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who sends it and the running number first, a message's own structured data behind it, one space before the text."""
    for name, value in {
        "DEPLOY": r'feature/a]"b\c',
        "LOG_ENVIRONMENT": "",
        "LOG_BOOT": "b00t",
        "LOG_ROLE": "no",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("LOG_INSTANCE", raising=False)
    peer = Peer()
    server = await asyncio.get_running_loop().create_server(lambda: peer, "127.0.0.1", 0)
    identity = {"role": source("role", "web"), "deploy": source("deploy", "$DEPLOY")}
    asked = Request(Target("127.0.0.1", server.sockets[0].getsockname()[1]), "tcp", identity=identity)

    def run() -> None:
        with Rsyslog(tmp_path, spooling(asked, tmp_path), template="logsink-tcp") as rsyslog:
            rsyslog.send(
                [
                    b"<13>1 2026-01-05T10:00:00.123456+02:00 web2 su 7 ID47 - plain",
                    b'<13>1 2026-01-05T10:00:00.123456+02:00 web2 su 7 ID47 [a@1 b="c"] with data',
                    b"<13>Jan  5 10:00:00 web1 app[12]: old",
                ]
            )
            rsyslog.wait(3)

    async with server:
        await asyncio.to_thread(run)
        await asyncio.wait_for(peer.ended.wait(), 60)
    frames = peer.frames
    found = re.search(rb'instance="([^"]+)" boot="(b00t\.[0-9A-F]{12})"', frames[0])
    assert found
    head = b"<13>1 2026-01-05T10:00:00.123456+02:00 web2 su 7 ID47 "
    who = rb'[deploy@32473 role="web" deploy="feature/a\]\"b\\c" instance="%b" boot="%b" seq="%%d"]' % found.groups()
    assert frames[0] == head + who % 1 + b" plain"
    assert frames[1] == head + who % 2 + b'[a@1 b="c"] with data'
    assert frames[2].endswith(b" web1 app 12 - " + who % 3 + b" old")


def test_what_a_container_says_of_itself_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOG_DEPLOY", "host")
    with Receiver(f"file://{tmp_path}/store", tmp_path / "receiver") as receiver:
        asked = Request(Target("127.0.0.1", receiver.port("relp")), identity=LABELS)
        field = 'if $msg contains "labelled" then set $!COM_ACME_DEPLOY = "d]7";\n'
        with Rsyslog(tmp_path, field + spooling(asked, tmp_path), template="logsink-relp") as rsyslog:
            rsyslog.send([b"<13>Jan  5 10:00:00 web1 app: labelled", b"<13>Jan  5 10:00:00 web1 app: without"])
            receiver.wait_for("logsink_frames_total", 2)
    rows = [json.loads(line) for line in query(receiver.store, "-o", "json").splitlines()]
    assert {row["message"]: row["deploy"] for row in rows} == {"labelled": "d]7", "without": "host"}


def test_running_numbers_have_neither_gaps_nor_doubles(tmp_path: Path) -> None:
    """Through a receiver that is away, messages on disk, a restart of rsyslogd meanwhile, and connections made anew."""
    lives, each = 2, 4000
    receiver = Receiver(f"file://{tmp_path}/store", tmp_path / "receiver")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = receiver.listen["relp"] = free.getsockname()[1]
    text = spooling(Request(Target("127.0.0.1", port)), tmp_path)
    for usual, small in (
        ('queue.size="100000"', 'queue.size="2000"'),
        ('queue.highWatermark="60000"', 'queue.highWatermark="1000"'),
        ('queue.lowWatermark="10000"', 'queue.lowWatermark="200"'),
        ('rebindInterval="100000"', 'rebindInterval="700"'),
        ('action.resumeInterval="5"', 'action.resumeInterval="1"'),
    ):
        assert usual in text
        text = text.replace(usual, small)
    for life in range(lives):
        with Rsyslog(tmp_path, text, template="logsink-relp", rate=4000) as rsyslog:
            rsyslog.send([b"<13>Jan  5 10:00:00 web1 app: %d %d" % (life, number) for number in range(each)])
            rsyslog.wait(each)
            if life == lives - 1:
                with receiver:
                    receiver.wait_for("logsink_frames_total", lives * each)
        assert life or list(tmp_path.glob("logsink-relp.0*")), "nothing was on disk: the test shows nothing"
    rows = [json.loads(line) for line in query(receiver.store, "-n", "0", "-o", "json").splitlines()]
    numbers: dict[str, dict[int, str]] = {}
    for row in rows:
        found = re.search(r'boot="([^"]+)" seq="(\d+)"', row["structured_data"])
        assert found
        assert numbers.setdefault(found[1], {}).setdefault(int(found[2]), row["message"]) == row["message"]
    assert [len(of) for of in numbers.values()] == [each] * lives
    for of in numbers.values():
        assert [of[number].split()[1] for number in sorted(of)] == [str(number) for number in range(each)]
        assert sorted(of) == list(range(1, each + 1))
