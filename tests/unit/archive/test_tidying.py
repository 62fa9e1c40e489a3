"""Clean-up of the log: what is old goes behind a settled checkpoint, nothing else, and a look costs one page."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable

import pytest

from logsink.archive.audit import audit_log
from logsink.archive.checkpointing import write_checkpoint
from logsink.archive.log import DeltaLog, Txn
from logsink.archive.snapshot import HINT, LOG, checkpoint_key, commit_key
from logsink.archive.tidying import KEPT, OVERDUE, SETTLED, clean_log
from logsink.errors import Damaged
from logsink.store.base import Entry
from logsink.store.memory import MemoryStore
from tests.unit.archive.tables import MIDNIGHT, fresh, log_of


class Aged(MemoryStore):
    """Its clock says what it is told, and it counts what a listing yields."""

    def __init__(self) -> None:
        super().__init__(clock=lambda: self.time)
        self.time, self.listed = MIDNIGHT / 1e6, 0

    async def list(self, prefix: str = "", after: str = "") -> AsyncIterator[Entry]:
        async for entry in super().list(prefix, after):
            self.listed += 1
            yield entry


async def grown(store: Aged, commits: int) -> DeltaLog:
    """A log with so many commits more, made now."""
    log = log_of(store, wall=lambda: store.time)
    await log.create()
    for _ in range(commits):
        snapshot = await log.load()
        await log.commit(snapshot, [Txn("r.0", snapshot.txn.get("r.0", 0) + 1)])
    return log


async def checkpointed(store: Aged) -> int:
    """Write a checkpoint of the newest version, now."""
    snapshot = await fresh(store)
    await write_checkpoint(store, snapshot)
    return snapshot.version


async def keys(store: Aged) -> set[str]:
    return {entry.key async for entry in store.list(LOG)}


async def test_what_is_old_goes_behind_a_checkpoint_and_every_later_version_stays() -> None:
    store = Aged()
    log = await grown(store, 3)
    assert await checkpointed(store) == 3
    await grown(store, 2)
    before = await keys(store)
    store.time += KEPT - 1
    await grown(store, 1)
    assert await clean_log(log) == 0
    store.time += 2
    assert await clean_log(log) == 3
    gone = {commit_key(version) for version in range(3)}
    assert await keys(store) == before - gone | {commit_key(6)}
    after = await fresh(store)
    assert (after.txn, after.checkpoint, after.damage) == ({"r.0": 6}, 3, ())
    assert await clean_log(log) == 0


@pytest.mark.parametrize("age", [SETTLED - 1, SETTLED + 1])
async def test_a_young_checkpoint_may_still_be_found_wrong_by_who_wrote_it(age: float) -> None:
    store = Aged()
    log = await grown(store, 3)
    store.time += KEPT
    await checkpointed(store)
    store.time += age
    assert await clean_log(log) == (3 if age > SETTLED else 0)
    assert (await fresh(store)).txn == {"r.0": 3}


async def test_nothing_goes_without_a_checkpoint_or_while_the_log_is_damaged() -> None:
    store = Aged()
    log = await grown(store, 3)
    store.time += KEPT + 1
    await grown(store, 1)
    assert await clean_log(log) == 0
    await checkpointed(store)
    await grown(store, 2)
    store.time += KEPT + 1
    body = await store.get(commit_key(5))
    await store.put(commit_key(5), b"")
    store.time += KEPT + 1
    before = await keys(store)
    with pytest.raises(Damaged):
        await clean_log(log)
    assert await keys(store) == before
    await store.put(commit_key(5), body)
    assert await clean_log(log) == 4
    assert await keys(store) == {*map(commit_key, (4, 5, 6)), checkpoint_key(4), HINT}


async def test_a_checkpoint_that_cannot_be_used_protects_what_stands_before_it() -> None:
    store = Aged()
    log = await grown(store, 2)
    await checkpointed(store)
    await grown(store, 2)
    await checkpointed(store)
    await store.put(checkpoint_key(4), b"PAR1")
    store.time += KEPT + 1
    assert await clean_log(log_of(store, wall=lambda: store.time)) == 2
    assert commit_key(2) in await keys(store)
    assert (await log.load_anew()).txn == {"r.0": 4}


class Killed(Exception):
    """The process has ended."""


class Interrupted(Aged):
    """Of the first deletion it is asked for, it does only every second one, the last ones or the first ones: a power cut."""

    def __init__(self, every: slice) -> None:
        super().__init__()
        self.every: slice | None = every

    async def delete(self, keys: Iterable[str]) -> None:
        every, self.every = self.every, None
        await super().delete(list(keys)[every] if every else keys)
        if every:
            raise Killed


@pytest.mark.parametrize("every", [slice(0, 1), slice(1, None), slice(None, None, 2), slice(1, None, 2), slice(0, 0)])
async def test_a_clean_up_that_is_killed_leaves_no_hole(every: slice) -> None:
    store = Interrupted(every)
    for _ in range(3):
        await grown(store, 4)
        await checkpointed(store)
    store.time += KEPT + SETTLED + 1
    log = await grown(store, 1)
    with pytest.raises(Killed):
        await clean_log(log)
    assert (await audit_log(store)).damage == ()
    await clean_log(log)
    assert (await audit_log(store)).damage == ()
    assert min(await keys(store)) == checkpoint_key(12)


async def test_of_several_processes_one_cleans_up_and_others_look_at_one_page() -> None:
    store = Aged()
    log = await grown(store, 5)
    await checkpointed(store)
    store.time += KEPT + OVERDUE - 1
    assert await clean_log(log, thorough=False) == 0
    store.time += 2
    store.listed = 0
    assert await clean_log(log_of(store, wall=lambda: store.time), thorough=False) == 5
    store.listed = 0
    assert await clean_log(log, thorough=False) == 0
    assert store.listed <= 4
