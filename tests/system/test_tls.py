"""TLS, mutual TLS, haproxy and compression with the real programs. Slow: run by `make faults`."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import pytest

from tests.support.certificates import Authority, Issued
from tests.support.haproxy import haproxy
from tests.support.receiver import Receiver, query, query_frames
from tests.support.rsyslog import SYSLOG23, Rsyslog, relp, tcp, udp
from tests.support.tls_clients import DRIVERS, SINK, relp_tls, settings, tls

pytestmark = pytest.mark.slow

LINES = 5000
SECOND = (datetime.now(UTC) - timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%S").encode()
"""Of the lines that are sent: a time more than a day away would be flagged."""


class Scene:
    """An authority, the receiver's certificate, a client's, and a store."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.authority = Authority(directory / "ca")
        self.server = self.authority.issue(SINK)
        self.client = self.authority.issue("web-1.example.com", common_name="web-1.example.com")
        self.url = f"file://{directory}/store"
        self._rsyslogs = 0

    def receiver(self, **more: str) -> Receiver:
        return Receiver(self.url, self.directory / "receiver", **more)

    def rsyslog(self, action: str, **options: object) -> Rsyslog:
        self._rsyslogs += 1
        directory = self.directory / f"rsyslog-{self._rsyslogs}"
        directory.mkdir()
        return Rsyslog(directory, action, template=SYSLOG23, **options)  # type: ignore[arg-type]

    def rows(self) -> list[dict[str, object]]:
        return [orjson.loads(line) for line in query(self.url, "-n", "0", "-o", "json").splitlines()]


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def lines(count: int = LINES, first: int = 0) -> Iterator[bytes]:
    for n in range(first, first + count):
        yield b"<13>1 %s.%06dZ web app %d - - hello %d" % (SECOND, n, n, n)


def forward(rsyslog: Rsyslog, receiver: Receiver, count: int = LINES) -> list[bytes]:
    """Send, until rsyslog has ended and the receiver has everything; what was sent."""
    with rsyslog:
        rsyslog.send(lines(count))
        rsyslog.wait(count)
    receiver.wait_for("logsink_frames_total", count)
    return rsyslog.frames


# --- who gets in


@pytest.mark.parametrize("driver", [*DRIVERS, "relp"])
@pytest.mark.parametrize("how", ["name", "fingerprint"])
def test_everything_arrives_with_the_clients_identity(scene: Scene, driver: str, how: str) -> None:
    server = SINK if how == "name" else scene.server.fingerprint()
    peers = "*.example.com" if how == "name" else scene.client.fingerprint("SHA256")
    with scene.receiver(**settings(scene.authority, scene.server, peers=peers)) as receiver:
        if driver == "relp":
            action = relp_tls(receiver.port("relp_tls"), scene.authority.pem, scene.client, server=server)
        else:
            action = tls(receiver.port("tls"), driver, scene.authority.pem, scene.client, server=server)
        sent = forward(scene.rsyslog(action), receiver)
    assert receiver.exit_code == 0
    assert sorted(query_frames(scene.url)) == sorted(sent)
    rows = scene.rows()
    assert {row["transport"] for row in rows} == {"relp-tls" if driver == "relp" else "tls"}
    (identity,) = {row["identity"] for row in rows}
    assert str(identity).startswith("CN=web-1.example.com,")


@pytest.mark.parametrize("library", ["openssl", "gnutls"])
def test_omrelp_without_a_certificate_of_its_own(scene: Scene, library: str) -> None:
    """With GnuTLS it offers anonymous TLS only, whatever its ``tls.authMode``; logsink's log says what to do."""
    with scene.receiver(**settings(scene.authority, scene.server, auth="none")) as receiver:
        action = relp_tls(receiver.port("relp_tls"), scene.authority.pem)
        whole = f'module(load="omrelp" tls.tlslib="{library}") action({action} action.resumeRetryCount="-1")'
        if library == "openssl":
            sent = forward(scene.rsyslog(whole), receiver, 100)
            assert len(sent) == 100
        else:
            with scene.rsyslog(whole) as rsyslog:
                rsyslog.send(lines(10))
                receiver.wait_for("logsink_connections_rejected_total", 1)
                rsyslog.kill()
            assert receiver.metric("logsink_frames_total") == 0
            assert 'tls.tlslib="openssl"' in receiver.log


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("kind", ["none", "expired", "foreign", "not permitted"])
def test_clients_that_must_not_get_in(scene: Scene, driver: str, kind: str) -> None:
    certificates: dict[str, Issued | None] = {
        "none": None,
        "expired": scene.authority.issue("web-2.example.com", expired=True),
        "foreign": Authority(scene.directory / "other").issue("web-2.example.com"),
        "not permitted": scene.authority.issue("db.example.org"),
    }
    said = {
        "none": "no certificate",
        "expired": "expired",
        "foreign": "not accepted",
        "not permitted": "tls.permitted_peers",
    }
    with scene.receiver(**settings(scene.authority, scene.server, peers="*.example.com")) as receiver:
        action = tls(receiver.port("tls"), driver, scene.authority.pem, certificates[kind])
        with scene.rsyslog(action) as rsyslog:
            rsyslog.send(lines(10))
            receiver.wait_for("logsink_connections_rejected_total", 1)
            rsyslog.kill()
        assert receiver.metric("logsink_frames_total") == 0
    told = [line for line in receiver.log.splitlines() if "closed a tls connection of 127.0.0.1" in line]
    assert told  # a client that tries again is told of in one line more
    assert all(said[kind] in line for line in told)


def test_a_client_whose_authority_is_removed_gets_in_no_more(scene: Scene) -> None:
    trusted = scene.directory / "trusted.pem"
    second = Authority(scene.directory / "second")
    trusted.write_bytes(scene.authority.pem.read_bytes() + second.pem.read_bytes())
    given = settings(scene.authority, scene.server) | {"tls__client_ca": str(trusted)}
    client = second.issue("web-2.example.com")
    with scene.receiver(**given) as receiver:
        action = tls(receiver.port("tls"), "gtls", scene.authority.pem, client)
        sent = forward(scene.rsyslog(action), receiver, 10)
        trusted.write_bytes(scene.authority.pem.read_bytes())
        wait_for(receiver, "changed TLS files loaded")
        with scene.rsyslog(action) as rsyslog:
            rsyslog.send(lines(10))
            receiver.wait_for("logsink_connections_rejected_total", 1)
            rsyslog.kill()
    assert sorted(query_frames(scene.url)) == sorted(sent)


# --- what changes while it runs


def wait_for(receiver: Receiver, said: str, times: int = 1) -> None:
    deadline = time.monotonic() + 60
    while receiver.log.count(said) < times:
        assert time.monotonic() < deadline, receiver.log
        time.sleep(0.05)


@pytest.mark.parametrize("driver", DRIVERS)
def test_certificates_are_swapped_under_load_without_a_lost_frame(scene: Scene, driver: str) -> None:
    count = 24_000
    with scene.receiver(**settings(scene.authority, scene.server)) as receiver:
        action = tls(receiver.port("tls"), driver, scene.authority.pem, scene.client, more='rebindInterval="300"')
        rsyslog = scene.rsyslog(action, rate=2000)
        with rsyslog:
            rsyslog.send(lines(count))
            for nth in (1, 2):
                receiver.wait_for("logsink_frames_total", nth * 2000)
                scene.authority.issue(SINK, common_name=f"renewed {nth}").place(scene.server.cert, scene.server.key)
                wait_for(receiver, "changed TLS files loaded", nth)
                before = receiver.metric("logsink_connections_accepted_total")
                receiver.wait_for("logsink_connections_accepted_total", before + 3)
            rsyslog.wait(count)
        receiver.wait_for("logsink_frames_total", count)
        assert receiver.metric("logsink_connections_rejected_total") == 0
    assert sorted(query_frames(scene.url)) == sorted(rsyslog.frames)


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_drain_makes_senders_leave_at_once_and_loses_nothing(scene: Scene, driver: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    given = settings(scene.authority, scene.server) | {"listen__tls": f"127.0.0.1:{port}"}
    rsyslog = scene.rsyslog(tls(port, driver, scene.authority.pem, scene.client), rate=2000)
    with rsyslog, scene.receiver(**given) as first:
        rsyslog.send(lines())
        first.wait_for("logsink_frames_total", 1000)
        assert first.stop() == 0
        assert "still sending" not in first.log
        with scene.receiver(**given) as second:
            rsyslog.wait(LINES)
            rsyslog.stop()
            second.stop()  # which reads to the end of what rsyslog has sent
    assert sorted(query_frames(scene.url)) == sorted(rsyslog.frames)


# --- haproxy in front


@pytest.mark.parametrize("options", ["send-proxy", "send-proxy-v2", "send-proxy-v2 proxy-v2-options crc32c,unique-id"])
def test_behind_haproxy_the_client_is_the_sender(scene: Scene, options: str) -> None:
    with scene.receiver(listen__proxy_protocol_from="127.0.0.9") as receiver:  # noqa: SIM117  the inner one needs the port
        with haproxy(scene.directory, receiver.port("tcp"), options=options) as port:
            sent = forward(scene.rsyslog(tcp(port, octet_counted=True)), receiver)
    assert sorted(query_frames(scene.url)) == sorted(sent)
    assert {row["sender"] for row in scene.rows()} == {"127.0.0.1"}


def test_behind_haproxy_with_tls_inside(scene: Scene) -> None:
    given = settings(scene.authority, scene.server) | {"listen__proxy_protocol_from": "127.0.0.9"}
    with scene.receiver(**given) as receiver:  # noqa: SIM117
        with haproxy(scene.directory, receiver.port("tls"), options="send-proxy-v2") as port:
            action = tls(port, "ossl", scene.authority.pem, scene.client)
            sent = forward(scene.rsyslog(action), receiver)
    assert sorted(query_frames(scene.url)) == sorted(sent)
    assert {(row["sender"], row["transport"]) for row in scene.rows()} == {("127.0.0.1", "tls")}


def test_a_load_balancer_sends_headers_to_some_listeners_only(scene: Scene) -> None:
    given = {"listen__proxy_protocol_from": "127.0.0.0/8", "listen__proxy_protocol_on": "tcp"}
    with scene.receiver(**given) as receiver:
        with haproxy(scene.directory, receiver.port("tcp"), options="send-proxy-v2") as port:
            sent = forward(scene.rsyslog(tcp(port, octet_counted=True)), receiver)
        with scene.rsyslog(relp(receiver.port("relp"))) as rsyslog:
            rsyslog.send(lines(10, LINES))
            receiver.wait_for("logsink_frames_total", LINES + 10)
    assert sorted(query_frames(scene.url)) == sorted([*sent, *rsyslog.frames])


def test_a_haproxy_that_is_not_listed_is_not_believed(scene: Scene) -> None:
    with scene.receiver() as receiver:
        with haproxy(scene.directory, receiver.port("tcp"), options="send-proxy-v2") as port:  # noqa: SIM117
            with scene.rsyslog(tcp(port)) as rsyslog:
                rsyslog.send(lines(10))
                receiver.wait_for("logsink_connections_rejected_total", 1)
                rsyslog.kill()
        assert receiver.metric("logsink_frames_total") == 0
    assert "PROXY protocol header" in receiver.log


# --- compression


@pytest.mark.parametrize("more", ["", "zipLevel=1", "zipLevel=4", "flushOnTXEnd=off", "tls"])
def test_compressed_streams(scene: Scene, more: str) -> None:
    with scene.receiver(**settings(scene.authority, scene.server)) as receiver:
        compression = 'compression.mode="stream:always"'
        if "zipLevel" in more:
            compression += f' ziplevel="{more[-1]}"'
        if "flush" in more:
            compression += ' compression.stream.flushOnTXEnd="off"'
        if more == "tls":
            action = tls(receiver.port("tls"), "gtls", scene.authority.pem, scene.client, more=compression)
        else:
            action = f"{tcp(receiver.port('tcp'), octet_counted=True)} {compression}"
        sent = forward(scene.rsyslog(action), receiver)
    assert receiver.exit_code == 0
    assert sorted(query_frames(scene.url)) == sorted(sent)
    assert all(row["flags"] == [] for row in scene.rows())


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_compressed_messages(scene: Scene, transport: str) -> None:
    """rsyslog compresses a message only when that makes it smaller: both kinds come mixed."""
    with scene.receiver() as receiver:
        action = tcp(receiver.port("tcp"), octet_counted=True) if transport == "tcp" else udp(receiver.port("udp"))
        rsyslog = scene.rsyslog(f'{action} compression.mode="single" ziplevel="9"', rate=5000)
        with rsyslog:
            rsyslog.send(line + b" again" * (n % 2 * 50) for n, line in enumerate(lines(1000)))
            rsyslog.wait(1000)
        receiver.wait_for("logsink_frames_total", 1000)
    assert sorted(query_frames(scene.url)) == sorted(rsyslog.frames)
    flags = [row["flags"] for row in scene.rows()]
    assert flags.count(["inflated"]) == 500
    assert flags.count([]) == 500
