"""PROXY headers: the specification's forms, whole, byte by byte, with bytes behind; and what is none."""

from __future__ import annotations

import itertools
import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logsink.wire.proxy import LONGEST_V1, SIGNATURE, ProxyHeader, crc32c

BEHIND = b"<13>one\n"


def v2(command: int, family: int, body: bytes, length: int | None = None) -> bytes:
    return SIGNATURE + struct.pack(">BBH", command, family, len(body) if length is None else length) + body


IP4 = socket.inet_aton("192.0.2.7") + socket.inet_aton("198.51.100.1") + struct.pack(">HH", 40000, 514)
IP6 = (
    socket.inet_pton(socket.AF_INET6, "2001:db8::7")
    + socket.inet_pton(socket.AF_INET6, "2001:db8::1")
    + struct.pack(">HH", 40000, 514)
)
MAPPED = socket.inet_pton(socket.AF_INET6, "::ffff:192.0.2.7") + IP6[16:]
UNIX = b"/run/client".ljust(108, b"\0") + b"/run/server".ljust(108, b"\0")
TLVS = b"\x04\x00\x03\0\0\0" + b"\x02\x00\x0bexample.com" + b"\x20\x00\x05\x01\0\0\0\0"


def with_checksum(command: int, family: int, body: bytes) -> bytes:
    draft = v2(command, family, body + b"\x03\x00\x04" + bytes(4))
    return draft[:-4] + struct.pack(">I", crc32c(draft))


HEADERS: dict[str, tuple[bytes, str | None]] = {
    "v1_tcp4": (b"PROXY TCP4 192.0.2.7 198.51.100.1 40000 514\r\n", "192.0.2.7"),
    "v1_longest_tcp4": (b"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", "255.255.255.255"),
    "v1_tcp6": (b"PROXY TCP6 2001:db8::7 2001:DB8::1 40000 514\r\n", "2001:db8::7"),
    "v1_longest_tcp6": (
        b"PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
        "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    ),
    "v1_tcp6_mapped": (b"PROXY TCP6 ::ffff:192.0.2.7 ::1 1 2\r\n", "192.0.2.7"),
    "v1_unknown": (b"PROXY UNKNOWN\r\n", None),
    "v1_unknown_longest": (
        b"PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
        None,
    ),
    "v2_tcp4": (v2(0x21, 0x11, IP4), "192.0.2.7"),
    "v2_udp4": (v2(0x21, 0x12, IP4), "192.0.2.7"),
    "v2_tcp6": (v2(0x21, 0x21, IP6), "2001:db8::7"),
    "v2_mapped": (v2(0x21, 0x21, MAPPED), "192.0.2.7"),
    "v2_unix": (v2(0x21, 0x31, UNIX), None),
    "v2_unspec": (v2(0x21, 0x00, b""), None),
    "v2_unspec_with_anything": (v2(0x21, 0x00, b"\x04\x00\x01x"), None),
    "v2_local": (v2(0x20, 0x00, b""), None),
    "v2_local_with_addresses": (v2(0x20, 0x11, IP4), None),
    "v2_local_with_nonsense": (v2(0x20, 0xFF, b"\x03"), None),
    "v2_tlvs": (v2(0x21, 0x11, IP4 + TLVS), "192.0.2.7"),
    "v2_checksum": (with_checksum(0x21, 0x11, IP4 + TLVS), "192.0.2.7"),
    "v2_checksum_before_other_tlvs": (with_checksum(0x21, 0x21, IP6), "2001:db8::7"),
    "v2_longest": (v2(0x21, 0x11, IP4 + b"\x04" + struct.pack(">H", 65520) + bytes(65520)), "192.0.2.7"),
}


def read(*reads: bytes) -> tuple[ProxyHeader, bytes]:
    header, rest = ProxyHeader(), b""
    for data in reads:
        rest = rest + data if header.finished else header.receive(data)
    return header, rest


@pytest.mark.parametrize("name", HEADERS)
def test_headers(name: str) -> None:
    data, source = HEADERS[name]
    for reads, rest in (
        ((data,), b""),
        ((data + BEHIND,), BEHIND),
        ((data, BEHIND), BEHIND),
        ((data[:13], data[13:] + BEHIND), BEHIND),
    ):
        header, behind = read(*reads)
        assert (header.finished, header.error, header.source, behind) == (True, None, source, rest)
    if len(data) < 1000:
        header, behind = read(*(data[i : i + 1] for i in range(len(data))), BEHIND)
        assert (header.finished, header.error, header.source, behind) == (True, None, source, BEHIND)


@pytest.mark.parametrize("name", [name for name in HEADERS if len(HEADERS[name][0]) < 1000])
def test_half_a_header_is_waited_for(name: str) -> None:
    data, _ = HEADERS[name]
    for end in range(len(data)):
        header, _ = read(data[:end])
        assert (header.finished, header.error) == (False, None)


def test_length_limit_of_version_1() -> None:
    longest = b"PROXY UNKNOWN ".ljust(LONGEST_V1 - 2, b"x") + b"\r\n"
    assert read(longest)[0].finished
    assert read(longest[:-2] + b"x\r\n")[0].error
    assert read(longest[:-2] + b"x")[0].error is None
    assert read(longest[:-2] + b"xx")[0].error


@pytest.mark.parametrize(
    "data",
    [
        b"<13>one\n",
        b"7 <13>one",
        b"PROXY\r\n",
        b"PROXY TCP4\r\n",
        b"PROXY UNKNOWNx\r\n",
        b"PROXY UNKNOWN a\nb\r\n",
        b"PROXY  TCP4 192.0.2.7 198.51.100.1 40000 514\r\n",
        b"PROXY TCP4 192.0.2.7  198.51.100.1 40000 514\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 40000 514 \r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 40000 514\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 40000 65536\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 040000 514\r\n",
        b"PROXY TCP4 192.0.2.07 198.51.100.1 40000 514\r\n",
        b"PROXY TCP4 2001:db8::7 2001:db8::1 40000 514\r\n",
        b"PROXY TCP6 192.0.2.7 198.51.100.1 40000 514\r\n",
        b"PROXY TCP6 2001:db8::7%1 2001:db8::1 40000 514\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100 40000 514\r\n",
        b"PROXY UDP4 192.0.2.7 198.51.100.1 40000 514\r\n",
        b"proxy TCP4 192.0.2.7 198.51.100.1 40000 514\r\n",
        v2(0x11, 0x11, IP4),
        v2(0x22, 0x11, IP4),
        v2(0x21, 0x13, IP4),
        v2(0x21, 0x01, IP4),
        v2(0x21, 0x11, IP4[:-1]),
        v2(0x21, 0x21, IP4),
        v2(0x21, 0x11, IP4 + b"\x04"),
        v2(0x21, 0x11, IP4 + b"\x04\x00\x02x"),
        v2(0x21, 0x11, IP4 + b"\x03\x00\x03abc"),
        v2(0x21, 0x11, IP4 + b"\x03\x00\x04abcd"),
        SIGNATURE[:-1] + b"x",
    ],
)
def test_what_is_no_header(data: bytes) -> None:
    header, _ = read(data)
    assert header.error
    assert not header.finished
    header, _ = read(*(data[i : i + 1] for i in range(len(data))))
    assert header.error


def test_a_wrong_checksum() -> None:
    data = bytearray(HEADERS["v2_checksum"][0])
    data[16] ^= 1
    assert "checksum" in (read(bytes(data))[0].error or "")


def test_crc32c() -> None:
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(bytes(32)) == 0x8A9136AA  # RFC 3720, B.4
    assert crc32c(b"") == 0


@given(st.sampled_from(sorted(HEADERS)), st.binary(max_size=20), st.integers(0, 300), st.integers(0, 255), st.data())
def test_any_cut_gives_the_same(name: str, behind: bytes, at: int, octet: int, data: st.DataObject) -> None:
    stream = bytearray(HEADERS[name][0][:400] + behind)
    stream[min(at, len(stream) - 1)] = octet
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=5)))
    whole, rest = read(bytes(stream))
    edges = [0, *cuts, len(stream)]
    pieces, rest_of_pieces = read(*(bytes(stream[a:b]) for a, b in itertools.pairwise(edges)))
    assert (pieces.finished, pieces.error is None, pieces.source) == (whole.finished, whole.error is None, whole.source)
    if whole.finished:
        assert rest_of_pieces == rest
