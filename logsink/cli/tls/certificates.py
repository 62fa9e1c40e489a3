"""Certificates of a small authority (X.509, RFC 5280), by the package ``cryptography`` (the extra ``tls``).

============  ===========================================  ================================  =================
certificate   issued by                                    may be used for                   private key
============  ===========================================  ================================  =================
authority     itself                                       issuing certificates, no others   ECDSA, curve P-256
server        the authority                                TLS servers (serverAuth)          ECDSA, curve P-256
client        the authority                                TLS clients (clientAuth)          ECDSA, curve P-256
============  ===========================================  ================================  =================

Every library that senders use (OpenSSL, GnuTLS, Go, rustls) takes this curve. Serial numbers are random, so that an authority
keeps no list. A new certificate of the authority has the same key and name: what it issued before stays valid. Nothing here
reads a clock or a file.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import re
from collections.abc import Sequence
from typing import NamedTuple

from logsink.errors import ArgumentError, ConfigError, FormatError, extra

try:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
        load_pem_private_key,
    )
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
except ImportError as error:
    raise ConfigError(
        "cannot make certificates: the package cryptography is not installed", hint=extra("tls")
    ) from error

LONGEST_NAME = 64
"""Characters that the common name of a certificate may have (RFC 5280, appendix A: ub-common-name)."""

EARLIER = dt.timedelta(hours=1)
"""Time that a certificate is valid before it was made, for hosts whose clocks are behind."""

_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_PURPOSES = {"server": ExtendedKeyUsageOID.SERVER_AUTH, "client": ExtendedKeyUsageOID.CLIENT_AUTH}


class Pair(NamedTuple):
    """A certificate and its private key, as PEM."""

    certificate: bytes
    key: bytes


class Certificate(NamedTuple):
    """What a certificate says."""

    common_name: str
    names: list[str]
    """DNS names and addresses."""
    begins: dt.datetime
    ends: dt.datetime
    fingerprint: str
    """SHA-256 of the certificate, as ``tls.permitted_peers`` has it."""


def make_authority(name: str, now: dt.datetime, days: int) -> Pair:
    """Return a new authority that is valid for some ``days``. Raises ``ArgumentError`` for a name that it cannot have."""
    if not name.isprintable() or not 0 < len(name.encode()) <= LONGEST_NAME:
        raise ArgumentError(
            f"cannot name an authority {name!r}: names have 1 to {LONGEST_NAME} bytes, and no control characters",
            hint="write a name such as 'Log servers'",
        )
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    return _authority(subject, ec.generate_private_key(ec.SECP256R1()), now, days)


def renew_authority(old: Pair, now: dt.datetime, days: int) -> Pair:
    """Return a new certificate for the key and the name of an authority. Raises as ``issue`` does."""
    certificate, private = _signer(old)
    return _authority(certificate.subject, private, now, days)


def _authority(subject: x509.Name, private: ec.EllipticCurvePrivateKey, now: dt.datetime, days: int) -> Pair:
    usage = _usage(signs_certificates=True)
    certificate = (
        _builder(subject, subject, private.public_key(), now, days)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .sign(private, SHA256())
    )
    return _pair(certificate, private)


def issue(authority: Pair, kind: str, names: Sequence[str], now: dt.datetime, days: int) -> Pair:
    """Return a certificate of ``kind`` (``server`` or ``client``) with a new key; the first of ``names`` is its common name.

    Raises ``ArgumentError`` for a name that no certificate can hold, and when the authority ends before; ``FormatError`` if
    ``authority`` is none.
    """
    alternatives = [_alternative(name) for name in names]
    issuer, signer = _signer(authority)
    if issuer.not_valid_after_utc < now + dt.timedelta(days=days):
        raise ArgumentError(
            f"cannot issue a certificate for {days} days: its authority ends on {issuer.not_valid_after_utc:%Y-%m-%d}",
            hint="renew the authority first: logsink tls init --renew",
        )
    private = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    certificate = (
        _builder(subject, issuer.subject, private.public_key(), now, days)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([_PURPOSES[kind]]), critical=False)
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(_known_as(issuer), critical=False)
        .sign(signer, SHA256())
    )
    return _pair(certificate, private)


def describe(pem: bytes) -> Certificate:
    """Return what the first certificate of a PEM file says. Raises ``FormatError`` if there is none."""
    certificate = _certificate(pem)
    common = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    try:
        alternatives = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        names = []
    else:
        addresses = [str(one) for one in alternatives.get_values_for_type(x509.IPAddress)]
        names = alternatives.get_values_for_type(x509.DNSName) + addresses
    return Certificate(
        common_name=str(common[0].value) if common else "",
        names=names,
        begins=certificate.not_valid_before_utc,
        ends=certificate.not_valid_after_utc,
        fingerprint="SHA256:" + certificate.fingerprint(SHA256()).hex(":").upper(),
    )


def issued_by(authority: bytes, pem: bytes) -> bool:
    """Return whether the authority whose certificate is given has signed a certificate. Raises ``FormatError``."""
    from cryptography.exceptions import InvalidSignature

    try:
        _certificate(pem).verify_directly_issued_by(_certificate(authority))
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True


def is_key_of(pem: bytes, key: bytes) -> bool:
    """Return whether a private key is that of a certificate; not, either, where it is none."""
    try:
        return load_pem_private_key(key, None).public_key() == _certificate(pem).public_key()
    except (ValueError, TypeError):
        return False


def _alternative(name: str) -> x509.GeneralName:
    """Return a name of a host as a certificate holds it: an address, or a DNS name, whose first label may be ``*``."""
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        pass
    labels = name.removeprefix("*.").split(".")
    if len(name) > LONGEST_NAME or not all(_LABEL.fullmatch(label) for label in labels):
        raise ArgumentError(
            f"cannot issue a certificate for {name!r}: it is no address, and no DNS name of at most {LONGEST_NAME} characters",
            hint="write a name such as web-1.example.com or *.example.com; other scripts as xn--...",
        )
    return x509.DNSName(name)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: dt.datetime, days: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - EARLIER)
        .not_valid_after(now + dt.timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _known_as(issuer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    """Return how certificates name the key of their authority, which another program may have made without a name for it."""
    try:
        own = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.public_key())  # type: ignore[arg-type]
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own)


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _pair(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Pair:
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return Pair(certificate.public_bytes(Encoding.PEM), private)


def _signer(authority: Pair) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    """Return certificate and key of an authority. ``FormatError`` if they are none, or do not belong together."""
    hint = "take ca.crt and ca.key from the same backup"
    what = "ca.crt"
    try:
        certificate, what = _certificate(authority.certificate), "ca.key"
        private = _private_key(authority.key)
    except FormatError as error:
        raise FormatError(f"cannot use {what} of the authority", error.why, hint=hint) from error
    if certificate.public_key() != private.public_key():
        raise FormatError("cannot use the authority", "ca.key is not the key of ca.crt", hint=hint)
    return certificate, private


def _certificate(pem: bytes) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(pem)
    except ValueError as error:
        raise FormatError("cannot read a certificate", "it is damaged, or not PEM") from error


def _private_key(pem: bytes) -> ec.EllipticCurvePrivateKey:
    try:
        key = load_pem_private_key(pem, None)
    except (ValueError, TypeError) as error:
        raise FormatError("cannot read a private key", "it is damaged, not PEM, or has a password") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise FormatError("cannot use a private key", "it is no ECDSA key, as `logsink tls init` makes them")
    return key
