"""``logsink init``, as it is called."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner, Result

from logsink.cli.main import main


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, [*arguments])


def test_it_makes_a_store_once_and_then_says_what_is_there(tmp_path: Path) -> None:
    root = tmp_path / "store"
    made = run("init", "--store", str(root))
    assert made.exit_code == 0, made.output
    marker = json.loads((root / "store.json").read_text())
    assert made.stdout == f"made store {marker['id']} at file://{root}\n"
    again = run("init", "--store", str(root))
    assert again.exit_code == 0, again.output
    assert again.stdout == (
        f"store {marker['id']}, created {marker['created']}, is at file://{root}; its table is at version 0\n"
    )
    checked = run("config", "check", "--connect", "--create", "never", "--store", str(root))
    assert f"(can be used; store {marker['id']}, created {marker['created']}; its table is at version 0)" in (
        checked.stdout
    )


def test_it_makes_none_where_one_is_damaged(tmp_path: Path) -> None:
    root = tmp_path / "store"
    assert run("init", "--store", str(root)).exit_code == 0
    (root / "store.json").write_text("{}")
    damaged = run("init", "--store", str(root))
    assert (damaged.exit_code, damaged.stdout) == (2, "")
    assert "logsink repair" in damaged.stderr
    checked = run("config", "check", "--connect", "--store", str(root))
    assert checked.exit_code == 2
    assert "logsink repair" in checked.stderr
    (root / "store.json").unlink()
    (root / "logs/_delta_log/00000000000000000000.json").unlink()
    (root / "logs/date=2026-11-22").mkdir()
    (root / "logs/date=2026-11-22/a.parquet").write_bytes(b"")
    lost = run("init", "--store", str(root))
    assert (lost.exit_code, lost.stdout) == (2, "")
    assert "is gone, and data files are there" in lost.stderr


def test_a_store_that_may_not_be_made_is_missed_by_check_and_maintain(tmp_path: Path) -> None:
    checked = run("config", "check", "--connect", "--create", "never", "--store", str(tmp_path / "store"))
    maintained = run("maintain", "--once", "--store", str(tmp_path))
    for result in (checked, maintained):
        assert (result.exit_code, result.stdout) == (2, "")
        assert "there is no store" in result.stderr
    assert list(tmp_path.iterdir()) == []
