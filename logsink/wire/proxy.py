"""PROXY protocol, versions 1 and 2: a load balancer says who its client is (haproxy's proxy-protocol.txt, 2.1 and 2.2).

::

    v1   "PROXY" SP ("TCP4" | "TCP6") SP source SP destination SP port SP port CR LF      at most 107 bytes
         "PROXY" SP "UNKNOWN" anything CR LF
    v2   0D 0A 0D 0A 00 0D 0A 51 55 49 54 0A   version and command   family   length (2)   addresses   TLVs

The header stands at the very beginning of a connection, before TLS too. A balancer that speaks for itself (LOCAL), or for a
client that has no address (UNKNOWN, UNSPEC, UNIX), names nobody. Of the TLVs (2.2.1 and later) only the checksum is used.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Final

SIGNATURE: Final = b"\r\n\r\n\0\r\nQUIT\n"
LONGEST_V1: Final = 107
"""Bytes of a version 1 header at most (2.1)."""
_FIXED: Final = 16
"""Bytes of a version 2 header before the addresses."""
_LOCAL, _PROXY = 0x20, 0x21
"""Version 2 and its two commands."""
_ADDRESSES: Final = {0x00: 0, 0x11: 12, 0x12: 12, 0x21: 36, 0x22: 36, 0x31: 216, 0x32: 216}
"""Bytes that the addresses of each family and protocol take."""
_TLV_CRC32C: Final = 0x03

_PORT: Final = rb"(?:0|[1-9][0-9]{0,4})"
_V1: Final = re.compile(rb"PROXY (TCP4|TCP6) ([0-9A-Fa-f:.]+) ([0-9A-Fa-f:.]+) (%b) (%b)\r\n" % (_PORT, _PORT))


class _Malformed(Exception):
    """What is wrong with the header."""


class ProxyHeader:
    """Reads one header. ``receive`` until ``finished`` or ``error``.

    finished    the header is whole and well-formed
    error       why this is no header; nothing more is to be received
    source      address of the client, None when the header names none
    """

    def __init__(self) -> None:
        self.finished = False
        self.error: str | None = None
        self.source: str | None = None
        self._data = b""

    def receive(self, data: bytes) -> bytes:
        """Take what was read; return what stands behind the header, once that is finished. Raises nothing."""
        self._data += data
        try:
            length = self._length(self._data)
            if length is None or length > len(self._data):
                return b""
            header = self._data[:length]
            self.source = _source_v2(header) if header.startswith(SIGNATURE) else _source_v1(header)
        except _Malformed as error:
            self.error = str(error)
            return b""
        self.finished = True
        return self._data[length:]

    def _length(self, data: bytes) -> int | None:
        """Return how many bytes the header has; None while that is not known."""
        if data.startswith(SIGNATURE):
            if len(data) < _FIXED:
                return None
            if data[12] not in (_LOCAL, _PROXY):
                raise _Malformed(f"version and command are 0x{data[12]:02x}, expected 0x20 or 0x21")
            return _FIXED + int.from_bytes(data[14:16])
        if data.startswith(b"PROXY "):
            end = data.find(b"\n", 0, LONGEST_V1) + 1
            if (not end and len(data) >= LONGEST_V1) or (end and data[end - 2 : end] != b"\r\n"):
                raise _Malformed(f"no CR LF within {LONGEST_V1} bytes")
            return end or None
        if SIGNATURE.startswith(data) or b"PROXY ".startswith(data):
            return None
        raise _Malformed(f"it begins with {data[:16]!r}")


def _source_v1(line: bytes) -> str | None:
    if line.startswith(b"PROXY UNKNOWN") and line[13:14] in (b" ", b"\r"):
        return None
    match = _V1.fullmatch(line)
    if match is None or int(match[4]) > 65535 or int(match[5]) > 65535:
        raise _Malformed(f"malformed line {line!r}")
    version = ipaddress.IPv4Address if match[1] == b"TCP4" else ipaddress.IPv6Address
    try:
        version(match[3].decode())
        return _shown(version(match[2].decode()))
    except ValueError as error:
        raise _Malformed(f"malformed line {line!r}: {error}") from error


def _source_v2(header: bytes) -> str | None:
    if header[12] == _LOCAL:
        return None  # whatever else it holds
    family = header[13]
    size = _ADDRESSES.get(family)
    if size is None:
        raise _Malformed(f"unknown family and protocol 0x{family:02x}")
    if len(header) < _FIXED + size:
        raise _Malformed(f"{len(header) - _FIXED} bytes are too few for addresses of family 0x{family:02x}")
    _check(header, _FIXED + size)
    if family >> 4 == 1:
        return _shown(ipaddress.IPv4Address(header[16:20]))
    if family >> 4 == 2:
        return _shown(ipaddress.IPv6Address(header[16:32]))
    return None


def _shown(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)


def _check(header: bytes, at: int) -> None:
    """Walk the TLVs from ``at`` on; where there is a checksum, it has to be right."""
    while at < len(header):
        end = at + 3 + int.from_bytes(header[at + 1 : at + 3])
        if at + 3 > len(header) or end > len(header):
            raise _Malformed(f"the TLV at byte {at} is longer than the header")
        if header[at] == _TLV_CRC32C:
            if end - at != 7:
                raise _Malformed("its checksum is not of four bytes")
            if crc32c(header[: at + 3] + bytes(4) + header[end:]) != int.from_bytes(header[at + 3 : end]):
                raise _Malformed("its checksum is wrong")
        at = end


_POLYNOMIAL: Final = 0x82F63B78


def crc32c(data: bytes) -> int:
    """Return the CRC-32C of ``data`` (RFC 4960, appendix B). Bit by bit: headers are short, and few have a checksum."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (_POLYNOMIAL if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF
