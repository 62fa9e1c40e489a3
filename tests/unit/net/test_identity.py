"""Subjects as RFC 4514 text, against another implementation and by hand; permitted peers."""

from __future__ import annotations

import base64
import contextlib
import functools
import hashlib
import ssl
from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from logsink.net.identity import Permitted, expires, first_certificate, names, subject

KEY = ec.generate_private_key(ec.SECP256R1())
END = datetime(2027, 1, 1, tzinfo=UTC)


def certificate(name: x509.Name, end: datetime = END) -> bytes:
    made = x509.CertificateBuilder().subject_name(name).issuer_name(x509.Name([])).public_key(KEY.public_key())
    made = made.serial_number(1).not_valid_before(datetime(1950, 1, 1, tzinfo=UTC)).not_valid_after(end)
    return made.sign(KEY, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def of(*pairs: tuple[x509.ObjectIdentifier, str]) -> str:
    return subject(certificate(x509.Name([x509.NameAttribute(oid, value) for oid, value in pairs])))


@pytest.mark.parametrize("year", [1951, 1999, 2027, 2049, 2050, 9999])
def test_when_it_expires(year: int) -> None:
    end = datetime(year, 11, 28, 4, 5, 6, tzinfo=UTC)
    assert expires(certificate(x509.Name([]), end)) == end.timestamp()


@pytest.mark.parametrize("label", ["CERTIFICATE", "X509 CERTIFICATE", "TRUSTED CERTIFICATE"])
def test_the_first_certificate_of_a_file(label: str) -> None:
    der = certificate(x509.Name([]))
    trusted = (
        b"\x30\x03\x0c\x01a" if label.startswith("TRUSTED") else b""
    )  # what `openssl x509 -trustout -setalias a` adds
    text = base64.encodebytes(der + trusted).decode()
    other = certificate(x509.Name([]), datetime(2030, 1, 1, tzinfo=UTC))
    pem = f"Bag Attributes\n-----BEGIN {label}-----\n{text}-----END {label}-----\n{ssl.DER_cert_to_PEM_cert(other)}"
    assert first_certificate(pem) == der + trusted
    assert expires(first_certificate(pem.replace("\n", "\r\n"))) == END.timestamp()


@pytest.mark.parametrize(
    "text", ["", "-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n", "-----BEGIN CERTIFICATE-----\n"]
)
def test_a_file_without_a_certificate(text: str) -> None:
    with pytest.raises(ValueError, match="cannot find a certificate"):
        first_certificate(text)


def test_last_rdn_comes_first() -> None:
    shown = of((NameOID.COUNTRY_NAME, "DE"), (NameOID.ORGANIZATION_NAME, "Example"), (NameOID.COMMON_NAME, "web-1"))
    assert shown == "CN=web-1,O=Example,C=DE"


def test_no_subject() -> None:
    assert of() == ""


def test_several_attributes_in_one_rdn() -> None:
    rdn = x509.RelativeDistinguishedName(
        [x509.NameAttribute(NameOID.COMMON_NAME, "web"), x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Example")]
    )
    shown = subject(certificate(x509.Name([rdn])))
    assert sorted(shown.split("+")) == ["CN=web", "O=Example"]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ('James "Jim" Smith, III', 'James \\"Jim\\" Smith\\, III'),  # RFC 4514 section 4
        ("#1", "\\#1"),
        ("a#1", "a#1"),
        (" a ", "\\ a\\ "),
        (" ", "\\ "),
        ("  ", "\\ \\ "),
        ("a+b;c<d>e\\f=g", "a\\+b\\;c\\<d\\>e\\\\f=g"),
        ("a\0b", "a\\00b"),
        ("Lu\u010di\u0107", "Lu\u010di\u0107"),
    ],
)
def test_escaping(value: str, shown: str) -> None:
    assert of((NameOID.COMMON_NAME, value)) == f"CN={shown}"


def test_types_without_a_descriptor_are_dotted_and_their_values_encoded() -> None:
    oid = x509.ObjectIdentifier("1.3.6.1.4.1.1466.0")
    name = x509.Name([x509.NameAttribute(oid, "Hi", _type=_ASN1Type.OctetString)])
    assert subject(certificate(name)) == "1.3.6.1.4.1.1466.0=#04024869"  # RFC 4514 section 4


def test_other_string_types() -> None:
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.DOMAIN_COMPONENT, "net", _type=_ASN1Type.IA5String),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "\u00c4", _type=_ASN1Type.BMPString),
            x509.NameAttribute(NameOID.USER_ID, "ada"),
            x509.NameAttribute(NameOID.EMAIL_ADDRESS, "a@example.com", _type=_ASN1Type.IA5String),
        ]
    )
    assert subject(certificate(name)) == "emailAddress=a@example.com,UID=ada,O=\u00c4,DC=net"


TYPES = st.sampled_from(
    [NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME, NameOID.LOCALITY_NAME, NameOID.ORGANIZATIONAL_UNIT_NAME]
)
VALUES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)


@given(st.lists(st.tuples(TYPES, VALUES), max_size=5))
def test_agrees_with_another_implementation(pairs: list[tuple[x509.ObjectIdentifier, str]]) -> None:
    name = x509.Name([x509.NameAttribute(oid, value) for oid, value in pairs])
    assert x509.Name.from_rfc4514_string(subject(certificate(name))) == name


@given(st.binary(max_size=80), st.integers(0, 400), st.integers(0, 255))
def test_what_is_no_certificate_is_refused_and_not_hung_on(noise: bytes, at: int, octet: int) -> None:
    der = bytearray(_whole())
    der[min(at, len(der) - 1)] = octet
    for data in (noise, bytes(der)):
        with contextlib.suppress(ValueError):
            assert isinstance(subject(data), str)


@functools.cache
def _whole() -> bytes:
    return certificate(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "web-1")]))


DESCRIBED = {
    "subject": ((("countryName", "DE"),), (("commonName", "Web-1.Example.com"),)),
    "subjectAltName": (("DNS", "web.example.net"), ("IP Address", "2001:DB8:0:0:0:0:0:1"), ("email", "a@b.example")),
}
DER = b"certificate"


def test_names_of_a_certificate() -> None:
    assert names(DESCRIBED) == ["web.example.net", "2001:DB8:0:0:0:0:0:1", "Web-1.Example.com"]
    assert names({}) == []


@pytest.mark.parametrize(
    ("pattern", "permitted"),
    [
        ("web-1.example.com", True),
        ("WEB-1.example.COM", True),
        ("web-1.example.com.", True),
        ("web.example.net", True),
        ("*.example.net", True),
        ("*.*.net", True),
        ("*.net", False),
        ("*.web.example.net", False),
        ("example.net", False),
        ("2001:db8::1", True),
        ("2001:db8::2", False),
        ("a@b.example", False),
    ],
)
def test_names_and_wildcards(pattern: str, permitted: bool) -> None:
    assert ((DER, DESCRIBED) in Permitted([pattern])) is permitted
    assert (DER, DESCRIBED) in Permitted([pattern, "*.example.com"])


def test_fingerprints() -> None:
    for algorithm in ("SHA1", "SHA256"):
        digits = hashlib.new(algorithm, DER).hexdigest()
        colons = ":".join(digits[i : i + 2] for i in range(0, len(digits), 2))
        for written in (digits, colons, colons.upper()):
            assert (DER, {}) in Permitted([f"{algorithm}:{written}"])
            assert (b"another", {}) not in Permitted([f"{algorithm}:{written}"])


def test_without_patterns_every_peer_is_permitted() -> None:
    assert (DER, {}) in Permitted([])


def test_a_wildcard_in_a_certificate_stands_for_nothing() -> None:
    star = {"subjectAltName": (("DNS", "*.example.com"),)}
    assert (DER, star) not in Permitted(["web.example.com"])
