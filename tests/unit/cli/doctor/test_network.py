"""What ``logsink doctor`` finds on the way to a target, each fault planted: servers of one connection at a time, in threads."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from logsink.cli.doctor.delivery import Undelivered, delivery_findings, send
from logsink.cli.doctor.finding import Finding
from logsink.cli.doctor.network import Target, blocked, network_findings
from tests.support.certificates import Authority, Issued

NAME = "logs.example.com"


@contextlib.contextmanager
def listening(serve: Callable[[socket.socket], object], tls: ssl.SSLContext | None = None) -> Iterator[int]:
    """The port of a server that gives each connection to ``serve``, encrypted with ``tls``."""

    def run() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with contextlib.suppress(OSError):
                connection.settimeout(10)
                if tls is not None:
                    connection = tls.wrap_socket(connection, server_side=True)
                serve(connection)
            connection.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def silent(connection: socket.socket) -> None:
    """Read to the end."""
    while connection.recv(4096):
        pass


def encrypting(issued: Issued, clients: Authority | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(issued.cert, issued.key)
    if clients is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(clients.pem)
    return context


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def server(authority: Authority) -> Issued:
    return authority.issue(NAME)


def last(target: Target) -> Finding:
    return network_findings(target)[-1]


def trusting(port: int, issuer: Authority, **more: object) -> Target:
    given = {"expected": NAME, "authority": str(issuer.pem)} | more
    return Target("tls", "127.0.0.1", port, **given)  # type: ignore[arg-type]


def test_a_way_without_faults(authority: Authority, server: Issued) -> None:
    with listening(silent, encrypting(server)) as port:
        findings = network_findings(trusting(port, authority))
    assert [(one.check, one.state) for one in findings] == [("port", "ok"), ("tls", "ok")]
    assert f"named {NAME}, valid until" in findings[-1].detail
    assert not blocked(findings)
    with listening(silent) as port:
        assert [one.check for one in network_findings(Target("tcp", "localhost", port))] == ["dns", "port"]
    assert network_findings(Target("udp", "127.0.0.1", 1)) == []
    assert not blocked([])


def test_a_name_that_does_not_resolve() -> None:
    found = last(Target("relp", "a..b", 2514))
    assert (found.check, found.state, found.subject) == ("dns", "failed", "a..b")
    assert "/etc/resolv.conf" in found.remedy


def test_a_port_where_nothing_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as one:
        port = one.getsockname()[1]
    found = last(Target("relp", "127.0.0.1", port))
    assert (found.check, found.state) == ("port", "failed")
    assert "nothing listens there" in found.remedy


def test_an_expired_certificate(authority: Authority) -> None:
    with listening(silent, encrypting(authority.issue(NAME, expired=True))) as port:
        found = last(trusting(port, authority))
        unchecked = last(trusting(port, authority, checked=False))
    assert (found.check, found.state) == ("tls", "failed")
    assert "expired" in found.detail
    assert "renew the receiver's certificate" in found.remedy
    assert (unchecked.state, "expired" in unchecked.detail) == ("failed", True)


def test_a_certificate_that_ends_soon(authority: Authority) -> None:
    with listening(silent, encrypting(authority.issue("soon.example.com", days=3))) as port:
        found = last(trusting(port, authority, expected="soon.example.com"))
    assert (found.check, found.state) == ("tls", "warning")


def test_a_certificate_with_another_name(authority: Authority, server: Issued) -> None:
    with listening(silent, encrypting(server)) as port:
        found = last(trusting(port, authority, expected="logs.example.net"))
    assert (found.check, found.state) == ("tls", "failed")
    assert "with that name" in found.remedy


def test_an_authority_that_the_sender_does_not_know(tmp_path: Path, server: Issued) -> None:
    with listening(silent, encrypting(server)) as port:
        found = last(trusting(port, Authority(tmp_path)))
    assert (found.check, found.state) == ("tls", "failed")
    assert "ca.crt" in found.remedy


def test_tls_to_a_listener_without_it(authority: Authority) -> None:
    def plain(connection: socket.socket) -> None:
        connection.sendall(b"220 hello\r\n")
        connection.recv(4096)

    with listening(plain) as port:
        found = last(trusting(port, authority))
    assert (found.check, found.state) == ("tls", "failed")
    assert "does not speak TLS" in found.remedy


def test_files_of_the_sender(authority: Authority, server: Issued, tmp_path: Path) -> None:
    client, other = authority.issue("web-1.example.com"), authority.issue("web-2.example.com")
    with listening(silent, encrypting(server, authority)) as port:
        good = trusting(port, authority, cert=str(client.cert), key=str(client.key))
        missing = last(trusting(port, authority, cert=str(tmp_path / "none.crt"), key=str(client.key)))
        mixed = last(trusting(port, authority, cert=str(client.cert), key=str(other.key)))
        old = authority.issue("web-3.example.com", expired=True)
        ended = last(trusting(port, authority, cert=str(old.cert), key=str(old.key)))
        junk = tmp_path / "junk"
        junk.write_text("nothing")
        broken = last(trusting(port, authority, authority=str(junk)))
        assert [one.check for one in network_findings(good)] == ["port", "client certificate", "tls"]
        assert not blocked(network_findings(good))
    assert (missing.check, missing.detail[:11]) == ("files", "cannot read")
    assert (mixed.check, mixed.remedy[:38]) == ("files", "the key belongs to another certificate")
    assert (ended.check, ended.state) == ("client certificate", "failed")
    assert (broken.check, broken.remedy) == ("files", "write it as PEM, and a key without a password")


@pytest.mark.parametrize("label", ["TRUSTED CERTIFICATE", "X509 CERTIFICATE"])
def test_a_certificate_under_another_label_of_openssl(authority: Authority, tmp_path: Path, label: str) -> None:
    client, other = authority.issue("web-4.example.com", days=3), tmp_path / "other.crt"
    other.write_text(client.cert.read_text().replace("CERTIFICATE", label))
    with listening(silent, encrypting(authority.issue(NAME), authority)) as port:
        way = network_findings(trusting(port, authority, cert=str(other), key=str(client.key)))
    assert [(one.check, one.state) for one in way] == [("port", "ok"), ("client certificate", "warning"), ("tls", "ok")]
    assert way[1].detail.startswith("expires on ")


def test_a_certificate_whose_end_cannot_be_read(
    authority: Authority, server: Issued, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreadable(pem: str) -> bytes:
        raise ValueError("cannot find a certificate in PEM")

    monkeypatch.setattr("logsink.net.first_certificate", unreadable, raising=False)
    with listening(silent, encrypting(server, authority)) as port:
        way = network_findings(trusting(port, authority, cert=str(server.cert), key=str(server.key)))
    assert [(one.check, one.state) for one in way] == [("port", "ok"), ("client certificate", "warning"), ("tls", "ok")]
    assert (way[1].detail, way[1].remedy) == (
        "cannot read until when its certificate is valid",
        "look: `openssl x509 -noout -enddate`",
    )


@pytest.mark.parametrize("transport", ["tls", "relp_tls"])
def test_a_receiver_that_wants_a_certificate(authority: Authority, server: Issued, transport: str) -> None:
    with listening(silent, encrypting(server, authority)) as port:
        (found,) = delivery_findings(
            [Target(transport, "127.0.0.1", port, NAME, str(authority.pem))], lambda token: False
        )
    assert (found.check, found.state) == ("delivery", "failed")
    assert "client certificate" in found.remedy


@pytest.mark.parametrize(
    ("answers", "says"),
    [
        (b"", "closed the connection"),
        (b"HTTP/1.1 400 Bad Request\r\n", "no RELP listener"),
        (b"1 rsp 99999999999999999 200 OK\n", "no RELP listener"),
        (b"1 rsp 16385 200 OK\n", "no RELP listener"),
        (b"1 rsp -1 200 OK\n", "no RELP listener"),
        (b"1 rsp 26 500 error 10021 on connect\n", "500 error"),
    ],
)
def test_what_is_no_relp_listener_that_takes_us(answers: bytes, says: str) -> None:
    def serve(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(answers)

    with listening(serve) as port, pytest.raises(Undelivered) as raised:
        send(Target("relp", "127.0.0.1", port))
    assert says in f"{raised.value} {raised.value.remedy}"


def test_a_port_that_is_closed_when_the_message_is_sent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as one:
        port = one.getsockname()[1]
    with pytest.raises(Undelivered, match="refused"):
        send(Target("tcp", "127.0.0.1", port))


def test_a_message_that_is_found_and_one_that_is_not() -> None:
    with listening(silent) as port:
        target = Target("tcp", "127.0.0.1", port)
        (found,) = delivery_findings([target], lambda token: token.startswith("test-"))
        (lost,) = delivery_findings([target], lambda token: False, within=0.0)
    assert (found.state, found.detail[:11]) == ("ok", "found after")
    assert (lost.state, "another store" in lost.remedy) == ("failed", True)
    (over_udp,) = delivery_findings([Target("udp", "127.0.0.1", 9)], lambda token: False, within=0.0)
    assert "lost on its way" in over_udp.remedy
    assert delivery_findings([], lambda token: True) == []


def test_a_target_is_shown_as_a_url() -> None:
    assert str(Target("relp_tls", "::1", 2515)) == "relp+tls://[::1]:2515"
