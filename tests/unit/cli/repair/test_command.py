"""``logsink repair`` as its users meet it."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner, Result

from logsink.cli.main import main


def repair(place: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["repair", "--store", str(place), *arguments])


def test_nothing_is_damaged(place: Path) -> None:
    result = repair(place, "--quiet")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "nothing is damaged\n", "")


def test_a_missing_file(place: Path) -> None:
    path = next(place.glob("logs/date=*/r-1-1-1.parquet"))
    path.unlink()
    key = f"logs/{path.parent.name}/{path.name}"
    planned = repair(place, "--quick")
    assert planned.exit_code == 2
    lines = planned.stdout.splitlines()
    assert f"would record as lost: {key} (5 rows)" in lines
    assert f"would take out of the table: {key}" in lines
    assert lines[-1] == "run it with --apply to do this"
    assert len(list(place.glob("logs/_delta_log/*"))) == 4
    done = repair(place, "--apply")
    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    assert f"recorded as lost: {key} (5 rows)" in lines
    assert f"  {key} (5 rows)" in lines
    assert lines[-1] == "OK: everything is there, but for what is recorded as lost"
    assert repair(place).exit_code == 0


def test_the_log(place: Path) -> None:
    for path in place.glob("logs/_delta_log/*"):
        path.unlink()
    assert "would write the log anew, as version 0, with 3 files" in repair(place).stdout
    done = repair(place, "--apply")
    assert done.exit_code == 0
    assert "wrote the log anew, as version 0, with 3 files" in done.stdout
    assert done.stdout.endswith("OK: everything is there\n")
    query = CliRunner().invoke(main, ["query", "--store", str(place), "--count", "--since", "2026-01-01"])
    assert (query.exit_code, query.stdout.strip()) == (0, "15")


def test_no_store(tmp_path: Path) -> None:
    result = repair(tmp_path / "none")
    assert result.exit_code == 2
    assert "cannot find a store" in result.stderr
