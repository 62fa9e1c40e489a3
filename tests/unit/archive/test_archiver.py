"""The receiver's own rounds: everything stored is in the table once, and leaves the journal only after that."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import pytest

from logsink import telemetry
from logsink.archive.archiver import LINGER, Archiver
from logsink.archive.lanes import lanes_of
from logsink.archive.log import Add, Lost, Remove, Txn
from logsink.archive.rounds import QUARANTINE, Rounds, committable
from logsink.archive.snapshot import LOG, Snapshot, commit_key
from logsink.errors import Conflict, Damaged, FormatError, StoreError
from logsink.journal.segment import SegmentName
from logsink.parse import Settings
from logsink.store.base import Store
from logsink.store.memory import MemoryStore
from tests.support.faulty import Fail, FaultyStore, Lose, Pass, Refuse
from tests.unit.archive.tables import (
    DEFAULTS,
    MIDNIGHT,
    Clock,
    Limits,
    archived,
    fresh,
    journal,
    log_of,
    once,
    segment,
    store_segment,
    until,
    visible,
)

Make = Callable[..., Archiver]


LIMITS = Limits()


def flagged(name: str) -> float:
    return telemetry.REGISTRY.get_sample_value("logsink_frames_flagged_total", {"flag": name}) or 0.0


class Bench:
    """A store, a clock, and archivers over them."""

    def __init__(self) -> None:
        self.store = FaultyStore(MemoryStore())
        self.clock = Clock()
        self.made: list[Rounds] = []

    def archiver(self, limits: Limits = LIMITS, hold: int = 1 << 20) -> Archiver:
        rounds = Rounds(log_of(self.store, self.clock))
        self.made.append(rounds)
        return Archiver(rounds, limits, hold=hold, sleep=self.clock.sleep, uniform=lambda a, b: b)

    async def fill(self, archiver: Archiver, count: int, receiver: str = "r", lanes: int = 2) -> list[str]:
        """Store this many segments over the lanes, hand them over, and return their messages."""
        messages = []
        for k in range(count):
            name = SegmentName(receiver, k % lanes, k // lanes + 1)
            said = [f"{receiver}-{k}-{i}" for i in range(3)]
            archiver.add(await store_segment(self.store, segment(name, said, received=MIDNIGHT + k)))
            messages += said
        return sorted(messages)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    made = Bench()
    yield made
    for rounds in made.made:
        rounds.close()


async def nothing_waits(archiver: Archiver) -> bool:
    return archiver.health.segments == 0


async def empty(store: Store) -> bool:
    return not await journal(store)


async def test_a_round_archives_and_a_later_one_deletes(bench: Bench) -> None:
    archiver = bench.archiver()
    messages = await bench.fill(archiver, 5)
    assert archiver.health.segments == 5
    await archiver.step()
    snapshot = await fresh(bench.store)
    assert await archived(bench.store) == messages
    assert snapshot.txn == {"r.0": 3, "r.1": 2}
    assert (snapshot.version, len(snapshot.files)) == (1, 1)
    assert archiver.health[:3] == (0, 0, None)
    assert archiver.health.committed == bench.clock.time
    bench.clock.time += LINGER - 1
    await archiver.step()
    assert len(await journal(bench.store)) == 5
    bench.clock.time += 1
    await archiver.step()
    assert await journal(bench.store) == []
    assert (await fresh(bench.store)).version == 1


async def test_flags_of_the_parser_are_counted_once_their_rows_are_in_the_table(bench: Bench) -> None:
    archiver, before = bench.archiver(), flagged("not_utf8")
    whole = segment(SegmentName("r", 0, 1), ["one", "two"], received=MIDNIGHT)
    data = whole.frames.data.copy()
    data[-1] = 0xFF
    archiver.add(await store_segment(bench.store, whole._replace(frames=replace(whole.frames, data=data))))
    bench.store.schedule = lambda c: Refuse() if c.verb == "put_absent" and c.key.startswith(LOG) else Pass()
    with pytest.raises(StoreError):
        await archiver.step()
    assert flagged("not_utf8") == before
    bench.store.schedule = lambda call: Pass()
    await archiver.step()
    assert flagged("not_utf8") == before + 1


async def test_rows_of_two_dates_and_two_settings_are_one_commit(bench: Bench) -> None:
    archiver = bench.archiver()
    archiver.add(segment(SegmentName("r", 0, 1), ["before"], received=MIDNIGHT - 1))
    archiver.add(segment(SegmentName("r", 0, 2), ["after"]))
    archiver.add(segment(SegmentName("r", 0, 3), ["other"], settings=Settings("Europe/Berlin")))
    await archiver.step()
    snapshot = await fresh(bench.store)
    assert (snapshot.version, snapshot.txn) == (1, {"r.0": 3})
    assert sorted(path[:15] for path in snapshot.files) == ["date=2026-11-21", "date=2026-11-22", "date=2026-11-22"]
    assert await archived(bench.store) == ["after", "before", "other"]


async def test_each_file_says_which_sequences_it_holds(bench: Bench) -> None:
    """Those of other settings, in quarantine and missing are not among them; for a date split at midnight both say the same."""
    archiver = bench.archiver(hold=0)
    berlin, at = Settings("Europe/Berlin"), MIDNIGHT - 1
    for lane, sequence, settings in [
        (0, 1, DEFAULTS),
        (1, 1, DEFAULTS),
        (0, 2, DEFAULTS),
        (0, 3, berlin),
        (0, 4, DEFAULTS),
    ]:
        name = SegmentName("r", lane, sequence)
        archiver.add(await store_segment(bench.store, segment(name, ["m"], received=at, settings=settings)))
        at += 1
    await bench.store.put(SegmentName("r", 0, 2).key, b"ruined")
    await archiver.step()
    snapshot = await fresh(bench.store)
    said = [(file.date.day, lanes_of(file.tags)) for file in snapshot.files.values()]
    most = {"r.0": ((1, 1), (4, 4)), "r.1": ((1, 1),)}
    assert [one for one in said if one[0] == 21] == [(21, most)]
    assert len(said) == 3
    assert all((22, held) in said for held in (most, {"r.0": ((3, 3),)}))
    assert snapshot.lost == {SegmentName("r", 0, 2).key: 1}
    bench.clock.time += LINGER
    await archiver.step()
    assert await journal(bench.store) == []


async def test_limits_split_the_backlog_into_rounds(bench: Bench) -> None:
    archiver = bench.archiver(Limits(max_segments=2))
    messages = await bench.fill(archiver, 5)
    assert await archiver.drain(bench.clock.time + 1000)
    assert (await fresh(bench.store)).version == 3
    assert await archived(bench.store) == messages
    small = bench.archiver(Limits(max_bytes=1))
    messages += await bench.fill(small, 3, "s")
    assert await small.drain(bench.clock.time + 1000)
    assert (await fresh(bench.store)).version == 6
    assert await archived(bench.store) == sorted(messages)


async def test_a_round_has_a_bounded_number_of_rows_however_short(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("logsink.archive.rounds.ROWS", 7)
    archiver = bench.archiver(Limits(max_bytes=800))
    messages = await bench.fill(archiver, 5)  # of three rows each
    assert await archiver.drain(bench.clock.time + 1000)
    assert (await fresh(bench.store)).version == 3
    assert await archived(bench.store) == sorted(messages)


async def test_enough_rows_are_archived_without_waiting(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("logsink.archive.rounds.ROWS", 6)
    archiver = bench.archiver(Limits(max_bytes=700))
    messages = await bench.fill(archiver, 2)
    running = asyncio.create_task(archiver.run())
    async with asyncio.timeout(20):
        while not await nothing_waits(archiver):  # noqa: ASYNC110
            await asyncio.sleep(0)
    running.cancel()
    assert bench.clock.time < Limits().max_age + MIDNIGHT
    assert await archived(bench.store) == messages


async def test_segments_beyond_what_is_held_are_read_again(bench: Bench) -> None:
    archiver = bench.archiver(hold=1500)
    messages = await bench.fill(archiver, 6)
    bench.store.calls.clear()
    await archiver.step()
    assert await archived(bench.store) == messages
    assert 0 < len({call.key for call in bench.store.calls if call.key.startswith("journal/")}) < 6


async def test_a_new_receiver_id_starts_a_round_of_its_own(bench: Bench) -> None:
    archiver = bench.archiver()
    messages = await bench.fill(archiver, 2, "r") + await bench.fill(archiver, 2, "s")
    assert await archiver.drain(bench.clock.time + 1000)
    assert await archived(bench.store) == messages
    assert {path.split("/")[1][:2] for path in (await fresh(bench.store)).files} == {"r-", "s-"}


@pytest.mark.parametrize("fate", [Lose(), Fail(), Refuse()])
@pytest.mark.parametrize("verb", ["put_absent", "put"])
async def test_trouble_with_a_put_means_another_round(bench: Bench, verb: str, fate: object) -> None:
    archiver = bench.archiver()
    messages = await bench.fill(archiver, 3)
    await archiver._log.create()
    failing = [fate]

    def schedule(call: object) -> object:
        return failing.pop() if failing and call.verb == verb else Pass()  # type: ignore[attr-defined]

    bench.store.schedule = schedule  # type: ignore[assignment]
    assert await archiver.drain(bench.clock.time + 1000)
    assert not failing
    assert await archived(bench.store) == messages
    assert archiver.health.error == ""


async def test_a_commit_of_unknown_outcome_is_found_by_the_next_round(bench: Bench) -> None:
    archiver = bench.archiver()
    messages = await bench.fill(archiver, 3)
    await archiver._log.create()
    bench.store.schedule = lambda call: (
        Lose() if call.verb == "put_absent" else Fail() if call == (call.nth, "get", commit_key(1)) else Pass()
    )
    assert not await archiver._try()
    assert "unknown" in archiver.health.error
    bench.store.schedule = lambda call: Pass()
    await archiver.step()
    assert archiver.health.segments == 0
    assert (await fresh(bench.store)).version == 1
    assert await archived(bench.store) == messages


async def test_what_another_one_archived_is_dropped(bench: Bench) -> None:
    archiver, other = bench.archiver(), bench.archiver(Limits(max_segments=3))
    messages = await bench.fill(archiver, 5)
    await bench.fill(other, 5)
    await other.step()
    await archiver.step()
    assert await archived(bench.store) == messages
    assert archiver.health.segments == 0
    assert await other.drain(bench.clock.time + 10)
    assert (await fresh(bench.store)).version == 2


async def test_a_segment_that_is_gone_was_archived_by_another_one(bench: Bench) -> None:
    archiver, other = bench.archiver(hold=0), bench.archiver()
    messages = await bench.fill(archiver, 4)
    await bench.fill(other, 4)

    async def overtake() -> Snapshot:
        snapshot = await load()
        archiver._log.load = load  # type: ignore[method-assign]
        await other.step()
        await bench.store.delete([name.key for name in await journal(bench.store)])
        return snapshot

    await archiver._log.create()
    load = archiver._log.load
    archiver._log.load = overtake  # type: ignore[method-assign]
    with pytest.raises(Conflict):
        await archiver.step()
    await archiver.step()
    assert archiver.health.segments == 0
    assert await archived(bench.store) == messages


async def test_two_archivers_of_the_same_segments_commit_them_once(bench: Bench) -> None:
    one, two = bench.archiver(Limits(max_segments=3)), bench.archiver(Limits(max_segments=2))
    messages = await bench.fill(one, 9)
    await bench.fill(two, 9)
    bench.store.schedule = lambda call: Pass(turns=call.nth % 3)
    assert await asyncio.gather(one.drain(bench.clock.time + 1000), two.drain(bench.clock.time + 1000)) == [True, True]
    assert await archived(bench.store) == messages


async def test_a_segment_that_cannot_be_read_goes_to_quarantine_and_its_lane_goes_on(bench: Bench) -> None:
    archiver = bench.archiver(hold=0)
    messages = await bench.fill(archiver, 4, lanes=1)
    broken = SegmentName("r", 0, 2).key
    await bench.store.put(broken, b"ruined")
    await archiver.step()
    assert (await fresh(bench.store)).txn == {"r.0": 4}
    assert await archived(bench.store) == [message for message in messages if not message.startswith("r-1-")]
    assert await bench.store.get(QUARANTINE + broken) == b"ruined"
    bench.clock.time += LINGER
    await archiver.step()
    assert await journal(bench.store) == []
    assert await bench.store.get(QUARANTINE + broken) == b"ruined"


class BadTransfer(MemoryStore):
    """The first request for each segment brings one wrong bit; what is stored is intact."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: set[str] = set()

    async def get(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        body = bytearray(await super().get(key, start, end))
        if key.startswith("journal/") and key not in self.asked:
            self.asked.add(key)
            body[len(body) // 2] ^= 1
        return bytes(body)


async def test_a_segment_is_not_lost_because_a_request_brought_other_bytes(bench: Bench) -> None:
    bench.store = FaultyStore(stored := BadTransfer())
    archiver = bench.archiver(hold=0)
    messages = await bench.fill(archiver, 3)
    stored.asked.clear()
    await archiver.step()
    assert len(stored.asked) == 3
    assert await archived(bench.store) == messages
    assert (await fresh(bench.store)).lost == {}
    assert [entry async for entry in bench.store.list(QUARANTINE)] == []


async def test_a_round_of_unreadable_segments_only_moves_the_lane(bench: Bench) -> None:
    archiver = bench.archiver(hold=0)
    await bench.fill(archiver, 1)
    await bench.store.put(SegmentName("r", 0, 1).key, b"")
    await archiver.step()
    snapshot = await fresh(bench.store)
    assert (snapshot.version, snapshot.txn, dict(snapshot.files)) == (1, {"r.0": 1}, {})


async def test_a_lane_is_never_archived_across_a_number_that_is_in_the_journal(bench: Bench) -> None:
    archiver = bench.archiver()
    archiver.add(segment(SegmentName("r", 0, 1), ["a"]))
    await store_segment(bench.store, segment(SegmentName("r", 0, 2), ["of another process"]))
    archiver.add(segment(SegmentName("r", 0, 3), ["c"]))
    archiver.add(segment(SegmentName("r", 1, 1), ["b"]))
    await archiver.step()
    assert await archived(bench.store) == ["a", "b"]
    with pytest.raises(FormatError, match="up to 1 only"):
        await archiver.step()
    assert archiver.health.segments == 1


async def test_a_segment_that_vanished_is_archived_from_memory(bench: Bench) -> None:
    archiver = bench.archiver()
    messages = await bench.fill(archiver, 4, lanes=1)
    await bench.store.delete([SegmentName("r", 0, 2).key])
    await archiver.step()
    assert await archived(bench.store) == messages
    assert not (await fresh(bench.store)).lost


async def test_a_segment_that_vanished_and_is_not_in_memory_is_recorded_as_lost(bench: Bench) -> None:
    archiver = bench.archiver(hold=0)
    messages = await bench.fill(archiver, 4, lanes=1)
    await bench.store.delete([SegmentName("r", 0, 2).key])
    await archiver.step()
    snapshot = await fresh(bench.store)
    assert await archived(bench.store) == [message for message in messages if not message.startswith("r-1-")]
    assert (snapshot.txn, snapshot.lost) == ({"r.0": 4}, {SegmentName("r", 0, 2).key: 3})
    assert archiver.health[:2] == (0, 0)


async def test_numbers_that_the_table_lost_and_nobody_has_are_passed_over_and_said_to_be_lost(bench: Bench) -> None:
    archiver = bench.archiver()
    archiver.add(await store_segment(bench.store, segment(SegmentName("r", 0, 4), ["d"])))
    await archiver.step()
    snapshot = await fresh(bench.store)
    assert (snapshot.txn, snapshot.lost) == ({"r.0": 4}, {f"journal/r/0/{1:020d}-{3:020d}": 0})
    assert await archived(bench.store) == ["d"]


async def test_nothing_is_deleted_that_the_table_no_longer_holds(bench: Bench) -> None:
    archiver = bench.archiver()
    await bench.fill(archiver, 3)
    await archiver.step()
    await bench.store.delete([entry.key async for entry in bench.store.list(LOG)])
    bench.clock.time += LINGER
    with pytest.raises(Damaged, match="logs/_delta_log/ is gone"):
        await archiver.step()
    assert len(await journal(bench.store)) == 3
    assert [entry async for entry in bench.store.list(LOG)] == []


async def test_a_log_that_lost_its_newest_commit_is_left_alone_until_that_is_back(bench: Bench) -> None:
    archiver = bench.archiver(Limits(max_segments=2))
    messages = await bench.fill(archiver, 4)
    await archiver.step()
    await archiver.step()
    lost = await bench.store.get(commit_key(2))
    await bench.store.delete([commit_key(2)])
    bench.clock.time += LINGER
    messages += await bench.fill(archiver, 1, receiver="s")
    for _ in range(3):
        assert not await archiver._try()
        assert "2.json is missing: the log ends with version 1" in archiver.health.error
    assert len(await journal(bench.store)) == 5
    assert (await fresh(bench.store)).version == 1
    await bench.store.put(commit_key(2), lost)
    await archiver.step()
    assert await archived(bench.store) == messages
    assert await journal(bench.store) == [SegmentName("s", 0, 1)]


async def test_a_process_that_begins_looks_at_what_the_journal_knows_of_the_log(bench: Bench) -> None:
    old = segment(SegmentName("gone", 0, 1), ["old"])._replace(commit=7)
    await store_segment(bench.store, old)
    archiver = bench.archiver()
    messages = await bench.fill(archiver, 1)
    assert not await archiver._try()
    assert "7.json is missing" in archiver.health.error
    await bench.store.delete([old.name.key])
    other = bench.archiver()
    await bench.fill(other, 1)
    assert await other._try()
    assert await archived(bench.store) == messages


async def test_health_says_at_once_what_is_wrong_with_the_archive_and_that_it_is_mended(bench: Bench) -> None:
    archiver = bench.archiver()
    await log_of(bench.store).create()
    body = await bench.store.get(commit_key(0))
    await bench.store.put(commit_key(0), b"")
    running = asyncio.create_task(archiver.run())

    async def wrong() -> bool:
        return "0.json" in archiver.health.error

    async def right() -> bool:
        return not archiver.health.error

    await until(wrong)
    await bench.store.put(commit_key(0), body)
    await until(right)
    running.cancel()


async def test_a_segment_is_kept_while_no_file_is_known_to_hold_it(bench: Bench) -> None:
    archiver = bench.archiver()
    await bench.fill(archiver, 2, lanes=1)
    await archiver.step()
    log = log_of(bench.store)
    snapshot = await log.load()
    (file,) = snapshot.files.values()
    partly = file._replace(path=file.path.replace("-2-", "-3-")).tagged([("logsink.lanes", '{"r.0":[[1,1]]}')])
    await log.commit(snapshot, [Remove(file.tagged(partly.tags), data_change=False), Add(partly)])
    bench.clock.time += LINGER
    with pytest.raises(Damaged, match="no data file holds them"):
        await archiver.step()
    assert await journal(bench.store) == [SegmentName("r", 0, 2)]
    await log.commit(await log.load(), [Lost(SegmentName("r", 0, 2).key)])
    await archiver.step()
    assert await journal(bench.store) == []


async def test_a_commit_that_nobody_can_see_does_not_count(bench: Bench) -> None:
    """Its version was cleaned away after the snapshot: the put succeeds, beneath a checkpoint."""
    archiver = bench.archiver()
    await bench.fill(archiver, 1)
    log = archiver._log
    await log.create()
    bench.store.schedule = once("get", commit_key(0), Pass())
    real = log.commit

    async def void(snapshot: Snapshot, actions: object, **options: object) -> int:
        await bench.store.put_absent(f"{LOG}unseen", b"")
        return snapshot.version + 1

    log.commit = void  # type: ignore[assignment, method-assign]
    with pytest.raises(Conflict, match="cannot find version 1"):
        await archiver.step()
    assert archiver.health.segments == 1
    log.commit = real  # type: ignore[method-assign]
    await archiver.step()
    assert await archived(bench.store) == ["r-0-0", "r-0-1", "r-0-2"]


async def test_drain_gives_up_at_its_deadline(bench: Bench) -> None:
    archiver = bench.archiver()
    await bench.fill(archiver, 2)
    bench.store.schedule = lambda call: Pass(gate=asyncio.Event())
    assert not await archiver.drain(bench.clock.time + 0.01)
    assert archiver.health.segments == 2
    bench.store.schedule = lambda call: Pass()
    assert await archiver.drain(bench.clock.time + 1000)


async def test_trouble_is_waited_out_longer_each_time(bench: Bench) -> None:
    archiver = bench.archiver()
    await bench.fill(archiver, 1)
    bench.store.schedule = lambda call: Fail() if call.nth < 20 else Pass()
    assert await archiver.drain(bench.clock.time + 1000)
    waits = [wait for wait in bench.clock.slept if wait >= 0.5]
    assert waits[:6] == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0]
    assert max(waits) == 30.0
    assert archiver.health.error == ""


async def test_after_trouble_of_many_hours_it_goes_on(bench: Bench) -> None:
    archiver = bench.archiver()
    await bench.fill(archiver, 1)
    bench.store.schedule = lambda call: Refuse() if call.verb == "list" else Pass()
    running = asyncio.create_task(archiver.run())
    while len(bench.clock.slept) < 1100:
        assert not running.done()
        await asyncio.sleep(0)
    bench.store.schedule = lambda call: Pass()
    await until(lambda: nothing_waits(archiver))
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


@pytest.mark.parametrize("limits", [Limits(max_bytes=100), Limits(max_segments=3), Limits(max_age=0.0)])
async def test_it_runs_when_a_limit_is_reached(bench: Bench, limits: Limits) -> None:
    archiver = bench.archiver(limits)
    running = asyncio.create_task(archiver.run())
    messages = await bench.fill(archiver, 3)
    await until(lambda: nothing_waits(archiver))
    running.cancel()
    assert await archived(bench.store) == messages
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_it_waits_for_more_until_then(bench: Bench) -> None:
    archiver = bench.archiver(Limits(max_segments=4))
    running = asyncio.create_task(archiver.run())
    await bench.fill(archiver, 3)
    for _ in range(50):
        await asyncio.sleep(0)
    assert archiver.health.segments == 3
    running.cancel()


async def test_running_deletes_what_is_due(bench: Bench) -> None:
    archiver = bench.archiver()
    await bench.fill(archiver, 2)
    await archiver.step()
    bench.clock.time += LINGER
    running = asyncio.create_task(archiver.run())
    await until(lambda: empty(bench.store))
    running.cancel()


async def others(store: Store, count: int) -> None:
    """So many receivers beside the one that is tested have just archived something."""
    log = log_of(store)
    await log.commit(await log.create(), [Txn(f"other{number}.0", 1) for number in range(count)])


async def test_beside_many_receivers_segments_wait_longer(bench: Bench) -> None:
    """With fifteen others, for 60 s times 15 / 5: a round that deletes leaves what is not due by then."""
    await others(bench.store, 15)
    archiver = bench.archiver(Limits(max_age=60.0))
    await archiver.step()
    await bench.fill(archiver, 2, receiver="r")
    bench.clock.time += 179
    running = asyncio.create_task(archiver._due())
    await asyncio.sleep(0.01)
    assert not running.done()
    bench.clock.time += 1
    archiver._changed.set()
    assert await running
    await archiver.step()
    await bench.fill(archiver, 1, receiver="s")
    bench.clock.time += LINGER - 1
    deleting = asyncio.create_task(archiver._due())
    bench.clock.time += 1
    assert not await deleting
    await archiver.step(commit=False)
    assert await journal(bench.store) == [SegmentName("s", 0, 1)]
    assert archiver.health.segments == 1
    bench.clock.time += 60 * 16 / 5 - LINGER
    assert await archiver._due()


async def test_a_segment_that_nothing_proves_stops_no_commit(bench: Bench) -> None:
    archiver = bench.archiver()
    await bench.fill(archiver, 2, lanes=1)
    await archiver.step()
    log = log_of(bench.store)
    snapshot = await log.load()
    (file,) = snapshot.files.values()
    other = file._replace(path=file.path.replace("-2-", "-3-")).tagged([("logsink.lanes", '{"r.0":[[1,1]]}')])
    await log.commit(snapshot, [Remove(file.tagged(other.tags), data_change=False), Add(other)])
    await bench.fill(archiver, 1, receiver="s")
    bench.clock.time += LINGER
    with pytest.raises(Damaged, match="no data file holds them"):
        await archiver.step()
    assert (await fresh(bench.store)).txn == {"r.0": 2, "s.0": 1}
    assert archiver.health.segments == 0


async def test_segments_that_cannot_be_deleted_stop_no_commit(bench: Bench) -> None:
    archiver = bench.archiver()
    await bench.fill(archiver, 1)
    await archiver.step()
    await bench.fill(archiver, 1, receiver="s")
    bench.clock.time += LINGER
    bench.store.schedule = lambda call: Refuse() if call.verb == "delete" else Pass()
    with pytest.raises(StoreError, match="cannot delete"):
        await archiver.step()
    assert (await fresh(bench.store)).txn == {"r.0": 1, "s.0": 1}
    bench.store.schedule = lambda call: Pass()
    bench.clock.time += LINGER
    await archiver.step()
    assert not await journal(bench.store)


async def test_what_waits_is_committed_after_a_round_that_only_deletes_has_failed(bench: Bench) -> None:
    archiver = bench.archiver(Limits(max_age=10 * LINGER))
    await bench.fill(archiver, 1)
    running = asyncio.create_task(archiver.run())
    await until(lambda: nothing_waits(archiver))
    bench.store.schedule = lambda call: Refuse() if call.verb == "delete" else Pass()
    await bench.fill(archiver, 1, receiver="s")
    bench.clock.time += LINGER
    archiver._changed.set()
    await until(lambda: nothing_waits(archiver))
    running.cancel()
    assert (await fresh(bench.store)).txn == {"r.0": 1, "s.0": 1}
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_a_round_lists_the_log_once(bench: Bench) -> None:
    archiver = bench.archiver()
    await archiver.step()
    await bench.fill(archiver, 2)
    before = len(bench.store.calls)
    await archiver.step()
    asked = [(call.verb, call.key) for call in bench.store.calls[before:] if call.key.startswith(LOG)]
    assert asked == [
        ("list", LOG),
        ("put_absent", commit_key(1)),
        ("get", commit_key(1)),
        ("get", commit_key(2)),
    ]


async def test_closing_does_not_wait_for_a_round_left_behind(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where receiving takes all cores a round may take minutes, and a receiver that was told to stop has seconds."""
    archiver = bench.archiver()
    begun, go_on, over = threading.Event(), threading.Event(), threading.Event()

    def slow(*args: object) -> None:
        begun.set()
        go_on.wait(10)
        over.set()

    monkeypatch.setattr(Rounds, "_files", slow)
    await bench.fill(archiver, 3)
    task = asyncio.create_task(archiver.step())
    await asyncio.to_thread(begun.wait)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    bench.made[-1].close()
    assert not over.is_set()
    go_on.set()


async def test_cancelling_in_the_middle_of_a_round_loses_nothing(bench: Bench) -> None:
    for turns in range(1, 60, 7):
        archiver = bench.archiver()
        messages = await bench.fill(archiver, 3, f"r{turns}")
        task = asyncio.create_task(archiver.step())
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert await archiver.drain(bench.clock.time + 1000)
        assert [message for message in await archived(bench.store) if message.startswith(f"r{turns}-")] == messages


async def test_queries_see_everything_once_at_every_moment(bench: Bench) -> None:
    archiver = bench.archiver(Limits(max_segments=2))
    messages = await bench.fill(archiver, 6)
    while archiver.health.segments:
        assert await visible(bench.store) == messages
        await archiver.step()
        bench.clock.time += LINGER / 2
    assert await visible(bench.store) == messages


def test_in_line() -> None:
    names = [
        SegmentName("r", 0, 2),
        SegmentName("r", 1, 1),
        SegmentName("r", 0, 3),
        SegmentName("r", 0, 5),
        SegmentName("r", 1, 3),
    ]
    assert committable(Snapshot(txn={"r.0": 1}), names) == names[:3]
    assert committable(Snapshot(), names) == [names[1]]
    assert committable(Snapshot(txn={"r.0": 9, "r.1": 2}), names) == [names[4]]
