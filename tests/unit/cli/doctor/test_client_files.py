"""What ``logsink doctor --from-client`` reads in the configuration of a sender."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from logsink.cli.doctor.client_files import client_targets, identity_element
from logsink.cli.doctor.finding import Finding
from logsink.cli.doctor.network import Target
from logsink.cli.main import main

ROOT = Path(__file__).parents[4]
RESUME = 'action.resumeRetryCount="-1"'


def read(directory: Path, text: str, name: str = "rsyslog.d/10.conf") -> tuple[list[Target], list[Finding]]:
    path = directory / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return client_targets(directory)


def test_relp_with_tls(tmp_path: Path) -> None:
    targets, findings = read(
        tmp_path,
        f"""
        # action(type="omrelp" target="old.internal")
        action(
            type="omrelp" target="logs.internal" port="2515" {RESUME}  # a comment with "quotes
            tls="on" tls.authMode="name" tls.permittedPeer=["logs.internal"]
            tls.caCert="/ca" tls.myCert="/crt" tls.myPrivKey="/key"
        )
        """,
    )
    assert targets == [Target("relp_tls", "logs.internal", 2515, "logs.internal", "/ca", "/crt", "/key")]
    assert findings == []


def test_tcp_with_tls_and_its_defaults(tmp_path: Path) -> None:
    (tmp_path / "rsyslog.conf").write_text('global(DefaultNetstreamDriverCAFile="/ca")\n')
    targets, findings = read(
        tmp_path,
        f'action(type="omfwd" target="a.internal" port="6514" protocol="tcp" StreamDriver="ossl" StreamDriverMode="1" '
        f'StreamDriverAuthMode="x509/certvalid" {RESUME})',
    )
    assert targets == [Target("tls", "a.internal", 6514, "", "/ca")]
    assert findings == []


def test_only_the_actions_to_logsink_where_any_is_named_so(tmp_path: Path) -> None:
    text = f'action(type="omfwd" target="other" protocol="udp")\naction(name="logsink-tcp" type="omfwd" {RESUME} '
    targets, _ = read(tmp_path, text + 'target="ours" port="5514" protocol="tcp")\n*.* @@third:514')
    assert targets == [Target("tcp", "ours", 5514)]


def test_short_forms(tmp_path: Path) -> None:
    targets, findings = read(tmp_path, "*.* @@logs.internal:5514\nmail.*  @10.0.0.1\n", "rsyslog.conf")
    assert targets == [Target("tcp", "logs.internal", 5514), Target("udp", "10.0.0.1", 514)]
    assert ["discards messages" in one.detail for one in findings] == [True]


@pytest.mark.parametrize(
    "line",
    [
        ':programname, isequal, "x" @@logs.internal:514',
        ':msg, !contains, "say \\"@me\\" # not"  @@(o)logs.internal:514;RSYSLOG_SyslogProtocol23Format',
        "mail.info -/var/log/mail\n& @@logs.internal",
        "if $programname == 'x' then @@logs.internal:514",
        "if $msg contains ' @@other # ' then {\n  @@logs.internal:514\n  stop\n}",
        "if $syslogseverity < 5 then {@@logs.internal:514}",
        "*.*;auth,authpriv.none\t@@logs.internal:514 # to @@other",
        '$template one,"<%pri%> @@other %msg%"\n*.* @@logs.internal;one',
    ],
)
def test_short_forms_behind_any_filter(tmp_path: Path, line: str) -> None:
    assert read(tmp_path, f"{line}\n", "rsyslog.conf")[0] == [Target("tcp", "logs.internal", 514)]


def test_what_is_no_short_form(tmp_path: Path) -> None:
    text = '$template one,"to @@a @b"\ntemplate(name="t" type="string" string="\n @@c\n")\n*.* /var/log/x@y\n# @@d\n'
    assert read(tmp_path, text, "rsyslog.conf")[0] == []


def test_mistakes(tmp_path: Path) -> None:
    plain = f'action(type="omfwd" target="a" port="1" protocol="tcp" StreamDriver="gtls" {RESUME})'
    targets, findings = read(tmp_path, plain)
    assert targets == [Target("tcp", "a", 1)]
    assert [(one.state, one.remedy) for one in findings] == [("failed", 'set StreamDriverMode="1"')]
    targets, findings = read(tmp_path, f'action(type="omrelp" target="a" port="1" tls="on" {RESUME})')
    assert targets == [Target("relp_tls", "a", 1, checked=False)]
    assert ["accepts whoever answers" in one.detail for one in findings] == [True]


@pytest.mark.parametrize("name", ["10-logsink-relp.conf", "10-logsink-tcp.conf"])
def test_an_example_that_was_not_edited(tmp_path: Path, name: str) -> None:
    targets, findings = read(tmp_path, (ROOT / "rsyslog" / name).read_text())
    assert targets == []
    assert {one.check for one in findings if one.bad} >= {"placeholder"}
    assert any("logs.example.com" in one.detail for one in findings)


def test_what_client_config_prints_is_understood(tmp_path: Path) -> None:
    command = [
        "client-config",
        "rsyslog",
        "--target",
        "logs.internal",
        "--tls",
        "--ca",
        "/ca",
        "--cert",
        "/c",
        "--key",
        "/k",
    ]
    made = CliRunner().invoke(main, [*command, "--role", "web", "--deploy", "one"])
    assert made.exit_code == 0, made.output
    targets, findings = read(tmp_path, made.stdout)
    assert targets == [Target("relp_tls", "logs.internal", 2515, "logs.internal", "/ca", "/c", "/k")]
    assert findings == []


@pytest.mark.parametrize("name", ["fluent-bit/fluent-bit.conf", "vector/vector.yaml", "docker/daemon.json"])
def test_a_placeholder_in_the_files_of_another_program(tmp_path: Path, name: str) -> None:
    _, findings = read(tmp_path, "host = logs.example.com", name)
    assert [one.subject for one in findings if one.check == "placeholder"] == [str(tmp_path / name)]


def test_no_configuration_at_all(tmp_path: Path) -> None:
    targets, findings = read(tmp_path, "# nothing\n")
    assert targets == []
    assert [(one.check, one.state) for one in findings] == [("configuration", "failed")]


def test_the_identity_of_a_host_is_what_its_files_say(tmp_path: Path) -> None:
    at_boot, given = tmp_path / "run", tmp_path / "etc"
    assert identity_element(at_boot, given) == "-"
    at_boot.write_text('LOG_INSTANCE="i-0]1"\nLOG_BOOT=77\nLOG_ROLE=old\n# LOG_DEPLOY=x\n', encoding="utf-8")
    given.write_text("LOG_ROLE=web\nLOG_ENVIRONMENT=\n", encoding="utf-8")
    assert identity_element(at_boot, given) == '[deploy@32473 role="web" instance="i-0\\]1"]'
