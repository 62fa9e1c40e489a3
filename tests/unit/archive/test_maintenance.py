"""Upkeep: checkpoints that can be relied on before the log is cleaned, and one round of everything."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Collection
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from logsink.archive import checkpointing, maintenance
from logsink.archive.adoption import Adopted
from logsink.archive.checkpointing import checkpoint, write_checkpoint
from logsink.archive.log import Accepted, DeltaLog, Lost, Remove, Txn
from logsink.archive.maintenance import Due, Maintained, Maintenance
from logsink.archive.retention import Removed, remove_files, retire
from logsink.archive.rounds import Rounds
from logsink.archive.snapshot import LOG, Snapshot, checkpoint_key, commit_key
from logsink.archive.tidying import clean_log
from logsink.errors import Damaged, FormatError, Unavailable
from logsink.journal.segment import SegmentName
from logsink.store import Store, open_store
from logsink.store.local import LocalStore
from tests.support.s3 import Server, s3_environment, s3_server
from tests.unit.archive.tables import Limits, add, archived, fresh, log_of, put_file, segment, store_segment

__all__ = ["s3_environment", "s3_server"]

LONG_AGO = 40 * 86_400


@pytest.fixture
async def local(tmp_path: Path) -> AsyncIterator[Store]:
    async with LocalStore(tmp_path) as store:
        yield store


async def commits(log: DeltaLog, count: int) -> None:
    """Commit so many files, the last three of which stay; the table was made yesterday."""
    await log_of(log.store, wall=lambda: time.time() - 86_400).create()
    for _ in range(count):
        snapshot = await log.load()
        sequence = snapshot.txn.get("r.0", 0) + 1
        gone = [Remove(file, data_change=True) for file in list(snapshot.files.values())[:-2]]
        new = add(f"f{sequence}")
        await log.store.put(new.file.key, bytes(new.file.size))
        await log.commit(snapshot, [new, Txn("r.0", sequence), *gone])


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
    assert all(path.stat().st_mode & 0o027 == 0 for path in (local.root / LOG).iterdir())
    assert (after.files, after.txn, after.version) == (before.files, before.txn, before.version)
    assert await checkpoint(log, 5) == -1
    await commits(log, 5)
    assert await checkpoint(log, 5) == 9


@pytest.mark.parametrize("size", [0, 500])
async def test_a_damaged_checkpoint_is_set_aside_when_the_next_is_due(local: LocalStore, size: int) -> None:
    log = log_of(local)
    for count, version in ((4, 4), (5, 9)):
        await commits(log, count)
        assert await checkpoint(log, 5) == version
    damaged = local.root / checkpoint_key(9)
    damaged.write_bytes(damaged.read_bytes()[:size])
    await commits(log, 5)
    again = log_of(local)
    expected = await again.load()
    assert expected.checkpoint == 4
    assert await checkpoint(again, 5) == 14
    assert not damaged.exists()
    assert len((local.root / "quarantine" / checkpoint_key(9)).read_bytes()) == size
    after = await fresh(local)
    assert (after.checkpoint, after.files, after.txn) == (14, expected.files, expected.txn)


async def test_old_commits_are_cleaned_away_behind_a_checkpoint(local: LocalStore) -> None:
    log = log_of(local)
    await commits(log, 3)
    for path in (local.root / LOG).iterdir():
        os.utime(path, (time.time() - LONG_AGO,) * 2)
    expected = await fresh(local)
    assert await checkpoint(log, 1) == 3
    os.utime(local.root / checkpoint_key(3), (time.time() - 4000,) * 2)
    assert await clean_log(log) == 3
    assert "00000000000000000002.json" not in await logged(local)
    for found in (await fresh(local), await log.load()):
        assert (found.version, found.files, found.txn) == (3, expected.files, expected.txn)
    await commits(log, 1)
    assert (await fresh(local)).txn == {"r.0": 4}


@pytest.mark.parametrize("what", ["nothing", "another state"])
async def test_a_checkpoint_that_is_not_what_the_commits_say_is_taken_away(
    local: LocalStore, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    log = log_of(local)
    await commits(log, 3)
    for path in (local.root / LOG).iterdir():
        os.utime(path, (time.time() - LONG_AGO,) * 2)

    async def wrong(store: Store, snapshot: Snapshot) -> None:
        await write_checkpoint(store, snapshot._replace(txn={"r.0": 2}))
        if what == "nothing":
            await store.put(checkpoint_key(snapshot.version), b"PAR1")

    monkeypatch.setattr(checkpointing, "write_checkpoint", wrong)
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


@pytest.mark.parametrize("damage", ["flipped", "missing", "empty"])
async def test_upkeep_stands_still_while_the_log_is_damaged(local: LocalStore, damage: str) -> None:
    log = log_of(local)
    await commits(log, 6)
    await store_segment(local, segment(SegmentName("gone", 0, 1), ["m1"]))
    for path in local.root.rglob("*"):
        os.utime(path, (time.time() - 4000,) * 2)
    commit = local.root / commit_key(3)
    body = commit.read_bytes()
    broken = {"flipped": body.replace(b'"appId":"r.0","version":3', b'"appId":"r.0","version":7'), "empty": b""}
    commit.unlink() if damage == "missing" else commit.write_bytes(broken[damage])
    before = [entry async for entry in local.list()]
    limits = Limits(checkpoint_every=2, retention=-10 * 365 * 86_400.0, keep_removed=-86_400.0, compact_after=-1e9)
    again = log_of(local)
    rounds = Rounds(again)
    upkeep = Maintenance(rounds, limits, limits)
    done = await upkeep.once(thorough=True)
    assert [one.key for one in done.damage] == [commit_key(3)]
    assert [type(error) for error in done.failed] == [Damaged]
    assert done._replace(damage=(), failed=()) == Maintained()
    assert [one.key for one in (await upkeep.due()).damage] == [commit_key(3)]
    for duty in (checkpoint(again, 2), retire(again, -1e9), upkeep.compactor.step()):
        with pytest.raises(Damaged):
            await duty
    upkeep.close()
    rounds.close()
    # A process that has read the log before it was damaged looks again before it writes a checkpoint or deletes data files.
    for duty in (checkpoint(log, 2), remove_files(log, orphan_after=0, keep_removed=-86_400.0)):
        with pytest.raises(Damaged):
            await duty
    assert [entry async for entry in local.list()] == before
    commit.write_bytes(body)
    assert await checkpoint(log, 2) == 6


async def test_a_checkpoint_that_says_something_else_is_set_aside_before_the_next_is_written(local: LocalStore) -> None:
    """It can be decoded, and its commits prove it wrong; deltalake would begin at it and carry the error on."""
    log = log_of(local)
    await commits(log, 4)
    right = await fresh(local)
    assert await checkpoint(log, 4) == 4
    path = local.root / checkpoint_key(4)
    table = pq.read_table(path)
    txn = [None if one is None else one | {"version": 1000} for one in table["txn"].to_pylist()]
    changed = table.set_column(
        table.schema.get_field_index("txn"), table.schema.field("txn"), pa.array(txn, table.schema.field("txn").type)
    )
    pq.write_table(changed, path)
    again = log_of(local)
    assert (await again.load()).txn == right.txn
    await commits(again, 1)
    assert await checkpoint(log, 1) == 5
    after = await fresh(local)
    assert (after.checkpoint, after.txn, after.damage) == (5, {"r.0": 5}, ())
    assert not path.exists()
    assert (local.root / "quarantine" / checkpoint_key(4)).exists()


async def test_losses_are_named_until_somebody_accepts_them(local: LocalStore) -> None:
    log = log_of(local)
    await commits(log, 1)
    await log.commit(await log.load(), [Lost("journal/r/0/00000000000000000009.arrow", 3)])
    rounds = Rounds(log)
    upkeep = Maintenance(rounds, Limits(), Limits())
    said = ["journal/r/0/00000000000000000009.arrow is recorded as lost (3 rows)"]
    assert [str(one) for one in (await upkeep.once()).damage] == said
    assert [str(one) for one in (await upkeep.due()).damage] == said
    await log.commit(await log.load(), [Accepted("journal/r/0/00000000000000000009.arrow")])
    assert (await upkeep.once()).damage == ()
    upkeep.close()
    rounds.close()


async def test_everything_that_is_due(local: LocalStore) -> None:
    await log_of(local, wall=lambda: time.time() - 86_400).create()
    rounds = Rounds(log_of(local))
    for sequence in (1, 2):
        name = SegmentName("gone", 0, sequence)
        await store_segment(local, segment(name, [f"m{sequence}"]))
        os.utime(local.root / name.key, (time.time() - 400,) * 2)
    orphan = await put_file(local, "a1", {"gone.0": (1, 1)})
    os.utime(local.root / orphan.key, (time.time() - 400,) * 2)
    limits = Limits(checkpoint_every=2)
    upkeep = Maintenance(rounds, limits, limits)
    done = await upkeep.once(thorough=True)
    assert (done.adopted, done.checkpoint, done.removed.files) == (Adopted(2, 0), 1, 1)
    assert await upkeep.once() == Maintained()
    assert await archived(local) == ["m1", "m2"]
    upkeep.close()
    rounds.close()


async def test_what_is_due_is_found_and_nothing_is_changed(local: LocalStore) -> None:
    rounds = Rounds(log_of(local))
    limits = Limits(checkpoint_every=2, retention=-10 * 365 * 86_400.0)  # of whatever date the files are
    upkeep = Maintenance(rounds, limits, limits)
    assert await upkeep.due() == Due()
    await commits(rounds.log, 3)
    name = SegmentName("gone", 0, 1)
    await store_segment(local, segment(name, ["m1"]))
    orphan = await put_file(local, "a1", {"r.0": (1, 1)})
    for key in (name.key, orphan.key):
        os.utime(local.root / key, (time.time() - 400,) * 2)
    before = [entry async for entry in local.list()]
    due = await upkeep.due()
    assert (due.segments, due.checkpoint, due.removed) == (1, 3, Removed(1, orphan.size))
    assert due.retired is not None
    assert due.retired.files == len((await fresh(local)).files)
    assert [entry async for entry in local.list()] == before
    upkeep.close()
    rounds.close()


async def test_many_receivers_share_what_each_could_do(local: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A receiver whose turn it is not lists neither the journal nor data files; a process without ids does all of it."""
    log = log_of(local)
    snapshot = await log.create()
    await log.commit(snapshot, [Txn(f"r{number}.0", 1) for number in range(10)])
    monkeypatch.setattr(maintenance.random, "random", lambda: 0.5)
    rounds = Rounds(log)
    upkeep = Maintenance(rounds, Limits(), Limits())
    asked: list[Collection[str]] = []

    async def adopted(*_: object, own: Collection[str], **__: object) -> Adopted:
        asked.append(own)
        return Adopted()

    monkeypatch.setattr(maintenance, "adopt", adopted)
    for own in (["r1"], ["r1"], []):
        await upkeep.once(own=own)
    assert asked == [["r1"], []]  # a receiver that begins looks, too
    upkeep.close()
    rounds.close()


async def test_what_many_receivers_have_left_is_adopted_later(
    local: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of 20 waits three times 60 s longer than one alone before it commits, and for the same receivers to be gone."""
    log = log_of(local)
    await log.commit(await log.create(), [Txn(f"r{number}.0", 1) for number in range(20)])
    rounds, limits = Rounds(log), Limits(max_age=60.0)
    upkeep = Maintenance(rounds, limits, limits)
    asked: list[float] = []

    async def adopted(*_: object, orphan_after: float, **__: object) -> Adopted:
        asked.append(orphan_after)
        return Adopted()

    monkeypatch.setattr(maintenance, "adopt", adopted)
    await upkeep.once()
    assert asked == [limits.orphan_after + 180]
    upkeep.close()
    rounds.close()


async def test_a_duty_that_fails_leaves_the_others_alone(local: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    rounds = Rounds(log_of(local))
    await commits(rounds.log, 2)

    async def trouble(*arguments: object, **options: object) -> None:
        raise Unavailable("cannot list: no reply")

    monkeypatch.setattr(maintenance, "adopt", trouble)
    limits = Limits(checkpoint_every=2)
    upkeep = Maintenance(rounds, limits, limits)
    done = await upkeep.once()
    assert (done.checkpoint, [str(error) for error in done.failed]) == (2, ["cannot list: no reply"])
    upkeep.close()
    rounds.close()
