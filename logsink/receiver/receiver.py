"""Runs one receiver: puts the parts together, receives until told to stop, drains.

::

    listeners -> Intake -> Journal -> Archiver          pressure: Journal pauses Intake at memory_limit
                                   -> maintenance       readiness: all of them, at /readyz

Start: HTTP listens; the store is proved to honour put-if-absent and made where there is none (``archive.preparation``, which
tries again where that may help); then the listeners for syslog open. From then on the store is watched: while it is gone, or
another one is in its place, nothing is written, acknowledged or deleted.
Stop: no new connections; peers are told; what they still send is read until they end or ``drain_timeout``; then everything
is stored, acknowledged and archived. What could not be archived is in the journal, where queries and other receivers find it.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import socket
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from logsink import __version__, journal, telemetry, wire
from logsink.archive import Archiver, DeltaLog, Maintenance, Preparation, Rounds, evidence
from logsink.config import Config
from logsink.journal import Journal, ReceiverIds
from logsink.kernel import compile_all
from logsink.kinds import Address
from logsink.net import (
    HTTP_CONNECTIONS,
    KINDS,
    Acceptor,
    Certificates,
    Http,
    Intake,
    Port,
    Ports,
    Readiness,
    RelpConnection,
    Report,
    StreamConnection,
    TcpConnection,
    UdpListener,
    keep_alive,
    small_segments,
)
from logsink.parse import Settings
from logsink.platform import files, malloc
from logsink.receiver.life import Life
from logsink.receiver.named_ids import NamedIds
from logsink.receiver.proof import PutProof
from logsink.store import GuardedStore, Marker, open_store

FILES = 256
"""Files that a receiver opens at most besides connections to it: 32 connections to the store, data files, kernels, its log.

They are kept in reserve: connections are refused before these are used up, or nothing could be acknowledged any more."""

KEPT_ROUNDS = 2
"""Archive rounds whose frames are kept in memory; segments beyond that are read again from the journal."""

LOOP_ROOMS = (wire, journal)
"""Rooms whose kernels the event loop runs for every read. They are compiled before the first connection is accepted, which also
makes them the quickest to call (a call with four arrays takes 0.3 us, by machine code loaded without numba 11)."""

REUSED_ALLOCATION = 16 << 20
"""Bytes up to which malloc uses an allocation again. In fresh pages, the 4 MB of an object take 15 ms to be read, not 7."""

KEPT_FREE = 64 << 20
"""Bytes that malloc keeps for the next allocations."""

ARENAS = 2
"""Arenas of malloc. Its default, eight a core, leaves 70 MB that 30 threads freed in parts unreturned."""

STORED_WITHIN = 5.0
"""Least seconds for what was received to be stored, and then archived, when told to stop: ``drain_timeout`` may be 0."""

STORE_TIMEOUT_AT_STOP = 2.0
"""Seconds that a request to a store which does not answer may take to end, when told to stop before it could be used."""

WATCH = 5.0
"""Seconds between two looks at what changes outside of this process: TLS files, and datagrams that the kernel dropped."""

REST = 1.0
"""Seconds that compaction rests for each second that it works: receiving has at least half of the core that it would take."""


def new_receiver() -> str:
    """Return an id for one life of a receiving process: a UUIDv7 (RFC 9562, 5.7), so that ids sort by the time they began."""
    millis, entropy = time.time_ns() // 1_000_000, int.from_bytes(os.urandom(10))
    value = millis << 80 | 0x7 << 76 | (entropy >> 66 & 0xFFF) << 64 | 0b10 << 62 | entropy & (1 << 62) - 1
    text = f"{value:032x}"
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


Announce = Callable[[Mapping[str, Sequence[str]], str | None], None]
"""Called once everything listens: addresses by kind, and that of HTTP."""


class Receiver:
    """One receiver on a store. ``await run()`` from a fresh event loop, and ``stop`` it.

    ``on_id`` is called with each id of the receiver, before anything is stored under it.
    """

    def __init__(
        self,
        config: Config,
        *,
        announce: Announce | None = None,
        on_id: Callable[[str], None] | None = None,
        ports: Ports | None = None,
    ) -> None:
        self._config, self._announce, self._on_id = config, announce, on_id
        self._named = NamedIds()
        self._ports = ports or Ports(config.listen)
        self._loop = asyncio.get_running_loop()
        self._stop: asyncio.Future[str] = self._loop.create_future()
        self._hurry = asyncio.Event()
        self._acceptors: list[Acceptor] = []
        self._udp: list[UdpListener] = []
        connections, http = allow_connections(config.receive.max_connections)
        self._http = Http(self._report, connections=http)
        self._addresses: dict[str, list[str]] = {kind: [] for kind in KINDS}
        self._certificates: Certificates | None = None
        self._paused_at = 0.0
        self._ready = False
        receive = config.receive
        self._intake = Intake(
            max_message=receive.max_message,
            max_connections=connections,
            memory_limit=receive.memory_limit,
            max_per_sender=receive.max_connections_per_sender,
            relp_window=receive.relp_window,
            max_inflated=receive.max_inflated,
            ack_delay=config.journal.ack_delay,
        )

    async def run(self) -> int:
        """Receive until ``stop``, and return the exit code: 0 when everything received is stored, 1 when not."""
        self._loop.set_exception_handler(unexpected)
        malloc.configure(arenas=ARENAS, mmap_threshold=REUSED_ALLOCATION, trim_threshold=KEPT_FREE)
        self._evidence = evidence(self._config.ledger, self._config.store)
        async with GuardedStore(open_store(self._config.store)) as store:
            log = DeltaLog(store)
            self._receiver_ids = ReceiverIds(store, self._new_id, limit=self._config.maintain.orphan_after / 2)
            self._preparation = Preparation(log, create=self._config.create == "auto")
            telemetry.STARTED.log(version=__version__, receiver=self._receiver_ids.current, store=store.url)
            try:
                at = self._config.listen.http
                http = self._http.listen(self._ports.open("http", at)) if at else None
                marker = await self._usable()
                return await self._receive(store, log, marker, http) if marker else 0
            finally:
                self._http.close()
                telemetry.flush(final=True)

    def _new_id(self) -> str:
        receiver = new_receiver()
        self._named.add(receiver)
        if self._on_id is not None:
            self._on_id(receiver)
        return receiver

    async def _usable(self) -> Marker | None:
        """Wait until the store can be used, and return its marker; None: ``stop`` was called. Raises what does not pass."""
        started = self._loop.create_task(self._preparation.run())
        ends: set[asyncio.Future[Any]] = {started, self._stop}
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        if started.done():
            return started.result()
        if self._preparation.error:
            telemetry.GIVEN_UP.log(why=self._stop.result(), error=self._preparation.error)
        started.cancel()
        await asyncio.wait({started}, timeout=STORE_TIMEOUT_AT_STOP)
        telemetry.STOPPED.log()
        return None

    async def _receive(self, store: GuardedStore, log: DeltaLog, marker: Marker, http: str | None) -> int:
        """Receive until ``stop``, on a store that can be used, and return the exit code."""
        telemetry.STORE_ID.log(id=marker.id, created=marker.created)
        store.guard(marker.id)
        await self._loop.run_in_executor(None, compile_all, *LOOP_ROOMS)
        self._begin(store, log)
        duties = (self._archiver.run, self._maintain, self._watch, self._receiver_ids.watch, store.watch)
        upkeep = [self._loop.create_task(go_on(duty)) for duty in duties]
        try:
            self._listen()
            telemetry.READY.log()
            self._ready = True
            if self._life is not None:
                self._life.begin(f"logsink {__version__} is ready as receiver {self._receiver_ids.current}")
            if self._announce is not None:
                self._announce(self._addresses, http)
            ends: set[asyncio.Future[Any]] = {self._stop, self._journal.failed}
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            return await self._drain()
        finally:
            for task in upkeep:
                task.cancel()
            await asyncio.gather(*upkeep, return_exceptions=True)
            await self._close()

    @property
    def stopping(self) -> bool:
        """Whether ``stop`` was called."""
        return self._stop.done()

    def stop(self, why: str) -> None:
        """Have ``run`` drain and return; ``why`` is for the log."""
        if not self._stop.done():
            self._stop.set_result(why)

    def hurry(self) -> None:
        """Have a drain end at once."""
        self._hurry.set()

    async def prove(self) -> None:
        """Find out whether the store takes objects, unless it has just taken one; ``report`` has the outcome."""
        if self._ready:
            await self._proof.renew()

    def report(self) -> Report:
        """Return whether the receiver is ready, and its metrics."""
        if self._ready:
            self._intake.losses.refresh()
            self._intake.last_seen.tell()
            telemetry.UNSTORED.set(self._journal.unstored)
        return Report(self._readiness(), list(telemetry.REGISTRY.collect()))

    def _begin(self, store: GuardedStore, log: DeltaLog) -> None:
        """Make the parts behind the listeners."""
        self._store, self._proof = store, PutProof(store)
        config, receive = self._config, self._config.receive
        self._rounds = Rounds(log)
        self._maintenance = Maintenance(self._rounds, config.archive, config.maintain, self._evidence, rest=REST)
        self._archiver = Archiver(self._rounds, config.archive, hold=KEPT_ROUNDS * config.archive.max_bytes)
        self._journal = Journal(
            store,
            self._receiver_ids.current,
            Settings(receive.default_timezone, receive.deploy_sd_id),
            config.journal,
            memory_limit=receive.memory_limit,
            largest_batch=len(self._intake.buffer),
            on_release=self._archiver.add,
            on_pressure=self._pressure,
            ids=self._receiver_ids,
            store_id=store.id,
            newest_commit=lambda: log.newest,
            announce=store.announce,
        )
        self._intake.attach(self._journal)
        self._life = Life(self._journal, receive.deploy_sd_id) if receive.own_events else None

    def _listen(self) -> None:
        listen = self._config.listen
        if listen.tls or listen.relp_tls:
            self._certificates = Certificates(self._config.tls)
        self._listen_stream("tcp", listen.tcp, TcpConnection)
        self._listen_stream("relp", listen.relp, RelpConnection)
        self._listen_stream("tls", listen.tls, TcpConnection)
        self._listen_stream("relp_tls", listen.relp_tls, RelpConnection)
        for address in listen.udp:
            for sock in self._ports.open("udp", address):
                self._udp.append(UdpListener(self._intake, sock))
                self._opened("udp", sock)
        self._ports.prove()

    async def _watch(self) -> None:
        """Look at what changes outside of this process, until cancelled."""
        while True:
            await asyncio.sleep(WATCH)
            if self._certificates is not None:
                self._certificates.refresh()
            self._intake.losses.refresh()
            self._intake.losses.report(self._loop.time())
            telemetry.flush()

    def _listen_stream(
        self, kind: str, addresses: Sequence[Address], connection: type[TcpConnection] | type[RelpConnection]
    ) -> None:
        listen, receive = self._config.listen, self._config.receive
        proxies = listen.proxy_protocol_from if kind in listen.proxy_protocol_on else ()
        certificates = self._certificates if kind.endswith("tls") else None
        port = Port(certificates, receive.opening_timeout, proxies, receive.max_inflation, receive.max_connection_age)

        def connect(sender: str | None) -> StreamConnection | None:
            one = connection(self._intake, port)
            return one if one.accepted(sender) else None

        for address in addresses:
            for sock in self._ports.open(kind, address):
                keep_alive(sock, receive.keepalive)
                if kind.startswith("relp"):
                    small_segments(sock)
                self._acceptors.append(Acceptor(kind, sock, connect))
                self._opened(kind, sock)

    def _opened(self, kind: str, sock: socket.socket) -> None:
        host, port = sock.getsockname()[:2]
        self._addresses[kind].append(str(Address(host, port)))
        telemetry.LISTENING.log(address=self._addresses[kind][-1], transport=kind)

    async def _maintain(self) -> None:
        """Compact, expire and clean up the store every ``maintain.every`` seconds, until cancelled."""
        while True:
            await asyncio.sleep(self._config.maintain.every)
            try:
                await self._maintenance.once(own=self._receiver_ids.used)
            except Exception as error:  # noqa: BLE001  receiving goes on; it is tried again, and the log has it
                telemetry.MAINTENANCE_FAILED.log(error=error)

    def _pressure(self, paused: bool) -> None:
        if paused:
            self._paused_at = self._loop.time()
            telemetry.PAUSE.log(bytes=self._journal.unstored, limit=self._config.receive.memory_limit)
        else:
            telemetry.RESUME.log(seconds=self._loop.time() - self._paused_at)
        self._intake.pressure(paused)

    async def _drain(self) -> int:
        """Read until the peers end, store and archive everything, and return the exit code."""
        if not self._stop.done():
            error = self._journal.failed.exception()
            telemetry.FATAL.log(error=error)
            return 1
        began = self._loop.time()
        timeout, open_now = self._config.receive.drain_timeout, len(self._intake.connections)
        telemetry.DRAINING.log(why=self._stop.result(), seconds=timeout, connections=open_now)
        for acceptor in self._acceptors:
            acceptor.close()
        self._intake.losses.refresh()  # what the kernel dropped is known only while a socket is open
        for listener in self._udp:
            listener.close()
        self._intake.losses.report(math.inf)
        self._intake.drain()
        if not await self._until(self._intake.empty.wait(), timeout):
            seconds = self._loop.time() - began
            telemetry.DRAIN_CUT.log(connections=len(self._intake.connections), seconds=seconds)
            for connection in list(self._intake.connections):
                connection.abort()
            await self._intake.empty.wait()
        if self._life is not None:
            seconds = self._loop.time() - began
            self._life.append(
                "stopping", logging.INFO, f"{self._stop.result()}: stops after {seconds:.3g} s of draining"
            )
        timeout = max(timeout, STORED_WITHIN)
        if not await self._until(self._journal.flush(), timeout) and self._journal.unstored:
            cause = "told to stop at once" if self._hurry.is_set() else "the store did not take it in time"
            telemetry.NOT_STORED.log(bytes=self._journal.unstored, error=cause)
            return 1
        await self._until(self._archiver.drain(time.monotonic() + timeout), timeout)
        if left := self._archiver.health.segments:
            telemetry.NOT_ARCHIVED.log(segments=left)
        telemetry.flush(final=True)
        telemetry.STOPPED.log()
        return 0

    async def _until(self, work: Awaitable[object], timeout: float) -> bool:
        """Return whether ``work`` finished within ``timeout`` seconds and before ``hurry``; it is cancelled if not."""
        task = asyncio.ensure_future(work)
        hurry = self._loop.create_task(self._hurry.wait())
        ends: set[asyncio.Future[Any]] = {task, hurry, self._journal.failed}
        await asyncio.wait(ends, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        done = task.done()
        hurry.cancel()
        task.cancel()
        await asyncio.gather(task, hurry, return_exceptions=True)
        return done

    async def _close(self) -> None:
        for acceptor in self._acceptors:
            acceptor.close()
        if self._life is not None:
            self._life.close()
        self._proof.close()
        await self._journal.aclose()
        self._journal.failed.cancel()
        self._rounds.close()
        self._maintenance.close()

    async def _report(self, ready: bool) -> Report:
        if ready:
            await self.prove()
        return self.report()

    def _readiness(self) -> Readiness:
        if not self._ready:
            error = self._preparation.error
            store_error = str(error) if error else None
            starting = {"pid": os.getpid(), "receiver": self._receiver_ids.current, "store_error": store_error}
            return Readiness(False, starting)
        archive, journal = self._archiver.health, self._journal
        failing = self._store.error or journal.failing or self._proof.error
        detail: dict[str, object] = {
            "pid": os.getpid(),
            "receiver": self._receiver_ids.current,
            **NamedIds.detail([self._named]),
            "store": self._store.id,
            "draining": self._intake.draining,
            "paused": journal.paused,
            "unstored_bytes": journal.unstored,
            "store_error": str(failing) if failing else None,
            "archive_backlog_bytes": archive.nbytes,
            "archive_backlog_segments": archive.segments,
            "archive_error": archive.error or None,
        }
        return Readiness(not (self._intake.draining or journal.paused or failing or journal.failed.done()), detail)


def allow_connections(connections: int) -> tuple[int, int]:
    """Return how many ``connections`` of senders, and how many to HTTP, leave ``FILES`` files for everything else.

    Raises the limit of open files as far as that is needed and allowed; logs where it is not enough.
    """
    needed = connections + HTTP_CONNECTIONS + FILES
    limit = files.allow_files(needed)
    if limit == needed:
        return connections, HTTP_CONNECTIONS
    most = max(limit - FILES, limit // 4)
    http = min(HTTP_CONNECTIONS, max(most // 8, 1))
    telemetry.FEW_FILES.log(limit=limit, connections=most - http)
    return most - http, http


async def go_on(duty: Callable[[], Awaitable[None]]) -> None:
    """Do ``duty``, which never ends, until cancelled. Where an error ends it, log that, and begin it again after ``WATCH``."""
    while True:
        try:
            await duty()
        except Exception as error:  # noqa: BLE001  no duty may end unseen while messages are received
            telemetry.CRASHED.log(where=duty.__qualname__, error=error, trace=error)
        await asyncio.sleep(WATCH)


def unexpected(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log an exception of the event loop that nobody has caught. A transport's errors are left to ``connection_lost``."""
    error = context.get("exception")
    if isinstance(error, OSError) and "transport" in context:
        return
    telemetry.CRASHED.log(where=context["message"], error=error or "", trace=error)
