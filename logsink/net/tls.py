"""TLS for listeners: all of them share one context, which is made anew when its files change.

A handshake takes ``Certificates.context`` as it is at that moment: connections that are open keep what they began with, new
ones get the new certificate and the new authorities. Files that cannot be used change nothing and are reported.

OpenSSL reads the files; nothing here waits for the network. The floor is TLS 1.2 (RFC 9662 for syslog).
"""

from __future__ import annotations

import math
import ssl
import stat
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from logsink import telemetry
from logsink.config import Tls
from logsink.errors import ConfigError
from logsink.net.identity import Permitted, expires, first_certificate, names, subject
from logsink.wire import Rejection

SOON, DAY = 14 * 86400.0, 86400.0
"""Seconds before a certificate expires from which on the log warns of it, and between two warnings."""

_VERIFY = {"none": ssl.CERT_NONE, "optional": ssl.CERT_OPTIONAL, "required": ssl.CERT_REQUIRED}

_SEEN_INSTEAD = {
    "HTTP_REQUEST": ("http", "this seems to be HTTP without TLS"),
    "HTTPS_PROXY_REQUEST": ("http", "this seems to be HTTP without TLS"),
    "WRONG_VERSION_NUMBER": (
        "plain",
        "this is not TLS; plain syslog and RELP belong on addresses of listen.tcp, listen.relp",
    ),
    "UNSUPPORTED_PROTOCOL": ("tls_version", "it offers nothing newer than TLS 1.1"),
    "NO_SHARED_CIPHER": (
        "cipher",
        "it offers no cipher for a server that has a certificate, as rsyslog's omrelp without tls.myCert: "
        + 'give it one, or load it with tls.tlslib="openssl"',
    ),
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": (
        "no_certificate",
        "it has shown no certificate (tls.client_auth is required)",
    ),
}


class Certificates:
    """Keeps the context for new handshakes. ``ConfigError``: the files cannot be used at first; later that is only logged."""

    def __init__(self, settings: Tls) -> None:
        self._settings = settings
        self._permitted = Permitted(settings.permitted_peers)
        self._seen = self._signature()
        self._expires = self._warned = 0.0
        self.context = self._load()
        self._warn()

    def refresh(self) -> None:
        """Load the files if they have changed since the last look; warn, once a day, when the certificate expires soon."""
        self._warn()
        signature = self._signature()
        if signature == self._seen:
            return
        self._seen = signature
        try:
            self.context = self._load()
        except ConfigError as error:
            telemetry.CERTIFICATE_FAILURES.inc()
            telemetry.CERTIFICATES_BROKEN.log(error=error)
        else:
            telemetry.CERTIFICATES_LOADED.log(cert=self._settings.cert)

    @property
    def expires(self) -> float:
        """When the certificate expires, in seconds since 1970; infinity where that is not known."""
        return self._expires

    def identify(self, connection: ssl.SSLObject) -> tuple[str | None, Rejection | None]:
        """Return the RFC 4514 subject of the peer's verified certificate, and why the peer is rejected; each may be None."""
        der = connection.getpeercert(binary_form=True)
        described: Mapping[str, Any] = connection.getpeercert() or {}
        if not der or not described:
            return None, None
        identity = subject(der)
        if (der, described) in self._permitted:
            return identity, None
        listed = ", ".join(names(described)) or "none"
        reason = f"its certificate, subject {identity}, names {listed}, matches nothing in tls.permitted_peers"
        return identity, Rejection("not_permitted", reason)

    def _files(self) -> list[Path]:
        paths = (self._settings.cert, self._settings.key, self._settings.client_ca)
        return [Path(path) for path in paths if path is not None]

    def _signature(self) -> list[tuple[int, ...] | None]:
        """Return what changes when the files do; None stands for a file that is missing."""
        found: list[tuple[int, ...] | None] = []
        for path in self._files():
            try:
                status = path.stat()
            except OSError:
                found.append(None)
            else:
                found.append((status.st_mtime_ns, status.st_size, status.st_ino, status.st_dev))
        return found

    def _load(self) -> ssl.SSLContext:
        settings = self._settings
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        # A ticket would lie unread at senders that never read, and hide from them that the connection was closed.
        context.num_tickets = 0
        context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_TICKET
        context.verify_mode = _VERIFY[settings.client_auth]
        # A certificate listed in client_ca is trusted itself, whoever issued it.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | ssl.VERIFY_X509_TRUSTED_FIRST
        assert settings.cert is not None, "config refuses TLS listeners without a certificate"
        try:
            for what in map(str, self._files()):
                Path(what).open("rb").close()  # OpenSSL does not say which file it cannot open
            what = settings.cert
            context.load_cert_chain(settings.cert, settings.key, password=_no_password)
            if settings.client_ca is not None:
                what = settings.client_ca
                context.load_verify_locations(settings.client_ca)
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            raise ConfigError(f"cannot use {what} for TLS: {_told(error)}", hint=_remedy(error)) from error
        if exposed := _exposed(settings):
            telemetry.KEY_EXPOSED.log(key=exposed)
        self._expires, self._warned = _expires(settings.cert), 0.0
        telemetry.CERTIFICATE_EXPIRES.set(self._expires)
        return context

    def _warn(self) -> None:
        now = time.time()
        if now > self._expires - SOON and now > self._warned + DAY:
            self._warned = now
            date = time.strftime("%Y-%m-%d", time.gmtime(self._expires))
            telemetry.CERTIFICATE_EXPIRING.log(cert=self._settings.cert, date=date)


def check_tls_files(settings: Tls, now: float) -> list[str]:
    """Return warnings about the files of ``settings``, which names a certificate. ``ConfigError``: a listener cannot use them.

    As a listener does, it opens them and checks that the key belongs to the certificate; and that this has not expired.
    """
    assert settings.cert is not None
    certificates = Certificates(settings)
    if certificates.expires <= now:
        date = time.strftime("%Y-%m-%d", time.gmtime(certificates.expires))
        raise ConfigError(f"cannot use {settings.cert} for TLS: it expired on {date}", hint="renew the certificate")
    warnings = []
    if certificates.expires < now + SOON:
        date = time.strftime("%Y-%m-%d", time.gmtime(certificates.expires))
        warnings.append(f"the certificate {settings.cert} expires on {date}")
    if exposed := _exposed(settings):
        warnings.append(f"the private key {exposed} can be read by everybody on this machine (chmod o-rwx)")
    return warnings


def _exposed(settings: Tls) -> str:
    """Return the file of the private key if everybody may read it, else ''."""
    key = settings.key or settings.cert or ""
    try:
        return key if Path(key).stat().st_mode & stat.S_IROTH else ""
    except OSError:
        return ""


def _expires(cert: str) -> float:
    """Return when the first certificate of a PEM file expires, which is the one that is served; infinity: not known."""
    try:
        return expires(first_certificate(Path(cert).read_text(encoding="latin-1")))
    except (OSError, ValueError):  # OpenSSL reads more than we do, and the file may have been replaced meanwhile
        return math.inf


def rejection(error: BaseException) -> Rejection | None:
    """Return why a failed handshake is the peer's fault; None: it just went away, as port checks do."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return Rejection("certificate", f"its certificate is not accepted: {error.verify_message}")
    if isinstance(error, ssl.SSLError):
        known = _SEEN_INSTEAD.get(error.reason or "")
        return Rejection(*known) if known else Rejection("handshake", f"the TLS handshake failed: {_told(error)}")
    if isinstance(error, ConnectionAbortedError | TimeoutError):
        return Rejection("handshake_timeout", "it did not finish the TLS handshake in time")
    return None


def _told(error: Exception) -> str:
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.lower().replace("_", " ")
    return str(getattr(error, "strerror", None) or error)


def _remedy(error: Exception) -> str:
    if not isinstance(error, ssl.SSLError):
        return ""
    if error.reason == "KEY_VALUES_MISMATCH":
        return "tls.key is the key of another certificate"
    return "certificate and key are PEM; the key may have a file of its own, tls.key"


def _no_password() -> str:
    raise ValueError("the key is encrypted, and nobody is there to type its password")
