"""Ed25519 signatures of ledgers (RFC 8032), by the package ``cryptography`` (the extra ``sign``)."""

from __future__ import annotations

from pathlib import Path

from logsink.archive.ledger import Ledger, Sign, Signature, payload
from logsink.errors import ConfigError, FormatError, extra

_MISSING = "cannot sign or check ledgers: the package cryptography is not installed"
_INSTALL = extra("sign")


def signer(path: Path) -> Sign:
    """Return what signs with the private key in a PEM file (PKCS 8, without a password). Raises ``ConfigError``."""
    try:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key
    except ImportError as error:
        raise ConfigError(_MISSING, hint=_INSTALL) from error
    try:
        key = load_pem_private_key(path.read_bytes(), None)
    except (OSError, ValueError, TypeError) as error:
        raise ConfigError(
            f"cannot read ledger.sign_key {path}: {error}", hint="openssl genpkey -algorithm ed25519 makes such a key"
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError(
            f"cannot sign with ledger.sign_key {path}: it is no Ed25519 key",
            hint="openssl genpkey -algorithm ed25519 makes such a key",
        )
    public = key.public_key().public_bytes_raw().hex()
    return lambda data: Signature(public, key.sign(data).hex())


def check_signature(ledger: Ledger) -> bool:
    """Return whether the ledger's signature is that of its key. ``ConfigError``: cryptography is not installed."""
    assert ledger.signature is not None
    try:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    except ImportError as error:
        raise ConfigError(_MISSING, hint=_INSTALL) from error
    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(ledger.signature.key))
        key.verify(bytes.fromhex(ledger.signature.value), payload(ledger))
    except InvalidSignature:
        return False
    except ValueError as error:
        raise FormatError("cannot read the signature of a ledger", str(error)) from error
    return True
