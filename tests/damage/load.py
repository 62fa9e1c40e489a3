"""A receiver under load beside everything that is asked: a sender goes on until it is told to stop."""

from __future__ import annotations

import asyncio
import io
import logging
import re
import tempfile
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Protocol

from logsink import telemetry
from logsink.errors import LogsinkError
from tests.damage.stores import Frames, receiving
from tests.support.receiver import Receiver
from tests.support.relp_client import RelpClient

BURST, PAUSE = 6, 0.03
"""Frames that are sent at once, each such burst becoming a segment, and seconds between two of them."""

SEGMENTS = 12
"""Segments of one commit: there are two or three a second."""

SETTLE = 60.0
"""Seconds within which a receiver that has no reason to wait must have acknowledged everything."""

LOG = io.StringIO()
"""What receivers in this process have logged."""

LOGGED = re.compile(r"^\d{4}-\d\d-\d\dT\S+Z (?:\w+) .*$", re.MULTILINE)
"""A line of a receiver's log, which may get between what a command says."""


_running: list[Load] = []


def log_apart() -> None:
    """Have a receiver that runs in this process log to ``LOG``: commands in this process log to their own standard error."""
    if _running:
        telemetry.setup(level="warning", stream=LOG)


class Starts(Protocol):
    """Starts a receiver on a store, and gives its RELP port, or 0 when it is not ready within ``patience`` seconds."""

    def __call__(self, url: str, *, patience: float) -> AbstractAsyncContextManager[int]: ...


def in_this_process(url: str, *, patience: float) -> AbstractAsyncContextManager[int]:
    """Start a receiver that does not go on for long when it cannot archive."""
    return receiving(url, patience=patience, drain=0.5, segments=SEGMENTS)


@asynccontextmanager
async def in_a_process(url: str, *, patience: float) -> AsyncIterator[int]:
    """Start ``logsink serve``."""
    with tempfile.TemporaryDirectory() as work:
        receiver = Receiver(
            url, Path(work), archive__max_age="1s", journal__ack_delay="0s", receive__drain_timeout="1s"
        )
        process = receiver.launch()
        try:
            async with asyncio.timeout(patience + 5.0):
                await asyncio.to_thread(receiver.await_ready)
            yield receiver.port("relp")
        except (TimeoutError, RuntimeError):
            yield 0
        finally:
            process.terminate()
            await asyncio.to_thread(receiver.wait)
            if "Traceback" in receiver.log:
                raise AssertionError(receiver.log)


class Load:
    """A receiver and its sender in a thread of their own.

    sent           frames that were sent, in order
    acknowledged   those of them that the receiver has acknowledged
    bug            the unexpected error that ended one of them, or ''
    """

    def __init__(self, url: str, frames: Frames, *, patience: float = SETTLE, start: Starts = in_this_process) -> None:
        self.url, self.bug, self.ready = url, "", False
        self._frames, self._patience, self._start = frames, patience, start
        self._client = RelpClient(0, window=100)
        self._begun, self._stop, self._settle = threading.Event(), threading.Event(), True
        self._thread = threading.Thread(target=self._work, name="load")

    @property
    def sent(self) -> list[bytes]:
        return list(self._client.sent)

    @property
    def acknowledged(self) -> list[bytes]:
        return list(self._client.acknowledged)

    @contextmanager
    def running(self) -> Iterator[Load]:
        """Enter when the first messages are acknowledged, or are not within ``patience``."""
        _running.append(self)
        log_apart()
        self._thread.start()
        self._begun.wait()
        try:
            yield self
        finally:
            self.end()

    def end(self, *, settle: bool = True) -> None:
        """Stop sending, have everything acknowledged that was sent, unless not to ``settle``, and stop the receiver."""
        if self._thread.ident is not None and not self._stop.is_set():
            self._settle = settle
            self._stop.set()
            self._thread.join()
            if "Traceback" in LOG.getvalue():
                self.bug = self.bug or LOG.getvalue()
            LOG.seek(0)
            LOG.truncate()
            _running.remove(self)
            logging.getLogger("logsink").handlers.clear()

    def _work(self) -> None:
        try:
            asyncio.run(self._run())
        except LogsinkError as error:
            self.bug = repr(error) if self.acknowledged else ""
        except Exception as error:  # noqa: BLE001  whatever it is, it is what is looked for
            self.bug = repr(error)
        finally:
            self._begun.set()

    async def _run(self) -> None:
        async with self._start(self.url, patience=self._patience) as port:
            if not port:
                return
            self.ready, self._client.port = True, port
            sending = asyncio.create_task(self._send())
            await asyncio.to_thread(self._stop.wait)
            try:
                async with asyncio.timeout(self._patience if self._settle else 0.1):
                    await sending
            except TimeoutError:
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)
            finally:
                self._client.drop()

    async def _send(self) -> None:
        """Send bursts, each acknowledged before the next."""
        first = asyncio.get_running_loop().call_later(self._patience, self._begun.set)
        while not self._stop.is_set():
            await self._client.send(*self._frames.take(BURST))
            await self._client.settle()
            self._begun.set()
            await asyncio.sleep(PAUSE)
        first.cancel()
        await self._client.close()
