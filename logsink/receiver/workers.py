"""Several receivers on the same addresses, each in a process of its own, for machines with cores to spare::

    Workers ---- stop, hurry, report -----------> work(): a Receiver in a process
            <--- Named, Listening, Report, Failed

The kernel gives each connection, and each sender's datagrams, to one of the workers (SO_REUSEPORT). A worker that ends
unasked is replaced; what it had stored is archived by others, like that of any receiver that is gone. The process that started
the workers serves HTTP for all of them; when it is gone, the workers drain and end.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from multiprocessing import get_context, resource_tracker
from multiprocessing.connection import Connection
from typing import NamedTuple, NoReturn

from prometheus_client import Metric

from logsink import telemetry
from logsink.config import Config
from logsink.errors import LogsinkError
from logsink.net import Http, Ports, Readiness, Report, Reservation
from logsink.receiver.named_ids import NamedIds

PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds until a worker that has ended is replaced: at first, and at most.
They double each time that it ends before it listens."""

ANSWER = 3.0
"""Seconds that a worker may take to report: more than it takes to find out that a store does not answer."""

STOPPING = frozenset({signal.SIGHUP, signal.SIGINT, signal.SIGTERM})
"""Signals that a terminal or a service manager sends to all processes at once. A worker that is starting blocks them until it
has a handler for them."""

Announce = Callable[[Mapping[str, Sequence[str]], str | None], None]
Setup = Callable[[int], None]
"""Sets up the log of the worker with this number, in its process."""


class Named(NamedTuple):
    """What a worker sends before it stores anything under an id: the id."""

    receiver: str


class Listening(NamedTuple):
    """What a worker sends once it listens: its addresses by kind."""

    addresses: Mapping[str, Sequence[str]]


class Failed(NamedTuple):
    """What a worker sends last when it cannot start."""

    message: str
    hint: str


class Workers:
    """``config.workers`` receivers. ``await run()`` from a fresh event loop, and ``stop`` them.

    ``announce`` is called once all of them listen, with their addresses by kind, and that of HTTP.
    """

    def __init__(self, config: Config, setup: Setup, announce: Announce) -> None:
        self._reserved = Reservation(config.listen)
        self._listen = self._reserved.listen
        self._ports = Ports(self._listen)
        self._announce = announce
        config = config._replace(listen=self._listen._replace(http=None))
        self._workers = [_Worker(config, setup, number + 1) for number in range(config.workers)]
        self._http = Http(self._report)

    async def run(self) -> int:
        """Receive until ``stop``, and return the exit code: 0 when everything received is stored, 1 when not."""
        open_http = self._ports.open("http", self._listen.http) if self._listen.http else []
        running = [asyncio.create_task(worker.run()) for worker in self._workers]
        settling = asyncio.create_task(_settle())
        try:
            http = self._http.listen(open_http) if open_http else None
            listening = await asyncio.gather(*(worker.listening for worker in self._workers))
            self._reserved.listening()
            self._ports.prove()
            telemetry.WORKING.log(workers=len(running))
            self._announce(listening[0].addresses, http)
        except BaseException as error:
            if not (isinstance(error, asyncio.CancelledError) and self.stopping):
                self.stop("cannot start")
                raise
        finally:
            codes = await asyncio.gather(*running)
            self._http.close()
            self._reserved.close()
            settling.cancel()
            telemetry.flush(final=True)
        return int(any(codes))

    @property
    def stopping(self) -> bool:
        """Whether ``stop`` was called."""
        return any(worker.stopping for worker in self._workers)

    def stop(self, why: str) -> None:
        """Have all workers drain and end; ``why`` is for the log."""
        for worker in self._workers:
            worker.stop(why)

    def hurry(self) -> None:
        """Have all workers cut their drain short."""
        for worker in self._workers:
            worker.hurry()

    async def _report(self, ready: bool) -> Report:
        """Return the report of all workers. Those that are being replaced take no connections, so they do not count."""
        asked = [worker for worker in self._workers if worker.listens] or self._workers
        reports = await asyncio.gather(*(worker.report(ready) for worker in asked))
        told = {worker.number: report for worker, report in zip(asked, reports, strict=True) if report}
        missing = [worker.number for worker in asked if worker.number not in told]
        ready = bool(told) and not missing and all(report.readiness.ready for report in told.values())
        detail = {str(number): report.readiness.detail for number, report in told.items()}
        named = NamedIds.detail(worker.named for worker in self._workers)
        whole = {"pid": os.getpid(), "workers": detail, "no_answer": missing, **named}
        return Report(Readiness(ready, whole), _together(told))


async def _settle() -> None:
    """Write to the log what is counted for it, now and then, until cancelled."""
    while True:
        await asyncio.sleep(ANSWER)
        telemetry.flush()


def _together(reports: Mapping[int, Report]) -> list[Metric]:
    """Return the metrics of all workers, with a label ``worker``, and how often each had to be replaced."""
    families = {one.name: one for one in telemetry.WORKERS_ENDED.collect()}
    for number, report in reports.items():
        for one in report.metrics:
            family = families.setdefault(one.name, Metric(one.name, one.documentation, one.type, one.unit))
            family.samples += (
                sample._replace(labels=sample.labels | {"worker": str(number)}) for sample in one.samples
            )
    return list(families.values())


class _Worker:
    """One worker, in one process after the other. ``listening`` is done when the first of these listens."""

    def __init__(self, config: Config, setup: Setup, number: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._config, self._setup, self.number = config, setup, number
        self.listening: asyncio.Future[Listening] = self._loop.create_future()
        self.listens = False
        self.named = NamedIds()
        self._stop: asyncio.Future[str] = self._loop.create_future()
        self._pipe: Connection | None = None
        self._gone: asyncio.Future[Failed | None] = self._loop.create_future()
        self._answer: asyncio.Future[Report] | None = None

    async def run(self) -> int:
        """Run a process, and another for each that ends before ``stop``; return the exit code of the last."""
        pause = PAUSE
        while True:
            code, error = await self._process()
            if self.stopping and code == 0:
                self.listening.cancel()  # told to stop before it came to listen
            if not self.listening.done():
                self.listening.set_exception(error)
            if self.stopping or self.listening.exception():
                return code
            pause = PAUSE if self.listens else min(2 * pause, LONGEST_PAUSE)
            self.listens = False
            telemetry.WORKERS_ENDED.labels(self.number).inc()
            telemetry.WORKER_ENDED.log(worker=self.number, error=error, seconds=pause)
            await asyncio.wait([self._stop], timeout=pause)
            if self._stop.done():
                return 0

    @property
    def stopping(self) -> bool:
        return self._stop.done()

    def stop(self, why: str) -> None:
        if not self._stop.done():
            self._stop.set_result(why)
            self._order("stop", why)

    def hurry(self) -> None:
        self._order("hurry")

    async def report(self, ready: bool) -> Report | None:
        """Return the worker's report; None: it does not answer. With ``ready``, it finds out first whether puts work."""
        if self._answer is None or self._answer.done():
            self._answer = self._loop.create_future()
            self._order("prove" if ready else "report")
        answer = self._answer
        await asyncio.wait([answer], timeout=ANSWER)
        return answer.result() if answer.done() and not answer.cancelled() else None

    async def _process(self) -> tuple[int, LogsinkError]:
        """Run one process to its end; return its exit code, and an error that explains it."""
        context = get_context("spawn")
        self._pipe, theirs = context.Pipe()
        process = context.Process(target=work, args=(theirs, self._config, self._setup, self.number))
        resource_tracker.ensure_running()  # here, because it unblocks signals when it starts
        with _blocked(STOPPING):
            process.start()
        theirs.close()
        self._gone = self._loop.create_future()
        _read_whole_messages(self._loop, self._pipe, partial(self._receive_message, self._pipe))
        if self.stopping:
            self._order("stop", self._stop.result())
        failed = await self._gone
        self._loop.remove_reader(self._pipe.fileno())
        if self._answer is not None:
            self._answer.cancel()
        self._pipe.close()
        self._pipe = None
        process.join()
        code = process.exitcode or 0
        message, hint = failed or (f"it ended with {_ending(code)}", "")
        return code, LogsinkError(message, hint=hint)

    def _receive_message(self, pipe: Connection) -> None:
        """Take what the worker has sent."""
        try:
            told = pipe.recv()
        except (EOFError, OSError):
            told = None
        match told:
            case Named():
                self.named.add(told.receiver)
            case Listening():
                self.listens = True
                if not self.listening.done():
                    self.listening.set_result(told)
            case Report() if self._answer is not None and not self._answer.done():
                self._answer.set_result(told)
            case Failed() | None if not self._gone.done():
                self._gone.set_result(told)

    def _order(self, order: str, why: str = "") -> None:
        if self._pipe is not None:
            with suppress(OSError):  # the worker is gone, which `_receive_message` finds out
                self._pipe.send((order, why))


def _read_whole_messages(loop: asyncio.AbstractEventLoop, pipe: Connection, read: Callable[[], None]) -> None:
    """Have ``read`` called when a message begins to arrive. It may wait for the rest: one of more than 16 KiB comes in parts.

    The loop makes the pipe non-blocking, with which ``Connection`` takes a part that is not there yet for a broken pipe.
    """
    loop.add_reader(pipe.fileno(), read)
    os.set_blocking(pipe.fileno(), True)


@contextmanager
def _blocked(signals: frozenset[signal.Signals]) -> Iterator[None]:
    """Block these signals meanwhile; a process that is started meanwhile begins with them blocked."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _ending(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def work(pipe: Connection, config: Config, setup: Setup, number: int) -> NoReturn:
    """Run a worker, in a process of its own, to its end; never returns."""
    import uvloop

    # These reach all processes of a terminal; this one gets an order to stop.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    setup(number)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            code = runner.run(_receive(pipe, config))
    except LogsinkError as error:
        with suppress(OSError):
            pipe.send(Failed(str(error), error.hint))
        code = 2
    sys.stderr.flush()
    os._exit(code)


async def _receive(pipe: Connection, config: Config) -> int:
    """Run a receiver until SIGTERM, until the process at the other end of ``pipe`` orders to stop, or until that is gone."""
    from logsink.receiver.receiver import Receiver  # 0.4 s of imports that the process of ``Workers`` does without

    loop = asyncio.get_running_loop()

    def name(receiver: str) -> None:
        with suppress(OSError):  # the first process is gone
            pipe.send(Named(receiver))

    receiver = Receiver(
        config,
        announce=lambda addresses, _: pipe.send(Listening(addresses)),
        on_id=name,
        ports=Ports(config.listen, member=True),
    )

    def obey() -> None:
        try:
            order, why = pipe.recv()
        except (EOFError, OSError):
            loop.remove_reader(pipe.fileno())
            order, why = "stop", "the first process is gone"
        if order == "stop":
            receiver.stop(why)
        elif order == "hurry":
            receiver.hurry()
        elif order == "prove":
            proving.append(loop.create_task(prove()))
        else:
            pipe.send(receiver.report())

    proving: deque[asyncio.Task[None]] = deque(maxlen=2)  # a task that nobody holds may vanish

    async def prove() -> None:
        await receiver.prove()
        with suppress(OSError):
            pipe.send(receiver.report())

    _read_whole_messages(loop, pipe, obey)
    loop.add_signal_handler(signal.SIGTERM, receiver.stop, "SIGTERM")
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
    return await receiver.run()
