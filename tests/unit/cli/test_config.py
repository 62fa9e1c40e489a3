"""``logsink config check`` and ``show``, as a user runs them."""

from __future__ import annotations

import subprocess
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from logsink.cli.main import main
from logsink.config import SETTINGS
from tests.support.certificates import Authority, Issued
from tests.support.proxy import Reply, in_thread
from tests.support.s3 import Server, s3_server

__all__ = ["s3_server"]


def run(*arguments: str, **environ: str) -> Result:
    return CliRunner().invoke(main, ["config", *arguments], env={"HOME": "/home/ada", **environ})


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in [n for n in os.environ if n.startswith(("LOGSINK_", "XDG_"))]:
        monkeypatch.delenv(name)


def test_check_says_what_would_open() -> None:
    result = run("check")
    assert result.exit_code == 0
    assert [line.split() for line in result.stdout.splitlines()] == [
        ["OK"],
        ["store", "file:///home/ada/.local/share/logsink"],
        ["tcp", "127.0.0.1:5514"],
        ["udp", "127.0.0.1:5514"],
        ["relp", "127.0.0.1:2514"],
        ["http", "127.0.0.1:9514"],
    ]


def test_check_tells_every_mistake_on_a_line_and_exits_2(tmp_path: Path) -> None:
    path = tmp_path / "logsink.toml"
    path.write_text("[archive]\nmax_age = 'soon'\n")
    result = run("check", "-c", str(path), "--tcp", ":514", LOGSINK_STOER="s3://a")
    assert result.exit_code == 2
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert len(lines) == 3
    assert all(line.startswith("logsink: ") and line.endswith(")") for line in lines)


def test_check_knows_what_a_store_is() -> None:
    result = run("check", "--store", "ftp://a/b")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("logsink: --store: cannot use 'ftp://a/b' as a store: ")


def test_show_can_be_used_as_a_file(tmp_path: Path) -> None:
    result = run("show", "--tcp", "0.0.0.0:514", "--store", "s3://logs/x", LOGSINK_ARCHIVE__MAX_AGE="30s")
    assert result.exit_code == 0
    path = tmp_path / "logsink.toml"
    path.write_text(result.stdout)
    again = run("show", "-c", str(path))
    assert tomllib.loads(again.stdout) == tomllib.loads(result.stdout)
    assert tomllib.loads(again.stdout)["journal"]["ack_delay"] == "200ms"


def test_show_names_each_source() -> None:
    result = run("show", "--tcp", "0.0.0.0:514", LOGSINK_ARCHIVE__MAX_AGE="30s")
    sources = {line.split(" = ")[0]: line.rpartition("# ")[2] for line in result.stdout.splitlines() if " = " in line}
    assert sources["tcp"] == "--tcp"
    assert sources["max_age"] == "LOGSINK_ARCHIVE__MAX_AGE"
    assert sources["store"] == "default"


def test_show_has_every_setting() -> None:
    shown = run("show").stdout
    for key in SETTINGS:
        name = key.rpartition(".")[2]
        assert f"\n{name} = " in f"\n{shown}" or f"\n# {name} is off " in shown


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


def with_tls(directory: Path, one: Issued, **others: object) -> Result:
    settings = {"cert": one.cert, "key": one.key} | others
    path = directory / "logsink.toml"
    lines = [f'{name} = "{value}"\n' for name, value in settings.items()]
    path.write_text(f'store = "{directory}/store"\n[listen]\ntls = ["127.0.0.1:0"]\n[tls]\n{"".join(lines)}')
    return run("check", "-c", str(path))


def test_check_opens_the_files_of_tls_and_matches_them(authority: Authority, tmp_path: Path) -> None:
    one, other = authority.issue("sink.example.com", days=90), authority.issue("other.example.com")
    assert with_tls(tmp_path, one, client_ca=authority.pem).exit_code == 0
    garbage = tmp_path / "garbage.pem"
    garbage.write_text("no certificate")
    for mistake, said in (
        ({"cert": tmp_path / "missing.crt"}, "missing.crt"),
        ({"key": tmp_path / "missing.key"}, "No such file"),
        ({"key": other.key}, "tls.key is the key of another certificate"),
        ({"client_ca": garbage}, "garbage.pem"),
        ({"client_ca": tmp_path / "missing.pem"}, "missing.pem"),
        ({"cert": garbage}, "garbage.pem"),
    ):
        result = with_tls(tmp_path, one, **mistake)
        assert (result.exit_code, result.stdout) == (2, ""), mistake
        assert said in result.stderr
        assert len(result.stderr.splitlines()) == 1


def test_check_reads_the_key_that_signs_ledgers(tmp_path: Path) -> None:
    good, wrong = tmp_path / "ledger.pem", tmp_path / "x25519.pem"
    for key, kind in ((good, "ed25519"), (wrong, "X25519")):
        subprocess.run(["openssl", "genpkey", "-algorithm", kind, "-out", str(key)], check=True, capture_output=True)
    assert run("check", LOGSINK_LEDGER__SIGN_KEY=str(good)).exit_code == 0
    for key, said in ((tmp_path / "none.pem", "No such file"), (wrong, "it is no Ed25519 key")):
        result = run("check", LOGSINK_LEDGER__SIGN_KEY=str(key))
        assert (result.exit_code, result.stdout) == (2, "")
        assert f"ledger.sign_key {key}: " in result.stderr
        assert said in result.stderr
        assert "openssl genpkey" in result.stderr


def test_check_prints_the_whole_path_of_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for store in ("logs", "./a/../logs", f"file://{tmp_path}/logs/"):
        assert run("check", "--store", store).stdout.splitlines()[1] == f"store   file://{tmp_path}/logs"
    assert run("check", "--store", "s3://logs/a/").stdout.splitlines()[1] == "store   s3://logs/a"


def test_check_refuses_a_lock_that_a_directory_cannot_hold(tmp_path: Path) -> None:
    result = run("check", "--store", str(tmp_path / "logs"), LOGSINK_LEDGER__OBJECT_LOCK="30d")
    assert (result.exit_code, result.stdout) == (2, "")
    assert (
        f"cannot use ledger.object_lock with file://{tmp_path}/logs: a directory has no S3 Object Lock" in result.stderr
    )
    assert run("check", "--store", "s3://logs", LOGSINK_LEDGER__OBJECT_LOCK="30d").exit_code == 0


def test_check_looks_at_when_a_certificate_expires(authority: Authority, tmp_path: Path) -> None:
    gone = with_tls(tmp_path, authority.issue("gone.example.com", expired=True))
    assert gone.exit_code == 2
    assert "it expired on 20" in gone.stderr
    soon = with_tls(tmp_path, authority.issue("soon.example.com", days=3))
    assert soon.exit_code == 0
    assert "expires on 20" in soon.stderr


def test_check_warns_of_a_key_that_everybody_can_read(authority: Authority, tmp_path: Path) -> None:
    one = authority.issue("open.example.com", days=90)
    assert "can be read by everybody" not in with_tls(tmp_path, one).stderr
    one.key.chmod(0o644)
    result = with_tls(tmp_path, one)
    assert result.exit_code == 0
    assert f"{one.key} can be read by everybody on this machine (chmod o-rwx)" in result.stderr


def test_check_tries_the_store(s3_server: Server) -> None:
    environ = s3_server.environment
    good = run("check", "--connect", "--store", s3_server.fresh_url(), **environ)
    assert good.exit_code == 0, good.output
    assert "can be used; it has no table yet" in good.stdout
    missing = run("check", "--connect", "--store", "s3://no-such-bucket/a", **environ)
    assert (missing.exit_code, missing.stdout) == (2, "")
    assert "create the bucket" in missing.stderr
    assert run("check", "--store", "s3://no-such-bucket/a", **environ).exit_code == 0
    with in_thread(s3_server.endpoint, lambda _: Reply(403, "AccessDenied")) as proxy:
        denied = run("check", "--connect", "--store", "s3://logs/a", **s3_server.at(proxy.url).environment)
    assert denied.exit_code == 2
    assert "not permitted s3:ListBucket, s3:PutObject" in denied.stderr


def test_check_of_a_directory_makes_none(tmp_path: Path) -> None:
    result = run("check", "--connect", "--store", str(tmp_path / "a" / "b"))
    assert result.exit_code == 0
    assert "will be made when a receiver starts" in result.stdout
    assert list(tmp_path.iterdir()) == []
