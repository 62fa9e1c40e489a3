"""Recognises what does not belong on a port by the first bytes of a connection: TLS, HTTP, SSH, RELP, PROXY headers, syslog.

Each kind is recognised by what its protocol demands and no syslog sender begins with; what is in doubt belongs here. A frame
that only resembles one (a line of text that begins with ``GET``, ``SSH`` or ``1 open``) is kept.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Final

from logsink.wire.proxy import SIGNATURE, ProxyHeader

_METHODS: Final = (b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS", b"CONNECT", b"TRACE", b"PRI")
_LINE: Final = 2048
"""The longest HTTP request line that is waited for."""
_REQUEST: Final = re.compile(rb"[A-Z]+ [!-~\x80-\xff]+ HTTP/[0-9]\.[0-9]")

NO, MORE, YES = range(3)
Test = Callable[[bytes], int]
"""Tells whether bytes begin one protocol: NO, YES, or MORE bytes are needed to say."""


def _growing(*parts: bytes) -> Test:
    """Return a test for a pattern that may still be arriving: each part matches what can have arrived of it."""
    whole, partial = re.compile(b"".join(parts), re.DOTALL), b""
    for part in reversed(parts):
        partial = b"(?:%b%b)?" % (part, partial)
    arriving = re.compile(partial, re.DOTALL)

    def test(data: bytes) -> int:
        return YES if whole.match(data) else MORE if arriving.fullmatch(data) else NO

    return test


def _letters(text: str) -> Iterable[bytes]:
    return (re.escape(c.encode()) for c in text)


def _http(data: bytes) -> int:
    line, end, _ = data[:_LINE].partition(b"\r\n")
    method, space, _ = line.partition(b" ")
    if not space and not end:
        return MORE if any(known.startswith(method) for known in _METHODS) else NO
    if method not in _METHODS or b"\n" in line:
        return NO
    if end:
        return YES if _REQUEST.fullmatch(line) else NO
    return MORE if len(data) < _LINE else NO


def _proxy(data: bytes) -> int:
    header = ProxyHeader()
    header.receive(data)
    if header.finished or data.startswith(SIGNATURE):
        return YES
    return NO if header.error else MORE


_COMMON: Final[tuple[tuple[str, Test], ...]] = (
    ("tls", _growing(rb"\x16", rb"\x03", rb"[\x00-\x04]", rb".", rb".", rb"\x01")),  # record header, ClientHello
    ("http", _http),
    ("ssh", _growing(*_letters("SSH-"), rb"[12]", rb"\.", rb"[0-9]", rb"[0-9]?", rb"-")),
    ("proxy", _proxy),
)
_RELP: Final = _growing(
    *_letters("1 open "), rb"[0-9]{1,9}", rb" ", rb"\n*", rb"[rc]", rb"[eo]", rb"[lm]", rb"[pm]", rb"[_a]"
)
_SYSLOG: Final = _growing(rb"(?:[0-9]{1,9})?", rb" ?", rb"<", rb"[0-9]")

Foreigners = tuple[tuple[str, Test], ...]
"""Protocols that do not belong on a port: the name of each, and its test."""

ON_SYSLOG: Final[Foreigners] = (*_COMMON, ("relp", _RELP))
"""What does not belong on a port for syslog over TCP or TLS."""

ON_RELP: Final[Foreigners] = (*_COMMON, ("syslog", _SYSLOG))
"""What does not belong on a port for RELP."""

REASONS: Final = {
    "tls": "this seems to be TLS, which belongs on an address of listen.tls or listen.relp_tls",
    "http": "this seems to be HTTP",
    "ssh": "this seems to be SSH",
    "proxy": "this seems to be a PROXY protocol header, and its address is not in listen.proxy_protocol_from",
    "relp": "this seems to be RELP, which belongs on an address of listen.relp or listen.relp_tls",
    "syslog": "this seems to be syslog without RELP, which belongs on an address of listen.tcp or listen.tls",
}


def foreign(first: bytes, tests: Foreigners, *, ended: bool = False) -> str | None:
    """Return which foreign protocol a connection begins with; '': none of them, None: that cannot be said yet.

    ``tests`` is ``ON_SYSLOG`` or ``ON_RELP``. ``ended``: nothing more will come, so what is in doubt belongs here.
    """
    doubt = False
    for kind, test in tests:
        found = test(first)
        if found == YES:
            return kind
        doubt |= found == MORE
    return None if doubt and not ended else ""
