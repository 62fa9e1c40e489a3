"""Actions of rsyslog over TLS, by driver, for ``Rsyslog``; and the settings of a receiver that they fit."""

from __future__ import annotations

from pathlib import Path

from tests.support.certificates import Authority, Issued

SINK = "sink.example.com"
DRIVERS = ("gtls", "ossl")


def tls(
    port: int,
    driver: str,
    authority: Path,
    certificate: Issued | None,
    *,
    server: str = SINK,
    more: str = "",
) -> str:
    """Action: omfwd over TLS. ``server``: a name, or a fingerprint, that the receiver's certificate must have."""
    mode = "x509/fingerprint" if server.startswith("SHA") else "x509/name"
    shown = ""
    if certificate is not None:
        shown = f'StreamDriver.CertFile="{certificate.cert}" StreamDriver.KeyFile="{certificate.key}"'
    return (
        f'type="omfwd" target="127.0.0.1" port="{port}" protocol="tcp" TCP_Framing="octet-counted" '
        f'StreamDriver="{driver}" StreamDriverMode="1" StreamDriverAuthMode="{mode}" '
        f'StreamDriverPermittedPeers="{server}" StreamDriver.CAFile="{authority}" {shown} {more}'
    )


def relp_tls(port: int, authority: Path, certificate: Issued | None = None, *, server: str = SINK) -> str:
    """Action: omrelp over TLS."""
    mode = "fingerprint" if server.startswith("SHA") else "name"
    shown = f'tls.myCert="{certificate.cert}" tls.myPrivKey="{certificate.key}"' if certificate else ""
    return (
        f'type="omrelp" target="127.0.0.1" port="{port}" windowSize="10000" tls="on" tls.authMode="{mode}" '
        f'tls.permittedPeer=["{server}"] tls.caCert="{authority}" {shown}'
    )


def settings(authority: Authority, server: Issued, *, auth: str = "required", peers: str = "") -> dict[str, str]:
    """Settings for ``Receiver``: both TLS listeners."""
    given = {
        "listen__tls": "127.0.0.1:0",
        "listen__relp_tls": "127.0.0.1:0",
        "tls__cert": str(server.cert),
        "tls__key": str(server.key),
        "tls__client_ca": str(authority.pem),
        "tls__client_auth": auth,
    }
    return given | ({"tls__permitted_peers": peers} if peers else {})
