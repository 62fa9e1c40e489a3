"""Receivers of a simulation: the code that archives and maintains, of many receivers on one store, under a virtual clock."""

from __future__ import annotations

import asyncio
import random
import uuid
from typing import NamedTuple

import numpy as np

from logsink.archive import Archiver, DeltaLog, Maintenance, Rounds, settle
from logsink.config import Archive, Maintain
from logsink.journal import ReceiverIds
from logsink.journal.segment import Segment, SegmentName, encode_segment
from logsink.parse import Frames, Origin, Settings
from logsink.store import GuardedStore, put_once
from logsink.store.guarded import IDLE
from tests.support.virtual import Bill, CountedStore, VirtualLoop


class Load(NamedTuple):
    """What each receiver gets: a segment every so many seconds, of so many rows."""

    segment_every: float = 10.0
    rows: int = 2


LOAD, ARCHIVE, MAINTAIN = Load(), Archive(), Maintain()


class Simulated:
    """One receiver: it stores segments as its journal would, archives them, and does its share of the maintenance."""

    def __init__(
        self, number: int, store: CountedStore, loop: VirtualLoop, load: Load, archive: Archive, maintain: Maintain
    ) -> None:
        self.id = str(uuid.UUID(int=number))
        self._loop, self._load, self._maintain = loop, load, maintain
        self._store = GuardedStore(store, idle=IDLE, clock=loop.time)
        self._ids = ReceiverIds(self._store, lambda: self.id, limit=maintain.orphan_after / 2, clock=loop.time)
        self.log = DeltaLog(self._store, monotonic=loop.time, wall=loop.wall)
        rounds = Rounds(self.log)
        self.archiver = Archiver(rounds, archive, hold=2 * archive.max_bytes)
        self.maintenance = Maintenance(rounds, archive, maintain)
        self.stored = 0

    async def run(self) -> None:
        """Receive, until cancelled; begin at any time of the first minute."""
        await asyncio.sleep(random.uniform(0, 60))
        self._store.guard((await settle(self.log, create=True)).id)
        duties = (self.archiver.run(), self._keep_up(), self._store.watch(), self._ids.watch(), self._receive())
        try:
            async with asyncio.TaskGroup() as group:
                for duty in duties:
                    group.create_task(duty)
        finally:
            self.maintenance.close()

    async def _receive(self) -> None:
        while True:
            await asyncio.sleep(self._load.segment_every * random.uniform(0.5, 1.5))
            name = SegmentName(self.id, 0, self.stored + 1)
            frames = self._frames()
            one = Segment(name, Settings(), frames, name.sequence, self._store.id, {}, self.log.newest)
            self._store.announce()
            await put_once(self._store, name.key, memoryview(encode_segment(one)).cast("B"))
            self.stored += 1
            self.archiver.add(one)

    def _frames(self) -> Frames:
        now = self._loop.wall()
        lines = [b"<13>1 - web nginx - - - %f %d" % (now, k) for k in range(self._load.rows)]
        n = len(lines)
        return Frames(
            np.frombuffer(b"".join(lines), np.uint8),
            np.cumsum([0, *map(len, lines)]).astype(np.int32),
            np.zeros(n, np.int32),
            np.full(n, int(now * 1e6), np.int64),
            np.zeros(n, np.int32),
            (Origin("192.0.2.1", None, "tcp"),),
        )

    async def _keep_up(self) -> None:
        while True:
            await asyncio.sleep(self._maintain.every)
            await self.maintenance.once(own=[self.id])


class Figures(NamedTuple):
    """What a fleet asked for between two times of a simulation: its bill, the seconds, and what there was at the end."""

    receivers: int
    seconds: float
    bill: Bill
    rows: int
    stored: int
    files: int
    tombstones: int
    versions: int
    checkpoint_bytes: int


async def observe(
    loop: VirtualLoop,
    receivers: int,
    *,
    warm_up: float,
    seconds: float,
    load: Load = LOAD,
    archive: Archive = ARCHIVE,
    maintain: Maintain = MAINTAIN,
) -> Figures:
    """Run so many receivers, and return what they asked for in ``seconds`` after ``warm_up``."""
    store = CountedStore(loop.wall)
    fleet = [Simulated(number + 1, store, loop, load, archive, maintain) for number in range(receivers)]
    tasks = [loop.create_task(one.run()) for one in fleet]
    try:
        await asyncio.wait(tasks, timeout=warm_up)
        before, version = store.bill.copy(), max(one.log.newest for one in fleet)
        done, _ = await asyncio.wait(tasks, timeout=seconds)
        for task in done:
            task.result()
        bill = store.bill.since(before)
        snapshot = await fleet[0].log.load()
        assert snapshot.intact, snapshot.damage
        return Figures(
            receivers,
            seconds,
            bill,
            sum(file.rows for file in snapshot.files.values()),
            load.rows * sum(one.stored for one in fleet),
            len(snapshot.files),
            len(snapshot.tombstones),
            snapshot.version - version,
            max((len(body) for key, body in store.bodies() if "checkpoint.parquet" in key), default=0),
        )
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await store.aclose()
