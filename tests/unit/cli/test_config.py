"""``logsink config check`` and ``show``, as a user runs them."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from logsink.cli.main import main
from logsink.config import SETTINGS


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
