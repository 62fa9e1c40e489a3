"""Objects are damaged or vanish while receivers, adopters, merges and removal go on: nothing is lost besides what was damaged.

While the log is damaged nothing of the archive or the journal is deleted, receivers store and acknowledge; when the object is
back, all that was ever acknowledged is in the table once. A damaged segment costs its own rows, and the table says which.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from itertools import pairwise

import pytest

from logsink.archive.adoption import adopt
from logsink.archive.compaction import Compactor
from logsink.archive.retention import remove_files
from logsink.archive.snapshot import LOG, ROOT
from logsink.errors import LogsinkError
from logsink.journal import SegmentName, list_segments, read_segment
from logsink.store.memory import MemoryStore
from tests.property.test_archive_exactly_once import World
from tests.support.faulty import Pass
from tests.unit.archive.tables import DEFAULTS, Limits, archived, fresh, journal, segment, store_segment

DAMAGES = ("flip", "truncate", "empty", "delete", "swap")
AGES = 1e9


class Damaging(World):
    """A world in which one object is damaged; ``lives`` begins processes, which know of nothing that was before them."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.store.schedule = lambda call: Pass(turns=self.random.randrange(3))
        self.lives = 0

    async def merger(self) -> None:
        compactor = Compactor(self.rounds().log, Limits(compact_after=-AGES), uniform=lambda a, b: a)
        try:
            while True:
                with contextlib.suppress(LogsinkError):
                    await compactor.step()
                await self.sleep(1)
        finally:
            compactor.close()

    async def live(self, commits: int = 0) -> None:
        """Receivers come and go beside adopters that remove files, and merges, until so many commits were made."""
        others = [asyncio.create_task(work) for work in (self.adopter(5.0), self.adopter(40.0), self.merger())]
        receivers = []
        begun = len(await self.keys(LOG))
        async with asyncio.timeout(60):
            while not receivers or len(await self.keys(LOG)) < begun + commits:
                self.lives += 1
                receivers.append(asyncio.create_task(self.receiver(f"r{self.lives}", 10)))
                for _ in range(self.random.randrange(200, 900)):
                    await asyncio.sleep(0)
                receivers[-1].cancel()
        await asyncio.gather(*receivers, return_exceptions=True)
        for task in others:
            assert not task.done(), task
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self.store.settled()

    async def settle(self) -> None:
        """All that waits is archived, and everything is deleted that may be."""
        rounds = self.rounds()
        for _ in range(6):
            self.time += 1000.0
            await adopt(rounds, Limits(), orphan_after=1.0)
            await remove_files(rounds.log, orphan_after=0.0, keep_removed=0.0)
        assert await journal(self.objects) == []

    async def keys(self, prefix: str = "") -> set[str]:
        return {entry.key async for entry in self.objects.list(prefix)}

    async def leave_segments(self) -> None:
        """Segments of a receiver that is gone wait in the journal."""
        for sequence in (1, 2, 3):
            said = [f"left-{sequence}-{k}" for k in range(2)]
            await store_segment(self.objects, segment(SegmentName("left", 0, sequence), said, settings=DEFAULTS))
            self.acknowledged.update(said)

    def close(self) -> None:
        for one in self.made:
            one.close()


async def damage(store: MemoryStore, chance: random.Random, how: str, key: str, other: str) -> None:
    body = await store.get(key)
    if how == "delete":
        await store.delete([key])
    elif how == "swap":
        second = await store.get(other)
        await store.put(key, second)
        await store.put(other, body)
    elif how == "flip":
        at = chance.randrange(len(body))
        changed = bytearray(body)
        changed[at] ^= 1 << chance.randrange(8)
        await store.put(key, bytes(changed))
    else:
        await store.put(key, b"" if how == "empty" else body[: chance.randrange(len(body))])


@pytest.mark.parametrize("how", DAMAGES)
@pytest.mark.parametrize("seed", range(2))
async def test_nothing_goes_while_the_log_is_damaged(seed: int, how: str) -> None:
    world = Damaging(seed)
    await world.live(8)
    await world.leave_segments()
    commits = sorted(await world.keys(LOG))
    assert len(commits) > 3
    key, other = world.random.sample(
        commits[:-1], 2
    )  # the loss of the newest commit is found by what refers to it only
    before = {one: await world.objects.get(one) for one in (key, other)}
    await damage(world.objects, world.random, how, key, other)
    assert not (await fresh(world.objects)).intact
    kept = await world.keys()
    acknowledged = sum(world.acknowledged.values())
    world.time += 1000.0
    await world.live()
    assert sum(world.acknowledged.values()) > acknowledged, "receivers did not acknowledge while the log was damaged"
    assert await world.keys() >= kept
    assert await world.keys(LOG) == {one for one in kept if one.startswith(LOG)}
    for one, body in before.items():
        await world.objects.put(one, body)
    await world.live()
    await world.settle()
    found = Counter(await archived(world.objects))
    assert world.acknowledged <= found
    assert max(found.values()) == 1
    world.close()


@pytest.mark.parametrize("seed", range(4))
async def test_a_log_that_is_gone_and_comes_back(seed: int) -> None:
    world = Damaging(seed)
    await world.live(8)
    await world.leave_segments()
    log = {key: await world.objects.get(key) for key in await world.keys(LOG)}
    await world.objects.delete(list(log))
    kept = await world.keys()
    world.time += 1000.0
    await world.live()
    assert await world.keys() >= kept
    assert await world.keys(LOG) == set()
    for key, body in log.items():
        await world.objects.put(key, body)
    await world.settle()
    found = Counter(await archived(world.objects))
    assert world.acknowledged <= found
    assert max(found.values()) == 1
    world.close()


@pytest.mark.parametrize("how", DAMAGES)
@pytest.mark.parametrize("seed", range(2))
async def test_a_damaged_segment_costs_its_own_rows_and_the_table_says_so(seed: int, how: str) -> None:
    world = Damaging(seed)
    await world.live(4)
    await world.leave_segments()
    snapshot = await fresh(world.objects)
    names = [one.name for one in await list_segments(world.objects) if not snapshot.covers(one.name)]
    doomed = [
        SegmentName("left", 0, 2),
        next((name for name in names if name.receiver != "left"), SegmentName("left", 0, 1)),
    ]
    await damage(world.objects, world.random, how, *(name.key for name in doomed))
    lost: Counter[str] = Counter()
    for name in doomed:
        try:
            await read_segment(world.objects, name)
        except LogsinkError:
            lost.update([name.key])
    await world.live()
    await world.settle()
    found = Counter(await archived(world.objects))
    assert max(found.values()) == 1
    missing = world.acknowledged - found
    assert set((await fresh(world.objects)).lost) == set(lost)
    assert sum(missing.values()) == 2 * len(lost), (missing, lost)
    world.close()


@pytest.mark.parametrize("how", ["truncate", "empty", "delete"])
@pytest.mark.parametrize("seed", range(2))
async def test_what_a_damaged_data_file_was_made_of_is_kept(seed: int, how: str) -> None:
    world = Damaging(seed)
    await world.live(8)
    snapshot = await fresh(world.objects)
    file = world.random.choice(sorted(snapshot.files.values(), key=lambda one: one.path))
    body = await world.objects.get(file.key)
    tombstones = {ROOT + path for path in snapshot.tombstones} & await world.keys(ROOT)
    await damage(world.objects, world.random, how, file.key, "")
    await world.live()
    assert tombstones <= await world.keys(ROOT)
    assert file.path in (await fresh(world.objects)).files
    await world.objects.put(file.key, body)
    await world.settle()
    found = Counter(await archived(world.objects))
    assert world.acknowledged <= found
    assert max(found.values()) == 1
    world.close()


@pytest.mark.parametrize("seed", range(6))
async def test_rows_of_the_newest_commit_are_still_somewhere_when_it_is_lost(seed: int) -> None:
    """No process that lives can know of it; but no row goes with it, and `logsink repair` finds each."""
    world = Damaging(seed)
    await world.live(8)
    await world.objects.delete([max(await world.keys(LOG))])
    await world.live()
    world.time += 1000.0
    await world.live()
    rows: set[str] = set()
    for key in await world.keys(f"{ROOT}date="):
        rows.update(await _messages(world, key))
    for one in await list_segments(world.objects):
        frames = (await read_segment(world.objects, one.name)).frames
        data, offsets = frames.data.tobytes(), frames.offsets.tolist()
        rows.update(data[a:b].rpartition(b" ")[2].decode() for a, b in pairwise(offsets))
    assert set(world.acknowledged) <= rows
    world.close()


async def _messages(world: Damaging, key: str) -> list[str]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    return [str(one) for one in pq.read_table(pa.BufferReader(await world.objects.get(key)))["message"].to_pylist()]
