"""Certificates of ``logsink tls``: what they say, and what OpenSSL makes of them."""

from __future__ import annotations

import datetime as dt
import ssl
import subprocess
from pathlib import Path

import pytest

from logsink.cli.tls import certificates
from logsink.cli.tls.certificates import Pair, describe, issue, issued_by, make_authority, renew_authority
from logsink.errors import ArgumentError, FormatError

NOW = dt.datetime.now(dt.UTC).replace(microsecond=0)
DAY = dt.timedelta(days=1)


@pytest.fixture(scope="module")
def authority() -> Pair:
    return make_authority("fleet", NOW, 3650)


def openssl(directory: Path, authority: Pair, issued: Pair, *arguments: str) -> bool:
    """Whether ``openssl verify`` takes a certificate."""
    (directory / "ca.crt").write_bytes(authority.certificate)
    (directory / "one.crt").write_bytes(issued.certificate)
    command = ["openssl", "verify", "-x509_strict", "-CAfile", "ca.crt", *arguments, "one.crt"]
    return subprocess.run(command, cwd=directory, capture_output=True, check=False).returncode == 0


def handshake(authority: Pair, server: Pair, client: Pair, directory: Path, name: str = "logs.example.com") -> None:
    """Shake hands in memory, as a receiver that asks for certificates does. Raises what either side says."""
    for what, pair in (("ca", authority), ("server", server), ("client", client)):
        (directory / f"{what}.crt").write_bytes(pair.certificate)
        (directory / f"{what}.key").write_bytes(pair.key)
    here = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(directory / "ca.crt"))
    here.verify_mode = ssl.CERT_REQUIRED
    here.load_cert_chain(directory / "server.crt", directory / "server.key")
    there = ssl.create_default_context(cafile=str(directory / "ca.crt"))
    there.load_cert_chain(directory / "client.crt", directory / "client.key")
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = [
        here.wrap_bio(to_server, to_client, server_side=True),
        there.wrap_bio(to_client, to_server, server_hostname=name),
    ]
    for _ in range(4):
        for side in reversed(sides):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue


def test_a_server_certificate_has_its_names_and_may_serve_only(authority: Pair, tmp_path: Path) -> None:
    one = issue(authority, "server", ["logs.example.com", "192.0.2.10", "2001:db8::10"], NOW, 397)
    said = describe(one.certificate)
    assert said.common_name == "logs.example.com"
    assert said.names == ["logs.example.com", "192.0.2.10", "2001:db8::10"]
    assert (said.begins, said.ends) == (NOW - certificates.EARLIER, NOW + 397 * DAY)
    assert openssl(tmp_path, authority, one, "-purpose", "sslserver", "-verify_hostname", "logs.example.com")
    assert openssl(tmp_path, authority, one, "-purpose", "sslserver", "-verify_ip", "192.0.2.10")
    assert not openssl(tmp_path, authority, one, "-purpose", "sslserver", "-verify_ip", "192.0.2.11")
    assert not openssl(tmp_path, authority, one, "-purpose", "sslclient")


def test_a_client_certificate_may_be_a_client_only(authority: Pair, tmp_path: Path) -> None:
    one = issue(authority, "client", ["web-1"], NOW, 30)
    assert openssl(tmp_path, authority, one, "-purpose", "sslclient")
    assert not openssl(tmp_path, authority, one, "-purpose", "sslserver")


def test_both_shake_hands_and_nobody_else_gets_in(authority: Pair, tmp_path: Path) -> None:
    server = issue(authority, "server", ["logs.example.com"], NOW, 30)
    client = issue(authority, "client", ["web-1"], NOW, 30)
    handshake(authority, server, client, tmp_path)
    with pytest.raises(ssl.SSLCertVerificationError, match="purpose"):
        handshake(authority, server, server, tmp_path)
    with pytest.raises(ssl.SSLCertVerificationError, match="mismatch"):
        handshake(authority, server, client, tmp_path, "other.example.com")
    other = issue(make_authority("fleet", NOW, 30), "client", ["web-1"], NOW, 20)
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(authority, server, other, tmp_path)


def test_what_an_authority_has_issued_outlives_its_renewal(authority: Pair, tmp_path: Path) -> None:
    one = issue(authority, "client", ["web-1"], NOW, 30)
    renewed = renew_authority(authority, NOW, 4000)
    assert renewed.key == authority.key
    assert describe(renewed.certificate).ends == NOW + 4000 * DAY
    assert openssl(tmp_path, renewed, one, "-purpose", "sslclient")
    assert openssl(tmp_path, authority, issue(renewed, "client", ["web-2"], NOW, 30), "-purpose", "sslclient")


def test_the_authority_signs_nothing_but_certificates_of_hosts(authority: Pair, tmp_path: Path) -> None:
    one = issue(authority, "server", ["logs.example.com"], NOW, 30)
    forged = issue(Pair(one.certificate, one.key), "client", ["web-1"], NOW, 20)
    chain = Pair(forged.certificate + one.certificate, forged.key)
    (tmp_path / "chain.pem").write_bytes(one.certificate)
    assert not openssl(tmp_path, authority, chain, "-untrusted", "chain.pem")


def test_issued_by(authority: Pair) -> None:
    one = issue(authority, "client", ["web-1"], NOW, 30)
    assert issued_by(authority.certificate, one.certificate)
    assert not issued_by(make_authority("fleet", NOW, 9).certificate, one.certificate)
    assert not issued_by(one.certificate, authority.certificate)


@pytest.mark.parametrize(
    "name", ["", "logs_example", "a b", "-a", "a..b", "*.*.example.com", "web.*", "ä.example.com", "a/../b", "x" * 65]
)
def test_names_that_no_certificate_can_hold(authority: Pair, name: str) -> None:
    with pytest.raises(ArgumentError, match="cannot issue a certificate"):
        issue(authority, "server", [name], NOW, 30)


def test_nothing_is_issued_beyond_the_authority(authority: Pair) -> None:
    with pytest.raises(ArgumentError, match="its authority ends on") as raised:
        issue(authority, "server", ["a"], NOW, 3651)
    assert "--renew" in raised.value.hint


def test_files_that_are_no_certificates(authority: Pair) -> None:
    with pytest.raises(FormatError, match="cannot read a certificate"):
        describe(b"-----BEGIN NOTHING-----")
    with pytest.raises(
        FormatError, match=r"cannot use ca\.key of the authority: it is damaged, not PEM, or has a password"
    ):
        renew_authority(Pair(make_authority("fleet", NOW, 30).certificate, b"nothing"), NOW, 30)
    with pytest.raises(FormatError, match=r"cannot use ca\.crt of the authority: it is damaged, or not PEM") as raised:
        issue(Pair(b"nothing", authority.key), "client", ["a"], NOW, 30)
    assert raised.value.hint == "take ca.crt and ca.key from the same backup"
    other = subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519"], capture_output=True, check=True).stdout
    with pytest.raises(FormatError, match="no ECDSA key"):
        issue(Pair(authority.certificate, other), "client", ["a"], NOW, 30)


def test_without_common_name_and_names_nothing_is_invented(tmp_path: Path) -> None:
    command = "openssl req -x509 -newkey ed25519 -nodes -keyout k -out c -subj /O=x -days 2"
    subprocess.run(command.split(), cwd=tmp_path, capture_output=True, check=True)
    said = describe((tmp_path / "c").read_bytes())
    assert (said.common_name, said.names) == ("", [])


@pytest.mark.parametrize("name", ["", "x" * 65, "\u00fc" * 33, "a\nb", "\udcff"])
def test_names_that_no_authority_can_have(name: str) -> None:
    with pytest.raises(ArgumentError, match="cannot name an authority"):
        make_authority(name, NOW, 30)


def test_certificate_and_key_of_different_authorities_issue_nothing(authority: Pair) -> None:
    mixed = Pair(authority.certificate, make_authority("fleet", NOW, 30).key)
    with pytest.raises(FormatError, match="is not the key of"):
        issue(mixed, "client", ["web-1"], NOW, 20)
    with pytest.raises(FormatError, match="is not the key of"):
        renew_authority(mixed, NOW, 30)


@pytest.mark.parametrize("extension", ["subjectKeyIdentifier=hash", "subjectKeyIdentifier=none"])
def test_an_authority_of_another_program_keeps_its_name(tmp_path: Path, extension: str) -> None:
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    command += ["-keyout", "ca.key", "-out", "ca.crt", "-subj", "/O=Firm/CN=logs", "-days", "900", "-addext", extension]
    subprocess.run(command, cwd=tmp_path, capture_output=True, check=True)
    old = Pair((tmp_path / "ca.crt").read_bytes(), (tmp_path / "ca.key").read_bytes())
    one = issue(old, "client", ["web-1"], NOW, 30)
    renewed = renew_authority(old, NOW, 4000)
    assert issued_by(renewed.certificate, one.certificate)
    assert openssl(tmp_path, renewed, one, "-purpose", "sslclient")
