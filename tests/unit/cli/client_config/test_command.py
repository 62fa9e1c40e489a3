"""``logsink client-config``, as it is called."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from logsink.cli.client_config.bundle import KINDS as MADE
from logsink.cli.client_config.command import FORMATS, KINDS
from logsink.cli.client_config.formats import FORMATS as WRAPPED
from logsink.cli.main import main

TARGET = ("--target", "logs.internal")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["client-config", *arguments], prog_name="logsink")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("rsylog", *TARGET), "did you mean rsyslog?"),
        (("rsyslog",), "missing option '--target'"),
        (("rsyslog", "--target", "logs internal"), "write NAME:PORT, as in logs.internal:2514"),
        *(
            (
                ("rsyslog", f"--target={name}"),
                f"cannot read target {name!r} (write NAME:PORT, as in logs.internal:2514, or [",
            )
            for name in (
                "-",
                "--",
                "..",
                ".",
                "a..b",
                ".a",
                "-a",
                "a-.b",
                "[:]",
                "[::]]",
                "[1.2.3.4]",
                "[:::]",
                "a" * 64,
                "::1",
            )
        ),
        (("rsyslog", "--target", "logs.internal:70000"), "cannot send to port 70000 of logs.internal"),
        (
            ("rsyslog", "--target", "logs.example.com:2514"),
            "cannot send to logs.example.com: that name is for examples",
        ),
        (
            ("rsyslog", *TARGET, "--deploy", "$A B"),
            "cannot use --deploy '$A B': a variable's name has letters, digits and _",
        ),
        (("rsyslog", *TARGET, "--deploy", 'a"b'), "cannot use --deploy 'a\"b'"),
        (("rsyslog", *TARGET, "--deploy", ""), "cannot use --deploy ''"),
        (("rsyslog", *TARGET, "--deploy", "file:etc"), "the path must begin with /"),
        (("rsyslog", *TARGET, "--deploy", "ec2-tag:"), "the name after ec2-tag: must have 1 to 63 letters"),
        (("rsyslog", *TARGET, "--deploy", "ec2tag:Deploy"), "did you mean ec2-tag:Deploy?"),
        (("rsyslog", *TARGET, "--input", "journald"), "did you mean journal?"),
        (("rsyslog", *TARGET, "--input", "file:x"), "cannot use --input 'file:x': the path must begin with /"),
        (("rsyslog", *TARGET, "--input", "x"), "write journal, socket, kernel or file:/PATH"),
        (("rsyslog", *TARGET, "--tls", "--cert", "/c.crt"), "cannot use --cert /c.crt without --key (add --key FILE"),
        (("rsyslog", *TARGET, "--tls", "--key", "/c.key"), "cannot use --key /c.key without --cert (add --cert FILE"),
        (("rsyslog", *TARGET, "--ca", "/ca.crt"), "cannot use --ca /ca.crt without TLS (add --tls"),
        (("rsyslog", *TARGET, "--tls", "--ca", "ca.crt"), "cannot use --ca 'ca.crt': the path is not absolute"),
        (("rsyslog", *TARGET, "--tls", "--ca", "/a b"), "cannot use --ca '/a b': the path has a space"),
        *(
            (
                ("rsyslog", *TARGET, "--certificates", "/etc", option, "/file"),
                (
                    f"cannot use {option} /file with --certificates: that sends {name} along, and the client uses it "
                    f"(leave {option} or --certificates out)"
                ),
            )
            for option, name in (("--ca", "ca.crt"), ("--cert", "client.crt"), ("--key", "client.key"))
        ),
        (
            ("vector", "--target", "[2001:db8::1]", "--tls"),
            "cannot send to 2001:db8::1 with TLS: Vector finds no IPv6 address in a certificate (give the receiver a name",
        ),
        (("rsyslog", *TARGET, "--certificates", "/etc"), "`logsink tls issue client NAME` makes such a directory"),
    ],
)
def test_mistakes_are_explained(arguments: tuple[str, ...], told: str) -> None:
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert told in result.stderr


def test_the_lists_that_completion_needs_are_those_of_what_is_made() -> None:
    assert tuple(MADE) == KINDS
    assert tuple(WRAPPED) == FORMATS


def test_the_text_names_the_command_that_made_it(tmp_path: Path) -> None:
    made = run(
        "rsyslog",
        *TARGET,
        "--tls",
        "--deploy",
        "$DEPLOY",
        "--input",
        "journal",
        "--input",
        "file:/ab",
    )
    command = re.search(r"# Made by `logsink (.*?)`", made.stdout)
    assert command
    assert "--tls --deploy '$DEPLOY' --input journal --input file:/ab" in command[1]
    again = CliRunner().invoke(main, ["client-config", *_words(command[1])[1:]], prog_name="logsink")
    assert again.stdout == made.stdout


def _words(command: str) -> list[str]:
    done = subprocess.run(["sh", "-c", f"printf '%s\\n' {command}"], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


@pytest.mark.parametrize("kind", KINDS)
def test_all_files_are_written_with_their_modes(tmp_path: Path, kind: str) -> None:
    made = run(kind, *TARGET, "--deploy", "ec2-tag:Deploy", "-O", str(tmp_path))
    assert made.exit_code == 0, made.output
    written = [Path(line) for line in made.stdout.splitlines()]
    assert set(written) == {path for path in tmp_path.rglob("*") if path.is_file()}
    for path in written:
        assert path.stat().st_mode & 0o777 == (0o755 if path.name == "identity" else 0o644)
    plain = run(kind, *TARGET, "--deploy", "ec2-tag:Deploy")
    assert written[-1].read_text() == plain.stdout
    for path in written[:-1]:
        assert str(path).removeprefix(str(tmp_path)) in plain.stderr
    dropin = run(kind, *TARGET, "--deploy", "ec2-tag:Deploy", "--format", "systemd-dropin")
    assert dropin.stdout == written[0].read_text()


def test_with_the_files_it_says_what_to_run_on_a_client(tmp_path: Path) -> None:
    made = run("rsyslog", *TARGET, "--family", "redhat", "--deploy", "ec2-tag:Deploy", "-O", str(tmp_path / "a b"))
    assert [line.strip() for line in made.stderr.splitlines()[1:]] == [
        "dnf install rsyslog rsyslog-relp",
        f"cp -r '{tmp_path}/a b'/. /",
        "systemctl daemon-reload",
        "/usr/local/lib/logsink-client/identity --fetch",
        "systemctl enable logsink-identity.service",
        "systemctl enable rsyslog.service",
        "systemctl restart rsyslog.service",
    ]


def test_a_directory_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    made = run("rsyslog", *TARGET, "-O", str(tmp_path / "file"))
    assert (made.exit_code, "cannot write" in made.stderr, "name another directory" in made.stderr) == (2, True, True)


class _Unsafe(yaml.SafeLoader):
    """Loads ansible's !unsafe as text."""


_Unsafe.add_constructor("!unsafe", lambda loader, node: loader.construct_scalar(node))


@pytest.mark.parametrize("kind", KINDS)
def test_wrapped_it_holds_the_same_files(tmp_path: Path, kind: str) -> None:
    arguments = (kind, *TARGET, "--deploy", "ec2-tag:Deploy", "--role", "file:/etc/role")
    run(*arguments, "-O", str(tmp_path))
    files = {"/" + str(p.relative_to(tmp_path)): p.read_text() for p in tmp_path.rglob("*") if p.is_file()}
    data = run(*arguments, "--format", "cloud-init").stdout
    assert data.startswith("#cloud-config\n")
    cloud = yaml.safe_load(data)
    assert {file["path"]: file["content"] for file in cloud["write_files"]} == files
    assert {file["path"]: file["permissions"] for file in cloud["write_files"]}[
        "/usr/local/lib/logsink-client/identity"
    ] == "0755"
    play = yaml.load(run(*arguments, "--format", "ansible").stdout, _Unsafe)[0]
    copied = [task["ansible.builtin.copy"] for task in play["tasks"] if "ansible.builtin.copy" in task]
    assert {file["dest"]: file["content"] for file in copied} == files
    assert all(isinstance(file["mode"], str) for file in copied)


def test_certificates_go_along_and_the_key_is_secret(tmp_path: Path) -> None:
    for name in ("ca.crt", "client.crt", "client.key"):
        (tmp_path / name).write_text(f"-----BEGIN {name}-----\n")
    data = run("rsyslog", *TARGET, "--certificates", str(tmp_path), "--format", "cloud-init").stdout
    files = {file["path"]: file for file in yaml.safe_load(data)["write_files"]}
    assert files["/etc/rsyslog-tls/client.key"]["permissions"] == "0600"
    assert 'tls.myPrivKey="/etc/rsyslog-tls/client.key"' in files["/etc/rsyslog.d/10-logsink-relp.conf"]["content"]
    assert 'port="2515"' in files["/etc/rsyslog.d/10-logsink-relp.conf"]["content"]


def identity(root: Path, *arguments: str) -> dict[str, str]:
    """Run the script that says at boot who the client is, below ``root``, and return what systemd would read."""
    done = run("rsyslog", *TARGET, *arguments, "-O", str(root))
    assert done.exit_code == 0, done.output
    (root / "proc/sys/kernel/random").mkdir(parents=True, exist_ok=True)
    (root / "proc/sys/kernel/random/boot_id").write_text("3d1219c7-c4c5-404a-aa1f-6d2a48adfda4\n")
    script = root / "usr/local/lib/logsink-client/identity"
    subprocess.run([script], env={"ROOT": str(root), "PATH": os.environ["PATH"]}, check=True)
    lines = (root / "run/logsink-client/identity").read_text().splitlines()
    return {
        name: json.loads(re.sub(r"\\([$`])", r"\1", value)) if value[0] == '"' else value
        for name, _, value in (one.partition("=") for one in lines)
    }


def test_the_instance_is_known_before_the_host_has_a_name(tmp_path: Path) -> None:
    """That of EC2, else the machine id, else the host's name; a file says the role, without what would end the value."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/role").write_text('we"b]\\\nsecond line\n')
    found = identity(tmp_path, "--role", "file:/etc/role")
    assert found == {
        "LOG_INSTANCE": os.uname().nodename,
        "LOG_BOOT": "3d1219c7c4c5404aaa1f6d2a48adfda4",
        "LOG_ROLE": "web",
    }
    (tmp_path / "etc/machine-id").write_text("uninitialized\n")
    assert identity(tmp_path)["LOG_INSTANCE"] == os.uname().nodename
    (tmp_path / "etc/machine-id").write_text("0123456789abcdef0123456789abcdef\n")
    assert identity(tmp_path)["LOG_INSTANCE"] == "0123456789abcdef0123456789abcdef"
    (tmp_path / "sys/class/dmi/id").mkdir(parents=True)
    (tmp_path / "sys/class/dmi/id/board_asset_tag").write_text("Not Specified\n")
    assert identity(tmp_path)["LOG_INSTANCE"] == "0123456789abcdef0123456789abcdef"
    (tmp_path / "sys/class/dmi/id/board_asset_tag").write_text("i-0abc1234def567890\n")
    assert identity(tmp_path)["LOG_INSTANCE"] == "i-0abc1234def567890"


@pytest.mark.parametrize("role", ["a: b", "a #b", "- x", "{a}", "it: #1"])
def test_yaml_of_the_collector_has_a_text_whole(role: str) -> None:
    found = yaml.safe_load(run("otel-collector", *TARGET, "--role", role).stdout)
    statements = found["processors"]["transform"]["log_statements"][0]["statements"]
    assert f'set(attributes["structured_data"]["deploy@32473"]["role"], "{role}")' in statements


@pytest.mark.parametrize(
    ("target", "endpoint"), [("[2001:db8::1]:6514", "[2001:db8::1]"), ("null", "null"), ("10", "10")]
)
def test_an_endpoint_of_the_collector_is_a_text_with_an_address_in_brackets(target: str, endpoint: str) -> None:
    found = yaml.safe_load(run("otel-collector", "--target", target).stdout)
    assert found["exporters"]["syslog"]["endpoint"] == endpoint


@pytest.mark.parametrize(
    ("target", "address"),
    [
        ("[2001:db8::1]", "[2001:db8::1]:5514"),
        ("192.0.2.1:6514", "192.0.2.1:6514"),
        ("logs.internal", "logs.internal:5514"),
    ],
)
def test_an_address_of_vector_has_brackets_around_ipv6(target: str, address: str) -> None:
    found = yaml.safe_load(run("vector", "--target", target).stdout)
    assert found["sinks"]["logsink"]["address"] == address


def test_syslog_ng_is_told_of_an_ipv6_address() -> None:
    assert "ip-protocol(6)" in run("syslog-ng", "--target", "[2001:db8::1]").stdout
    assert "ip-protocol" not in run("syslog-ng", "--target", "192.0.2.1").stdout


def test_nobody_else_can_read_the_key_at_any_time(tmp_path: Path) -> None:
    given, key = tmp_path / "given", tmp_path / "image/etc/rsyslog-tls/client.key"
    given.mkdir()
    for name in ("ca.crt", "client.crt", "client.key"):
        (given / name).write_text("-----BEGIN\n")
    key.parent.mkdir(parents=True)
    key.touch(0o666)
    before = os.umask(0)
    try:
        with key.open() as held:
            result = run("rsyslog", *TARGET, "--certificates", str(given), "-O", str(tmp_path / "image"))
            assert held.read() == ""
    finally:
        os.umask(before)
    assert result.exit_code == 0, result.output
    assert key.read_text() == "-----BEGIN\n"
    assert key.stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in key.parent.iterdir()) == ["ca.crt", "client.crt", "client.key"]


@pytest.mark.parametrize("role", ["{{x}}", "{%x%}", "a{#b"])
def test_ansible_takes_no_text_for_a_template(role: str) -> None:
    text = run("rsyslog", *TARGET, "--role", role, "--format", "ansible").stdout
    files = re.findall(r"content: (.*?)\|\n(.*?)\n      notify", text, re.DOTALL)
    assert files
    assert all(said == "!unsafe " for said, body in files if role in body)


@pytest.mark.parametrize("name", ["LOGS.Example.COM", "logs.example.com.", "a.invalid."])
def test_an_example_is_one_however_it_is_written(name: str) -> None:
    assert "that name is for examples only" in run("rsyslog", "--target", name).stderr


def test_a_path_that_would_end_a_comment_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a\nb").mkdir()
    result = run("rsyslog", *TARGET, "--certificates", str(tmp_path / "a\nb"))
    assert result.exit_code == 2
    assert "has a control character" in result.stderr


def test_a_shell_that_reads_who_a_host_is_runs_nothing_of_it(tmp_path: Path) -> None:
    """docs/fleet.md has hosts without systemd read the file by a shell."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/role").write_text("$(touch ran)-$HOME-`touch ran`\n")
    assert identity(tmp_path, "--role", "file:/etc/role")["LOG_ROLE"] == "$(touch ran)-$HOME-`touch ran`"
    read = f'. {tmp_path}/run/logsink-client/identity; printf %s "$LOG_ROLE"'
    done = subprocess.run(["sh", "-c", read], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "$(touch ran)-$HOME-`touch ran`"
    assert not (tmp_path / "ran").exists()
