"""Upkeep: checkpoints that can be relied on before the log is cleaned, and the exact rule for files nobody committed."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from logsink.archive import maintain
from logsink.archive.adopt import Adopted
from logsink.archive.file import write_files
from logsink.archive.log import Add, DeltaLog, Remove, Txn
from logsink.archive.maintain import Maintained, checkpoint, file_lanes, maintain_once, remove_orphans
from logsink.archive.rounds import Rounds
from logsink.archive.snapshot import LOG, DataFile, checkpoint_key
from logsink.errors import FormatError, Unavailable
from logsink.journal.segment import SegmentName
from logsink.store import Store, open_store
from logsink.store.local import LocalStore
from logsink.store.memory import MemoryStore
from tests.support.s3 import Server, s3_environment, s3_server
from tests.unit.archive.rows import TableRows, row
from tests.unit.archive.tables import MIDNIGHT, Limits, add, archived, data_file, fresh, log_of, segment, store_segment

__all__ = ["s3_environment", "s3_server"]

LONG_AGO = 40 * 86_400


@pytest.fixture
async def local(tmp_path: Path) -> AsyncIterator[Store]:
    async with LocalStore(tmp_path) as store:
        yield store


async def commits(log: DeltaLog, count: int) -> None:
    await log.create()
    for _ in range(count):
        snapshot = await log.load()
        sequence = snapshot.txn.get("r.0", 0) + 1
        gone = [Remove(file, data_change=True) for file in list(snapshot.files.values())[:-2]]
        await log.commit(snapshot, [add(f"f{sequence}"), Txn("r.0", sequence), *gone])


async def logged(store: Store) -> list[str]:
    return [entry.key.removeprefix(LOG) async for entry in store.list(LOG)]


async def test_a_checkpoint_when_due(local: Store) -> None:
    log = log_of(local)
    await commits(log, 4)
    assert await checkpoint(log, 6) == -1
    before = await fresh(local)
    assert await checkpoint(log, 5) == 4
    after = await fresh(local)
    assert after.checkpoint == 4
    assert (after.files, after.txn, after.version) == (before.files, before.txn, before.version)
    assert await checkpoint(log, 5) == -1
    await commits(log, 5)
    assert await checkpoint(log, 5) == 9


async def test_old_commits_are_cleaned_away_behind_a_checkpoint(local: LocalStore) -> None:
    log = log_of(local)
    await commits(log, 3)
    for path in (local.root / LOG).iterdir():
        os.utime(path, (time.time() - LONG_AGO,) * 2)
    expected = await fresh(local)
    assert await checkpoint(log, 1) == 3
    assert "00000000000000000002.json" not in await logged(local)
    for found in (await fresh(local), await log.load()):
        assert (found.version, found.files, found.txn) == (3, expected.files, expected.txn)
    await commits(log, 1)
    assert (await fresh(local)).txn == {"r.0": 4}


@pytest.mark.parametrize("what", ["nothing", "another version"])
async def test_a_checkpoint_that_is_not_what_the_commits_say_is_taken_away(
    local: LocalStore, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    log = log_of(local)
    await commits(log, 3)
    for path in (local.root / LOG).iterdir():
        os.utime(path, (time.time() - LONG_AGO,) * 2)
    written = maintain._write_checkpoint

    def wrong(table: str, options: dict[str, str], version: int) -> None:
        written(table, options, version - 1)
        good = local.root / checkpoint_key(version - 1)
        bad = b"PAR1" if what == "nothing" else good.read_bytes()
        (local.root / checkpoint_key(version)).write_bytes(bad)
        good.unlink()

    monkeypatch.setattr(maintain, "_write_checkpoint", wrong)
    with pytest.raises(FormatError, match="cannot rely on"):
        await checkpoint(log, 1)
    names = await logged(local)
    assert [name for name in names if name.endswith(".json")] == [f"{version:020d}.json" for version in range(4)]
    assert not any("checkpoint.parquet" in name for name in names)
    assert (await fresh(local)).version == 3


async def test_checkpoints_on_s3(s3_environment: Server) -> None:
    async with open_store(s3_environment.fresh_url()) as store:
        log = log_of(store)
        await commits(log, 3)
        expected = await fresh(store)
        assert await checkpoint(log, 3) == 3
        found = await fresh(store)
        assert (found.checkpoint, found.files, found.txn) == (3, expected.files, expected.txn)


async def put_file(store: Store, name: str, lanes: dict[str, tuple[int, int]]) -> DataFile:
    """A data file that the commit of these lanes would add; it is stored and not committed."""
    rows = TableRows([row(time=MIDNIGHT, received=MIDNIGHT, host=name)])
    (new,) = write_files(rows, lanes, "r", name)  # type: ignore[arg-type]
    await store.put(new.file.key, memoryview(new.body))
    return new.file


async def test_a_data_file_is_removed_exactly_when_its_commit_can_no_longer_win() -> None:
    store = MemoryStore(clock=lambda: 0.0)
    log = log_of(store)
    await log.create()
    live = await put_file(store, "a1", {"r.0": (1, 4), "r.1": (1, 2)})
    await log.commit(await log.load(), [Add(live), Txn("r.0", 4), Txn("r.1", 2)])
    lost = await put_file(store, "b1", {"r.0": (3, 9)})
    lost_in_one_lane = await put_file(store, "b2", {"r.0": (5, 6), "r.1": (2, 3)})
    waiting = await put_file(store, "c1", {"r.0": (5, 6), "r.1": (3, 3)})
    new_lane = await put_file(store, "c2", {"r.2": (1, 1)})
    gone = await put_file(store, "d1", {"r.3": (1, 1)})
    await log.commit(await log.load(), [Add(gone), Txn("r.3", 1)])
    await log.commit(await log.load(), [Remove(gone, data_change=True)])
    await store.put("logs/date=2026-11-22/part-0.parquet", b"of another program")
    await store.put("logs/date=2026-11-22/r-1-1-abc.parquet", b"not Parquet")
    assert await remove_orphans(log, 0.0) == 0
    store._clock = lambda: 100.0
    assert await remove_orphans(log, 101.0) == 0
    assert await remove_orphans(log, 50.0) == 2
    left = {entry.key async for entry in store.list("logs/date=")}
    assert not left & {lost.key, lost_in_one_lane.key}
    assert {live.key, waiting.key, new_lane.key, gone.key} < left
    assert len(left) == 6


async def test_lanes_are_read_from_the_footer_alone() -> None:
    store = MemoryStore()
    lanes = {f"{'x' * 200}-{k}.{k}": (k, k + 1) for k in range(500)}
    file = await put_file(store, "a1", lanes)
    assert await file_lanes(store, file.key) == lanes
    await store.put("x", b"")
    with pytest.raises(FormatError):
        await file_lanes(store, "x")


async def test_everything_that_is_due(local: LocalStore) -> None:
    rounds = Rounds(log_of(local))
    for sequence in (1, 2):
        name = SegmentName("gone", 0, sequence)
        await store_segment(local, segment(name, [f"m{sequence}"]))
        os.utime(local.root / name.key, (time.time() - 400,) * 2)
    orphan = await put_file(local, "a1", {"gone.0": (1, 1)})
    os.utime(local.root / orphan.key, (time.time() - 400,) * 2)
    limits = Limits(checkpoint_every=2)
    assert await maintain_once(rounds, limits, limits) == Maintained(Adopted(2, 0), 1, 1)
    assert await maintain_once(rounds, limits, limits) == Maintained(Adopted(0, 0), -1, 0)
    assert await archived(local) == ["m1", "m2"]
    rounds.close()


async def test_a_duty_that_fails_leaves_the_others_alone(local: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    rounds = Rounds(log_of(local))
    await commits(rounds.log, 2)

    async def trouble(*arguments: object, **options: object) -> None:
        raise Unavailable("cannot list: no reply")

    monkeypatch.setattr(maintain, "adopt", trouble)
    limits = Limits(checkpoint_every=2)
    assert await maintain_once(rounds, limits, limits) == Maintained(Adopted(0, 0), 2, 0)
    rounds.close()


def test_file_names_of_the_tests_are_not_ours() -> None:
    assert not maintain._NAME.fullmatch(data_file("f1").key)
