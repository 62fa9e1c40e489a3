"""A model of lanes that are made dormant: receivers that pause, die and wake up late, several upkeeps, and a store that fails.

The log, its commits and checkpoints, dormant lanes, the choice of what to archive and the proof before deleting are the real
ones. Segments have no rows: what is in the table is what the tags of live files say. The store sees each commit as it lands, so
a segment that is archived twice is seen whatever comes later. ``GUARDS`` takes out one rule at a time: then something is lost,
doubled or hidden.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import date

import orjson
import pytest

from logsink.archive import dormancy, dormant, log, snapshot, waking
from logsink.archive.checkpointing import checkpoint
from logsink.archive.coverage import Coverage
from logsink.archive.dormancy import make_dormant
from logsink.archive.dormant import receiver_of
from logsink.archive.lanes import TAG, Lanes, encode, lanes_of, parse, union
from logsink.archive.log import Action, Add, DeltaLog, Remove, Txn
from logsink.archive.rounds import committable
from logsink.archive.snapshot import DataFile, Snapshot, commit_key
from logsink.errors import Conflict, Damaged, LogsinkError, StoreError
from logsink.journal import SegmentName, StoredSegment, find_gaps, list_segments
from logsink.store import put_once
from logsink.store.base import Bytes, Store
from logsink.store.memory import MemoryStore
from tests.support.faulty import FaultyStore, Pass, seeded

DATE = date(2026, 11, 22)
IDLE = 30.0
"""Seconds of the model's clock, which every call of the store moves by one."""

WRITES = frozenset({"put", "put_absent", "delete"})

Row = tuple[str, int]
"""A segment: its lane and sequence."""


class Violation(Exception):
    """Something was lost, doubled or hidden."""


def rows_of(lanes: Lanes) -> Iterator[Row]:
    for app_id, intervals in lanes.items():
        for first, last in intervals:
            yield from ((app_id, sequence) for sequence in range(first, last + 1))


class Objects(MemoryStore):
    """A store that sees what each commit puts into the table and takes out of it."""

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__(clock=clock)
        self.added: Counter[Row] = Counter()
        self.retired: set[Row] = set()
        self.version = -1

    async def put_absent(self, key: str, body: Bytes) -> bool:
        done = await super().put_absent(key, body)
        if done and key == commit_key(self.version + 1):  # not one that lands where the log was cleaned up
            self.version += 1
            for line in bytes(body).splitlines():
                for name, action in orjson.loads(line).items():
                    if name in ("add", "remove") and action["dataChange"]:
                        rows = rows_of(parse(action["tags"][TAG]))
                        self.added.update(rows) if name == "add" else self.retired.update(rows)
        return done


class World:
    """One store, one clock, and what was acknowledged."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.time = 1_700_000_000.0
        self.objects = Objects(self.clock)
        writes = seeded(seed, fail=0.02, lose=0.03, late=0.03, slow=0.3, turns=60, verbs=WRITES)
        reads = seeded(~seed, fail=0.02, slow=0.3, turns=20)
        self.store = FaultyStore(self.objects, lambda call: (writes if call.verb in WRITES else reads)(call))
        self.acknowledged: set[Row] = set()
        self.names = itertools.count()
        self.bad: list[str] = []

    def clock(self) -> float:
        self.time += 1.0
        return self.time

    async def turns(self, most: int) -> None:
        for _ in range(self.random.randrange(most)):
            await asyncio.sleep(0)

    def log(self) -> DeltaLog:
        async def sleep(_: float) -> None:
            await self.turns(20)

        return DeltaLog(self.store, monotonic=self.clock, wall=self.clock, sleep=sleep, jitter=self.random.random)

    def new_receiver(self) -> str:
        """An id that says when it was made, by a clock that may be wrong."""
        number = next(self.names)
        text = f"{int(1000 * (self.time + self.random.choice([0, 0, -150, 40]))):012x}"
        return f"{text[:8]}-{text[8:]}-7000-8000-{number:012x}"

    def data_file(self, lanes: Lanes) -> DataFile:
        path = f"date={DATE}/{next(self.names)}.parquet"
        return DataFile(path, DATE, 1, '{"numRecords":1}').tagged([(TAG, encode(lanes))])

    def check(self, *, archived: bool = False) -> None:
        twice = [row for row, count in self.objects.added.items() if count > 1]
        if twice:
            raise Violation(f"archived twice: {twice[0]}")
        if archived and (lost := self.acknowledged - self.objects.added.keys()):
            raise Violation(f"never archived: {min(lost)}")

    # What receivers and upkeep do, by the rules of archiver and adoption

    async def archive(self, log: DeltaLog, names: Iterable[SegmentName]) -> Snapshot:
        """Commit what can be committed of one receiver; return a fresh snapshot."""
        ordered = sorted(names, key=lambda one: (one.sequence, one.lane))
        receivers = {one.receiver for one in ordered}
        found = await log.wake(await log.create(), receivers)
        log.refuse_damage(found, "archive")
        chosen = committable(found, [one for one in ordered if not found.covers(one)])
        if chosen:
            lanes = union(*({one.app_id: [(one.sequence, one.sequence)]} for one in chosen))
            actions: list[Action] = [Txn(app_id, intervals[-1][1]) for app_id, intervals in lanes.items()]
            await self.turns(self.random.choice([2, 2, 400]))  # rows are parsed and written meanwhile
            with suppress(Conflict):
                await log.commit(found, [*actions, Add(self.data_file(lanes))])
            found = await log.load_for(receivers)
        log.refuse_damage(found, "archive")
        return found

    async def delete(self, log: DeltaLog, snapshot: Snapshot, names: Iterable[SegmentName]) -> None:
        coverage = Coverage(snapshot)
        proved = [one for one in names if coverage.proves(one)]
        await log.store.delete([one.key for one in proved])

    async def receiver(self, name: str, segments: int, used: Mapping[int, int]) -> None:
        """One life. ``used``: lanes and last sequences with which a process goes on that was taken for gone."""
        log, here = self.log(), set[SegmentName]()
        lanes = dict(used)
        for _ in range(segments):
            lane = self.random.randrange(3)
            one = SegmentName(name, lane, lanes.get(lane, 0) + 1)
            while True:
                with suppress(StoreError):
                    await put_once(self.store, one.key, b"x")
                    break
                await self.turns(20)
            lanes[lane] = one.sequence
            self.acknowledged.add((one.app_id, one.sequence))
            here.add(one)
            if self.random.random() < 0.4:
                with suppress(LogsinkError):
                    found = await self.archive(log, here)
                    await self.delete(log, found, here)
                    here = {one for one in here if not found.covers(one)}
            await self.turns(self.random.choice([5, 40, 1500]))

    async def adopt(self, log: DeltaLog) -> None:
        """One round: archive what is in the journal, and delete what is proved to be archived."""
        listed = [one.name for one in await list_segments(self.store)]
        for receiver in sorted({one.receiver for one in listed}):
            names = [one for one in listed if one.receiver == receiver]
            found = await self.archive(log, names)
            await self.delete(log, found, names)
            await self.turns(10)

    async def adopter(self) -> None:
        log = self.log()
        while True:
            with suppress(LogsinkError):
                await self.adopt(log)
            await self.turns(60)

    async def rester(self) -> None:
        log = self.log()
        while True:
            with suppress(LogsinkError):
                await make_dormant(log, idle=IDLE, least=1)
            await self.turns(80)

    async def keeper(self) -> None:
        """Checkpoints, clean-up of the log behind them, merges, and retention."""
        log = self.log()
        while True:
            with suppress(LogsinkError):
                await checkpoint(log, 6)
                found = await log.load_anew()
                log.refuse_damage(found, "clean up")
                await self.store.delete([commit_key(version) for version in range(max(0, found.checkpoint))])
                files = self.random.sample(sorted(found.files), min(2, len(found.files)))
                if len(files) == 2 and self.random.random() < 0.8:
                    old = [found.files[path] for path in files]
                    merged = self.data_file(union(*(lanes_of(one.tags) or {} for one in old)))
                    actions: list[Action] = [Remove(one, data_change=False) for one in old]
                    await log.commit(found, [*actions, Add(merged, data_change=False)])
                elif files and self.random.random() < 0.3:
                    await log.commit(found, [Remove(found.files[files[0]], data_change=True)])
            await self.turns(60)

    async def restorer(self) -> None:
        """Somebody puts back segments that were deleted, from a backup perhaps."""
        while True:
            await self.turns(300)
            if self.acknowledged:
                app_id, sequence = self.random.choice(sorted(self.acknowledged))
                receiver, _, lane = app_id.rpartition(".")
                await self.objects.put_absent(SegmentName(receiver, int(lane), sequence).key, b"x")

    async def query(self) -> None:
        """A query sees the store as it is between two turns, and shows everything once."""
        log = DeltaLog(self.objects)
        while True:
            await self.turns(200)
            await self.look(log)

    async def look(self, log: DeltaLog) -> None:
        expected = self.acknowledged - self.objects.retired
        listed = [one.name for one in await list_segments(self.objects)]
        found = await log.wake(await log.load(), {one.receiver for one in listed})
        if not found.intact:
            raise Violation(f"damage: {found.damage[0]}")
        shown = Counter((one.app_id, one.sequence) for one in listed if not found.shows(one))
        for file in found.files.values():
            shown.update(rows_of(lanes_of(file.tags) or {}))
        if lost := expected - shown.keys():
            raise Violation(f"not shown: {min(lost)}")
        if twice := [row for row, count in shown.items() if count > 1]:
            raise Violation(f"shown twice: {twice[0]}")
        if gaps := find_gaps(listed, found.reached):
            raise Violation(f"said to be lost: {gaps[0].key}")
        self.check()

    # One run

    async def run(self) -> None:
        """Let lives come and go, then let everything end, and look at what is left."""
        makers: list[Callable[[], Awaitable[None]]] = [
            self.adopter,
            self.adopter,
            self.rester,
            self.rester,
            self.keeper,
        ]
        tasks = {make: asyncio.ensure_future(make()) for make in (self.restorer, self.query)}
        upkeep = [asyncio.ensure_future(make()) for make in makers]
        receivers: dict[str, asyncio.Future[None]] = {}
        try:
            for _ in range(14):
                name = self.new_receiver() if not receivers or self.random.random() < 0.6 else ""
                if name:
                    receivers[name] = asyncio.ensure_future(self.receiver(name, self.random.randint(1, 8), {}))
                else:
                    await self.wake_late(receivers)
                await self.turns(1200)
                at = self.random.randrange(len(upkeep))
                if self.random.random() < 0.5:  # killed, and another one begins
                    upkeep[at].cancel()
                    upkeep[at] = asyncio.ensure_future(makers[at]())
                for one in (*tasks.values(), *upkeep):
                    if one.done() and not one.cancelled():
                        await one
        finally:
            everything = [*tasks.values(), *upkeep, *receivers.values()]
            for one in everything:
                one.cancel()
            await asyncio.gather(*everything, return_exceptions=True)
            await self.store.settled()
        await self.end()

    async def wake_late(self, receivers: dict[str, asyncio.Future[None]]) -> None:
        """A receiver that was killed, as others see it, goes on where it was."""
        name = self.random.choice(sorted(receivers))
        receivers[name].cancel()
        await asyncio.gather(receivers[name], return_exceptions=True)
        await self.store.settled()
        used = Counter[int]()
        for app_id, sequence in (*self.acknowledged, *self.objects.added, *await self.listed()):
            receiver, _, lane = app_id.rpartition(".")
            if receiver == name:
                used[int(lane)] = max(used[int(lane)], sequence)
        receivers[name] = asyncio.ensure_future(self.receiver(name, self.random.randint(1, 3), used))

    async def listed(self) -> list[Row]:
        return [(one.name.app_id, one.name.sequence) for one in await list_segments(self.objects)]

    async def end(self) -> None:
        """Archive what is left, and see that nothing is missing, and that lanes are where they should be."""
        self.store.schedule = lambda call: Pass()
        for _ in range(3):
            await self.adopt(self.log())
        await self.look(DeltaLog(self.objects))
        if left := await self.listed():
            raise Violation(f"stays in the journal: {left[0]}")
        self.check(archived=True)
        log = DeltaLog(self.objects)
        found = await log.wake(await log.load(), None)
        ends = Counter[str]()
        for app_id, sequence in self.objects.added:
            ends[app_id] = max(ends[app_id], sequence)
        if dict(found.reached) != dict(ends):
            raise Violation("a lane is not where it should be")
        if found.receivers & {receiver_of(app_id) for app_id in ends if app_id not in found.txn}:
            raise Violation("a receiver is dormant with some of its lanes only")


async def _nothing_waits(store: Store) -> list[StoredSegment]:
    return []


def run(seed: int) -> tuple[str, World]:
    """One run: what went wrong, '' for nothing. Receivers are made dormant also while segments of theirs are in the journal."""
    world = World(seed)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(dormancy, "list_segments", _nothing_waits)
            asyncio.run(world.run())
    except (Violation, Damaged) as error:
        return str(error), world
    return "", world


@pytest.mark.parametrize("seed", range(4))
def test_nothing_is_lost_or_doubled_or_hidden(seed: int) -> None:
    wrong, world = run(seed)
    assert not wrong
    assert world.acknowledged


# --- the same without one of the rules


def without_looking(patch: pytest.MonkeyPatch) -> None:
    """A lane that is not in the log's state counts as new."""
    patch.setattr(Snapshot, "last", lambda self, app_id: self.txn.get(app_id, 0))


def without_its_receiver(patch: pytest.MonkeyPatch) -> None:
    """Only commits about the very lane contradict each other, not those about other lanes of a receiver made dormant."""
    patch.setattr(log._Claim, "_contradicts", lambda self, app_id, version: app_id in self.lanes)


def without_the_other_lanes(patch: pytest.MonkeyPatch) -> None:
    """Of a receiver that wakes up, only the lane that moved is in the log's state again."""
    patch.setattr(log, "_with_them", lambda found, actions: [])


def without_meeting(patch: pytest.MonkeyPatch) -> None:
    """A commit that makes lanes dormant does not care whether they have moved since."""
    real = log._Claim._contradicts
    patch.setattr(
        log._Claim, "_contradicts", lambda self, app_id, version: not self.made_dormant and real(self, app_id, version)
    )


def without_being_met(patch: pytest.MonkeyPatch) -> None:
    """A commit that moves a lane does not care whether it was made dormant since."""
    real = log._Claim._contradicts
    patch.setattr(
        log._Claim,
        "_contradicts",
        lambda self, app_id, version: (version != snapshot.ASLEEP or self.made_dormant) and real(self, app_id, version),
    )


def without_the_latest_birth(patch: pytest.MonkeyPatch) -> None:
    """The log names an earlier birth than that of the youngest receiver in an object."""
    patch.setattr(dormancy, "Dormant", lambda name, newest: log.Dormant(name, newest - 100_000))


def without_the_highest(patch: pytest.MonkeyPatch) -> None:
    """Of what several objects say, the first counts."""

    def first(*many: dormant.Positions) -> dict[str, Mapping[str, int]]:
        return {receiver: lanes for positions in reversed(many) for receiver, lanes in positions.items()}

    patch.setattr(waking, "latest", first)


GUARDS = [
    without_looking,
    without_its_receiver,
    without_the_other_lanes,
    without_meeting,
    without_being_met,
    without_the_latest_birth,
    without_the_highest,
]


@pytest.mark.slow
@pytest.mark.parametrize("guard", GUARDS)
def test_each_rule_matters(guard: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch) -> None:
    guard(monkeypatch)
    assert any(run(seed)[0] for seed in range(100)), "nothing went wrong without it"
