"""``logsink tls``, as it is called."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from logsink.cli.main import main
from logsink.config import load


def run(directory: Path, *arguments: str) -> Result:
    verb, *more = arguments
    return CliRunner().invoke(main, ["tls", verb, "-d", str(directory), *more])


def good(directory: Path, *arguments: str) -> str:
    result = run(directory, *arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


def modes(directory: Path) -> dict[str, int]:
    found = [directory, *directory.rglob("*")]
    return {str(path.relative_to(directory)): stat.S_IMODE(path.stat().st_mode) for path in found}


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o177])
def test_only_the_owner_reads_keys(tmp_path: Path, mask: int) -> None:
    directory, before = tmp_path / "tls", os.umask(mask & 0o077)
    try:
        assert "keep" in good(directory, "init")
        good(directory, "issue", "server", "logs.example.com")
    finally:
        os.umask(before)
    assert modes(directory) == {
        ".": 0o700,
        "ca.crt": 0o644,
        "ca.key": 0o600,
        "server": 0o700,
        "server/logs.example.com": 0o700,
        "server/logs.example.com/ca.crt": 0o644,
        "server/logs.example.com/server.crt": 0o644,
        "server/logs.example.com/server.key": 0o600,
    }


def test_an_authority_is_never_replaced(tmp_path: Path) -> None:
    good(tmp_path, "init")
    key = (tmp_path / "ca.key").read_bytes()
    again = run(tmp_path, "init")
    assert again.exit_code == 2
    assert "there is one" in again.stderr
    assert (tmp_path / "ca.key").read_bytes() == key


def test_renewing_the_authority_keeps_key_and_name_and_reaches_the_directories_of_hosts(tmp_path: Path) -> None:
    good(tmp_path, "init", "--name", "fleet", "--days", "40")
    good(tmp_path, "issue", "client", "web-1", "--days", "39")
    key, before = (tmp_path / "ca.key").read_bytes(), (tmp_path / "ca.crt").read_bytes()
    assert "copy ca.crt to every host" in good(tmp_path, "init", "--renew")
    assert (tmp_path / "ca.key").read_bytes() == key
    after = (tmp_path / "ca.crt").read_bytes()
    assert after != before
    assert (tmp_path / "client/web-1/ca.crt").read_bytes() == after
    assert "authority  fleet" in good(tmp_path, "show")
    without = run(tmp_path / "nothing", "init", "--renew")
    assert without.exit_code == 2
    assert "cannot find an authority" in without.stderr


def test_issuing_again_renews_with_all_names_and_a_new_key(tmp_path: Path) -> None:
    good(tmp_path, "init")
    first = good(tmp_path, "issue", "server", "logs.example.com", "192.0.2.10")
    assert "issued a server certificate for logs.example.com, 192.0.2.10, valid until" in first
    home = tmp_path / "server/logs.example.com"
    before = {path.name: path.read_bytes() for path in home.iterdir()}
    assert "renewed a server certificate for logs.example.com, 192.0.2.10," in good(
        tmp_path, "issue", "server", "logs.example.com"
    )
    after = {path.name: path.read_bytes() for path in home.iterdir()}
    assert after["ca.crt"] == before["ca.crt"]
    assert after["server.crt"] != before["server.crt"]
    assert after["server.key"] != before["server.key"]
    assert "for logs.example.com, logs.example.net," in good(
        tmp_path, "issue", "server", "logs.example.com", "logs.example.net"
    )


def test_the_settings_that_it_prints_are_accepted(tmp_path: Path) -> None:
    good(tmp_path, "init")
    said = good(tmp_path, "issue", "server", "logs.example.com")
    settings = tmp_path / "logsink.toml"
    settings.write_text(said[said.index("  [listen]") :])
    config = load(settings, {"HOME": "/home/ada"}, {})
    assert config.tls.client_auth == "required"
    assert f"{tmp_path}/server/logs.example.com/* root@HOST:/etc/logsink/tls/" in said


def test_a_wildcard_has_a_directory_without_one(tmp_path: Path) -> None:
    good(tmp_path, "init")
    good(tmp_path, "issue", "client", "*.web.example.com")
    assert (tmp_path / "client/_.web.example.com/client.crt").exists()


def test_show_says_what_ends_and_what_is_foreign(tmp_path: Path) -> None:
    good(tmp_path, "init")
    good(tmp_path, "issue", "client", "web-1", "--days", "10")
    good(tmp_path, "issue", "server", "logs.example.com")
    found = run(tmp_path, "show")
    assert found.exit_code == 1
    assert "it ends soon; renew it: logsink tls issue client 'web-1'" in found.stdout
    assert f"copy {tmp_path}/server/logs.example.com/* to /etc/logsink/tls/" in found.stdout
    assert run(tmp_path, "show", "--within", "5").exit_code == 0
    good(tmp_path / "other", "init")
    (tmp_path / "ca.crt").write_bytes((tmp_path / "other/ca.crt").read_bytes())
    other = run(tmp_path, "show", "--within", "5", "-o", "json")
    assert other.exit_code == 1
    by_kind = {one["kind"]: one for one in json.loads(other.stdout)}
    assert by_kind["server"]["wrong"] == "another authority has issued it"
    assert by_kind["server"]["names"] == ["logs.example.com"]
    assert by_kind["authority"]["wrong"] == ""


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    good(tmp_path, "init")
    good(tmp_path, "issue", "client", "*.internal")
    damaged = tmp_path / "client/_.internal/client.crt"
    damaged.write_text("nothing")
    for arguments in (("show",), ("issue", "client", "*.internal")):
        found = run(tmp_path, *arguments)
        assert found.exit_code == 2
        assert found.stderr == (
            f"logsink: cannot use {damaged}: it is damaged, or not PEM (take it from a backup, or remove it and issue it again "
            "with all its names: logsink tls issue client '*.internal' OTHER-NAME...)\n"
        )
    damaged.unlink()
    good(tmp_path, "issue", "client", "*.internal")
    (tmp_path / "ca.crt").unlink()
    assert "no ca.crt" in run(tmp_path, "issue", "client", "web-2").stderr


def test_a_directory_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = run(tmp_path / "file" / "tls", "init")
    assert result.exit_code == 2
    assert f"cannot make directory {tmp_path}/file/tls" in result.stderr
    (tmp_path / "tls/ca.key").mkdir(parents=True)
    (tmp_path / "tls/ca.key/x").write_text("")
    (tmp_path / "tls/ca.crt").write_text("")
    result = run(tmp_path / "tls", "issue", "server", "a")
    assert "cannot read" in result.stderr


def test_without_cryptography_it_says_what_to_install(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['cryptography'] = None;"
        "from logsink.cli.main import main; main(['tls', 'init', '-d', sys.argv[1]])"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "tls")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == (
        "logsink: cannot make certificates: the package cryptography is not installed "
        "(in a clone of logsink: pip install '.[tls]')\n"
    )


@pytest.mark.parametrize("lost", ["ca.crt", "ca.key"])
def test_half_an_authority_says_how_to_go_on(tmp_path: Path, lost: str) -> None:
    good(tmp_path, "init")
    (tmp_path / lost).unlink()
    for arguments in (("init", "--renew"), ("issue", "client", "web"), ("show",)):
        found = run(tmp_path, *arguments)
        assert found.exit_code == 2
        assert f"no {lost} (copy {lost} back, or remove" in found.stderr


def test_a_key_of_another_certificate_is_named(tmp_path: Path) -> None:
    """Whoever was interrupted while a certificate was renewed has its new key beside the old certificate."""
    good(tmp_path, "init")
    good(tmp_path, "issue", "client", "web")
    good(tmp_path, "issue", "client", "db")
    assert run(tmp_path, "show").exit_code == 0
    key = tmp_path / "client/web/client.key"
    key.write_bytes((tmp_path / "client/db/client.key").read_bytes())
    found = run(tmp_path, "show")
    assert found.exit_code == 1
    assert "its key is of another certificate; issue it again: logsink tls issue client 'web'" in found.stdout
    good(tmp_path, "issue", "client", "web")
    assert run(tmp_path, "show").exit_code == 0
