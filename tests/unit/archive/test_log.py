"""Commits: what they may pass, what they may not, and what they know after a lost reply."""

from __future__ import annotations

import asyncio
import datetime

import orjson
import pytest

from logsink.archive.log import Accepted, Action, Add, DeltaLog, Lost, Remove, Txn
from logsink.archive.snapshot import LOG, DataFile, Snapshot, commit_key
from logsink.errors import Conflict, Refused, Unavailable
from logsink.journal import SegmentName
from logsink.store.base import Bytes, Store
from logsink.store.memory import MemoryStore
from tests.support.faulty import Call, Fail, Fate, FaultyStore, Lose, Pass, seeded
from tests.unit.archive.tables import Clock, add, data_file, foreign, fresh, log_of, once, rough

TXN = {"txn": {"appId": "r.0", "version": 5}}
REMOVE = {"remove": {"path": "date=2026-11-22/old.parquet", "dataChange": False}}


async def table(store: Store) -> Snapshot:
    """A table with one file, ``old``, and lane ``r.0`` at 3."""
    log = log_of(store)
    await log.commit(await log.create(), [add("old"), Txn("r.0", 3)])
    return await log.load()


async def test_a_commit_is_the_next_version_and_everybody_sees_it() -> None:
    store = MemoryStore()
    snapshot = await table(store)
    assert await log_of(store).commit(snapshot, [add("a", 7), Txn("r.0", 4), Txn("r.1", 9)]) == 2
    seen = await fresh(store)
    assert seen.version == 2
    assert seen.txn == {"r.0": 4, "r.1": 9}
    assert seen.files["date=2026-11-22/a.parquet"] == data_file("a", 7)
    assert seen.files["date=2026-11-22/a.parquet"].rows == 7


async def test_what_a_commit_says() -> None:
    store = MemoryStore()
    snapshot = await table(store)
    old = snapshot.files["date=2026-11-22/old.parquet"]
    await log_of(store).commit(
        snapshot, [add("a"), Txn("r.0", 4), Remove(old, data_change=False)], operation="OPTIMIZE"
    )
    info, added, txn, removed = (orjson.loads(line) for line in (await store.get(commit_key(2))).splitlines())
    assert info["commitInfo"]["operation"] == "OPTIMIZE"
    assert info["commitInfo"]["isBlindAppend"] is False
    assert added["add"]["partitionValues"] == {"date": "2026-11-22"}
    assert added["add"]["dataChange"] is True
    assert txn["txn"]["appId"] == "r.0"
    assert removed["remove"]["dataChange"] is False
    seen = await fresh(store)
    assert list(seen.files) == ["date=2026-11-22/a.parquet"]
    assert list(seen.tombstones) == ["date=2026-11-22/old.parquet"]


async def test_paths_are_percent_encoded_in_the_log_only() -> None:
    store = MemoryStore()
    log = log_of(store)
    file = DataFile("date=2026-11-22/a b%c+é.parquet", datetime.date(2026, 11, 22), 1, '{"numRecords":1}')
    await log.commit(await log.create(), [Add(file)])
    assert b"a%20b%25c%2B%C3%A9.parquet" in await store.get(commit_key(1))
    assert (await fresh(store)).files == {file.path: file}


async def test_a_commit_walks_over_commits_that_do_not_touch_it() -> None:
    store = FaultyStore(MemoryStore())
    snapshot = await table(store)
    await foreign(store, 2, {"txn": {"appId": "r.1", "version": 7}})
    await foreign(store, 3, {"remove": {"path": "date=2026-11-22/other.parquet", "dataChange": True}})
    assert await log_of(store).commit(snapshot, [add("a"), Txn("r.0", 4)]) == 4


@pytest.mark.parametrize(
    ("winner", "mine"),
    [
        (TXN, [Txn("r.0", 4)]),
        (TXN, [Txn("r.0", 5)]),
        ({"txn": {"appId": "r.0", "version": 1}}, [Txn("r.0", 4)]),
        (REMOVE, [Remove(data_file("old"), data_change=False)]),
        (REMOVE, [Remove(data_file("old"), data_change=True)]),
        ({"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}}, [Txn("r.0", 4)]),
        ({"metaData": {"id": "x"}}, [add("b")]),
    ],
)
@pytest.mark.parametrize("between", [0, 1, 2])
async def test_a_commit_stops_at_one_that_cannot_be_reconciled(
    winner: dict[str, object], mine: list[Action], between: int
) -> None:
    store = MemoryStore()
    snapshot = await table(store)
    for version in range(2, 2 + between):
        await foreign(store, version, {"txn": {"appId": "r.7", "version": version}})
    await foreign(store, 2 + between, winner)
    await foreign(store, 3 + between)
    with pytest.raises(Conflict):
        await log_of(store).commit(snapshot, [add("a"), *mine])
    with pytest.raises(Exception, match="no such object"):
        await store.get(commit_key(4 + between))


async def test_a_commit_needs_what_its_own_snapshot_says() -> None:
    snapshot = await table(MemoryStore())
    log = log_of(MemoryStore())
    for actions in ([Txn("r.0", 3)], [Txn("r.0", 1)], [Remove(data_file("never"), data_change=True)]):
        with pytest.raises(Conflict):
            await log.commit(snapshot, actions)
    with pytest.raises(Conflict):
        await log.commit(Snapshot(), [add("a")])


async def test_a_commit_knows_itself_after_a_lost_reply() -> None:
    store = FaultyStore(MemoryStore())
    snapshot = await table(store)
    store.schedule = once("put_absent", commit_key(2), Lose())
    assert await log_of(store).commit(snapshot, [add("a"), Txn("r.0", 4)]) == 2
    assert (await fresh(store)).version == 2


async def test_after_a_lost_reply_another_writer_may_have_the_version() -> None:
    store = FaultyStore(MemoryStore())
    snapshot = await table(store)
    await foreign(store, 2, {"txn": {"appId": "r.9", "version": 1}})
    failing = [commit_key(2)]
    store.trouble = lambda method, key: (
        "fail" if method == "put_absent" and key in failing and not failing.clear() else ""
    )
    assert await log_of(store).commit(snapshot, [add("a"), Txn("r.0", 4)]) == 3


async def test_a_commit_of_unknown_outcome_says_so_and_waits_between_tries() -> None:
    store, clock = FaultyStore(MemoryStore()), Clock()
    snapshot = await table(store)

    def no_reply(call: Call) -> Fate:
        return {"put_absent": Lose(), "get": Fail()}.get(call.verb, Pass())

    store.schedule = no_reply
    log = log_of(store, clock)
    with pytest.raises(Unavailable, match="unknown"):
        await log.commit(snapshot, [add("a"), Txn("r.0", 4)])
    assert clock.slept == sorted(clock.slept)
    assert len(clock.slept) == 4
    store.schedule = lambda call: Pass()
    assert (await fresh(store)).txn["r.0"] == 4


async def test_a_refusal_is_passed_on() -> None:
    class Forbidden(MemoryStore):
        async def put_absent(self, key: str, body: object) -> bool:
            raise Refused("cannot put: no permission")

    snapshot = await table(MemoryStore())
    with pytest.raises(Refused):
        await log_of(Forbidden()).commit(snapshot, [add("a")])


async def test_a_log_cleaned_beneath_a_commit_is_a_conflict() -> None:
    store = FaultyStore(MemoryStore())
    snapshot = await table(store)
    for version in range(2, 6):
        await foreign(store, version)
    await store.delete([commit_key(4)])
    with pytest.raises(Conflict, match="goes on without it"):
        await log_of(store).commit(snapshot, [add("a")])
    assert commit_key(4) not in [entry.key async for entry in store.list(LOG)]


async def test_an_old_snapshot_is_not_committed_on() -> None:
    store, clock = MemoryStore(), Clock()
    log = log_of(store, clock)
    snapshot = await log.create()
    clock.time += 3601
    with pytest.raises(Conflict, match="3600"):
        await log.commit(snapshot, [add("a")])
    await log.commit(await log.load(), [add("a")])


async def test_of_racing_creators_one_wins() -> None:
    store = rough()
    snapshots = await asyncio.gather(*(log_of(store).create() for _ in range(8)))
    assert {snapshot.version for snapshot in snapshots} == {0}
    assert len([entry async for entry in store.list(LOG)]) == 1


@pytest.mark.parametrize("seed", range(10))
async def test_racing_appends_are_neither_lost_nor_doubled(seed: int) -> None:
    store = rough(seed)
    snapshot = await log_of(store).create()
    store.schedule = seeded(seed, fail=0.05, lose=0.05, late=0.05, slow=0.6, turns=5, verbs=frozenset({"put_absent"}))

    async def writer(name: str) -> None:
        log, done, attempt = log_of(store), 0, 0
        while done < 8:
            snapshot = await log.load()
            done = snapshot.txn.get(name, 0)
            attempt += 1
            if done < 8:
                try:
                    await log.commit(snapshot, [add(f"{name}-{done + 1}-{attempt}"), Txn(name, done + 1)])
                except (Conflict, Unavailable):
                    continue

    await asyncio.gather(*(writer(name) for name in ("a", "b", "c", "a", "b", "c")))
    await store.settled()
    store.schedule = lambda call: Pass()
    seen = await fresh(store)
    assert seen.txn == {"a": 8, "b": 8, "c": 8}
    assert sorted(path.split("/")[1].rsplit("-", 1)[0] for path in seen.files) == sorted(
        f"{name}-{k}" for name in "abc" for k in range(1, 9)
    )
    assert seen.version == 24 > snapshot.version


@pytest.mark.parametrize("seed", range(10))
async def test_of_racing_swaps_of_the_same_files_one_wins(seed: int) -> None:
    store = rough(seed)
    log = log_of(store)
    await log.commit(await log.create(), [add("a"), add("b"), add("c")])
    snapshot = await log.load()
    won = []

    async def swap(name: str) -> None:
        removes = [Remove(file, data_change=False) for file in snapshot.files.values()]
        try:
            await log_of(store).commit(snapshot, [add(name), *removes])
        except Conflict:
            return
        won.append(name)

    async def append() -> None:
        await log_of(store).commit(snapshot, [add("d")])

    await asyncio.gather(swap("x"), append(), swap("y"), swap("z"))
    assert len(won) == 1
    assert sorted((await fresh(store)).files) == sorted(data_file(name).path for name in ("d", *won))


async def test_losses_are_recorded_apart_from_lanes() -> None:
    """A loss of unknown size, the same loss again with its rows, and one that somebody accepted."""
    store = MemoryStore()
    log = log_of(store)
    key = SegmentName("r", 0, 1).key
    await log.commit(await log.create(), [Lost(key), Lost("logs/x", 7), Txn("r.0", 1)])
    await log.commit(await log.load(), [Lost(key, 3), Accepted("logs/x")])
    snapshot = await fresh(store)
    assert (snapshot.lost, snapshot.accepted) == ({key: 3, "logs/x": 7}, {"logs/x"})
    assert snapshot.txn == {"r.0": 1}
    assert snapshot.intact


class Crowded(MemoryStore):
    """A store in which another writer takes the version first, as often as ``left`` says."""

    left = 0

    async def put_absent(self, key: str, body: Bytes) -> bool:
        if self.left and key.startswith(LOG):
            left, self.left = self.left, 0
            other = log_of(self)
            await other.commit(await other.load(), [Txn(f"other{left}.0", 1)])
            self.left = left - 1
        return await super().put_absent(key, body)


async def test_each_collision_doubles_the_wait() -> None:
    store, clock = Crowded(), Clock()
    snapshot = await table(store)
    store.left = 5
    slept = list[float]()

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    log = DeltaLog(store, monotonic=clock, sleep=sleep, jitter=lambda: 1.0)
    assert await log.commit(snapshot._replace(loaded=clock()), [Txn("mine.0", 1)]) == snapshot.version + 6
    assert slept == [0.04, 0.08, 0.16, 0.32, 0.64]
    assert (await fresh(store)).txn["mine.0"] == 1
