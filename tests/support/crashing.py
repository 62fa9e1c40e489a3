"""`logsink` as it is, on a store that kills, stops or misleads the process at a chosen point.

``python -m tests.support.crashing PLAN.json serve ...`` (or ``query ...``). The plan is a ``Plan`` as JSON. What the production
code calls is wrapped here, in this process only; nothing in it knows of crash points.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import stat
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import logsink.store
from logsink.errors import Unavailable
from logsink.store.base import Bytes, Entry, Store

T = TypeVar("T")

NOTHING = json.dumps(
    {
        "commitInfo": {
            "timestamp": 0,
            "operation": "WRITE",
            "operationParameters": {},
            "isBlindAppend": True,
            "engineInfo": "logsink/0.2.0",
            "txnId": "00000000-0000-0000-0000-000000000000",
        }
    }
).encode()
"""A commit that changes nothing, as logsink 0.2 wrote it: of no other program's is anything believed."""


@dataclass
class Point:
    """The ``nth`` call of ``verb`` on a key that matches ``key``, with a body that matches ``body``, or every one from there on
    (``always``).

    act: kill      SIGKILL before the effect, or after it (``after``)
         stop      SIGSTOP, likewise; goes on at SIGCONT
         fail      Unavailable, without the effect
         lose      the effect, then Unavailable
         late      the body is written to ``Plan.late`` for the test to put later; then SIGKILL if ``after``, else Unavailable
         taken     before the effect, another commit that says nothing is put under the very key; then as it comes
         part      (delete) the first ``keep`` keys are deleted, then SIGKILL
         wait      until the file ``Plan.late``/go is there
    """

    verb: str
    key: str
    act: str = "kill"
    nth: int = 1
    after: bool = False
    always: bool = False
    keep: int = 0
    body: str = ""
    calls: int = 0


@dataclass
class Plan:
    """What happens in one process. ``seconds`` replaces settings below what the configuration allows."""

    points: list[Point] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    late: str = ""
    trace: str = ""
    linger: float = 0.3
    answers: int = -1
    """SIGKILL when the so-many-th write of acknowledgements begins; -1: never."""
    half: bool = False
    """Half of that write gets out before."""
    disk: str = ""
    """On ``file://``, a power cut instead of the first of: fsync, link, directory (for a journal object)."""
    midnight: bool = False
    """The first read is before midnight, all later ones after it."""
    checkpoint: str = ""
    """SIGKILL: "hint" before _last_checkpoint is written, "clean" when half of the log is cleaned up."""
    dormant: bool = False
    """Upkeep makes every receiver dormant of which nothing is in the journal, however young it is."""

    def write(self, path: Path) -> Path:
        path.write_text(json.dumps(asdict(self)))
        return path

    @classmethod
    def read(cls, path: Path) -> Plan:
        raw = json.loads(path.read_text())
        return cls(**raw | {"points": [Point(**point) for point in raw["points"]]})


class Crashing(Store):
    """``inner``, with the plan's points. What it did is appended to ``trace``: one JSON object an effect."""

    def __init__(self, inner: Store, plan: Plan) -> None:
        self.inner, self.plan, self.url = inner, plan, inner.url

    async def put(self, key: str, body: Bytes) -> None:
        await self._meet("put", [key], bytes(body), lambda: self.inner.put(key, body))

    async def put_absent(self, key: str, body: Bytes) -> bool:
        return await self._meet("put_absent", [key], bytes(body), lambda: self.inner.put_absent(key, body))

    async def get(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        return await self._meet("get", [key], b"", lambda: self.inner.get(key, start, end))

    async def list(self, prefix: str = "", after: str = "") -> AsyncIterator[Entry]:
        async def everything() -> Sequence[Entry]:
            return [entry async for entry in self.inner.list(prefix, after)]

        for entry in await self._meet("list", [prefix], b"", everything):
            yield entry

    async def delete(self, keys: Iterable[str]) -> None:
        doomed = list(keys)
        await self._meet("delete", doomed, b"", lambda: self.inner.delete(doomed))

    async def exists(self) -> bool:
        return await self.inner.exists()

    async def now(self) -> float:
        return await self._meet("now", [""], b"", self.inner.now)

    async def probe(self) -> None:
        await self.inner.probe()

    async def aclose(self) -> None:
        await self.inner.aclose()

    async def _meet(self, verb: str, keys: Sequence[str], body: bytes, act: Callable[[], Awaitable[T]]) -> T:
        point = self._point(verb, keys[0] if keys else "", body)
        if point is None:
            return await self._traced(verb, keys, act)
        match point.act:
            case "fail":
                raise Unavailable(f"cannot {verb} {keys[0]}: injected")
            case "late":
                Path(self.plan.late, "key").write_text(keys[0])
                Path(self.plan.late, "body").write_bytes(body)
                if not point.after:
                    raise Unavailable(f"cannot {verb} {keys[0]}: injected")
                _die()
            case "taken":
                await self.inner.put_absent(keys[0], NOTHING)
            case "part":
                await self._traced(verb, keys[: point.keep], lambda: self.inner.delete(keys[: point.keep]))
                _die()
            case "wait":
                while not Path(self.plan.late, "go").exists():  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            case "kill" | "stop" if not point.after:
                _die() if point.act == "kill" else _stop()
        result = await self._traced(verb, keys, act)
        if point.after and point.act in ("kill", "stop"):
            _die() if point.act == "kill" else _stop()
        if point.act == "lose":
            raise Unavailable(f"cannot {verb} {keys[0]}: the reply was lost")
        return result

    def _point(self, verb: str, key: str, body: bytes) -> Point | None:
        found = None
        for point in self.plan.points:
            if point.verb == verb and re.search(point.key, key) and re.search(point.body.encode(), body):
                point.calls += 1
                if point.calls == point.nth or (point.always and point.calls > point.nth):
                    found = found or point
        return found

    async def _traced(self, verb: str, keys: Sequence[str], act: Callable[[], Awaitable[T]]) -> T:
        result = await act()
        if self.plan.trace and verb in ("put", "put_absent", "delete"):
            line = json.dumps({"at": time.monotonic_ns(), "pid": os.getpid(), "verb": verb, "keys": keys, "ok": result})
            with open(self.plan.trace, "a") as trace:  # noqa: ASYNC230
                trace.write(line + "\n")
        return result


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _stop() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def main() -> int:
    plan = Plan.read(Path(sys.argv[1]))
    _wrap_store(plan)
    if sys.argv[2] == "serve":
        _wrap_receiver(plan)
    if plan.disk:
        _wrap_disk(plan.disk)
    if plan.checkpoint:
        _wrap_checkpoint(plan.checkpoint)
    from logsink.cli.main import main as command

    sys.argv = ["logsink", *sys.argv[2:]]
    return command() or 0


def replaced(owner: object, name: str, value: object) -> None:
    """Put ``value`` in the place of an attribute that exists."""
    getattr(owner, name)
    setattr(owner, name, value)


def _wrap_store(plan: Plan) -> None:
    opened = logsink.store.open_store

    def open_store(url: str) -> Store:
        return Crashing(opened(url), plan)

    logsink.store.open_store = open_store


def _wrap_receiver(plan: Plan) -> None:
    import logsink.archive.adoption
    import logsink.archive.archiver
    import logsink.archive.maintenance
    import logsink.journal.writer
    import logsink.net.relp
    import logsink.receiver.receiver

    replaced(logsink.receiver.receiver, "open_store", logsink.store.open_store)
    replaced(logsink.archive.archiver, "LINGER", plan.linger)
    replaced(logsink.archive.adoption, "LINGER", plan.linger)
    replaced(logsink.archive.maintenance, "CLEAN_EVERY", 0.0)
    begin = logsink.receiver.receiver.Receiver.__init__

    def init(self: Any, config: Any, **rest: Any) -> None:
        for key, value in plan.seconds.items():
            section, name = key.split(".")
            config = config._replace(**{section: getattr(config, section)._replace(**{name: value})})
        begin(self, config, **rest)

    logsink.receiver.receiver.Receiver.__init__ = init  # type: ignore[method-assign]
    if plan.answers >= 0:
        _wrap_answers(plan)
    if plan.midnight:
        _wrap_clock()
    if plan.dormant:
        _wrap_rest()


def _wrap_answers(plan: Plan) -> None:
    from logsink.wire.relp import RelpSession

    take, left = RelpSession.take_output, plan.answers

    def take_output(self: RelpSession) -> bytes:
        nonlocal left
        out = take(self)
        if b" rsp 6 200 OK" in out or (b"serverclose" in out and plan.answers == 0):
            left -= 1
            if left < 0:
                if plan.half:
                    sockets = [int(fd) for fd in os.listdir("/proc/self/fd") if _is_client(int(fd))]
                    for fd in sockets:
                        os.write(fd, out[: len(out) // 2])
                _die()
        return out

    RelpSession.take_output = take_output  # type: ignore[method-assign]


def _is_client(fd: int) -> bool:
    import socket

    try:
        with socket.socket(fileno=os.dup(fd)) as sock:
            return sock.type == socket.SOCK_STREAM and sock.getpeername()[0] == "127.0.0.1"
    except (OSError, IndexError, TypeError):
        return False


def _wrap_rest() -> None:
    import logsink.archive.maintenance as maintenance
    from logsink.archive.dormancy import make_dormant

    replaced(maintenance, "LEAST", 1)
    replaced(maintenance, "make_dormant", lambda log: make_dormant(log, idle=-1e9, least=1))


def _wrap_clock() -> None:
    from types import SimpleNamespace

    import logsink.journal.writer

    midnight, reads = 1_795_305_600 * 10**9, iter(range(10**9))
    clock = SimpleNamespace(
        time_ns=lambda: midnight + (-(10**9) if next(reads) == 0 else 10**9), monotonic=time.monotonic
    )
    replaced(logsink.journal.writer, "time", clock)


def _wrap_disk(where: str) -> None:
    """At the chosen call for a journal object: what was not forced to the disk yet is lost, and the machine is off."""
    import logsink.store.disk as disk

    write, here = disk.Disk.write, threading.local()

    def armed_write(self: disk.Disk, key: str, body: Bytes, *, replace: bool) -> bool:
        here.armed, here.linked = key.startswith("journal/"), ""
        try:
            return write(self, key, body, replace=replace)
        finally:
            here.armed = False

    class Cut:
        def __getattr__(self, name: str) -> Any:
            return getattr(os, name)

        def fsync(self, fd: int) -> None:
            if getattr(here, "armed", False):
                if where == "fsync" and stat.S_ISREG(os.fstat(fd).st_mode):
                    os.ftruncate(fd, 0)
                    _die()
                if where == "directory" and here.linked:
                    os.unlink(here.linked)
                    _die()
            os.fsync(fd)

        def link(self, source: str, to: str, *, src_dir_fd: int, dst_dir_fd: int) -> None:
            if getattr(here, "armed", False) and where == "link":
                _die()
            os.link(source, to, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)
            here.linked = os.path.join(os.readlink(f"/proc/self/fd/{dst_dir_fd}"), to)

    disk.Disk.write = armed_write  # type: ignore[method-assign]
    replaced(disk, "os", Cut())


def _wrap_checkpoint(where: str) -> None:
    import logsink.archive.checkpointing as checkpointing
    import logsink.archive.maintenance
    from logsink.archive import tidying
    from logsink.archive.log import DeltaLog
    from logsink.archive.snapshot import HINT, LOG

    write, clean = checkpointing.write_checkpoint, tidying.clean_log

    async def write_checkpoint(store: Store, snapshot: Any, *, now: int = 0) -> None:
        await write(store, snapshot, now=now)
        if where == "hint":
            Path(store.url.removeprefix("file://"), HINT).unlink()
            _die()

    async def clean_log(log: DeltaLog, *, thorough: bool = True) -> int:
        directory = Path(log.store.url.removeprefix("file://"), LOG)
        if where == "clean" and (checkpoints := sorted(directory.glob("*.checkpoint.parquet"))):
            old = [path for path in sorted(directory.glob("*.json")) if path.name < checkpoints[-1].name]
            for path in old[: max(1, len(old) // 2)]:
                path.unlink()
            _die()
        return await clean(log, thorough=thorough)

    checkpointing.write_checkpoint = write_checkpoint
    replaced(logsink.archive.maintenance, "clean_log", clean_log)


if __name__ == "__main__":
    sys.exit(main())
