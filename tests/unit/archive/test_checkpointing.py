"""Checkpoints: when one is due, what it holds and leaves out, and that many receivers write few."""

from __future__ import annotations

import random
import uuid
from pathlib import Path

import deltalake
import orjson
import pytest

from logsink.archive.checkpointing import checkpoint, checkpoint_due, tombstones_kept, write_checkpoint
from logsink.archive.crowd import committers, stretch
from logsink.archive.log import CONFIGURATION, TOMBSTONES_KEPT, DeltaLog, Remove, Txn
from logsink.archive.maintenance import Maintenance
from logsink.archive.rounds import Rounds
from logsink.archive.snapshot import HINT, ROOT, Snapshot, checkpoint_key, commit_key
from logsink.errors import Conflict
from logsink.store.local import LocalStore
from logsink.store.memory import MemoryStore
from tests.unit.archive.tables import Limits, add, fresh, log_of

DAY = 86_400.0


class Hours:
    """A clock of the store and of the machine, in seconds since the epoch."""

    def __init__(self) -> None:
        self.time = 1_700_000_000.0

    def __call__(self) -> float:
        return self.time


async def move(log: DeltaLog, count: int, receiver: str = "r") -> None:
    """Commit so often that the receiver's lane moves on."""
    for _ in range(count):
        snapshot = await log.load()
        lane = f"{receiver}.0"
        await log.commit(snapshot, [Txn(lane, snapshot.txn.get(lane, 0) + 1)])


async def test_a_large_checkpoint_waits_until_commits_are_worth_it_or_it_is_old() -> None:
    clock = Hours()
    store = MemoryStore(clock=clock)
    log = log_of(store, wall=clock)
    await log.create()
    await log.commit(await log.load(), [add(uuid.uuid4().hex) for _ in range(4_000)])
    assert await checkpoint(log, 3) == -1
    await move(log, 2)
    assert await checkpoint(log, 3) == 3
    size = len(await store.get(checkpoint_key(3)))
    await move(log, 3)
    assert 3 * len(await store.get(commit_key(4))) < size / 32
    assert await checkpoint(log, 3) == -1, "three small commits"
    clock.time += 599
    assert await checkpoint(log, 3) == -1
    clock.time += 1
    assert await checkpoint(log, 3) == 6, "it is ten minutes old"
    await move(log, 2)
    clock.time += 3600
    assert await checkpoint(log, 3) == -1, "two commits are read faster than written down"
    await move(log, 40)
    assert await checkpoint(log, 3) == 48
    await log.commit(await log.load(), [add(f"more{number}") for number in range(100)])
    await move(log, 2)
    assert await checkpoint(log, 3) == 51, "many bytes"


async def test_several_receivers_hold_back_by_different_numbers_of_commits() -> None:
    log = log_of(MemoryStore())
    await log.create()
    await move(log, 10)
    alone = await log.load()
    assert (committers(alone), alone.version) == (1, 10)
    assert await checkpoint_due(log, alone, 11, draw=0.9)
    await move(log, 1, "s")
    two = await log.load()
    assert committers(two) == 2
    assert [await checkpoint_due(log, two, 10, draw=draw) for draw in (0.0, 0.5, 0.9)] == [True, False, False]
    await move(log, 4)
    assert await checkpoint_due(log, await log.load(), 10, draw=0.9)


def test_who_has_archived_nothing_for_a_quarter_of_an_hour_is_not_counted() -> None:
    minute = 60_000
    snapshot = Snapshot(moved={"a.0": 20 * minute, "a.1": 19 * minute, "b.0": 5 * minute, "c.0": 4 * minute})
    assert committers(snapshot) == 2
    assert committers(Snapshot()) == 0


@pytest.mark.parametrize(("receivers", "times"), [(0, 1.0), (1, 1.0), (5, 1.0), (10, 2.0), (50, 10.0), (200, 10.0)])
def test_many_receivers_commit_less_often_each(receivers: int, times: float) -> None:
    assert stretch(Snapshot(moved={f"r{number}.0": 1 for number in range(receivers)})) == times


async def test_old_tombstones_are_left_out() -> None:
    clock = Hours()
    store = MemoryStore(clock=clock)
    log = log_of(store, wall=clock)
    await log.create()
    await log.commit(await log.load(), [add("a"), add("b"), add("c")])
    for _ in range(2):
        snapshot = await log.load()
        await log.commit(snapshot, [Remove(min(snapshot.files.values()), data_change=False)])
        clock.time += DAY
    before = await log.load()
    assert len(before.tombstones) == 2
    keep = tombstones_kept(DAY)
    assert await checkpoint(log, 1, keep=keep) == 3
    found = await fresh(store)
    assert found.tombstones == {max(before.tombstones): max(before.tombstones.values())}
    assert (found.files, found.state, found.damage) == (before.files, before.state, ())


async def test_an_existing_table_says_for_how_long_tombstones_are_kept(tmp_path: Path) -> None:
    async with LocalStore(tmp_path) as store:
        log = log_of(store)
        await log.create()
        first = orjson.loads((await store.get(commit_key(0))).splitlines()[2])["metaData"]
        assert first["configuration"] == CONFIGURATION
        await log.commit(await log.load(), [add("a"), Txn("r.0", 1)])
        before = await log.load()
        limits = Limits(keep_removed=3 * DAY)
        rounds = Rounds(log)
        for _ in range(2):  # a process does it once
            upkeep = Maintenance(rounds, limits, limits)
            await upkeep.once()
            upkeep.close()
        rounds.close()
        wanted = CONFIGURATION | {TOMBSTONES_KEPT: f"interval {3 * 86_400 + 6 * 3600} seconds"}
        after = await fresh(store)
        assert (after.version, after.damage) == (before.version + 1, ())
        assert after.metadata == first | {"configuration": wanted}
        assert (after.files, after.txn, after.state) == (before.files, before.txn, before.state)
        assert await checkpoint(log, 1) == after.version
        assert (await fresh(store)).metadata == after.metadata
        table = deltalake.DeltaTable(tmp_path / ROOT)
        assert table.metadata().configuration == wanted
        assert table.transaction_version("r.0") == 1
        assert [Path(uri).name for uri in table.file_uris()] == [Path(path).name for path in after.files]
        with pytest.raises(Conflict, match="metadata"):
            await log.commit(before, [Txn("r.0", 2)])


async def test_what_another_program_says_about_the_table_stays() -> None:
    store = MemoryStore()
    log = log_of(store)
    await log.create()
    snapshot = await log.load()
    said = {**snapshot.metadata, "name": "logs", "description": "all of them"}
    await write_checkpoint(store, snapshot._replace(metadata=said))
    found = await fresh(store)
    assert (found.checkpoint, found.metadata) == (0, said)
    assert orjson.loads(await store.get(HINT)) == {"version": 0, "size": 2}
    await log_of(store).configure(found, CONFIGURATION)
    assert (await fresh(store)).version == 0, "nothing to change"


async def test_fifty_receivers_write_one_checkpoint_each_fifty_commits() -> None:
    chance = random.Random(1)
    store, written = MemoryStore(), list[int]()
    logs = [log_of(store) for _ in range(50)]
    await logs[0].create()
    draws = [chance.random() for _ in logs]
    for turn in range(300):
        number = turn % 50
        await move(logs[number], 1, f"r{number}")
        version = await checkpoint(logs[number], 50, draw=draws[number])
        if version >= 0:
            written.append(version)
            draws = [chance.random() for _ in logs]
    assert 300 // 75 <= len(written) <= 300 / 50
