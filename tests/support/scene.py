"""A store, receivers that crash as planned, a RELP client that sends again, and what must hold in the end.

Every test of crash points ends in ``Scene.settle``: the client has everything acknowledged by a healthy receiver, everything
that is left over is adopted, and then the invariants of docs/architecture.md are looked at in the store itself.
"""

from __future__ import annotations

import asyncio
import collections
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest

from logsink.archive import adoption
from logsink.archive.adoption import adopt
from logsink.archive.compaction import Compactor
from logsink.archive.log import DeltaLog
from logsink.archive.retention import remove_files
from logsink.archive.rounds import Rounds
from logsink.archive.snapshot import HINT, ROOT
from logsink.config import Archive, Maintain
from logsink.flags import Flag
from logsink.journal.reader import list_segments
from logsink.parse import RAW_COLUMNS, raw_frames
from logsink.query import Query, search
from logsink.store import open_store
from logsink.store.base import Store
from tests.support.crashing import Plan, Point
from tests.support.receiver import Receiver
from tests.support.relp_client import RelpClient

QUICK = {"archive.max_age": 0.15, "maintain.every": 0.2, "maintain.orphan_after": 1.0, "receive.drain_timeout": 10.0}
"""Settings of receivers, in seconds: crashes, adoption and all within a second or two."""

PATIENCE = 60.0

AGES = 1e9
"""Seconds: what is to happen at once when it is this long overdue."""

COMPACTING = {"maintain.compact_after": -AGES, "maintain.keep_removed": -AGES}
"""Settings of receivers that merge whatever there is, and delete at once what nobody may need any more."""


class Crasher(Receiver):
    """`logsink serve` with a plan."""

    def __init__(self, scene: Scene, name: str, plan: Plan, port: int, **settings: str) -> None:
        super().__init__(scene.url, scene.directory / name, environ=None, **settings)
        plan.seconds = QUICK | plan.seconds
        plan.trace = str(scene.directory / "trace")
        plan.late = plan.late or str(scene.directory)
        path = plan.write(scene.directory / name / "plan.json")
        self.command = [sys.executable, "-m", "tests.support.crashing", str(path)]
        self.listen = {"relp": port, "http": 0}

    async def __aenter__(self) -> Crasher:
        return await asyncio.to_thread(self.start)

    def start(self) -> Crasher:
        self.__enter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self.stop)

    async def died(self, work: Coroutine[None, None, None] | None = None) -> None:
        """Until it has been killed, by itself; ``work`` goes on as long as it lives."""
        task = asyncio.create_task(work) if work is not None else None
        assert await asyncio.to_thread(self.wait) == -signal.SIGKILL, self.log
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def stopped(self) -> None:
        """Until it has stopped itself."""
        assert self.process is not None
        path = Path(f"/proc/{self.process.pid}/stat")
        async with asyncio.timeout(PATIENCE):
            while path.read_text().rpartition(")")[2].split()[0] != "T":  # noqa: ASYNC110
                await asyncio.sleep(0.01)


class Scene:
    """One test's world. ``url`` is on a local directory unless an S3 server is given."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.url = f"file://{directory}/store"
        self.receivers: list[Crasher] = []
        self.clients: list[RelpClient] = []
        self.numbers = 0

    async def aclose(self) -> None:
        """Let go of what a test that failed has left open."""
        for client in self.clients:
            client.drop(reset=True)
        await asyncio.sleep(0)

    def receiver(self, *points: Point, port: int = 0, plan: Plan | None = None, **settings: str) -> Crasher:
        """A receiver that is to be entered with ``async with``."""
        plan = plan or Plan()
        plan.points = list(points)
        one = Crasher(self, f"r{len(self.receivers)}", plan, port, **settings)
        self.receivers.append(one)
        return one

    def client(self, receiver: Crasher, *, window: int = 128) -> RelpClient:
        client = RelpClient(receiver.port("relp"), window=window)
        self.clients.append(client)
        return client

    def frames(self, count: int) -> list[bytes]:
        """Frames of which there are no two alike."""
        first, self.numbers = self.numbers, self.numbers + count
        return [b"<13>1 - web-1 test %d - - message %d" % (n, n) for n in range(first, first + count)]

    @asynccontextmanager
    async def store(self) -> AsyncIterator[Store]:
        async with open_store(self.url) as store:
            yield store

    async def query(self, *, dedupe: bool = False) -> collections.Counter[bytes]:
        """Every frame that a query shows now."""
        return collections.Counter(frame for frame, _ in await self.rows(dedupe=dedupe))

    async def rows(self, *, dedupe: bool = False) -> list[tuple[bytes, int]]:
        """Frames and flags that a query shows now."""
        found: list[tuple[bytes, int]] = []
        query = Query(columns=(*RAW_COLUMNS, "flags"), dedupe=dedupe)
        async with self.store() as store, aclosing(search(store, query)) as parts:
            async for part in parts:
                found += zip(raw_frames(part).to_pylist(), part.column("flags").to_pylist(), strict=True)
        return found

    async def check_now(self) -> None:
        """What holds at every moment: acknowledged frames are there, and lanes have no gap (I1, I2, I8)."""
        acknowledged = [frame for client in self.clients for frame in client.acknowledged]
        found = await self.rows()
        counts = collections.Counter(frame for frame, _ in found)
        missing = [frame for frame in acknowledged if not counts[frame]]
        assert not missing, f"{len(missing)} acknowledged frames are missing, {missing[0]!r} for one"
        doubled = {frame for frame, n in counts.items() if n > 1}
        unflagged = collections.Counter(frame for frame, flags in found if not flags & Flag.MAYBE_RESENT)
        assert all(unflagged[frame] <= 1 for frame in doubled), "a frame is there twice and not flagged"
        async with self.store() as store:
            segments = await list_segments(store)
            snapshot = await DeltaLog(store).load_for({one.name.receiver for one in segments})
        lanes: dict[str, list[int]] = collections.defaultdict(list)
        for one in segments:
            lanes[one.name.app_id].append(one.name.sequence)
        for app_id, sequences in lanes.items():
            beyond = [n for n in sequences if n > snapshot.last(app_id)]
            first = snapshot.last(app_id) + 1
            assert beyond == list(range(first, first + len(beyond))), (
                f"lane {app_id} has a gap: {beyond} after {first - 1}"
            )

    async def settle(self, *, doubles: bool = True) -> None:
        """Everything comes to rest; then what was sent is there, and nothing else.

        Not ``doubles``: nothing was sent again before, and only what has to be now may be there twice.
        """
        await self.check_now()
        owed = {frame for client in self.clients for frame in client.owed}
        waiting = [client for client in self.clients if client.owed]
        if waiting:
            async with self.receiver() as healthy:
                for client in waiting:
                    client.port = healthy.port("relp")
                    async with asyncio.timeout(PATIENCE):
                        await client.close()
            assert healthy.exit_code == 0, healthy.log
        await self.adopt_everything()
        await self.check_now()
        sent = collections.Counter(frame for client in self.clients for frame in client.sent)
        found = await self.query()
        assert set(found) == set(sent), f"{len(set(sent) - set(found))} missing, {len(set(found) - set(sent))} unknown"
        if not doubles:
            assert (found - sent).keys() <= owed
        assert await self.query(dedupe=True) == sent
        self._check_trace()

    async def rounds(self, client: RelpClient, times: int, frames: int, *, pause: float = 0.0) -> None:
        """Send, and have it acknowledged, so many times, with pauses; then close."""
        for _ in range(times):
            await client.send(*self.frames(frames))
            await client.settle()
            await asyncio.sleep(pause)
        await client.close()

    async def adopt_everything(self) -> None:
        """Adoption until the journal is empty, compaction until nothing is to be merged; then no data file is nobody's."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(adoption, "LINGER", -1.0)
            async with self.store() as store:
                rounds = Rounds(DeltaLog(store))
                compactor = Compactor(rounds.log, Maintain(retention=None, compact_after=-AGES))
                try:
                    for _ in range(10):
                        await adopt(rounds, Archive(), orphan_after=-1.0)
                        if not await list_segments(store):
                            break
                    assert not await list_segments(store), "segments are left in the journal"
                    while await compactor.step():
                        pass
                    await remove_files(rounds.log, orphan_after=-AGES, keep_removed=-AGES)
                finally:
                    compactor.close()
                    rounds.close()
                snapshot = await DeltaLog(store).load()
                files = {entry.key.removeprefix(ROOT) async for entry in store.list(f"{ROOT}date=")}
                assert files == set(snapshot.files)

    def _check_trace(self) -> None:
        """Segments were deleted only when the table had them (I6), data files only when it did not (I7), and no key was ever
        written twice, but checkpoints and the hint that names one (I5).
        """
        effects = [json.loads(line) for line in (self.directory / "trace").read_text().splitlines()]
        written = collections.Counter(
            key
            for effect in effects
            if effect["verb"] != "delete" and effect["ok"] is not False
            for key in effect["keys"]
            # A segment may be put again, with the same bytes, after it is deleted.
            if not (key.startswith(("probe/", "journal/")) or key == HINT or key.endswith(".checkpoint.parquet"))
        )
        assert all(n == 1 for n in written.values()), [key for key, n in written.items() if n > 1]
        txn: dict[str, int] = {}
        live: set[str] = set()
        committed: set[str] = set()
        for effect in sorted(effects, key=lambda effect: effect["at"]):
            for key in effect["keys"]:
                if effect["verb"] == "put_absent" and key.startswith(f"{ROOT}_delta_log/") and key not in committed:
                    committed.add(key)  # whoever tries it after that finds it there, and moves nothing
                    self._moves(key, txn, live)
                if effect["verb"] == "delete" and key.startswith(f"{ROOT}date="):
                    assert key.removeprefix(ROOT) not in live, f"{key} was deleted while it was live"
                if effect["verb"] == "delete" and key.startswith("journal/"):
                    _, receiver, lane, name = key.split("/")
                    assert txn.get(f"{receiver}.{lane}", 0) >= int(name.removesuffix(".arrow")), (
                        f"{key} was deleted too soon"
                    )

    def _moves(self, key: str, txn: dict[str, int], live: set[str]) -> None:
        path = self.directory / "store" / key
        for action in map(json.loads, path.read_bytes().splitlines() if path.exists() else ()):
            if (one := action.get("txn")) is not None:
                txn[one["appId"]] = max(txn.get(one["appId"], 0), one["version"])
            live -= {action["remove"]["path"]} if "remove" in action else set()
            live |= {action["add"]["path"]} if "add" in action else set()


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def query_process(scene: Scene, plan: Plan) -> subprocess.Popen[bytes]:
    """`logsink query` with a plan: every frame, octet-counted."""
    plan.late = plan.late or str(scene.directory)
    path = plan.write(scene.directory / f"query-{time.monotonic_ns()}.json")
    command = [sys.executable, "-m", "tests.support.crashing", str(path), "query", "--store", scene.url]
    command += ["-n", "0", "-o", "raw", "-q"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
