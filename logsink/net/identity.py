"""Reads from certificates who they belong to, until when they are valid, and whether their peer may connect.

``subject`` writes the certificate's subject as RFC 4514 says: from the encoded name, because what the TLS library makes of
it has lost the order of types and the encoding of values. ``Permitted`` is the rule ``tls.permitted_peers``.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import ipaddress
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

# RFC 4514 section 3, then RFC 4519 and RFC 3280: the descriptors that are registered for what certificates hold.
_NAMES = {
    "2.5.4.3": "CN",
    "2.5.4.7": "L",
    "2.5.4.8": "ST",
    "2.5.4.10": "O",
    "2.5.4.11": "OU",
    "2.5.4.6": "C",
    "2.5.4.9": "STREET",
    "0.9.2342.19200300.100.1.25": "DC",
    "0.9.2342.19200300.100.1.1": "UID",
    "2.5.4.4": "sn",
    "2.5.4.5": "serialNumber",
    "2.5.4.12": "title",
    "2.5.4.13": "description",
    "2.5.4.15": "businessCategory",
    "2.5.4.17": "postalCode",
    "2.5.4.41": "name",
    "2.5.4.42": "givenName",
    "2.5.4.43": "initials",
    "2.5.4.44": "generationQualifier",
    "2.5.4.46": "dnQualifier",
    "1.2.840.113549.1.9.1": "emailAddress",
}
# ASN.1 string types (tags), and how their bytes are text.
_STRINGS = {
    12: "utf-8",
    18: "ascii",
    19: "ascii",
    20: "latin-1",
    22: "ascii",
    26: "ascii",
    28: "utf-32-be",
    30: "utf-16-be",
}
_VERSION = 0xA0  # [0], before a certificate's serial number
_PEM = re.compile(r"-----BEGIN ((?:X509 |TRUSTED )?CERTIFICATE)-----(.*?)-----END \1-----", re.DOTALL)
_UTC_TIME = 23  # a year of two digits: from 1950 to 2049 (RFC 5280 section 4.1.2.5.1)


def subject(der: bytes) -> str:
    """Return the subject of a certificate (DER) as RFC 4514 text: last RDN first, ``,`` between RDNs, ``+`` within one.

    An attribute type without a registered descriptor is written as a dotted number, and its value as ``#`` and hexadecimal
    digits, as are values that are no text. ``ValueError``: ``der`` is no certificate.
    """
    with _whole():
        shown = [
            "+".join(_attribute(der, *pair[1:3]) for pair in _children(der, start, end))
            for _, start, end, _ in _children(der, *_field(der, 4))
        ]
        return ",".join(reversed(shown))


def first_certificate(pem: str) -> bytes:
    """Return the first certificate (DER) of PEM text, which is the one that OpenSSL shows to peers.

    OpenSSL takes three labels for the same: behind a ``TRUSTED CERTIFICATE``, what its holder trusts it for follows.
    ``ValueError``: there is none.
    """
    found = _PEM.search(pem)
    if found is None:
        raise ValueError("cannot find a certificate in PEM")
    return base64.b64decode(found[2])


def expires(der: bytes) -> float:
    """Return when a certificate (DER) expires, in seconds since 1970. ``ValueError``: ``der`` is no certificate."""
    with _whole():
        _, (tag, start, end, _) = _children(der, *_field(der, 3))
        text = der[start:end].decode("ascii")
        if tag == _UTC_TIME:
            text = ("19" if text >= "50" else "20") + text
        return dt.datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=dt.UTC).timestamp()


@contextmanager
def _whole() -> Iterator[None]:
    try:
        yield
    except (IndexError, StopIteration) as error:
        raise ValueError("cannot read certificate: it ends too early") from error


def _field(der: bytes, number: int) -> tuple[int, int]:
    """Return start and end of the contents of a field: the serial number is 0, validity 3, the subject 4 (RFC 5280, 4.1)."""
    fields = list(_children(der, *_body(der, *_body(der, 0, len(der)))))
    _, start, end, _ = fields[number + (fields[0][0] == _VERSION)]
    return start, end


def _body(der: bytes, start: int, end: int) -> tuple[int, int]:
    _, first, last, _ = next(_children(der, start, end))
    return first, last


def _children(der: bytes, at: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield tag, start and end of the contents, and start of each element of ``der[at:end]``."""
    while at < end:
        whole, tag, length = at, der[at], der[at + 1]
        at += 2
        if length & 0x80:
            size = length & 0x7F
            length = int.from_bytes(der[at : at + size])
            at += size
        if at + length > end:
            raise ValueError("cannot read certificate: an element is longer than what holds it")
        yield tag, at, at + length, whole
        at += length


def _attribute(der: bytes, start: int, end: int) -> str:
    (_, first, last, _), (tag, begin, stop, whole) = _children(der, start, end)
    dotted = _dotted(der[first:last])
    name, encoding = _NAMES.get(dotted), _STRINGS.get(tag)
    if name and encoding:
        try:
            return f"{name}={_escaped(der[begin:stop].decode(encoding))}"
        except UnicodeDecodeError:
            pass
    return f"{name or dotted}=#{der[whole:stop].hex()}"


def _dotted(oid: bytes) -> str:
    """Return an object identifier in dotted form (X.690, 8.19): seven bits a byte, the first two arcs in one number."""
    arcs, value = [], 0
    for byte in oid:
        value = value << 7 | byte & 0x7F
        if not byte & 0x80:
            arcs.append(value)
            value = 0
    first = min(arcs[0] // 40, 2)
    return ".".join(map(str, (first, arcs[0] - 40 * first, *arcs[1:])))


def _escaped(text: str) -> str:
    """Return an attribute value with the escapes of RFC 4514, 2.4."""
    shown = "".join("\\00" if c == "\0" else f"\\{c}" if c in '"+,;<>\\' else c for c in text)
    if shown.startswith(("#", " ")):
        shown = "\\" + shown
    if shown.endswith(" ") and shown != "\\ ":
        shown = shown[:-1] + "\\ "
    return shown


class Permitted:
    """Peers that may connect: names, names with ``*`` for a whole label, and fingerprints ``SHA1:..``, ``SHA256:..``.

    Names are compared with the certificate's dNSName and iPAddress alternatives and with its common names, without regard to
    case. No pattern at all permits every verified peer.
    """

    def __init__(self, patterns: Iterable[str]) -> None:
        self._prints: set[tuple[str, str]] = set()
        self._names: list[list[str]] = []
        for pattern in patterns:
            algorithm, _, digits = pattern.partition(":")
            if algorithm.upper() in ("SHA1", "SHA256") and digits:
                self._prints.add((algorithm.lower(), digits.replace(":", "").lower()))
            else:
                self._names.append(_labels(pattern))

    def __contains__(self, peer: tuple[bytes, Mapping[str, Any]]) -> bool:
        """Return whether a peer may connect: its verified certificate as DER, and as ``SSLObject.getpeercert`` describes it."""
        if not self._prints and not self._names:
            return True
        der, described = peer
        if any(hashlib.new(algorithm, der).hexdigest() == digits for algorithm, digits in self._prints):
            return True
        return any(_alike(pattern, _labels(name)) for name in names(described) for pattern in self._names)


def names(described: Mapping[str, Any]) -> list[str]:
    """Return the names by which a certificate can be permitted, as ``SSLObject.getpeercert`` describes it."""
    alternatives = [value for kind, value in described.get("subjectAltName", ()) if kind in ("DNS", "IP Address")]
    common = [value for rdn in described.get("subject", ()) for kind, value in rdn if kind == "commonName"]
    return list(dict.fromkeys(alternatives + common))


def _labels(name: str) -> list[str]:
    try:
        return [str(ipaddress.ip_address(name.strip()))]
    except ValueError:
        return name.lower().removesuffix(".").split(".")


def _alike(pattern: list[str], labels: list[str]) -> bool:
    return len(pattern) == len(labels) and all(p in ("*", label) for p, label in zip(pattern, labels, strict=True))
