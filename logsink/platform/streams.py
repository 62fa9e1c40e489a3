"""Writing the own log to a stream that perhaps nobody reads: ``PatientHandler``."""

from __future__ import annotations

import io
import logging
import select
from collections.abc import Callable
from contextlib import suppress
from typing import Final, TextIO

PIECE: Final = 4096
"""Bytes that are written at once: a pipe that can be written to takes as many (PIPE_BUF of Linux) without waiting."""


class PatientHandler(logging.StreamHandler[TextIO]):
    """Writes lines to a stream as far as that does not make the process wait, and drops the others.

    A pipe whose reader stands still, such as a log collector that was stopped, would stop the event loop with it. ``dropped``
    is called for each line that was dropped; the next line that can be written says how many there were. Of a line for which
    there is not enough room, the beginning is written.
    """

    def __init__(self, stream: TextIO | None, dropped: Callable[[], object]) -> None:
        super().__init__(stream)
        self._on_drop, self._dropped, self._cut = dropped, 0, False
        self._poll: select.poll | None = None
        with suppress(OSError, ValueError, io.UnsupportedOperation):  # a stream in memory
            if stream is not None:  # as sys.stderr is where it was closed
                poll = select.poll()
                poll.register(stream.fileno(), select.POLLOUT)
                self._poll = poll

    def emit(self, record: logging.LogRecord) -> None:
        if self._poll is None:
            super().emit(record)
            return
        try:
            text = self.format(record) + self.terminator
            said = f"{self._dropped:,} lines of this log were dropped, or cut: nobody read them\n"
            if self._dropped and self._write("\n" + said if self._cut else said):
                self._dropped, self._cut = 0, False
            if self._dropped or not self._write(text):
                self._dropped += 1
                self._on_drop()
        except Exception:  # noqa: BLE001  as logging's own handlers: the log ends no program
            self.handleError(record)

    def _write(self, text: str) -> bool:
        """Write as much of a text as can be written now; return whether that is all of it."""
        body = text.encode(errors="backslashreplace")
        for start in range(0, len(body), PIECE):
            if not self._is_writable():
                self._cut = self._cut or start > 0
                return False
            self.stream.buffer.write(body[start : start + PIECE])
            self.stream.flush()
        return True

    def _is_writable(self) -> bool:
        """Return whether a write does not wait. One that fails does not wait, either: it tells why."""
        assert self._poll is not None
        return bool(self._poll.poll(0))
