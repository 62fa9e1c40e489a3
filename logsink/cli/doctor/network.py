"""Checks of an address: its name resolves, its port is open, its TLS is what a sender expects."""

from __future__ import annotations

import datetime as dt
import ipaddress
import socket
import ssl
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from logsink.cli.doctor.finding import Finding, failed

TIMEOUT = 5.0
"""Seconds for a name to resolve, a connection to open, a reply to come."""

SOON = dt.timedelta(days=30)
"""Time before a certificate's end from which on it is warned of."""

TRANSPORTS = ("udp", "tcp", "relp", "tls", "relp_tls")

_AUTHORITY = (
    "the sender needs the ca.crt of the authority that issued the certificate; intermediates belong into tls.cert"
)
_NAME = (
    "issue a certificate with that name, or give senders a name that it has (`openssl x509 -noout -ext subjectAltName`)"
)


@dataclass(frozen=True, slots=True)
class Target:
    """Where messages go, and what is expected there.

    transport   one of ``TRANSPORTS``
    expected    the name that the certificate must have; '' stands for no check of the name
    authority   a file with the authorities to trust, '': those of the system
    cert, key   files of the sender's own certificate, '' without
    checked     whether the sender looks at who issued the receiver's certificate
    """

    transport: str
    host: str
    port: int
    expected: str = ""
    authority: str = ""
    cert: str = ""
    key: str = ""
    checked: bool = True

    @property
    def encrypted(self) -> bool:
        """Whether the transport is one with TLS."""
        return self.transport.endswith("tls")

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.transport.replace('_', '+')}://{host}:{self.port}"


def network_findings(target: Target) -> list[Finding]:
    """Look at name, port, files and TLS of a target, in this order. The first failure is the last finding."""
    found: list[Finding] = []
    for look in (_name, _port, _own_files, _own_certificate, _tls):
        found += look(target)
        if blocked(found):
            break
    return found


def blocked(way: list[Finding]) -> bool:
    """Return whether the findings of ``network_findings`` end with a failure."""
    return bool(way) and way[-1].bad


def connected(target: Target) -> socket.socket:
    """Return a connection to a target, encrypted where it is to be. Raises ``OSError``, of which ``ssl.SSLError`` is one."""
    raw = socket.create_connection((target.host, target.port), TIMEOUT)
    if not target.encrypted:
        return raw
    try:
        return _context(target).wrap_socket(raw, server_hostname=target.expected or target.host)
    except BaseException:
        raw.close()
        raise


def _name(target: Target) -> list[Finding]:
    with suppress(ValueError):
        ipaddress.ip_address(target.host)
        return []
    started = time.monotonic()
    try:
        found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        cause = getattr(error, "strerror", None) or str(error)
        remedy = "correct the name, its DNS record, or /etc/resolv.conf"
        return [failed("dns", target.host, f"cannot resolve {target.host}: {cause}", remedy)]
    seconds = time.monotonic() - started
    addresses = ", ".join(dict.fromkeys(str(one[4][0]) for one in found))
    return [Finding("dns", target.host, "ok", f"{addresses} ({seconds * 1000:.0f} ms)", "", seconds)]


def _port(target: Target) -> list[Finding]:
    if target.transport == "udp":
        return []
    started = time.monotonic()
    try:
        socket.create_connection((target.host, target.port), TIMEOUT).close()
    except OSError as error:
        cause = "no answer" if isinstance(error, TimeoutError) else error.strerror or str(error)
        if isinstance(error, ConnectionRefusedError):
            remedy = "start the receiver, or correct the port: nothing listens there"
        else:
            remedy = "let firewalls and security groups pass TCP to this port"
        detail = f"cannot connect to {target.host} port {target.port}: {cause}"
        return [failed("port", str(target), detail, remedy)]
    seconds = time.monotonic() - started
    return [Finding("port", str(target), "ok", f"open ({seconds * 1000:.1f} ms)", "", seconds)]


def _own_files(target: Target) -> list[Finding]:
    """Return what is wrong with the files that a sender trusts and shows."""
    for path in (target.authority, target.cert, target.key):
        try:
            if path:
                Path(path).read_bytes()
        except OSError as error:
            remedy = "copy it there, readable for whoever sends: `logsink tls show` says which files go where"
            return [failed("files", path, f"cannot read {path}: {error.strerror}", remedy)]
    subject = target.cert or target.authority
    try:
        _context(target)
    except (OSError, ValueError) as error:
        mismatch = isinstance(error, ssl.SSLError) and error.reason == "KEY_VALUES_MISMATCH"
        remedy = (
            "the key belongs to another certificate: copy both again"
            if mismatch
            else "write it as PEM, and a key without a password"
        )
        return [failed("files", subject, f"cannot use {subject}: {_told(error)}", remedy)]
    return []


def _own_certificate(target: Target) -> list[Finding]:
    if not target.cert:
        return []
    from logsink.net import first_certificate

    try:
        der = first_certificate(Path(target.cert).read_text(encoding="latin-1"))
    except ValueError:
        der = b""
    return [_ending("client certificate", target.cert, der)]


def _tls(target: Target) -> list[Finding]:
    if not target.encrypted:
        return []
    started = time.monotonic()
    try:
        with connected(target) as connection:
            assert isinstance(connection, ssl.SSLSocket)
            seconds = time.monotonic() - started
            version = connection.version()
            der = connection.getpeercert(binary_form=True) or b""
    except OSError as error:
        detail = f"cannot agree on TLS with {target.host}: {_told(error)}"
        return [failed("tls", str(target), detail, _remedy(error))]
    ending = _ending("tls", str(target), der)
    name = f", named {target.expected}" if target.expected and target.checked else ""
    detail = f"{version}{name}, {ending.detail} ({seconds * 1000:.0f} ms)"
    return [ending._replace(detail=detail, seconds=seconds)]


def _ending(check: str, subject: str, der: bytes) -> Finding:
    """Return until when a certificate (DER) is valid: a warning before its end or where that is not known, a failure after."""
    from logsink.net import expires

    try:
        end = dt.datetime.fromtimestamp(expires(der), dt.UTC)
    except ValueError:  # OpenSSL reads more than we do
        detail, remedy = "cannot read until when its certificate is valid", "look: `openssl x509 -noout -enddate`"
        return Finding(check, subject, "warning", detail, remedy)
    now = dt.datetime.now(dt.UTC)
    if end <= now:
        return failed(check, subject, f"its certificate has expired on {end:%Y-%m-%d}", "renew it: `logsink tls issue`")
    if end <= now + SOON:
        return Finding(check, subject, "warning", f"expires on {end:%Y-%m-%d}", "renew it: `logsink tls issue`")
    return Finding(check, subject, "ok", f"valid until {end:%Y-%m-%d}")


def _context(target: Target) -> ssl.SSLContext:
    """Return a context that trusts and shows what the target says. Not the default one: it refuses what senders accept."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = target.checked and bool(target.expected)
    context.verify_mode = ssl.CERT_REQUIRED if target.checked else ssl.CERT_NONE
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    if target.authority:
        context.load_verify_locations(target.authority)
    else:
        context.load_default_certs()
    if target.cert:
        context.load_cert_chain(target.cert, target.key or None, password=_no_password)
    return context


def _no_password() -> str:
    raise ValueError("the key is encrypted")


def _told(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.lower().replace("_", " ")
    if isinstance(error, TimeoutError):
        return "no answer"
    return str(getattr(error, "strerror", None) or error)


def _remedy(error: OSError) -> str:
    """Return what to do about a handshake that failed."""
    if isinstance(error, ssl.SSLCertVerificationError):
        message = error.verify_message.lower()
        if "expired" in message:
            return "renew the receiver's certificate: `logsink tls issue server NAME`, and copy it there"
        if "mismatch" in message or "not valid for" in message:
            return _NAME
        return _AUTHORITY
    if isinstance(error, ssl.SSLError) and error.reason in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE"):
        return "the listener there does not speak TLS: take the port of listen.tls or listen.relp_tls"
    if isinstance(error, TimeoutError) or (isinstance(error, ssl.SSLError) and "EOF" in str(error.reason)):
        return "the listener there does not speak TLS, or closes the connection: its log says why"
    return "see the receiver's log, which has the reason"
