"""Group commit: what is durable when, in which order, and what happens when the store does not play along."""

from __future__ import annotations

import asyncio
import io
import itertools
from collections.abc import Callable

import numpy as np
import pytest
import uvloop

from logsink import telemetry
from logsink.config import Journal as Limits
from logsink.errors import LogsinkError, Unavailable
from logsink.journal import writer
from logsink.journal.reader import list_segments, read_segment
from logsink.journal.receiver_ids import ReceiverIds
from logsink.journal.segment import Segment, SegmentName, decode_segment
from logsink.journal.writer import Journal
from logsink.parse import Origin, Settings
from logsink.store.base import Bytes, Store
from logsink.store.memory import MemoryStore
from logsink.wire.batch import Batch

ORIGIN = Origin("10.0.0.1", None, "relp")
SOON = Limits(ack_delay=0.0, max_delay=0.001, max_bytes=1 << 16, parallel_puts=2)
NEVER = Limits(ack_delay=3600, max_delay=3600, max_bytes=1 << 16, parallel_puts=2)


def batch(*frames: bytes) -> Batch:
    data = np.zeros(4096, np.uint8)
    whole = b"".join(frames)
    data[: len(whole)] = np.frombuffer(whole, np.uint8)
    ends = np.cumsum([len(f) for f in frames]).astype(np.int32)
    starts = (ends - [len(f) for f in frames]).astype(np.int32)
    return Batch(data, starts, ends, np.zeros(len(frames), np.int32))


class Gated(MemoryStore):
    """Puts wait for their gate, in whatever order a test opens the gates; ``trouble`` is raised instead, once each."""

    def __init__(self) -> None:
        super().__init__()
        self.started: dict[str, asyncio.Event] = {}
        self.gates: dict[str, asyncio.Event] = {}
        self.done: dict[str, asyncio.Event] = {}
        self.trouble: list[Exception] = []
        self.lose_reply = False

    def _of(self, events: dict[str, asyncio.Event], key: str) -> asyncio.Event:
        return events.setdefault(key, asyncio.Event())

    async def put_absent(self, key: str, body: Bytes) -> bool:
        if self.trouble:
            raise self.trouble.pop(0)
        self._of(self.started, key).set()
        await self._of(self.gates, key).wait()
        written = await super().put_absent(key, body)
        self._of(self.done, key).set()
        if self.lose_reply:
            self.lose_reply = False
            raise Unavailable("cannot put: the reply was lost")
        return written

    async def under_way(self, key: str) -> None:
        await self._of(self.started, key).wait()

    async def finished(self, key: str) -> None:
        await self._of(self.done, key).wait()

    def let(self, key: str) -> None:
        self._of(self.gates, key).set()


class Bench:
    """A journal on a store, with what it released and said."""

    def __init__(
        self,
        store: Store,
        limits: Limits,
        memory_limit: int = 1 << 20,
        ids: ReceiverIds | None = None,
    ) -> None:
        self.released: list[Segment] = []
        self.pressure: list[bool] = []
        self.acked: list[int] = []
        self.journal = Journal(
            store,
            "r",
            Settings(),
            limits,
            memory_limit=memory_limit,
            largest_batch=4096,
            on_release=self.released.append,
            on_pressure=self.pressure.append,
            ids=ids,
        )

    def append(self, *frames: bytes) -> int:
        return self.journal.append(batch(*frames), ORIGIN, self._waiter()).ordinal

    def _waiter(self) -> Callable[[], None]:
        return lambda: self.acked.append(self.journal.durable)


def key(lane: int, sequence: int) -> str:
    return SegmentName("r", lane, sequence).key


async def turns() -> None:
    """Let everything run that can run without an event from outside."""
    for _ in range(20):
        await asyncio.sleep(0)


async def until_stored(store: Store, count: int) -> None:
    async with asyncio.timeout(20):
        while len(await list_segments(store)) < count:  # noqa: ASYNC110
            await asyncio.sleep(0)


async def frames_in(store: Store) -> list[bytes]:
    found = []
    for stored in await list_segments(store):
        f = (await read_segment(store, stored.name)).frames
        found += [f.data[f.offsets[i] : f.offsets[i + 1]].tobytes() for i in range(len(f))]
    return found


async def test_nothing_is_acknowledged_before_it_is_stored() -> None:
    store = Gated()
    bench = Bench(store, SOON)
    ordinal = bench.append(b"<13>a", b"<13>b")
    await store.under_way(key(0, 1))
    assert bench.journal.durable < ordinal
    assert bench.acked == []
    assert bench.journal.unstored > 0
    store.let(key(0, 1))
    await bench.journal.flush()
    assert bench.acked == [ordinal]
    assert bench.journal.unstored == 0
    assert await frames_in(store) == [b"<13>a", b"<13>b"]
    await bench.journal.aclose()


async def test_acknowledgements_leave_in_order_across_lanes() -> None:
    store = Gated()
    bench = Bench(store, SOON)
    first = bench.append(b"<13>a")
    await store.under_way(key(0, 1))
    second = bench.append(b"<13>b")
    await store.under_way(key(1, 1))
    store.let(key(1, 1))
    await store.finished(key(1, 1))
    await turns()
    assert bench.acked == []
    store.let(key(0, 1))
    await bench.journal.flush()
    assert bench.acked == [first, second]
    assert [s.name.key for s in bench.released] == [key(0, 1), key(1, 1)]
    await bench.journal.aclose()


async def test_segments_say_what_other_lanes_have_stored() -> None:
    """So the loss of the newest segment of a lane is noticed as soon as any other lane goes on."""
    store = Gated()
    bench = Bench(store, SOON)
    bench.append(b"<13>a")
    await store.under_way(key(0, 1))
    bench.append(b"<13>b")
    await store.under_way(key(1, 1))
    store.let(key(0, 1))
    await store.finished(key(0, 1))
    await turns()
    bench.append(b"<13>c")
    await store.under_way(key(0, 2))
    store.let(key(1, 1))
    store.let(key(0, 2))
    await bench.journal.flush()
    bench.append(b"<13>d")
    store.let(key(0, 3))
    await bench.journal.flush()
    said = {number: decode_segment(await store.get(key(*number))).stored for number in ((0, 1), (1, 1), (0, 2), (0, 3))}
    app = "r.1"
    assert said[0, 1] == said[1, 1] == said[0, 2] == {}
    assert said[0, 3] == {app: 1}
    await bench.journal.aclose()


async def test_whoever_watches_an_ordinal_is_told_too() -> None:
    store = Gated()
    bench = Bench(store, SOON)
    told: list[int] = []
    under_way = bench.append(b"<13>a")
    await store.under_way(key(0, 1))
    filling = bench.append(b"<13>b")
    for ordinal in (under_way, filling):
        bench.journal.watch(ordinal, lambda ordinal=ordinal: told.append(ordinal))
    store.let(key(0, 1))
    store.let(key(1, 1))
    await bench.journal.flush()
    assert told == [under_way, filling]
    bench.journal.watch(filling, lambda: told.append(0))
    assert told == [under_way, filling]
    await bench.journal.aclose()


async def test_only_who_waits_for_an_acknowledgement_is_measured() -> None:
    """A sender that is paused until there is memory again is told too, and waits for nothing that it has sent."""

    def measured() -> float:
        return telemetry.REGISTRY.get_sample_value("logsink_ack_seconds_count") or 0.0

    bench, before = Bench(MemoryStore(), NEVER), measured()
    bench.journal.watch(bench.journal.append(batch(b"<13>a"), ORIGIN).ordinal, lambda: None)
    await bench.journal.flush()
    assert measured() == before
    bench.append(b"<13>b")
    await bench.journal.flush()
    assert measured() == before + 1
    await bench.journal.aclose()


async def test_a_lane_sends_the_next_only_when_the_last_is_stored() -> None:
    store = Gated()
    bench = Bench(store, Limits(ack_delay=0.0, max_delay=0.001, max_bytes=1 << 16, parallel_puts=1))
    bench.append(b"<13>a")
    await store.under_way(key(0, 1))
    bench.append(b"<13>b")
    bench.append(b"<13>c")
    flush = asyncio.create_task(bench.journal.flush())
    await turns()
    assert set(store.started) == {key(0, 1)}
    store.let(key(0, 1))
    store.let(key(0, 2))
    await flush
    assert await frames_in(store) == [b"<13>a", b"<13>b", b"<13>c"]
    assert len(bench.released) == 2
    await bench.journal.aclose()


async def test_failed_puts_are_tried_again_and_lost_replies_found_out() -> None:
    store = Gated()
    store.trouble = [Unavailable("cannot put: 503"), Unavailable("cannot put: reset")]
    store.lose_reply = True
    store.let(key(0, 1))
    bench = Bench(store, SOON)
    bench.append(b"<13>a")
    await bench.journal.flush()
    assert bench.journal.failing is None
    assert len(bench.acked) == 1
    assert await frames_in(store) == [b"<13>a"]
    await bench.journal.aclose()


async def test_a_store_that_is_down_is_one_line_and_a_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "_BACKOFF_FIRST", 0.0001)
    store, out = Gated(), io.StringIO()
    store.trouble = [Unavailable("cannot put: 503") for _ in range(8)]
    for sequence in (1, 2, 3):
        store.let(key(0, sequence))
    telemetry.setup(stream=out)
    bench = Bench(store, SOON)
    for _ in range(3):  # three outages, or one that comes and goes
        bench.append(b"<13>a")
        await bench.journal.flush()
        store.trouble += [Unavailable("cannot put: 503") for _ in range(8)]
    await bench.journal.aclose()
    telemetry.flush(final=True)
    telemetry.setup()
    lines = [line for line in out.getvalue().splitlines() if "cannot store segment" in line]
    assert len(lines) == 2
    assert "(one of 23 in " in lines[1]
    assert out.getvalue().count("\n") == 4


async def test_another_receivers_segment_is_fatal_and_nothing_is_acknowledged() -> None:
    store = MemoryStore()
    await store.put(key(0, 1), b"somebody else's")
    bench = Bench(store, SOON)
    bench.append(b"<13>a")
    with pytest.raises(LogsinkError, match="another receiver has written it"):
        await bench.journal.failed
    with pytest.raises(LogsinkError, match="another receiver has written it"):
        await bench.journal.flush()
    assert bench.acked == []
    await bench.journal.aclose()


async def test_memory_limit_pauses_and_resumes() -> None:
    store = Gated()
    bench = Bench(store, SOON, memory_limit=5000)
    for _ in range(5):
        bench.append(b"x" * 1500)
    assert bench.pressure == [True]
    assert bench.journal.paused
    for lane in range(2):
        for sequence in range(1, 6):
            store.let(key(lane, sequence))
    await bench.journal.flush()
    assert bench.pressure == [True, False]
    await bench.journal.aclose()


async def test_a_full_fill_is_sent_at_once() -> None:
    store = MemoryStore()
    bench = Bench(store, NEVER)
    frame = b"x" * 4000
    while not await list_segments(store):
        bench.append(frame)
        await asyncio.sleep(0)
    assert bench.released or bench.journal.unstored >= NEVER.max_bytes
    await bench.journal.flush()
    assert set(await frames_in(store)) == {frame}
    await bench.journal.aclose()


async def test_many_frames_wait_a_little_longer_for_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "_LONGER", 3600.0)
    store = MemoryStore()
    bench = Bench(store, SOON)
    frames = [b"x"] * writer._FAST
    bench.append(*frames[1:])
    await until_stored(store, 1)
    bench.append(*frames)
    await asyncio.sleep(10 * SOON.max_delay)
    assert len(await list_segments(store)) == 1
    bench.append(b"one more")
    monkeypatch.setattr(writer, "_LONGER", 0.0)
    bench.append(b"which wakes it")
    await until_stored(store, 2)
    assert len(await frames_in(store)) == 2 * len(frames) + 1
    await bench.journal.aclose()


async def test_reads_are_never_split_and_received_strictly_increases() -> None:
    store = MemoryStore()
    bench = Bench(store, Limits(ack_delay=3600, max_delay=3600, max_bytes=1 << 16, parallel_puts=4))
    reads = 200
    for i in range(reads):
        bench.append(*[b"<13>%03d " % i + b"y" * 190] * 10)
    await bench.journal.flush()
    received: dict[bytes, set[tuple[str, int]]] = {}
    for stored in await list_segments(store):
        f = (await read_segment(store, stored.name)).frames
        for i in range(len(f)):
            number = f.data[f.offsets[i] + 4 : f.offsets[i] + 7].tobytes()
            received.setdefault(number, set()).add((stored.name.key, int(f.received[i])))
    assert len(received) == reads
    assert all(len(places) == 1 for places in received.values())
    times = [next(iter(received[number]))[1] for number in sorted(received)]
    assert all(a < b for a, b in itertools.pairwise(times))
    await bench.journal.aclose()


async def test_a_cancelled_flush_loses_nothing() -> None:
    store = Gated()
    bench = Bench(store, NEVER)
    bench.append(b"<13>a")
    flush = asyncio.create_task(bench.journal.flush())
    await store.under_way(key(0, 1))
    flush.cancel()
    await asyncio.gather(flush, return_exceptions=True)
    store.let(key(0, 1))
    await bench.journal.flush()
    assert await frames_in(store) == [b"<13>a"]
    await bench.journal.aclose()


def test_it_wakes_once_for_a_fill() -> None:
    """uvloop's clock counts milliseconds: what is left of one when sums of them are rounded is nothing to wait for."""
    woken = []

    async def fills() -> None:
        bench = Bench(MemoryStore(), Limits(ack_delay=0.02, max_delay=1.0, max_bytes=1 << 16, parallel_puts=1))
        wake = bench.journal._wake
        bench.journal._wake = lambda: (woken.append(1), wake())  # type: ignore[method-assign,assignment,return-value]
        for _ in range(30):
            stored = asyncio.Event()
            bench.journal.append(batch(b"<13>a"), ORIGIN, stored.set)
            await stored.wait()
        await bench.journal.aclose()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(fills())
    assert len(woken) <= 2 * 30
