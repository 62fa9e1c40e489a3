"""Adoption: what is left behind is archived once, whoever else is at it, and deleted when the table holds it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace

import pyarrow as pa
import pytest

from logsink.archive.adoption import Adopted, adopt
from logsink.archive.archiver import LINGER, Archiver
from logsink.archive.checkpointing import checkpoint, tombstones_kept
from logsink.archive.coverage import UNPROVED
from logsink.archive.log import Add, DeltaLog, Remove, Txn
from logsink.archive.missing import expect_commits
from logsink.archive.rounds import QUARANTINE, Rounds
from logsink.archive.snapshot import DataFile, commit_key
from logsink.damage import Damage
from logsink.errors import Damaged, Unavailable
from logsink.journal.reader import list_segments
from logsink.journal.segment import SegmentName, _sealed, encode_segment
from logsink.parse import RULES_VERSION, Settings
from logsink.store.counting import CountingStore
from logsink.store.memory import MemoryStore
from tests.support.faulty import Fail, FaultyStore, Pass
from tests.unit.archive.tables import Clock, Limits, archived, data_file, fresh, journal, segment, store_segment

LIMITS = Limits()
AGE = LIMITS.orphan_after


class Bench:
    """A store whose clock, and everybody else's, moves when told to."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.store = FaultyStore(MemoryStore(clock=self.clock))
        self.made: list[Rounds] = []

    def rounds(self) -> Rounds:
        log = DeltaLog(self.store, monotonic=self.clock, wall=self.clock, sleep=self.clock.sleep, jitter=lambda: 0.5)
        self.made.append(Rounds(log))
        return self.made[-1]

    async def adopt(self, limits: Limits = LIMITS, own: tuple[str, ...] = ()) -> Adopted:
        return await adopt(self.rounds(), limits, orphan_after=AGE, own=own)

    async def leave(self, receiver: str, lane: int, *sequences: int) -> list[str]:
        """Store segments of one row each; their messages."""
        for sequence in sequences:
            await store_segment(
                self.store, segment(SegmentName(receiver, lane, sequence), [f"{receiver}-{lane}-{sequence}"])
            )
        return [f"{receiver}-{lane}-{sequence}" for sequence in sequences]


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    made = Bench()
    yield made
    for rounds in made.made:
        rounds.close()


async def test_rounds_have_a_bounded_number_of_rows(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("logsink.archive.rounds.ROWS", 2)
    messages = await bench.leave("r", 0, 1, 2, 3, 4, 5)
    bench.clock.time += AGE + 1
    assert await bench.adopt(Limits(max_bytes=300)) == Adopted(5, 0)
    snapshot = await fresh(bench.store)
    assert (snapshot.version, snapshot.txn) == (3, {"r.0": 5})
    assert await archived(bench.store) == messages


async def test_nothing_to_adopt_makes_no_table(bench: Bench) -> None:
    assert await bench.adopt() == Adopted(0, 0)
    await bench.leave("r", 0, 1)
    bench.clock.time += AGE
    assert await bench.adopt() == Adopted(0, 0)
    assert (await fresh(bench.store)).version == -1


async def test_what_is_old_is_archived_and_deleted_later(bench: Bench) -> None:
    messages = await bench.leave("r", 0, 1, 2) + await bench.leave("r", 1, 1) + await bench.leave("s", 0, 1)
    bench.clock.time += AGE + 1
    young = await bench.leave("s", 0, 2)
    assert await bench.adopt() == Adopted(4, 0)
    snapshot = await fresh(bench.store)
    assert snapshot.txn == {"r.0": 2, "r.1": 1, "s.0": 1}
    assert await archived(bench.store) == messages
    bench.clock.time += LINGER
    assert await bench.adopt() == Adopted(0, 4)
    assert await journal(bench.store) == [SegmentName("s", 0, 2)]
    bench.clock.time += AGE
    assert await bench.adopt() == Adopted(1, 0)
    assert await archived(bench.store) == messages + young


async def test_ones_own_are_left_alone(bench: Bench) -> None:
    await bench.leave("r", 0, 1)
    bench.clock.time += AGE + 1
    assert await bench.adopt(own=("r",)) == Adopted(0, 0)
    assert (await fresh(bench.store)).version == -1


async def test_a_lane_is_adopted_up_to_the_first_missing_number_while_its_receiver_may_live(bench: Bench) -> None:
    messages = await bench.leave("r", 0, 1, 2, 4) + await bench.leave("r", 1, 2)
    bench.clock.time += AGE + 1
    await bench.leave("r", 2, 1)
    assert await bench.adopt() == Adopted(2, 0)
    assert await archived(bench.store) == messages[:2]
    assert (await fresh(bench.store)).txn == {"r.0": 2}


async def test_numbers_that_are_lost_are_passed_over_when_their_receiver_is_gone(bench: Bench) -> None:
    messages = await bench.leave("r", 0, 1, 2, 4, 8) + await bench.leave("r", 1, 2)
    bench.clock.time += AGE + 1
    keys = [SegmentName("r", 0, 3).key, f"journal/r/0/{5:020d}-{7:020d}", SegmentName("r", 1, 1).key]
    adopted = await bench.adopt()
    assert (adopted.archived, sorted(one.key for one in adopted.damage)) == (5, sorted(keys))
    snapshot = await fresh(bench.store)
    assert (snapshot.txn, dict(snapshot.lost)) == ({"r.0": 8, "r.1": 2}, dict.fromkeys(keys, 0))
    assert await archived(bench.store) == messages
    bench.clock.time += LINGER
    assert await bench.adopt() == Adopted(0, 5)
    assert await journal(bench.store) == []


async def test_a_gap_is_passed_over_in_the_round_that_reaches_beyond_it(bench: Bench) -> None:
    messages = await bench.leave("r", 0, 1, 3, 5)
    bench.clock.time += AGE + 1
    assert (await bench.adopt(Limits(max_segments=1))).archived == 3
    snapshot = await fresh(bench.store)
    assert (snapshot.version, snapshot.txn, len(snapshot.lost)) == (3, {"r.0": 5}, 2)
    assert await archived(bench.store) == messages


async def test_nothing_passes_a_gap_that_a_data_file_without_a_commit_holds(bench: Bench) -> None:
    """The newest commit is gone: its segments were deleted, and its data file is all that there is of their rows."""
    await bench.leave("r", 0, 1, 2)
    bench.clock.time += AGE + 1
    await bench.adopt()
    bench.clock.time += LINGER
    await bench.adopt()
    await bench.leave("r", 0, 3)
    await bench.store.delete([commit_key(1)])
    bench.clock.time += AGE + 1
    others = await bench.leave("s", 0, 1)
    bench.clock.time += AGE + 1
    for archived_now in (1, 0):
        adopted = await bench.adopt()
        assert adopted.archived == archived_now
        assert "which no commit names, holds it" in str(adopted.damage[0])
    assert SegmentName("r", 0, 3) in await journal(bench.store)
    assert await archived(bench.store) == others


async def test_what_another_lane_says_was_stored_is_lost_when_it_is_not_there(bench: Bench) -> None:
    messages = await bench.leave("r", 0, 1)
    last = segment(SegmentName("r", 1, 1), ["r-1-1"])._replace(stored={"r.0": 3, "r.2": 1})
    await store_segment(bench.store, last)
    bench.clock.time += AGE + 1
    await bench.leave("r", 1, 2)
    assert await bench.adopt() == Adopted(2, 0)
    bench.clock.time += AGE + 1
    await bench.leave("s", 0, 1)
    keys = [f"journal/r/0/{2:020d}-{3:020d}", SegmentName("r", 2, 1).key]
    assert (await bench.adopt()).damage == ()  # what said so is archived, and nothing refers to the lost ones any more
    bench.clock.time += AGE + 1
    await store_segment(bench.store, last._replace(name=SegmentName("r", 1, 3)))
    bench.clock.time += AGE + 1
    adopted = await bench.adopt()
    assert sorted(one.key for one in adopted.damage) == keys
    snapshot = await fresh(bench.store)
    assert (snapshot.txn["r.0"], snapshot.txn["r.1"], snapshot.txn["r.2"]) == (3, 3, 1)
    assert sorted(snapshot.lost) == keys
    assert set(messages) < set(await archived(bench.store))
    assert (await bench.adopt()).damage == ()


async def test_commits_that_a_segment_knows_of_are_not_made_anew(bench: Bench) -> None:
    await bench.leave("r", 0, 1)
    bench.clock.time += AGE + 1
    await bench.adopt()
    await store_segment(bench.store, segment(SegmentName("s", 0, 1), ["s-0-1"])._replace(commit=1))
    lost = await bench.store.get(commit_key(1))
    await bench.store.delete([commit_key(1)])
    bench.clock.time += AGE + 1
    for _ in range(2):
        with pytest.raises(Damaged, match=r"1\.json is missing: the log ends with version 0"):
            await bench.adopt()
    await bench.store.put(commit_key(1), lost)
    assert await bench.adopt() == Adopted(1, 1)
    assert await archived(bench.store) == ["r-0-1", "s-0-1"]


async def test_far_too_many_missing_numbers_are_no_gap(bench: Bench) -> None:
    await bench.leave("r", 0, 9 * 10**18)
    bench.clock.time += AGE + 1
    adopted = await bench.adopt()
    assert [one.key for one in adopted.damage] == [f"journal/r/0/{1:020d}-{9 * 10**18 - 1:020d}"]
    assert (await fresh(bench.store)).txn == {}


async def test_a_segment_whose_rows_no_file_holds_stays(bench: Bench) -> None:
    await bench.leave("r", 0, 1, 2)
    bench.clock.time += AGE + 1
    log = bench.rounds().log
    await log.create()
    file = data_file("a").tagged([("logsink.lanes", '{"r.0":[[1,1]]}')])
    await log.commit(await log.load(), [Add(file), Txn("r.0", 2)])
    bench.clock.time += LINGER
    adopted = await bench.adopt()
    assert (adopted.archived, adopted.deleted) == (0, 1)
    assert [str(one) for one in adopted.damage] == [f"{SegmentName('r', 0, 2).key} stays in the journal: {UNPROVED}"]
    assert await journal(bench.store) == [SegmentName("r", 0, 2)]


async def test_a_segment_whose_rows_were_retired_longer_ago_than_the_log_names_files_stays_while_its_lane_is_known(
    bench: Bench,
) -> None:
    """Nobody was there to delete it. It is named, and no row is lost or found again: retention has forgotten its rows."""
    keep = tombstones_kept(86_400.0)
    await bench.leave("r", 0, 1, 2)
    log = bench.rounds().log
    await log.create()
    files = [data_file(f"f{n}").tagged([("logsink.lanes", f'{{"r.0":[[{n},{n}]]}}')]) for n in (1, 2)]
    await log.commit(await log.load(), [*map(Add, files), Txn("r.0", 2)])

    async def retired(file: DataFile, seconds: float) -> Adopted:
        """Adopt so many seconds after a file was retired, behind a checkpoint."""
        await log.commit(await log.load(), [Remove(file, data_change=True)])
        bench.clock.time += seconds
        assert await checkpoint(log, 1, keep=keep) > 0
        return await bench.adopt()

    adopted = await retired(files[0], keep + 1)
    assert adopted.deleted == 1  # the other one, whose file is live
    assert [str(one) for one in adopted.damage] == [f"{SegmentName('r', 0, 1).key} stays in the journal: {UNPROVED}"]
    assert await journal(bench.store) == [SegmentName("r", 0, 1)]
    assert (await fresh(bench.store)).covers(SegmentName("r", 0, 1))  # queries do not show it
    assert await retired(files[1], keep + 1) == Adopted(0, 1)  # no file tells of the lane any more: its txn does


async def test_a_segment_whose_rows_were_retired_is_deleted_while_the_log_names_the_file(bench: Bench) -> None:
    keep = tombstones_kept(86_400.0)
    await bench.leave("r", 0, 1, 2)
    log = bench.rounds().log
    await log.create()
    files = [data_file(f"f{n}").tagged([("logsink.lanes", f'{{"r.0":[[{n},{n}]]}}')]) for n in (1, 2)]
    await log.commit(await log.load(), [*map(Add, files), Txn("r.0", 2)])
    await log.commit(await log.load(), [Remove(files[0], data_change=True)])
    bench.clock.time += keep - 1
    assert await checkpoint(log, 1, keep=keep) > 0
    assert await bench.adopt() == Adopted(0, 2)


async def test_limits_split_what_is_left_into_commits(bench: Bench) -> None:
    messages = await bench.leave("r", 0, 1, 2, 3, 4, 5)
    bench.clock.time += AGE + 1
    assert await bench.adopt(Limits(max_segments=2)) == Adopted(5, 0)
    assert (await fresh(bench.store)).version == 3
    messages += await bench.leave("s", 0, 1, 2)
    bench.clock.time += AGE + 1
    await bench.adopt(Limits(max_bytes=1))
    assert (await fresh(bench.store)).version == 5
    assert await archived(bench.store) == messages


async def test_a_segment_that_lands_after_its_rows_were_archived_is_only_deleted(bench: Bench) -> None:
    await bench.leave("r", 0, 1, 2)
    bench.clock.time += AGE + 1
    await bench.adopt()
    bench.clock.time += LINGER
    await bench.adopt()
    await bench.leave("r", 0, 2)
    bench.clock.time += AGE + 1
    assert await bench.adopt() == Adopted(0, 1)
    assert await archived(bench.store) == ["r-0-1", "r-0-2"]


async def test_an_unreadable_segment_goes_to_quarantine(bench: Bench) -> None:
    await bench.leave("r", 0, 1, 2, 3)
    await bench.store.put(SegmentName("r", 0, 2).key, b"ruined")
    bench.clock.time += AGE + 1
    broken = SegmentName("r", 0, 2).key
    assert await bench.adopt() == Adopted(3, 0, (Damage(broken, "is lost"),))
    assert await archived(bench.store) == ["r-0-1", "r-0-3"]
    assert (await fresh(bench.store)).lost == {broken: 0}
    assert await bench.store.get(QUARANTINE + SegmentName("r", 0, 2).key) == b"ruined"


@pytest.mark.parametrize("newer", ["format", "parser"])
async def test_what_only_a_newer_version_reads_is_left_to_it(bench: Bench, newer: str) -> None:
    await bench.leave("r", 0, 1, 3)
    one = segment(SegmentName("r", 0, 2), ["r-0-2"], settings=Settings(parser=RULES_VERSION + (newer == "parser")))
    body = encode_segment(one)
    if newer == "format":
        with pa.ipc.open_stream(body) as reader:
            schema = reader.schema.with_metadata((reader.schema.metadata or {}) | {b"logsink.format": b"99"})
        sink = pa.BufferOutputStream()
        pa.ipc.new_stream(sink, schema).close()
        body = _sealed(sink)
    await bench.store.put(one.name.key, memoryview(body))
    bench.clock.time += AGE + 1
    assert await bench.adopt() == Adopted(1, 0)
    assert (await fresh(bench.store)).txn == {"r.0": 1}
    assert [entry async for entry in bench.store.list(QUARANTINE)] == []
    assert len(await journal(bench.store)) == 3


async def test_trouble_is_passed_on_and_nothing_is_lost(bench: Bench) -> None:
    messages = await bench.leave("r", 0, 1, 2)
    bench.clock.time += AGE + 1
    bench.store.schedule = lambda call: Fail() if call.verb == "put" else Pass()
    with pytest.raises(Unavailable):
        await bench.adopt()
    bench.store.schedule = lambda call: Pass()
    assert await bench.adopt() == Adopted(2, 0)
    assert await archived(bench.store) == messages


@pytest.mark.parametrize("seed", range(8))
async def test_two_adopters_and_the_owner_archive_each_segment_once(bench: Bench, seed: int) -> None:
    owner = Archiver(bench.rounds(), Limits(max_segments=2), hold=1 << 20, sleep=bench.clock.sleep)
    messages = []
    for sequence in range(1, 7):
        for lane in range(2):
            said = f"r-{lane}-{sequence}"
            owner.add(await store_segment(bench.store, segment(SegmentName("r", lane, sequence), [said])))
            messages.append(said)
    bench.clock.time += AGE + 1
    bench.store.schedule = lambda call: Pass(turns=(call.nth * (seed + 3)) % 7)
    limits = Limits(max_segments=3 + seed % 3)
    await asyncio.gather(bench.adopt(limits), owner.drain(bench.clock.time + 1000), bench.adopt(limits))
    while (await bench.adopt()).archived:
        pass
    assert await archived(bench.store) == sorted(messages)
    snapshot = await fresh(bench.store)
    assert snapshot.txn == {"r.0": 6, "r.1": 6}


async def test_moved_by_others_meanwhile_is_no_error(bench: Bench) -> None:
    await bench.leave("r", 0, 1)
    bench.clock.time += AGE + 1
    rounds = bench.rounds()
    log = rounds.log
    real = log.commit

    async def beaten(*arguments: object, **options: object) -> int:
        log.commit = real  # type: ignore[method-assign]
        await real(await log.load(), [Txn("r.0", 1)])
        return await real(*arguments, **options)  # type: ignore[arg-type]

    log.commit = beaten  # type: ignore[method-assign]
    assert await adopt(rounds, LIMITS, orphan_after=AGE) == Adopted(0, 0)
    assert await archived(bench.store) == []


@pytest.mark.parametrize("damaged", [False, True])
async def test_the_newest_segment_of_each_receiver_says_which_commits_there_are(damaged: bool) -> None:
    """However many receivers there are; of several lanes the newest counts that can be read."""
    clock = Clock()
    store = MemoryStore(clock=clock)
    for number in range(50):
        for lane in (1, 0):
            name = SegmentName(f"r{number:02}", lane, 1)
            await store_segment(store, segment(name, ["a"])._replace(commit=100 - number + lane))
            clock.time += 1
    if damaged:
        await store.put(SegmentName("r00", 0, 1).key, b"")
    reads = SimpleNamespace(requests=0, listings=0, bytes_read=0)
    log = DeltaLog(CountingStore(store, reads))
    await expect_commits(log, await list_segments(store))
    assert reads.requests == 50 + damaged
    assert log._reached == 100 + damaged
