"""Stores as receivers, upkeep and time leave them, made by the real parts, and kept as templates of which copies are damaged.

Time is the only thing that is made up: messages are received on days that are over, so that files of these days are merged.
"""

from __future__ import annotations

import asyncio
import itertools
import os
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from logsink.archive import adoption, archiver, decode_ledger, dormancy
from logsink.archive.log import DeltaLog
from logsink.archive.maintenance import Maintenance
from logsink.archive.rounds import Rounds
from logsink.config import Maintain, load
from logsink.journal import StoredSegment, decode_segment, writer
from logsink.journal.reader import list_segments, read_segment
from logsink.parse import RAW_COLUMNS, raw_frames
from logsink.query import Query, search
from logsink.receiver.receiver import Receiver
from logsink.store import open_store
from logsink.store.base import Store
from tests.support.relp_client import RelpClient

DAY = 86_400
MORE = 7
"""Bursts by which a day of the next set of stores is longer."""

AGES = 1e9
"""Seconds: what is to happen at once when it is this long overdue."""

DEFAULTS = load(None, {}, {"store": "file:///nowhere"})

LATER = DEFAULTS.maintain._replace(
    every=AGES, orphan_after=AGES, checkpoint_every=10**6, compact_after=AGES, keep_removed=AGES
)
"""Upkeep that finds nothing to do."""

EAGER = LATER._replace(orphan_after=-1.0, checkpoint_every=5, compact_after=-AGES, keep_removed=-AGES)
"""Upkeep that does everything at once."""

PATIENCE = 20.0
"""Most seconds for messages to be acknowledged by a receiver that has no reason to wait."""


class Frames:
    """Frames of which no two are alike: several hosts and apps, with structured data, and some that are no UTF-8."""

    def __init__(self, start: int = 0) -> None:
        self.next = start

    def take(self, count: int) -> list[bytes]:
        first, self.next = self.next, self.next + count
        return [self._one(n) for n in range(first, first + count)]

    def _one(self, n: int) -> bytes:
        head = b"<%d>1 2026-11-24T03:%02d:%02d.%06dZ" % (8 * (n % 24) + n % 8, n // 60 % 60, n % 60, n)
        if n % 17 == 0:
            return head + b" web-%d app%d - - - bad \xff\xfe bytes %d" % (n % 5, n % 3, n)
        if n % 5 == 0:
            return head + b' web-%d app%d %d id [x@1 k="%d"] %s %d' % (n % 5, n % 3, n, n, b"filler " * (n % 7), n)
        return head + b" web-%d app%d - - - message %d" % (n % 5, n % 3, n)


@asynccontextmanager
async def receiving(
    url: str,
    *,
    upkeep: Maintain = LATER,
    archiving: bool = True,
    patience: float = PATIENCE,
    drain: float = PATIENCE,
    segments: int = 4,
) -> AsyncIterator[int]:
    """A real receiver in this process; its RELP port, or 0 when it is not ready in time.

    ``segments``: how many make a commit. ``drain``: seconds for which it may archive after it is stopped. Not ``archiving``, or
    after ``TimeoutError``: what is not archived yet stays in the journal.
    """
    config = load(None, {}, {"store": url, "listen.relp": ["127.0.0.1:0"]})
    config = config._replace(
        archive=config.archive._replace(max_segments=segments, max_age=AGES),
        receive=config.receive._replace(drain_timeout=min(patience, drain), own_events=False),
        journal=config.journal._replace(ack_delay=0.0, max_delay=0.001, max_bytes=1 << 11, parallel_puts=3),
        maintain=upkeep,
    )
    ready: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def announce(addresses: Mapping[str, Any], _: object) -> None:
        ready.set_result(int(addresses["relp"][0].rpartition(":")[2]))

    receiver = Receiver(config, announce=announce)
    task = asyncio.create_task(receiver.run())
    try:
        await asyncio.wait([task, ready], return_when=asyncio.FIRST_COMPLETED, timeout=patience)
        if task.done():
            task.result()
        yield ready.result() if ready.done() else 0
    except TimeoutError:
        archiving = False
    finally:
        if not archiving:
            receiver.hurry()
        receiver.stop("test")
        await task


async def send(port: int, frames: list[bytes], *, burst: int = 12, taken: list[bytes] | None = None) -> None:
    """Send frames in bursts, each acknowledged before the next: bursts become segments of several lanes."""
    client = RelpClient(port, window=100)
    client.acknowledged = taken if taken is not None else []
    try:
        for first in range(0, len(frames), burst):
            await client.send(*frames[first : first + burst])
            await client.settle()
        await client.close()
    finally:
        client.drop()


async def maintain(url: str, upkeep: Maintain) -> Any:
    """One thorough round of upkeep, which deletes at once what it may delete at all."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (adoption, archiver):
            patch.setattr(module, "LINGER", -1.0)
        async with open_store(url) as store:
            rounds = Rounds(DeltaLog(store))
            maintenance = Maintenance(rounds, DEFAULTS.archive, upkeep)
            try:
                return await maintenance.once(thorough=True)
            finally:
                maintenance.close()
                rounds.close()


async def dormant(url: str, *, waiting: bool = False) -> None:
    """Make all receivers dormant; ``waiting``: also those whose segments are in the journal."""

    async def nothing(store: Store) -> list[StoredSegment]:
        return []

    with pytest.MonkeyPatch.context() as patch:
        if waiting:
            patch.setattr(dormancy, "list_segments", nothing)
        async with open_store(url) as store:
            assert await dormancy.make_dormant(DeltaLog(store), idle=-AGES, least=1)


@dataclass
class Template:
    """A store to copy: its objects, and what the machine knows of them.

    sent      frames that were acknowledged, and that no retention has taken
    frames    key of each segment and data file -> the frames that it holds
    counting  keys of those whose frames an answer comes from: live files, and segments that no commit covers
    past      contents that a key had earlier; its object may be gone
    refers    key of each segment -> the prefixes of other lanes, with the last sequence that it says was stored there
    knows     key of each segment and ledger -> the version of the table that it says was there
    """

    name: str
    objects: dict[str, bytes]
    sent: Counter[bytes]
    frames: dict[str, Counter[bytes]]
    counting: frozenset[str]
    past: dict[str, list[bytes]] = field(default_factory=dict)
    refers: dict[str, dict[str, int]] = field(default_factory=dict)
    knows: dict[str, int] = field(default_factory=dict)
    directory: Path = Path()


class Builder:
    """Makes one store below ``directory``."""

    def __init__(self, name: str, directory: Path) -> None:
        self.name, self.directory, self.url = name, directory / name, f"file://{directory / name}"
        self.frames, self.sent = Frames(), Counter[bytes]()
        self.seen: dict[str, list[bytes]] = {}

    async def day(self, before: int, bursts: int, *, archiving: bool = True, upkeep: Maintain = LATER) -> None:
        """A receiver's life on a day that was ``before`` days ago."""
        with pytest.MonkeyPatch.context() as patch:
            real = writer.time.time_ns
            patch.setattr(writer, "time", SimpleNamespace(time_ns=lambda: real() - before * DAY * 10**9))
            async with receiving(self.url, upkeep=upkeep, archiving=archiving) as port:
                frames = self.frames.take(bursts * 12)
                await send(port, frames, burst=12 if before % 2 else 60)
                self.sent.update(frames)
        self.look()

    async def upkeep(self, **changes: Any) -> None:
        done = await maintain(self.url, LATER._replace(**changes))
        assert not done.failed, done
        self.look()

    def look(self) -> None:
        """Remember what every object holds now."""
        for key, body in read_objects(self.directory).items():
            bodies = self.seen.setdefault(key, [])
            if not bodies or bodies[-1] != body:
                bodies.append(body)

    async def finish(self, retired: Callable[[str], bool] = lambda date: False) -> Template:
        objects = read_objects(self.directory)
        past = {key: [one for one in bodies if one != objects.get(key)] for key, bodies in self.seen.items()}
        async with open_store(self.url) as store:
            frames, counting = await contents(store)
        past = {key: bodies for key, bodies in past.items() if bodies}
        template = Template(
            self.name, objects, self.sent, frames, counting, past, *claims(objects), directory=self.directory
        )
        total: Counter[bytes] = Counter()
        for key in counting:
            total.update(frames[key])
        assert not total - self.sent, "rows that were never sent"
        template.sent = total if retired("") else self.sent
        assert total == template.sent, (self.name, len(total), len(template.sent))
        return template


def claims(objects: Mapping[str, bytes]) -> tuple[dict[str, dict[str, int]], dict[str, int]]:
    """What segments and ledgers say of other objects: ``Template.refers`` and ``Template.knows``."""
    refers: dict[str, dict[str, int]] = {}
    knows: dict[str, int] = {}
    for key, body in objects.items():
        if key.startswith("journal/"):
            segment = decode_segment(body)
            lanes = {app_id.rpartition("."): last for app_id, last in segment.stored.items()}
            refers[key] = {f"journal/{receiver}/{lane}/": last for (receiver, _, lane), last in lanes.items()}
            knows[key] = segment.commit
        elif key.startswith("ledger/"):
            knows[key] = decode_ledger(body).version
    return refers, knows


async def contents(store: Store) -> tuple[dict[str, Counter[bytes]], frozenset[str]]:
    """The frames of each segment and data file of an intact store, and the keys whose frames count."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from logsink.archive.snapshot import ROOT
    from logsink.parse import FILE_SCHEMA

    snapshot = await DeltaLog(store).load()
    frames: dict[str, Counter[bytes]] = {}
    counting = {file.key for file in snapshot.files.values()}
    for stored in await list_segments(store):
        one = (await read_segment(store, stored.name)).frames
        data, ends = one.data.tobytes(), one.offsets.tolist()
        frames[stored.name.key] = Counter(data[a:b] for a, b in itertools.pairwise(ends))
        if not snapshot.covers(stored.name):
            counting.add(stored.name.key)
    async for entry in store.list(f"{ROOT}date="):
        table = pq.read_table(pa.BufferReader(await store.get(entry.key)), partitioning=None)
        rows = table.select([name for name in FILE_SCHEMA.names if name in table.column_names])
        frames[entry.key] = Counter(raw_frames(rows).to_pylist())
    return frames, frozenset(counting)


def read_objects(directory: Path) -> dict[str, bytes]:
    """All objects of a store in a directory."""
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file() and not path.name.startswith(".")
    }


# --- the stores


async def running(directory: Path, more: int = 0) -> Template:
    """A receiver runs: commits, segments that linger, and a tail of segments in three lanes."""
    build = Builder("running", directory)
    await build.day(1, 9 + more)
    await build.day(0, 10 + more, archiving=False)
    return await build.finish()


async def merged(directory: Path, more: int = 0) -> Template:
    """Receivers have stopped: files of three dates, merged and not, checkpoints, the removed files still there."""
    build = Builder("merged", directory)
    for before in (4, 3):
        await build.day(before, 9 + more)
    await build.upkeep(orphan_after=-1.0)
    await build.upkeep(compact_after=0.0, checkpoint_every=3)
    await build.day(2, 8 + more)
    await build.upkeep(compact_after=0.0, checkpoint_every=4)
    await build.day(0, 9 + more)
    return await build.finish()


async def aged(directory: Path, more: int = 0) -> Template:
    """After retention: dates are gone, files deleted, the log begins with a checkpoint, and receivers are dormant; then two
    others at once.
    """
    build = Builder("aged", directory)
    for before in (9, 8, 3):
        await build.day(before, 7 + more)
    await build.upkeep(orphan_after=-1.0, compact_after=0.0)
    kept = Counter(build.sent)
    for frame in Frames().take(2 * (7 + more) * 12):
        del kept[frame]
    await build.upkeep(retention=6.0 * DAY, keep_removed=-AGES, checkpoint_every=2)
    build.sent = kept
    log = build.directory / "logs" / "_delta_log"
    for path in log.glob("*.json"):
        os.utime(path, (path.stat().st_mtime - 60 * DAY,) * 2)
    await build.day(2, 6 + more)
    await build.upkeep(checkpoint_every=2)
    await dormant(f"file://{build.directory}")
    await asyncio.gather(build.day(0, 6 + more, archiving=False), build.day(0, 5, archiving=False))
    return await build.finish()


async def quiet(directory: Path, more: int = 0) -> Template:
    """Nothing is in the journal: receivers are gone, and all is archived and merged."""
    build = Builder("quiet", directory)
    await build.day(2, 5 + more)
    await build.upkeep(orphan_after=-1.0)
    await build.upkeep(orphan_after=-1.0, compact_after=0.0, keep_removed=-AGES)
    return await build.finish()


TEMPLATES: dict[str, Callable[[Path, int], Awaitable[Template]]] = {
    "running": running,
    "merged": merged,
    "aged": aged,
    "quiet": quiet,
}


async def make_all(directory: Path, sets: int = 1) -> list[Template]:
    """Make every store once, or several sets of them, each larger than the one before."""
    made = []
    for number in range(sets):
        place = directory / f"set{number}"
        place.mkdir()
        made += [await make(place, MORE * number) for make in TEMPLATES.values()]
    return made


async def ask_rows(store: Store) -> Counter[bytes]:
    """Every frame that a query shows."""
    found: Counter[bytes] = Counter()
    async with aclosing(search(store, Query(columns=RAW_COLUMNS))) as parts:
        async for part in parts:
            found.update(raw_frames(part).to_pylist())
    return found
