"""Interrupts of a query: Ctrl-C shows what was found so far, and a second one ends the command."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

GRACE: Final = 1.0
"""Seconds after the first interrupt within which the query must come to its end."""


class Interrupts:
    """Handler of SIGINT for one task.

    begun   whether anything can have been found; an interrupt before that cancels the task
    stop    called at the first interrupt after that; ``GRACE`` seconds later, or at a second interrupt, the task is cancelled
    """

    def __init__(self, begun: Callable[[], bool], stop: Callable[[], None]) -> None:
        self._begun, self._stop = begun, stop
        self._came = asyncio.Event()
        self._end: asyncio.TimerHandle | None = None

    def listen(self) -> None:
        """Handle interrupts for the current task from now on."""
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None
        with suppress(NotImplementedError, ValueError, RuntimeError):  # not in the main thread
            loop.add_signal_handler(signal.SIGINT, self._interrupt, task)

    @property
    def stopped(self) -> bool:
        """Whether the query was told to stop."""
        return self._came.is_set()

    async def sleep(self, seconds: float) -> None:
        """Sleep, until an interrupt at most."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._came.wait(), seconds)

    @contextmanager
    def contained(self) -> Iterator[None]:
        """Leave the block when the task is cancelled after an interrupt, and continue behind it.

        What follows then has the time that it needs, unless there is another interrupt.
        """
        try:
            yield
        except asyncio.CancelledError:
            if not self.stopped:
                raise
        finally:
            if self._end is not None:
                self._end.cancel()

    def _interrupt(self, task: asyncio.Task[object]) -> None:
        if self.stopped or not self._begun():
            task.cancel()
        else:
            self._came.set()
            self._stop()
            self._end = asyncio.get_running_loop().call_later(GRACE, task.cancel)
