"""``logsink doctor`` beside a receiver that runs, as a user calls it: all is well, and faults that only both together have."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.receiver import Receiver, run

NAME = "localhost"


def doctor(*arguments: str) -> tuple[int, list[dict[str, object]]]:
    """Exit code and findings."""
    done = run("doctor", "-o", "json", *arguments)
    assert b"Traceback" not in done.stderr, done.stderr
    return done.returncode, json.loads(done.stdout)["findings"]


def bad(findings: list[dict[str, object]]) -> list[object]:
    return [one["check"] for one in findings if one["state"] == "failed"]


@pytest.fixture
def kit(tmp_path: Path) -> Path:
    for arguments in (["init"], ["issue", "server", NAME], ["issue", "client", "web-1"]):
        assert run("tls", *arguments, "-d", str(tmp_path / "tls")).returncode == 0
    return tmp_path / "tls"


def test_beside_a_receiver_and_on_a_sender(tmp_path: Path, kit: Path) -> None:
    home, client = kit / "server" / NAME, kit / "client/web-1"
    settings = {
        "listen__tls": "127.0.0.1:0",
        "listen__relp_tls": "127.0.0.1:0",
        "tls__cert": f"{home}/server.crt",
        "tls__key": f"{home}/server.key",
        "tls__client_ca": f"{home}/ca.crt",
        "tls__client_auth": "required",
    }
    with Receiver(f"file://{tmp_path}/store", tmp_path / "receiver", **settings) as receiver:
        file = tmp_path / "logsink.toml"
        kinds = ("udp", "tcp", "relp", "tls", "relp_tls")
        listen = [f'{kind} = ["127.0.0.1:{receiver.port(kind)}"]' for kind in kinds]
        tls = [f'{key[5:]} = "{value}"' for key, value in settings.items() if key.startswith("tls__")]
        http = f'http = "127.0.0.1:{receiver.port("http")}"'
        file.write_text(
            "\n".join([f'store = "{tmp_path}/store"', "[listen]", *listen, http, "[tls]", *tls]), encoding="utf-8"
        )
        shown = ("--name", NAME, "--cert", f"{client}/client.crt", "--key", f"{client}/client.key")
        code, well = doctor("-c", str(file), *shown)
        assert (code, bad(well)) == (0, [])
        assert [one["check"] for one in well].count("delivery") == len(kinds)
        assert all("found after" in str(one["detail"]) for one in well if one["check"] == "delivery")

        code, without = doctor("-c", str(file), "--name", NAME)  # the listeners ask for certificates
        assert (code, bad(without)) == (2, ["delivery"] * 2)
        refused = [one for one in without if one["state"] == "failed"]
        assert all("requires a client certificate" in str(one["detail"]) for one in refused)

        code, elsewhere = doctor("-c", str(file), *shown, "--store", str(tmp_path / "other"), "--no-send")
        assert code == 0  # nothing is there, which is not a failure ...
        assert run("init", "--store", str(tmp_path / "other")).returncode == 0
        code, elsewhere = doctor("-c", str(file), *shown, "--store", str(tmp_path / "other"))
        assert (code, bad(elsewhere)) == (2, ["receiver"])  # ... another store is

        etc = tmp_path / "etc"
        (etc / "rsyslog.d").mkdir(parents=True)
        action = (
            f'action(name="logsink" type="omrelp" target="{NAME}" port="{receiver.port("relp_tls")}" tls="on" '
            f'tls.authMode="name" tls.permittedPeer=["{NAME}"] tls.caCert="{client}/ca.crt" '
            f'tls.myCert="{client}/client.crt" tls.myPrivKey="{client}/client.key" action.resumeRetryCount="-1")\n'
        )
        (etc / "rsyslog.d/10-logsink.conf").write_text(action)
        code, sender = doctor("--from-client", "--etc", str(etc))
        assert (code, bad(sender)) == (0, [])
        assert [one["check"] for one in sender] == ["dns", "port", "client certificate", "tls", "delivery"]
        assert str(sender[-1]["detail"]).endswith("it is stored")

    (etc / "rsyslog.d/10-logsink.conf").write_text(action.replace(NAME, "logs.example.com"))
    assert doctor("--from-client", "--etc", str(etc)) == (
        2,
        [
            {
                "check": "placeholder",
                "subject": f"{etc}/rsyslog.d/10-logsink.conf",
                "state": "failed",
                "detail": f"logs.example.com in {etc}/rsyslog.d/10-logsink.conf is a name for examples",
                "remedy": "write the name of your receiver",
                "seconds": None,
            }
        ],
    )
    code, gone = doctor("-c", str(file), *shown)
    assert (code, bad(gone)) == (2, ["receiver", "port", "port", "port", "port"])  # UDP has no port to try
    assert gone[-1]["state"] == "skipped"
