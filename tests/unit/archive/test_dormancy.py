"""Making lanes dormant and looking them up: what changes in the log's state, and what nobody notices."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from deltalake import DeltaTable

from logsink.archive.adoption import adopt
from logsink.archive.archiver import Archiver
from logsink.archive.audit import audit_log
from logsink.archive.checkpointing import checkpoint
from logsink.archive.dormancy import LEAST, idle_lanes, make_dormant
from logsink.archive.dormant import PREFIX, dormant_key
from logsink.archive.log import DeltaLog, Dormant, MakeDormant, Txn
from logsink.archive.maintenance import Maintenance
from logsink.archive.rounds import Rounds
from logsink.archive.snapshot import DORMANT, Snapshot
from logsink.errors import Conflict, FormatError, Unavailable
from logsink.journal.segment import SegmentName
from logsink.store.base import Store
from logsink.store.local import LocalStore
from logsink.store.memory import MemoryStore
from tests.support.faulty import Call, Fail, FaultyStore, Pass
from tests.unit.archive.tables import Limits, add, fresh, journal, log_of, segment, store_segment

DAY = 86_400.0
FIRST = 1_700_000_000_000


def receiver(number: int) -> str:
    """The id of a receiver that was born so many days after the first."""
    text = f"{FIRST + number * int(DAY) * 1000:012x}"
    return f"{text[:8]}-{text[8:]}-7000-8000-{number:012x}"


class Days:
    """A clock of store and machine: seconds since the epoch."""

    def __init__(self) -> None:
        self.time = FIRST / 1000

    def __call__(self) -> float:
        return self.time


async def lives(clock: Days, count: int, store: Store | None = None, lanes: int = 2) -> tuple[Store, DeltaLog]:
    """A table into which receivers have archived, one each day; each has stored as many segments as its number and one."""
    store = store or MemoryStore(clock=clock)
    log = log_of(store, wall=clock)
    await log.create()
    for number in range(count):
        clock.time = FIRST / 1000 + number * DAY + 60
        txns = [Txn(f"{receiver(number)}.{lane}", number + 1) for lane in range(lanes)]
        await log.commit(await log.load(), [*txns, add(f"file-{number}")])
    return store, log


async def test_receivers_that_have_been_idle_leave_the_state_with_all_their_lanes() -> None:
    clock = Days()
    store, log = await lives(clock, 41)
    before = await log.load()
    assert await make_dormant(log, least=20) == 20, "ten receivers have been idle for more than thirty days"
    snapshot = await fresh(store)
    assert snapshot.intact
    assert snapshot.receivers == {receiver(number) for number in range(10, 41)}
    assert snapshot.moved.keys() == snapshot.txn.keys()
    ((name, newest),) = snapshot.dormant.items()
    assert newest == FIRST + 9 * int(DAY) * 1000
    awake = await log.wake(snapshot, [receiver(3), receiver(20), "other"])
    assert awake.last(f"{receiver(3)}.1") == 4
    assert awake.last(f"{receiver(20)}.0") == 21
    assert (await log.wake(snapshot, None)).reached == before.txn, "nothing is forgotten"
    assert [entry.key async for entry in store.list(PREFIX)] == [dormant_key(name)]
    assert await make_dormant(log, least=1) == 0, "the others are not old enough"


async def test_few_lanes_are_not_worth_an_object() -> None:
    clock = Days()
    store, log = await lives(clock, 41)
    assert await make_dormant(log, least=21) == 0
    assert await make_dormant(log) == 0
    assert not (await fresh(store)).dormant


async def test_receivers_with_segments_in_the_journal_are_left_alone() -> None:
    clock = Days()
    store, log = await lives(clock, 41)
    await store_segment(store, segment(SegmentName(receiver(4), 0, 6), ["new"]))
    assert await make_dormant(log, least=1) == 18
    assert receiver(4) in (await fresh(store)).receivers


async def test_ids_that_do_not_say_when_they_were_born_are_left_alone() -> None:
    snapshot = Snapshot(1, txn={"r.0": 1, f"{receiver(0)}.0": 1, f"{receiver(9)}.0": 1}, moved={"r.0": 0})
    snapshot = snapshot._replace(moved={"r.0": 1, f"{receiver(0)}.0": 2, f"{receiver(9)}.0": 90_000_000})
    assert idle_lanes(snapshot, 3600.0, 1e9, 1) == {receiver(0): {f"{receiver(0)}.0": 1}}
    assert idle_lanes(snapshot, 3600.0, 3600.0, 1) == {}, "the clock of this machine counts where the log's is ahead"


async def test_checkpoints_and_an_audit_agree() -> None:
    clock = Days()
    store, log = await lives(clock, 41)
    assert await make_dormant(log, least=20) == 20
    after = await log.load()
    assert await checkpoint(log, 1) == after.version
    snapshot = await fresh(store)
    assert (snapshot.checkpoint, snapshot.txn, snapshot.dormant) == (after.version, after.txn, after.dormant)
    found = await audit_log(store)
    assert (found.damage, found.checkpoints) == ((), 1)
    await log.commit(await log.load(), [Txn(f"{receiver(50)}.0", 1)])
    assert (await fresh(store)).intact


async def test_a_checkpoint_of_a_delta_library_says_the_same(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    clock = Days()
    _, log = await lives(clock, 41, store)
    assert await make_dormant(log, least=20) == 20
    DeltaTable(f"{tmp_path}/logs").create_checkpoint()
    snapshot, known = await fresh(store), await log.load()
    assert snapshot.intact
    assert snapshot.checkpoint == known.version
    assert (snapshot.txn, snapshot.dormant) == (known.txn, known.dormant)
    await store.aclose()


# --- what turns up later


async def dormant(clock: Days) -> tuple[Store, DeltaLog]:
    store, log = await lives(clock, 41)
    assert await make_dormant(log, least=20) == 20
    return store, log


async def adopted(log: DeltaLog) -> int:
    rounds = Rounds(log)
    try:
        done = await adopt(rounds, Limits(), orphan_after=-1.0)
    finally:
        rounds.close()
    assert not done.damage
    return done.archived


async def test_a_late_segment_of_a_dormant_lane_is_archived_and_its_receiver_is_awake_again() -> None:
    clock = Days()
    store, log = await dormant(clock)
    await store_segment(store, segment(SegmentName(receiver(4), 0, 6), ["late"]))
    assert await adopted(log) == 1
    snapshot = await fresh(store)
    assert len(snapshot.files) == 42
    assert snapshot.txn[f"{receiver(4)}.0"] == 6
    assert snapshot.txn[f"{receiver(4)}.1"] == 5, "with all of its lanes"
    assert receiver(5) not in snapshot.receivers


async def test_a_segment_of_a_dormant_lane_that_was_archived_long_ago_is_not_archived_again() -> None:
    clock = Days()
    store, log = await dormant(clock)
    await store_segment(store, segment(SegmentName(receiver(4), 0, 5), ["old"]))
    assert await adopted(log) == 0
    assert (await fresh(store)).receivers == {receiver(number) for number in range(10, 41)}
    assert await journal(store) == [], "it is deleted as if its lane were in the log's state"


async def test_two_that_wake_a_receiver_at_once() -> None:
    clock = Days()
    store, log = await dormant(clock)
    plan = await log.wake(await log.load(), [receiver(4)])
    await log.commit(plan, [Txn(f"{receiver(4)}.0", 6)])
    with pytest.raises(Conflict):
        await log.commit(plan, [Txn(f"{receiver(4)}.1", 6)])
    assert (await fresh(store)).txn[f"{receiver(4)}.1"] == 5


async def test_nothing_is_committed_for_a_lane_that_was_not_looked_up() -> None:
    clock = Days()
    _, log = await dormant(clock)
    with pytest.raises(FormatError, match="not looked up"):
        await log.commit(await log.load(), [Txn(f"{receiver(4)}.0", 6)])


@pytest.mark.parametrize("lane", [0, 7])
async def test_a_lane_that_moves_on_keeps_its_receiver_awake(lane: int) -> None:
    """Also a lane that the receiver did not use before."""
    clock = Days()
    store, log = await lives(clock, 41)
    planned = await log.load()
    await log.commit(planned, [Txn(f"{receiver(4)}.{lane}", 6)])
    name, body = "0" * 64, [MakeDormant(f"{receiver(4)}.{one}", 5) for one in range(2)]
    with pytest.raises(Conflict):
        await log.commit(planned, [*body, Dormant(name, FIRST)])
    assert not (await fresh(store)).dormant


@pytest.mark.parametrize("lane", [0, 7])
async def test_a_commit_that_was_planned_before_its_receiver_was_put_to_rest_is_planned_again(lane: int) -> None:
    clock = Days()
    store, log = await lives(clock, 41)
    planned = await log.load()
    assert await make_dormant(log, least=20) == 20
    with pytest.raises(Conflict):
        await log.commit(planned, [Txn(f"{receiver(4)}.{lane}", 6)])
    assert receiver(4) not in (await fresh(store)).receivers


async def test_a_lane_is_put_to_rest_only_where_it_stands() -> None:
    clock = Days()
    _, log = await lives(clock, 2)
    with pytest.raises(Conflict, match="is not at 7"):
        await log.commit(await log.load(), [MakeDormant(f"{receiver(0)}.0", 7), Dormant("0" * 64, FIRST)])


async def test_an_object_is_stored_before_the_commit_that_names_it() -> None:
    """And a process that is killed, or fails, in between leaves an object that is true, and nothing else."""
    clock = Days()
    store, _ = await lives(clock, 41)
    for key, fate, objects in [("dormant/", Fail(), 0), ("logs/_delta_log/", Fail(), 1)]:
        verb = Call(0, "put_absent", key)
        faulty = FaultyStore(store, lambda call, verb=verb, fate=fate: fate if _like(call, verb) else Pass())
        with pytest.raises(Unavailable):
            await make_dormant(log_of(faulty, wall=clock), least=20)
        assert len([entry async for entry in store.list(PREFIX)]) == objects
        assert not (await fresh(store)).dormant
    assert await make_dormant(log_of(store, wall=clock), least=20) == 20
    assert len([entry async for entry in store.list(PREFIX)]) == 1, "the same one"


def _like(call: Call, other: Call) -> bool:
    return call.verb == other.verb and call.key.startswith(other.key)


async def test_an_object_that_is_read_back_differently_is_not_relied_on() -> None:
    class Forgetful(MemoryStore):
        async def get(self, key: str, start: int = 0, end: int | None = None) -> bytes:
            return b"" if key.startswith(PREFIX) else await super().get(key, start, end)

    clock = Days()
    store, log = await lives(clock, 41, Forgetful(clock=clock))
    with pytest.raises(Unavailable, match="read back differently"):
        await make_dormant(log, least=20)
    assert not (await fresh(store)).dormant


async def test_several_at_once_leave_one_object() -> None:
    clock = Days()
    store, _ = await lives(clock, 41)
    logs = [log_of(store, wall=clock) for _ in range(3)]
    assert sorted(await asyncio.gather(*(make_dormant(log, least=20) for log in logs))) == [0, 0, 20]
    assert len([entry async for entry in store.list(PREFIX)]) == 1
    assert len((await fresh(store)).dormant) == 1


async def test_a_receiver_that_goes_to_rest_twice_is_where_it_was_last() -> None:
    clock = Days()
    store, log = await dormant(clock)
    await log.commit(await log.wake(await log.load(), [receiver(4)]), [Txn(f"{receiver(4)}.0", 9)])
    clock.time += 100 * DAY
    await log.commit(await log.load(), [Txn(f"{receiver(99)}.0", 1)])
    assert await make_dormant(log, least=20) == 64
    awake = await log.wake(await fresh(store), [receiver(4)])
    assert (awake.last(f"{receiver(4)}.0"), awake.last(f"{receiver(4)}.1")) == (9, 5)


# --- damage


async def test_an_object_that_is_lost_or_damaged_is_damage_of_the_log_for_whoever_needs_it() -> None:
    clock = Days()
    store, log = await dormant(clock)
    ((name, _),) = (await log.load()).dormant.items()
    body = await store.get(dormant_key(name))
    await store.put(dormant_key(name), body.replace(b":5", b":6"))
    damaged = await log.wake(await log.load(), [receiver(4)])
    assert [str(one) for one in damaged.damage] == [
        f"{dormant_key(name)} cannot be read: it does not match its checksum"
    ]
    await store.delete([dormant_key(name)])
    lost = await log.wake(await log.load(), [receiver(4)])
    assert [one.key for one in lost.damage] == [dormant_key(name)]
    assert (await log.wake(await log.load(), [receiver(20)])).intact, "nobody else notices"
    await store_segment(store, segment(SegmentName(receiver(4), 0, 5), ["old"]))
    rounds = Rounds(log)
    with pytest.raises(Exception, match="cannot archive what other receivers have left"):
        await adopt(rounds, Limits(), orphan_after=-1.0)
    rounds.close()
    assert await journal(store), "neither archived nor deleted"


# --- upkeep


async def test_upkeep_puts_lanes_to_rest_when_there_are_many() -> None:
    clock = Days()
    store = MemoryStore(clock=clock)
    log = log_of(store, wall=clock)
    await log.create()
    each = LEAST // 50
    for number in range(50):
        await log.commit(await log.load(), [Txn(f"{receiver(number)}.{lane}", 1) for lane in range(each)])
    clock.time += 31 * DAY
    await log.commit(await log.load(), [Txn(f"{receiver(80)}.0", 1)])
    upkeep = Maintenance(rounds := Rounds(log), Limits(), Limits())
    assert (await upkeep.due()).idle_lanes == LEAST
    done = await upkeep.once()
    assert (done.failed, done.made_dormant) == ((), LEAST)
    assert (await upkeep.due()).idle_lanes == 0
    upkeep.close()
    rounds.close()
    snapshot = await fresh(store)
    assert snapshot.txn == {f"{receiver(80)}.0": 1}
    assert len(snapshot.dormant) == 1
    assert DORMANT not in "".join(snapshot.txn)


async def test_a_receiver_that_lives_on_although_it_is_dormant_archives_when_something_comes() -> None:
    clock = Days()
    store, log = await lives(clock, 1)
    own = receiver(60)
    rounds = Rounds(log)
    archiver = Archiver(rounds, Limits(), hold=1 << 20, sleep=lambda _: asyncio.sleep(0))
    archiver.add(await store_segment(store, segment(SegmentName(own, 0, 1), ["first"])))
    await archiver.step()
    clock.time += 100 * DAY
    await log.commit(await log.load(), [Txn(f"{receiver(99)}.0", 1)])
    await store.delete([one.key for one in await journal(store)])
    assert await make_dormant(log, least=1) == 3
    await archiver.step()
    archiver.add(await store_segment(store, segment(SegmentName(own, 1, 1), ["second"])))
    await archiver.step()
    archiver.add(await store_segment(store, segment(SegmentName(own, 0, 2), ["third"])))
    await archiver.step()
    assert archiver.health.error == ""
    assert (await fresh(store)).txn == {f"{receiver(99)}.0": 1, f"{own}.0": 2, f"{own}.1": 1}
    rounds.close()
