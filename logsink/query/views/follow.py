"""What is stored from some moment on: each row once, in the order in which its receiver read it.

Where a follower stands is a vector: for each lane the last sequence it has taken, for each receiver the time of the last
read. New rows are the journal's segments beyond that. They are shown when all segments before them have been (``ordinal``),
which is when their senders have been told that they are stored; a segment that does not come for ``PATIENCE`` is not waited for
(its receiver died, or its PUT takes long: then it is shown when it comes).

A segment may be archived and deleted before it was seen: when this process was stopped, or its reader was slow. Then the lane
has a gap, and the rows come from the table: those of that receiver with a later time of receipt, which within a receiver
only grows.
"""

from __future__ import annotations

import asyncio
import base64
import time
import zlib
from collections.abc import AsyncGenerator, Coroutine, Iterable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import orjson
import pyarrow as pa

from logsink.archive import DeltaLog, Snapshot
from logsink.errors import ArgumentError, NotFound
from logsink.journal import Segment, StoredSegment, list_segments, read_segment
from logsink.parse import Frames
from logsink.query.columns import as_array, as_integers
from logsink.query.read import Plan, Report, parse_segments, prefetched, search, sift
from logsink.query.request.conditions import Between, OneOf
from logsink.query.request.filters import Filter
from logsink.query.request.query import Query
from logsink.store import CountingStore, Store

PATIENCE: Final = 5.0
"""Seconds that a missing segment is waited for before those behind it are shown."""

LOOK: Final = 20.0
"""Seconds after which the table is looked at although no gap was seen; segments are deleted a minute after their commit."""

ROWS: Final = 16_384
"""Most rows of a table that is handed out."""

READS: Final = 8
"""Segments read at once."""

HOLES: Final = 1000
"""Most segments of one receiver that are still expected after they were waited for in vain."""

_EVER: Final = -(1 << 60)


@dataclass
class Cursor:
    """How far somebody has read.

    lanes     appId -> last sequence
    reads     receiver -> time of its last read, microseconds
    ordinals  receiver -> ordinal of its last segment, where that is known
    """

    lanes: dict[str, int] = field(default_factory=dict)
    reads: dict[str, int] = field(default_factory=dict)
    ordinals: dict[str, int] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """As text without spaces, for another process to go on from."""
        packed = zlib.compress(orjson.dumps([1, self.lanes, self.reads, self.ordinals]), 9)
        return base64.urlsafe_b64encode(packed).decode().rstrip("=")

    @classmethod
    def parse(cls, text: str) -> Cursor:
        """The cursor that a cursor names. ``ArgumentError``."""
        try:
            padded = text.strip() + "=" * (-len(text.strip()) % 4)
            version, *parts = orjson.loads(zlib.decompress(base64.urlsafe_b64decode(padded)))
            if version == 1 and len(parts) == 3 and all(isinstance(n, int) for part in parts for n in part.values()):
                return cls(*parts)
        except (ValueError, TypeError, AttributeError, zlib.error):
            pass
        raise ArgumentError(
            f"cannot read {text[:40]!r} as a cursor", hint="take one that --cursor-file or --show-cursor gave"
        )

    @classmethod
    def at_end_of(cls, plan: Plan) -> Cursor:
        """The cursor where everything in a plan has been read. ``Follower.settle`` completes ``reads`` from the journal."""
        cursor = cls(dict(plan.snapshot.txn))
        for segment in plan.segments:
            app_id = segment.name.app_id
            cursor.lanes[app_id] = max(cursor.lanes.get(app_id, 0), segment.name.sequence)
        ends = {
            file.path.rpartition("/")[2]: int(file.stats.maximum.get("received", 0))
            for file in plan.snapshot.files.values()
        }
        latest = max(ends.values(), default=0)
        for receiver in {app_id.rpartition(".")[0] for app_id in cursor.lanes}:
            own = [end for name, end in ends.items() if name.startswith(f"{receiver}-")]
            cursor.reads[receiver] = max(own, default=latest)
        return cursor


class Follower:
    """Rows that ``query`` finds beyond ``cursor``; its limit and order mean nothing. One reader at a time."""

    def __init__(self, store: Store, query: Query, cursor: Cursor) -> None:
        self.cursor = cursor
        self.report = Report(began=time.time())
        self._store, self._query = CountingStore(store, self.report), query
        self._columns = tuple(dict.fromkeys(("received", *query.columns)))
        self._missed: dict[str, float] = {}
        """Receiver -> when its next segment was first missed."""
        self._holes: set[tuple[str, int]] = set()
        """Receiver and ordinal of segments that were waited for in vain."""
        self._archived: dict[str, int] = {}
        """Receiver -> time of receipt up to which its rows were taken from the table."""
        self._looked = time.monotonic()
        self._log = DeltaLog(self._store)

    async def settle(self, plan: Plan) -> None:
        """Read from the last segments of a plan how far their receivers have come; see ``Cursor.at_end_of``."""
        last = {stored.name.app_id: stored for stored in plan.segments}  # they are in order of their sequences
        for segment in await asyncio.gather(*(self._read(stored) for stored in last.values())):
            if segment is not None:
                self._take(segment)

    async def poll(self, *, look: bool = False) -> AsyncGenerator[pa.Table, None]:
        """What is new, in order; nothing if nothing is. ``look``: at the table too, although nothing seems to be missing."""
        fresh = [stored for stored in await list_segments(self._store) if stored.name.sequence > self._seen(stored)]
        if look or time.monotonic() - self._looked > LOOK or self._gaps(fresh):
            async with aclosing(self._from_table(fresh)) as found:
                async for rows in found:
                    yield rows
        async with aclosing(self._segments(s for s in fresh if s.name.sequence > self._seen(s))) as segments:
            there = [segment async for segment in segments]
        if None in there:
            self._looked = float("-inf")  # archived and deleted between the listing and now
        for rows in await asyncio.to_thread(self._rows, self._ready([segment for segment in there if segment])):
            yield rows

    async def _segments(self, stored: Iterable[StoredSegment]) -> AsyncGenerator[Segment | None, None]:
        left = iter(stored)

        def job() -> Coroutine[Any, Any, Segment | None] | None:
            one = next(left, None)
            return None if one is None else self._read(one)

        async with aclosing(prefetched(job, lambda _: READS)) as results:
            async for segment in results:
                yield segment

    async def _read(self, stored: StoredSegment) -> Segment | None:
        try:
            return await read_segment(self._store, stored.name)
        except NotFound:
            return None

    def _seen(self, stored: StoredSegment) -> int:
        return self.cursor.lanes.get(stored.name.app_id, 0)

    def _gaps(self, fresh: Iterable[StoredSegment]) -> bool:
        """Whether a lane's next segment is not there although later ones are."""
        first: dict[str, StoredSegment] = {}
        for stored in fresh:
            first.setdefault(stored.name.app_id, stored)
        return any(stored.name.sequence > self._seen(stored) + 1 for stored in first.values())

    def _ready(self, there: Iterable[Segment]) -> list[tuple[Segment, int]]:
        """The segments whose turn it is, in order, each with the time of receipt beyond which its rows are new."""
        ready: list[tuple[Segment, int]] = []
        waits: set[str] = set()
        now = time.monotonic()
        for segment in sorted(there, key=lambda s: (s.name.receiver, s.ordinal, s.name.lane, s.name.sequence)):
            receiver, ordinal = segment.name.receiver, segment.ordinal
            if receiver in waits:
                continue
            late = (receiver, ordinal) in self._holes
            expected = self._expected(segment)
            if ordinal > expected and not late:
                if now - self._missed.setdefault(receiver, now) < PATIENCE:
                    waits.add(receiver)
                    continue
                self._holes.update((receiver, missing) for missing in range(max(expected, ordinal - HOLES), ordinal))
            ready.append((segment, _EVER if late else self._archived.get(receiver, _EVER)))
            self._take(segment)
        return ready

    def _expected(self, segment: Segment) -> int:
        """The ordinal of the segment that comes next; where that is not known, of this one unless its lane has a gap before it.

        The listing of a directory to which a lane writes may hold a later segment of it and not an earlier one.
        """
        receiver, app_id, sequence = segment.name.receiver, segment.name.app_id, segment.name.sequence
        last = self.cursor.ordinals.get(receiver)
        if last is not None:
            return last + 1
        if receiver not in self.cursor.reads:
            return 1
        return segment.ordinal - (sequence > self.cursor.lanes.get(app_id, 0) + 1)

    def _take(self, segment: Segment) -> None:
        name, cursor = segment.name, self.cursor
        cursor.lanes[name.app_id] = max(cursor.lanes.get(name.app_id, 0), name.sequence)
        if len(segment.frames):
            cursor.reads[name.receiver] = max(cursor.reads.get(name.receiver, _EVER), int(segment.frames.received[-1]))
        cursor.ordinals[name.receiver] = max(cursor.ordinals.get(name.receiver, 0), segment.ordinal)
        self._missed.pop(name.receiver, None)
        self._holes.discard((name.receiver, segment.ordinal))

    def _rows(self, segments: Iterable[tuple[Segment, int]]) -> list[pa.Table]:
        """The rows of these segments that are wanted, by time of receipt; what was read at once stays as it came."""
        sifted = [_beyond(sift(segment, self._query.filter), after) for segment, after in segments]
        rows = parse_segments(sifted, self._query.filter, self._columns)
        return self._counted(rows.take(as_array(as_integers(rows.column("received")).argsort(kind="stable"))))

    def _counted(self, rows: pa.Table) -> list[pa.Table]:
        self.report.rows += rows.num_rows
        return [rows.slice(start, ROWS) for start in range(0, rows.num_rows, ROWS)]

    async def _from_table(self, fresh: Iterable[StoredSegment]) -> AsyncGenerator[pa.Table, None]:
        """What was archived before it was seen."""
        snapshot = await self._log.load()
        self._looked = time.monotonic()
        there = {(stored.name.app_id, stored.name.sequence) for stored in fresh}
        for receiver in sorted({app_id.rpartition(".")[0] for app_id in snapshot.txn}):
            if not self._misses(snapshot, receiver, there):
                continue
            after = self.cursor.reads.get(receiver, _EVER)
            of_it = (OneOf("receiver", (receiver,)), Between("received", after + 1, None))
            query = Query(Filter((*self._query.filter.conditions, *of_it)), self._columns)
            async with aclosing(search(self._store, query, journal=False)) as found:
                async for rows in found:
                    newest = int(as_integers(rows.column("received")).max())
                    self.cursor.reads[receiver] = max(self.cursor.reads.get(receiver, _EVER), newest)
                    self._archived[receiver] = max(self._archived.get(receiver, _EVER), newest)
                    for part in self._counted(rows.select(self._columns)):
                        yield part
            for app_id, covered in snapshot.txn.items():
                if app_id.rpartition(".")[0] == receiver:
                    self.cursor.lanes[app_id] = max(self.cursor.lanes.get(app_id, 0), covered)
            self.cursor.reads.setdefault(receiver, _EVER)
            self.cursor.ordinals.pop(receiver, None)

    def _misses(self, snapshot: Snapshot, receiver: str, there: set[tuple[str, int]]) -> bool:
        """Whether the table has segments of a receiver that were not taken and are not in the journal any more."""
        for app_id, covered in snapshot.txn.items():
            seen = self.cursor.lanes.get(app_id, 0)
            if app_id.rpartition(".")[0] == receiver and covered > seen:
                held = sum((app_id, sequence) in there for sequence in range(seen + 1, covered + 1))
                if held < covered - seen:
                    return True
        return False


def _beyond(segment: Segment, after: int) -> Segment:
    """The segment without what was received by ``after``."""
    frames = segment.frames
    first = int(np.searchsorted(frames.received, after, "right"))
    if not first:
        return segment
    kept = Frames(
        frames.data,
        frames.offsets[first:],
        frames.flags[first:],
        frames.received[first:],
        frames.origin[first:],
        frames.origins,
    )
    return segment._replace(frames=kept)
