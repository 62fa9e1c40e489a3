"""``logsink maintain`` as its users meet it, and what other engines read before and after."""

from __future__ import annotations

import asyncio
import datetime
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from click.testing import CliRunner, Result

from logsink.archive.indexing import Joined, Tended
from logsink.archive.maintenance import Due, Maintained
from logsink.archive.snapshot import ROOT
from logsink.cli.main import main
from logsink.cli.maintain.run import due, report
from logsink.parse import FILE_SCHEMA
from logsink.store import Store, open_store
from tests.support.terminal import INTERRUPT, Terminal
from tests.unit.archive.tables import fresh, put_file, table_of

LONG_AGO = 1_600_000_000_000_000
"""In microseconds since the epoch; the dates of that time are over."""


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A store with three small files of a date that is over."""
    place = f"file://{tmp_path}/store"
    within(place, lambda store: table_of(store, at=LONG_AGO))
    return place


def within(url: str, work: Any) -> Any:
    async def run() -> Any:
        async with open_store(url) as store:
            return await work(store)

    return asyncio.run(run())


def maintain(url: str, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["maintain", "--store", url, *arguments])


async def data_files(store: Store) -> list[str]:
    return [entry.key.removeprefix(ROOT) async for entry in store.list(f"{ROOT}date=")]


def test_ledgers_are_signed_with_the_key_of_the_settings(url: str, tmp_path: Path) -> None:
    key, settings = tmp_path / "ledger.pem", tmp_path / "logsink.toml"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", str(key)], check=True, capture_output=True)
    settings.write_text(f'[ledger]\nsign_key = "{key}"\n')
    result = maintain(url, "--once", "-c", str(settings))
    assert (result.exit_code, result.stderr) == (0, "")
    (ledger,) = Path(tmp_path, "store", "ledger").iterdir()
    assert b'"signature"' in ledger.read_bytes()


def test_small_files_are_merged(url: str) -> None:
    result = maintain(url, "--once")
    assert (result.exit_code, result.stderr) == (0, "")
    assert re.fullmatch(
        r"merged 3 files, \d+\.\d KiB, into date=2020-09-13/compacted-[0-9a-f]{16}\.parquet, 15 rows, \d+\.\d KiB\n"
        r"wrote the ledger of 2020-09-13\n",
        result.stdout,
    )
    assert len(within(url, fresh).files) == 1
    assert maintain(url, "--once").stdout == "nothing was due\n"


def test_a_dry_run_says_what_is_due_and_changes_nothing(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGSINK_MAINTAIN__RETENTION", "3d")
    monkeypatch.setenv("LOGSINK_MAINTAIN__CHECKPOINT_EVERY", "2")
    before = within(url, fresh)
    result = maintain(url, "--dry-run")
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[0].startswith("would retire 3 files of 2020-09-13, ")
    assert lines[1] == "would write a checkpoint of version 3"
    assert lines[2].startswith("would merge 3 files of 2020-09-13, ")
    after = within(url, fresh)
    assert (after.version, after.checkpoint, after.files) == (before.version, -1, before.files)


def test_a_dry_run_names_the_ledgers_that_are_due(url: str, tmp_path: Path) -> None:
    assert maintain(url, "--once").exit_code == 0
    (ledger,) = Path(tmp_path, "store", "ledger").iterdir()
    ledger.unlink()
    for _ in range(2):
        assert maintain(url, "--dry-run").stdout == "would write the ledger of 2020-09-13\n"
    assert maintain(url, "--once").stdout == "wrote the ledger of 2020-09-13\n"
    assert maintain(url, "--dry-run").stdout == "nothing is due\n"


def test_a_dry_run_names_no_ledger_of_a_date_that_would_be_retired(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert maintain(url, "--once").exit_code == 0
    (ledger,) = Path(tmp_path, "store", "ledger").iterdir()
    ledger.unlink()
    monkeypatch.setenv("LOGSINK_MAINTAIN__RETENTION", "3d")
    (line,) = maintain(url, "--dry-run").stdout.splitlines()
    assert line.startswith("would retire 1 files of 2020-09-13, ")


def test_a_dry_run_without_work(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    assert maintain(f"file://{tmp_path}/store", "--dry-run").stdout == "nothing is due\n"


def test_retention_and_what_is_left_of_it(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGSINK_MAINTAIN__RETENTION", "3d")
    result = maintain(url, "--once")
    assert re.fullmatch(r"retired 3 files of 2020-09-13, \d+\.\d KiB\n", result.stdout)
    assert within(url, fresh).files == {}
    assert len(within(url, data_files)) == 3  # for readers that began before


def test_files_that_nobody_committed_are_deleted(url: str) -> None:
    orphan = within(url, lambda store: put_file(store, "a1", {"r.0": (1, 1)}))
    path = Path(url.removeprefix("file://")) / orphan.key
    os.utime(path, (time.time() - 3600,) * 2)
    assert "would delete 1 data files" in maintain(url, "--dry-run").stdout
    assert "deleted 1 data files that are no longer needed" in maintain(url, "--once").stdout
    assert not path.exists()


def test_without_a_store(tmp_path: Path) -> None:
    result = maintain(f"file://{tmp_path}/none", "--once")
    assert result.exit_code == 2
    assert "there is no store" in result.stderr
    assert not (tmp_path / "none").exists()


def test_something_that_cannot_be_done(url: str) -> None:
    log = Path(url.removeprefix("file://")) / "logs" / "_delta_log"
    (log / f"{1:020d}.json").write_text("no JSON")
    result = maintain(url, "--once")
    assert result.exit_code == 2
    assert result.stdout == ""


@pytest.mark.parametrize("arguments", [["--once"], ["--dry-run"]])
def test_what_is_missing_is_named_and_the_rest_is_done(
    url: str, arguments: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    one, *_ = within(url, data_files)
    Path(url.removeprefix("file://"), ROOT + one).unlink()
    result = maintain(url, *arguments)
    assert result.exit_code == 2
    assert f"damaged or missing in the store: {ROOT}{one} is missing (5 rows)" in result.stderr + caplog.text
    if arguments == ["--once"]:
        assert "merged 2 files" in result.stdout
        assert len(within(url, fresh).files) == 2


def test_nothing_is_done_while_the_log_is_damaged(url: str) -> None:
    root = Path(url.removeprefix("file://"))
    (root / "logs" / "_delta_log" / f"{2:020d}.json").unlink()
    before = sorted(root.rglob("*"))
    for arguments in (["--once"], ["--dry-run"]):
        assert maintain(url, *arguments).exit_code == 2
        assert [path for path in sorted(root.rglob("*")) if path != root / "store.json"] == before


def test_it_goes_on_until_it_is_told_to_stop(url: str) -> None:
    command = [sys.executable, "-m", "logsink", "maintain", "--store", url]
    environ = os.environ | {"PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environ) as process:
        assert process.stdout
        assert process.stdout.readline().startswith("merged 3 files, ")
        assert process.stdout.readline() == "wrote the ledger of 2020-09-13\n"
        process.send_signal(signal.SIGTERM)
        out, error = process.communicate(timeout=60)
    assert (process.returncode, out, error) == (0, "", "")


def test_on_a_terminal_it_says_first_what_it_does(url: str) -> None:
    with Terminal([sys.executable, "-m", "logsink", "maintain", "--store", url], columns=200) as terminal:
        terminal.wait_for(b"wrote the ledger of ")
        terminal.type(INTERRUPT)
        code, shown = terminal.end()
    assert code == 0
    assert shown.startswith(f"logsink: looking every 1m for what is due in {url}, until you press Ctrl-C; ")


def rows(url: str, engine: str) -> list[tuple[Any, ...]]:
    """Every row, sorted, as somebody else reads it."""
    from deltalake import DeltaTable, QueryBuilder

    table = DeltaTable(f"{url}/logs")
    if engine == "deltalake":
        found = pa.table(QueryBuilder().register("logs", table).execute("SELECT * FROM logs").read_all())
    else:
        duckdb = pytest.importorskip("duckdb")
        found = duckdb.sql("FROM read_parquet($files)", params={"files": table.file_uris()}).to_arrow_table()
    return sorted((tuple(row[name] for name in FILE_SCHEMA.names) for row in found.to_pylist()), key=repr)


@pytest.mark.parametrize("engine", ["deltalake", "duckdb"])
def test_other_engines_read_the_same_rows_as_before(url: str, engine: str) -> None:
    before = rows(url, engine)
    assert len(before) == 15
    assert "merged" in maintain(url, "--once").stdout
    assert rows(url, engine) == before


async def index_objects(store: Store) -> list[str]:
    return [entry.key async for entry in store.list("index/")]


def test_files_without_an_index_get_one_and_it_is_joined(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGSINK_MAINTAIN__TARGET_FILE", "1MiB")
    assert within(url, index_objects) == []
    result = maintain(url, "--index")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == "indexed 3 data files with 15 rows\n"  # they are to be merged, so nothing is joined
    assert maintain(url, "--index").stdout == "every data file that is worth it is indexed\n"
    assert maintain(url, "--once").exit_code == 0
    assert (
        len([key for key in within(url, index_objects) if key.endswith(".index")]) == 4
    )  # and that of the merged file
    assert maintain(url, "--index").stdout == "every data file that is worth it is indexed\n"


def test_a_file_that_cannot_be_indexed_is_named(url: str) -> None:
    path = next(iter(within(url, fresh).files))
    within(url, lambda store: store.delete([ROOT + path]))
    result = maintain(url, "--index")
    assert result.exit_code == 2
    assert result.stdout == "indexed 2 data files with 10 rows\n"
    assert path in result.stderr


@pytest.mark.parametrize("other", ["--once", "--dry-run"])
def test_indexing_goes_alone(url: str, other: str) -> None:
    result = maintain(url, "--index", other)
    assert result.exit_code == 2
    assert f"--index goes without {other}" in result.stderr


def test_what_was_done_to_the_index_is_said() -> None:
    joined = [
        Joined(datetime.date(2026, 11, 22), 24, 3, 1 << 20),
        Joined(datetime.date(2026, 11, 23), 2, 2, 1 << 10),
        Joined(datetime.date(2026, 11, 22), 12, 3, 1 << 20),
    ]
    assert list(report(Maintained(tended=Tended(joined, 25)))) == [
        "joined the index of 2026-11-22: 36 objects became 2, 2.0 MiB",
        "joined the index of 2026-11-23: 2 objects became 1, 1.0 KiB",
        "deleted 25 objects of the index that are no longer needed",
    ]


def test_lanes_that_are_put_to_rest_are_told() -> None:
    assert list(report(Maintained(made_dormant=1200))) == ["made 1,200 lanes of old receivers dormant"]
    assert list(due(Due(idle_lanes=1200))) == ["would make 1,200 lanes of old receivers dormant"]
