"""``logsink verify`` as its users meet it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from click.testing import CliRunner, Result

from logsink.archive.ledger import encode_ledger, make
from logsink.cli.main import main
from logsink.store import open_store
from tests.unit.archive.tables import fresh


def verify(place: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["verify", "--store", str(place), *arguments])


def test_an_intact_store(place: Path) -> None:
    result = verify(place, "--quiet")
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[-1] == "OK: everything is there"
    assert any(
        line.startswith("checked 0 segments, 4 commits, 0 checkpoints, 3 data files with 15 rows") for line in lines
    )
    assert "each byte; table version 3" in verify(place, "--deep").stdout


def test_a_missing_file(place: Path) -> None:
    path = next(place.glob("logs/date=*/r-1-1-1.parquet"))
    path.unlink()
    result = verify(place)
    assert result.exit_code == 2
    lines = result.stdout.splitlines()
    assert lines[0] == f"logs/{path.parent.name}/{path.name} is missing (5 rows)"
    assert lines[1].startswith("  what to do: put it back from a backup")
    assert lines[-1] == "DAMAGED: 1 object, 5 rows missing"
    later = verify(place, "--since", "2030-01-01")
    assert later.exit_code == 0
    assert "0 data files" in later.stdout


def test_json(place: Path) -> None:
    path = next(place.glob("logs/date=*/r-1-1-1.parquet"))
    path.unlink()
    result = verify(place, "-o", "json")
    assert result.exit_code == 2
    found = json.loads(result.stdout)
    (damage,) = found["damages"]
    assert (found["intact"], found["version"], found["checked"]["files"]) == (False, 3, 3)
    assert (damage["part"], damage["key"], damage["what"], damage["rows"]) == (
        "files",
        f"logs/{path.parent.name}/{path.name}",
        "is missing",
        5,
    )


def test_no_store(tmp_path: Path) -> None:
    result = verify(tmp_path / "none")
    assert result.exit_code == 2
    assert "cannot find a store" in result.stderr


async def ledger_of(place: Path) -> Path:
    """The ledger of the store's only date, as it was copied elsewhere."""
    async with open_store(str(place)) as store:
        snapshot = await fresh(store)
        (date,) = {file.date for file in snapshot.files.values()}
        made = make(snapshot, date, store="", by="logsink/x", written="2020-09-14T02:00:00+00:00", previous=None)
    path = place.parent / f"{date}.json"
    path.write_bytes(encode_ledger(made))
    return path


def test_a_ledger_that_holds(place: Path) -> None:
    path = asyncio.run(ledger_of(place))
    result = verify(place, "--quiet", "--ledger", str(path))
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines()[-1] == f"OK: {path.stem} has exactly these rows"
    said = json.loads(verify(place, "-o", "json", "--ledger", str(path)).stdout)
    assert said["holds"] is True
    assert said["rows"] == {"ledger": 15, "found": 15, "not_compared": 0}
    assert said["files"] == {"found": 3, "unchanged": 3}


def test_a_ledger_that_does_not_hold(place: Path) -> None:
    path = asyncio.run(ledger_of(place))
    next(place.glob("logs/date=*/r-1-1-1.parquet")).unlink()
    result = verify(place, "--quiet", "--ledger", str(path))
    assert result.exit_code == 2
    assert "r-1-1-1.parquet is missing" in result.stdout
    assert result.stdout.splitlines()[-1].startswith("CHANGED: the first hour that does not add up is 20")
    assert json.loads(verify(place, "-o", "json", "--ledger", str(path)).stdout)["holds"] is False


def test_what_is_no_ledger(place: Path, tmp_path: Path) -> None:
    result = verify(place, "--ledger", str(tmp_path / "none.json"))
    assert result.exit_code == 2
    assert "none.json: No such file or directory (name ledger/DATE.json of a store" in result.stderr
    (tmp_path / "y.json").write_text("ledger")
    assert "it is no JSON: " in verify(place, "--ledger", str(tmp_path / "y.json")).stderr
    (tmp_path / "x.json").write_text("{}")
    assert "cannot read ledger" in verify(place, "--ledger", str(tmp_path / "x.json")).stderr
    assert "goes without" in verify(place, "--ledger", str(tmp_path / "x.json"), "--deep").stderr
