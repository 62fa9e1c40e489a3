"""Listeners of one event loop: they move bytes between sockets and ``wire/``, and hand batches to the journal.

::

    sockets     ports: addresses become listening sockets     activation: sockets that systemd hands over
                accepting: accepted connections               tls: contexts, made anew when their files change
                recvmmsg: many datagrams by one call          identity: who a certificate names
    listeners   stream: what TCP and RELP connections have in common    tcp, relp: the rest of each
                udp: datagrams                                          http: metrics, health, readiness
    together    intake: the shared buffer, the way to the journal, the limits
                shares, rates, losses: what each sender holds, inflates and loses    last_seen: when it last sent
                senders, resends: RELP frames of broken sessions that are sent again

Nothing here parses a frame, stores it, or decides what is durable; no byte is interpreted that ``wire/`` could interpret.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from logsink.platform.lazy import exports

if TYPE_CHECKING:
    from logsink.net.accepting import Acceptor, keep_alive
    from logsink.net.activation import handed_sockets
    from logsink.net.http import HTTP_CONNECTIONS, Http, Readiness, Report
    from logsink.net.identity import expires, first_certificate
    from logsink.net.intake import Intake
    from logsink.net.ports import KINDS, HandedSockets, Ports, Reservation
    from logsink.net.relp import RelpConnection, small_segments
    from logsink.net.stream import Port, StreamConnection
    from logsink.net.tcp import TcpConnection
    from logsink.net.tls import Certificates, check_tls_files
    from logsink.net.udp import UdpListener
else:
    __getattr__ = exports(
        __name__,
        {
            "accepting": ("Acceptor", "keep_alive"),
            "activation": ("handed_sockets",),
            "http": ("HTTP_CONNECTIONS", "Http", "Readiness", "Report"),
            "identity": ("expires", "first_certificate"),
            "intake": ("Intake",),
            "ports": ("KINDS", "HandedSockets", "Ports", "Reservation"),
            "relp": ("RelpConnection", "small_segments"),
            "stream": ("Port", "StreamConnection"),
            "tcp": ("TcpConnection",),
            "tls": ("Certificates", "check_tls_files"),
            "udp": ("UdpListener",),
        },
    )

__all__ = [
    "HTTP_CONNECTIONS",
    "KINDS",
    "Acceptor",
    "Certificates",
    "HandedSockets",
    "Http",
    "Intake",
    "Port",
    "Ports",
    "Readiness",
    "RelpConnection",
    "Report",
    "Reservation",
    "StreamConnection",
    "TcpConnection",
    "UdpListener",
    "check_tls_files",
    "expires",
    "first_certificate",
    "handed_sockets",
    "keep_alive",
    "small_segments",
]
