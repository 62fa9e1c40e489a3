"""What ``logsink tls`` makes, with a real rsyslogd over every driver, and with a receiver that asks for certificates."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import orjson

from tests.support.receiver import Receiver, query, run
from tests.support.rsyslog import SYSLOG23, Rsyslog

SINK = "logs.example.com"


def made(directory: Path, *arguments: str) -> None:
    done = run("tls", *arguments, "-d", str(directory))
    assert done.returncode == 0, done.stderr


def actions(receiver: Receiver, home: Path) -> dict[str, str]:
    """An action for each way in which rsyslog speaks TLS."""
    relp = (
        f'target="127.0.0.1" port="{receiver.port("relp_tls")}" tls="on" tls.authMode="name" '
        f'tls.permittedPeer=["{SINK}"] tls.caCert="{home}/ca.crt" tls.myCert="{home}/client.crt" '
        f'tls.myPrivKey="{home}/client.key" action.resumeRetryCount="-1" action.resumeInterval="1" template="{SYSLOG23}"'
    )
    found = {
        f"relp {library}": f'module(load="omrelp" tls.tlslib="{library}") action(type="omrelp" {relp})'
        for library in ("gnutls", "openssl")
    }
    purpose = {"gtls": 'StreamDriver.CheckExtendedKeyPurpose="on"', "ossl": ""}  # which ossl does not have
    for driver in purpose:
        found[f"tcp {driver}"] = (
            f'type="omfwd" target="127.0.0.1" port="{receiver.port("tls")}" protocol="tcp" '
            f'TCP_Framing="octet-counted" StreamDriver="{driver}" StreamDriverMode="1" '
            f'StreamDriverAuthMode="x509/name" StreamDriverPermittedPeers="{SINK}" '
            f'{purpose[driver]} StreamDriver.CAFile="{home}/ca.crt" '
            f'StreamDriver.CertFile="{home}/client.crt" StreamDriver.KeyFile="{home}/client.key"'
        )
    return found


def test_every_driver_of_rsyslog_gets_in_and_a_renewed_certificate_too(tmp_path: Path) -> None:
    kit, place = tmp_path / "tls", tmp_path / "etc"
    made(kit, "init")
    made(kit, "issue", "server", SINK)
    made(kit, "issue", "client", "web-1.example.com")
    shutil.copytree(kit / "server" / SINK, place)
    settings = {
        "listen__tls": "127.0.0.1:0",
        "listen__relp_tls": "127.0.0.1:0",
        "tls__cert": f"{place}/server.crt",
        "tls__key": f"{place}/server.key",
        "tls__client_ca": f"{place}/ca.crt",
        "tls__client_auth": "required",
        "tls__permitted_peers": "*.example.com",
    }
    with Receiver(f"file://{tmp_path}/store", tmp_path / "receiver", **settings) as receiver:
        ways = actions(receiver, kit / "client/web-1.example.com")
        for count, (way, action) in enumerate(ways.items(), 1):
            if count == len(ways):  # the last one meets renewed certificates on both sides
                made(kit, "issue", "server", SINK)
                made(kit, "issue", "client", "web-1.example.com")
                shutil.copytree(kit / "server" / SINK, place, dirs_exist_ok=True)
                deadline = time.monotonic() + 60
                while "changed TLS files loaded" not in receiver.log:
                    assert time.monotonic() < deadline, receiver.log
                    time.sleep(0.05)
            (tmp_path / way).mkdir()
            with Rsyslog(tmp_path / way, action, template=SYSLOG23) as rsyslog:
                rsyslog.send([b"<13>1 2026-01-05T10:00:00Z web-1 app - - - by %s" % way.encode()])
                receiver.wait_for("logsink_frames_total", count)
    rows = [orjson.loads(line) for line in query(receiver.store, "-o", "json").splitlines()]
    assert sorted(row["message"] for row in rows) == sorted(f"by {way}" for way in ways)
    assert {row["identity"] for row in rows} == {"CN=web-1.example.com"}
    assert "rejected" not in receiver.log
