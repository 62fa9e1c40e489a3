"""Certificates for tests: an authority of their own, and what it issues, as files."""

from __future__ import annotations

import os
import ssl
from datetime import UTC, datetime, timedelta
from hashlib import sha1, sha256
from pathlib import Path

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import serialization


class Issued:
    """One certificate: ``cert`` (chain) and ``key`` are PEM files."""

    def __init__(self, leaf: trustme.LeafCert, directory: Path, name: str) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.cert, self.key = directory / f"{name}.crt", directory / f"{name}.key"
        self._chain = b"".join(pem.bytes() for pem in leaf.cert_chain_pems)
        self._private = leaf.private_key_pem.bytes()
        self.place(self.cert, self.key)
        self.der = x509.load_pem_x509_certificate(self._chain).public_bytes(serialization.Encoding.DER)

    def place(self, cert: Path, key: Path) -> None:
        """Put it into these files, each at once, as careful tools do."""
        for path, text in ((key, self._private), (cert, self._chain)):
            draft = path.with_name(f".{path.name}")
            draft.write_bytes(text)
            draft.chmod(0o600 if path == key else 0o644)
            os.replace(draft, path)

    def fingerprint(self, algorithm: str = "SHA1") -> str:
        """As rsyslog writes it."""
        digest = (sha1 if algorithm == "SHA1" else sha256)(self.der).hexdigest().upper()
        return f"{algorithm}:" + ":".join(digest[i : i + 2] for i in range(0, len(digest), 2))


class Authority:
    """Issues certificates into ``directory``; ``pem`` is its own."""

    def __init__(self, directory: Path, name: str = "ca") -> None:
        self._ca, self._directory = trustme.CA(key_type=trustme.KeyType.RSA), directory
        directory.mkdir(parents=True, exist_ok=True)
        self.pem = directory / f"{name}.pem"
        self._ca.cert_pem.write_to_path(str(self.pem))

    def issue(self, *names: str, common_name: str | None = None, expired: bool = False, days: int = 90) -> Issued:
        """A certificate for ``names`` (DNS names and addresses), valid for some ``days`` or until yesterday."""
        now = datetime.now(UTC)
        leaf = self._ca.issue_cert(
            *names,
            common_name=common_name,
            not_before=now - timedelta(days=9),
            not_after=now + timedelta(days=-1 if expired else days),
            key_type=trustme.KeyType.RSA,
        )
        return Issued(leaf, self._directory, (common_name or names[0]).replace("*", "star") + ("-expired" * expired))

    def client(self, certificate: Issued | None = None) -> ssl.SSLContext:
        """A client that trusts this authority, and shows ``certificate``."""
        context = ssl.create_default_context(cafile=str(self.pem))
        if certificate is not None:
            context.load_cert_chain(certificate.cert, certificate.key)
        return context
