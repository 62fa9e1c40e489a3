"""Requests that loading the table's log takes: from nothing, and from a version that is known."""

from __future__ import annotations

from types import SimpleNamespace

from logsink.archive.checkpointing import write_checkpoint
from logsink.archive.loading import load
from logsink.archive.log import DeltaLog, Txn
from logsink.archive.snapshot import LOG, Snapshot, commit_key
from logsink.store.base import Store
from logsink.store.counting import CountingStore
from logsink.store.memory import MemoryStore
from tests.unit.archive.tables import add, log_of


async def test_requests_for_a_table_of_10000_files_and_5000_commits() -> None:
    reads = SimpleNamespace(requests=0, listings=0, bytes_read=0)
    store, since = MemoryStore(), 49
    files = {file.path: file for file in (add(str(number)).file for number in range(10_000))}
    for version in range(5_000 - since):
        await store.put(commit_key(version), b"{}\n")  # whatever it says: a checkpoint holds it
    log, before = log_of(store), Snapshot(version=5_000 - since - 1, files=files)
    version = await log.commit(before, [Txn("r.0", 1)])
    await write_checkpoint(store, before._replace(version=version, txn={"r.0": 1}))
    for number in range(since):
        await log.commit(await log.load(), [Txn("r.0", number + 2)])
    first, known = log_of(CountingStore(store, reads)), log_of(CountingStore(store, reads))
    snapshot = await first.load()
    assert (snapshot.version, len(snapshot.files), snapshot.txn) == (5_000, 10_000, {"r.0": since + 1})
    assert snapshot.intact
    assert reads.requests + reads.listings <= 60
    await known.load()
    for number in range(7):
        await log.commit(await log.load(), [Txn("r.1", number + 1)])
    reads.requests = reads.listings = 0
    assert (await known.load()).txn == {"r.0": since + 1, "r.1": 7}
    assert (reads.requests, reads.listings) == (7, 1)
    reads.requests = reads.listings = 0
    await write_checkpoint(store, await log.load())
    assert (await known.load()).checkpoint == 5_007
    assert (reads.requests, reads.listings) == (0, 1)


async def committed(store: Store, count: int) -> None:
    log = log_of(store)
    first = (await log.create()).version
    for number in range(first, first + count):
        await log.commit(await log.load(), [Txn("r.0", number + 1)])


async def test_commits_after_a_known_one_are_followed_without_a_listing() -> None:
    reads = SimpleNamespace(requests=0, listings=0, bytes_read=0)
    store = MemoryStore()
    await committed(store, 1)
    known = log_of(CountingStore(store, reads))
    assert (await known.follow()).version == 1
    await committed(store, 2)
    reads.requests = reads.listings = 0
    assert await known.follow() == (await log_of(store).load())._replace(loaded=known.monotonic())
    assert (reads.requests, reads.listings) == (3, 0)
    assert known.newest == 3


async def test_what_followed_commits_cannot_say_is_found_by_the_next_listing() -> None:
    """A gap, and a log that begins anew."""
    store = MemoryStore()
    await committed(store, 1)
    gap, anew = log_of(store), log_of(store)
    await gap.load()
    await anew.load()
    await committed(store, 3)
    await store.delete([commit_key(2)])
    assert (await gap.follow()).version == 1
    assert [one.key for one in (await gap.load()).damage] == [commit_key(2)]
    await store.delete([commit_key(version) for version in range(5)])
    assert (await anew.follow()).version == 1
    assert (await anew.load()).damage


async def test_a_damaged_commit_is_not_followed_but_listed_and_named() -> None:
    store = MemoryStore()
    await committed(store, 1)
    known = log_of(store)
    await known.load()
    await committed(store, 2)
    await store.put(commit_key(2), b"{}")
    assert [one.key for one in (await known.follow()).damage] == [commit_key(2)]


async def test_commits_that_were_cleaned_up_since_are_not_missed() -> None:
    store = MemoryStore()
    log, known = log_of(store), log_of(store)
    await log.create()
    await known.load()
    for number in range(5):
        await log.commit(await log.load(), [Txn("r.0", number + 1)])
    await write_checkpoint(store, await log.load())
    await store.delete([commit_key(version) for version in range(5)])
    found = await known.load()
    assert (found.version, found.txn, found.damage) == (5, {"r.0": 5}, ())


async def test_a_key_of_a_version_far_beyond_the_last_is_damage_and_no_hang() -> None:
    store = MemoryStore()
    await DeltaLog(store).create()
    await store.put(f"{LOG}{10**15:020d}.json", b"{}")
    assert not (await load(store, 0.0)).intact
