"""An object that the disk cannot read is damaged, is named with its path, and stops nothing else."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from logsink.archive.checkpointing import write_checkpoint
from logsink.archive.ledger import encode_ledger, make
from logsink.archive.log import DeltaLog
from logsink.archive.snapshot import checkpoint_key, commit_key
from logsink.cli.main import main
from logsink.errors import Conflict, MediumError, Unavailable
from logsink.journal import SegmentName
from logsink.store import open_store, put_once
from logsink.store.marker import MARKER, encode_marker, new_marker
from tests.unit.archive.tables import MIDNIGHT, fresh, segment, store_segment, table_of

SECOND = SegmentName("r", 0, 2)
LEDGER = "ledger/2026-11-22.json"


class BadSectors:
    """Makes the disk fail to read some files, at the boundary between the store and the operating system."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.paths: set[str] = set()
        for name in ("pread", "preadv"):
            monkeypatch.setattr(os, name, self._failing(getattr(os, name)))

    def _failing(self, real: Callable[..., object]) -> Callable[..., object]:
        def read(file: int, *rest: object) -> object:
            if os.readlink(f"/proc/self/fd/{file}") in self.paths:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return real(file, *rest)

        return read


@pytest.fixture
def bad(monkeypatch: pytest.MonkeyPatch) -> BadSectors:
    return BadSectors(monkeypatch)


@pytest.fixture
async def place(tmp_path: Path) -> Path:
    """A store with three data files of 5 rows, two segments of 2 and 1 rows that are not archived, and one ledger."""
    async with open_store(f"{tmp_path}/store") as store:
        await table_of(store)
        await store.put(MARKER, encode_marker(new_marker("a-store", "a test", 0.0)))
        for sequence, messages in ((2, ["a", "b"]), (3, ["c"])):
            one = segment(SegmentName("r", 0, sequence), messages, received=MIDNIGHT + sequence)
            await store_segment(store, one._replace(store_id="a-store"))
        snapshot = await fresh(store)
        (date,) = {file.date for file in snapshot.files.values()}
        made = make(snapshot, date, store="", by="logsink/x", written="2026-11-23T02:00:00+00:00", previous=None)
        await store.put(LEDGER, encode_ledger(made))
    return tmp_path / "store"


def ask(place: Path, verb: str, *arguments: str) -> Result:
    result = CliRunner().invoke(main, [verb, "--store", str(place), *arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def count(place: Path) -> Result:
    return ask(place, "query", "--count", "--since", "2026-01-01")


def test_a_data_file(place: Path, bad: BadSectors) -> None:
    path = next(place.glob("logs/date=*/r-1-1-1.parquet"))
    bad.paths = {str(path)}
    key = str(path.relative_to(place))
    for found in (count(place), ask(place, "query", "-n", "0"), ask(place, "sql", "SELECT count(*) FROM logs")):
        assert found.exit_code == 2
        assert f"{key} cannot be read" in found.stderr
        assert "input/output error; 5 rows of it are not shown" in found.stderr
    assert count(place).stdout == "13\n"
    assert f"{key} cannot be read: input/output error (5 rows)" in ask(place, "verify").stdout
    ask(place, "maintain", "--once")
    done = ask(place, "repair", "--apply")
    assert f"recorded as lost: {key} (5 rows)" in done.stdout
    assert done.exit_code == 0
    assert path.exists()
    assert (count(place).exit_code, count(place).stdout) == (0, "13\n")


def test_a_segment_waits_in_the_journal(place: Path, bad: BadSectors, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGSINK_MAINTAIN__ORPHAN_AFTER", "1d")
    path = place / SECOND.key
    for one in place.glob("journal/r/0/*"):
        os.utime(one, (0, 0))
    bad.paths = {str(path)}
    found = count(place)
    assert (found.exit_code, found.stdout) == (2, "16\n")
    assert f"{SECOND.key} cannot be read" in found.stderr
    verified = ask(place, "verify")
    assert verified.exit_code == 2
    assert f"{SECOND.key} cannot be read: input/output error" in verified.stdout
    assert "save what the disk can read of it" in verified.stdout
    planned = ask(place, "repair")
    assert (planned.exit_code, planned.stdout) == (2, "nothing can be mended: see `logsink verify`\n")
    assert ask(place, "repair", "--apply").exit_code == 2
    assert ask(place, "maintain", "--once").exit_code == 2
    assert path.exists()
    assert not (place / "quarantine").exists()
    bad.paths.clear()
    assert ask(place, "maintain", "--once").stdout.startswith("archived 2 segments of receivers that are gone\n")
    assert (count(place).exit_code, count(place).stdout) == (0, "18\n")


@pytest.mark.parametrize("version", range(4))
def test_a_commit(place: Path, bad: BadSectors, version: int) -> None:
    bad.paths = {str(place / commit_key(version))}
    found = count(place)
    assert found.exit_code == 2
    assert commit_key(version) in found.stderr
    assert commit_key(version) in ask(place, "verify").stdout
    assert ask(place, "maintain", "--once").exit_code == 2
    assert ask(place, "repair", "--apply").exit_code == 0
    assert (count(place).exit_code, count(place).stdout) == (0, "18\n")


async def test_a_checkpoint(place: Path, bad: BadSectors) -> None:
    async with open_store(str(place)) as store:
        await write_checkpoint(store, await fresh(store))
        bad.paths = {str(place / checkpoint_key(3))}
        snapshot = await DeltaLog(store).load()
        assert snapshot.intact
        assert len(snapshot.files) == 3


@pytest.mark.parametrize("key", [MARKER, LEDGER])
def test_the_marker_and_a_ledger(place: Path, bad: BadSectors, key: str) -> None:
    bad.paths = {str(place / key)}
    assert (count(place).exit_code, count(place).stdout) == (0, "18\n")
    found = ask(place, "verify")
    assert found.exit_code == 2
    assert f"{key} cannot be read: input/output error" in found.stdout
    ask(place, "repair", "--apply")
    assert (place / key).exists()


async def test_a_put_that_meets_one_does_not_count_as_done(place: Path, bad: BadSectors) -> None:
    async with open_store(str(place)) as store:
        bad.paths = {str(place / SECOND.key)}
        with pytest.raises(MediumError, match="input/output error") as raised:
            await store.get(SECOND.key)
        assert "put it back" in raised.value.hint
        with pytest.raises(Unavailable, match="input/output error"):
            await put_once(store, SECOND.key, b"x")
        bad.paths.clear()
        with pytest.raises(Conflict):
            await put_once(store, SECOND.key, b"x")
