"""Sends a test message to a listener as a sender would, and waits for what proves its arrival.

RELP acknowledges a message once it is stored. What goes over TCP, TLS and UDP is only known to have arrived when a query
finds it. The messages stay in the archive, as app ``logsink-doctor``.
"""

from __future__ import annotations

import datetime as dt
import os
import socket
import ssl
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import BinaryIO

from logsink.cli.doctor.finding import Finding, failed
from logsink.cli.doctor.network import TIMEOUT, Target, connected
from logsink.errors import LogsinkError

APP = "logsink-doctor"

FOUND_WITHIN = 30.0
"""Seconds within which a message must be found."""

_LOOK_AGAIN = 0.25
_NOT_STORED = "the receiver cannot store: see `store_error` of its /readyz, and its log"
_SEE_LOG = "see the receiver's log, which has the reason"
_NO_CERTIFICATE = "show a client certificate that tls.client_ca has issued (`logsink tls issue client NAME`)"

_RELP_HEAD = 32
"""Bytes of a RELP reply before its data, at most: two numbers of up to 9 digits, ``rsp``, spaces."""

_RELP_DATA = 1 << 14
"""Bytes of a RELP reply's data, at most: a receiver says hardly more than 200 OK and what it offers."""

Sent = tuple[str, float, str]
"""A message's token, when it was sent (monotonic), and what is known of its arrival."""

Find = Callable[[str], bool]
"""Returns whether a query finds the message with this token."""


class Undelivered(Exception):
    """A message could not be sent, or was not acknowledged; ``remedy`` says what to do."""

    def __init__(self, cause: str, remedy: str = "") -> None:
        super().__init__(cause)
        self.remedy = remedy


def send(target: Target, element: str = "-") -> Sent:
    """Send a test message with this structured data. Raises ``Undelivered``."""
    token = f"test-{uuid.uuid4().hex}"
    now = dt.datetime.now(dt.UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    text = f"<46>1 {now} {socket.gethostname() or '-'} {APP} {os.getpid()} - {element} {token} by {target.transport}"
    frame = text.encode("ascii", "replace")
    started = time.monotonic()
    try:
        told = _SENDERS[target.transport](target, frame)
    except Undelivered:
        raise
    except TimeoutError as error:
        raise Undelivered(f"no answer within {TIMEOUT:g} s", _NOT_STORED) from error
    except OSError as error:  # a server that refuses a certificate says so by an alert, or just ends the connection
        told = (
            error.reason.lower().replace("_", " ") if isinstance(error, ssl.SSLError) and error.reason else str(error)
        )
        remedy = _NO_CERTIFICATE if target.encrypted and not target.cert else _SEE_LOG
        raise Undelivered(f"the receiver ended the connection: {told}", remedy) from error
    return token, started, told


def delivery_findings(targets: Sequence[Target], find: Find, within: float = FOUND_WITHIN) -> list[Finding]:
    """Send a message to each target, and wait until ``find`` finds it. Threads do that for all targets at once."""
    if not targets:
        return []
    with ThreadPoolExecutor(len(targets), "delivery") as pool:
        return list(pool.map(lambda target: _delivered(target, find, within), targets))


def _delivered(target: Target, find: Find, within: float) -> Finding:
    try:
        token, started, told = send(target)
        while not find(token):
            if time.monotonic() > started + within:
                break
            time.sleep(_LOOK_AGAIN)
        else:
            seconds = time.monotonic() - started
            return Finding("delivery", str(target), "ok", f"{told}found after {seconds * 1000:.0f} ms", "", seconds)
    except Undelivered as error:
        return failed("delivery", str(target), f"cannot send a message to {target}: {error}", error.remedy)
    except LogsinkError as error:
        return failed("delivery", str(target), error)
    remedy = "the receiver that answers there uses another store: compare `store` of its /readyz"
    if target.transport == "udp":
        remedy += "; or the message was lost on its way, as UDP may be"
    elif target.encrypted and not target.cert:  # a refusal may get lost when the connection ends
        remedy += f"; or {_NO_CERTIFICATE}"
    return failed("delivery", str(target), f"{told}not found in this store within {within:g} s", remedy)


def _send_udp(target: Target, frame: bytes) -> str:
    family, _, _, _, address = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.settimeout(TIMEOUT)
        sock.sendto(frame, address)
    return ""


def _send_tcp(target: Target, frame: bytes) -> str:
    with connected(target) as connection:
        connection.sendall(b"%d %b" % (len(frame), frame))
        if isinstance(connection, ssl.SSLSocket):
            # In TLS 1.3 a server refuses a certificate after the client's handshake: wait for its word or its end of TLS.
            connection.unwrap()
        else:
            connection.shutdown(socket.SHUT_WR)
    return ""


def _send_relp(target: Target, frame: bytes) -> str:
    offers = b"relp_version=0\nrelp_software=logsink-doctor\ncommands=syslog"
    with connected(target) as connection, connection.makefile("rb") as replies:
        connection.sendall(b"1 open %d %b\n" % (len(offers), offers))
        _expect_ok(replies)
        started = time.monotonic()
        connection.sendall(b"2 syslog %d %b\n" % (len(frame), frame))
        _expect_ok(replies)
        seconds = time.monotonic() - started
        connection.sendall(b"3 close 0\n")
    return f"acknowledged after {seconds * 1000:.0f} ms, "


def _expect_ok(replies: BinaryIO) -> None:
    """Read a reply, ``TXNR rsp LENGTH 200 ...``. Raises ``Undelivered`` for any other."""
    head = b""
    while head.count(b" ") < 3 and len(head) < _RELP_HEAD and (byte := replies.read(1)):
        head += byte
    fields = head.split(b" ")
    length = int(fields[2]) if len(fields) > 3 and fields[2].isdigit() else -1
    if length not in range(_RELP_DATA + 1) or fields[1] != b"rsp":
        cause = f"it answered {head!r}" if head else "it closed the connection"
        raise Undelivered(
            cause, "this is no RELP listener, or it refuses this client: the receiver's log has the reason"
        )
    said = replies.read(length + 1)
    if not said.startswith(b"200"):
        raise Undelivered(f"it answered {said[:60]!r}", _SEE_LOG)


_SENDERS: Mapping[str, Callable[[Target, bytes], str]] = {
    "udp": _send_udp,
    "tcp": _send_tcp,
    "tls": _send_tcp,
    "relp": _send_relp,
    "relp_tls": _send_relp,
}
