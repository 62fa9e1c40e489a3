"""Standard input, output and error as a process may get them: closed, full, without a reader, or not blocking.

``take`` puts streams in their place that say so in the program's own words. What cannot be written to standard output raises
``OutputError``, or ``ReaderGone`` behind a pipe that nobody reads; no ``OSError``, which may as well be the store's. Standard
error has nowhere to complain: what cannot be written there is dropped.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from typing import Any, TextIO

from logsink.errors import OutputError, ReaderGone

Failed = Callable[[OSError], None]

_STANDARD = 3
"""Descriptors 0, 1 and 2."""


def take() -> None:
    """Replace standard output and error, unless somebody else has already (a test); reserve those that are closed.

    Without that the next file or connection that is opened would get the number 1 or 2, and output of C libraries with it.
    """
    _reserve()
    if sys.stdout is sys.__stdout__:
        sys.stdout = _stream(sys.stdout, 1, _Output(1, _closed if sys.stdout is None else _unwritable))
    if sys.stderr is sys.__stderr__:
        sys.stderr = _stream(sys.stderr, 2, _Output(2, lambda error: None))


def refuse_closed() -> None:
    """``OutputError`` if standard output was closed from the beginning."""
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    if isinstance(raw, _Output) and raw.failed is _closed:
        _closed(OSError())


def reader_gone() -> bool:
    """Whether standard output is a pipe or socket that nobody reads any more, which a write would be the next to tell."""
    import select

    try:
        poll = select.poll()
        poll.register(sys.stdout.fileno(), 0)
        return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))
    except (OSError, ValueError):
        return False


class _Output(io.RawIOBase):
    """A descriptor that is written to. The first failure is told by ``failed``, what comes behind it is dropped."""

    def __init__(self, descriptor: int, failed: Failed) -> None:
        self._descriptor, self.failed, self._over = descriptor, failed, False

    def write(self, data: Any, /) -> int:
        try:
            if self._over:
                return len(data)
            if self.failed is _closed:
                raise OSError
            return _written(self._descriptor, data)
        except OSError as error:
            self._over = True
            self.failed(error)
            return len(data)

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)


def _written(descriptor: int, data: memoryview) -> int:
    """Bytes written, some at least; waits where the descriptor does not block, as one shared with another program may not."""
    while True:
        try:
            return os.write(descriptor, data)
        except BlockingIOError:
            import select

            select.select([], [descriptor], [])


def _unwritable(error: OSError) -> None:
    if isinstance(error, BrokenPipeError):
        raise ReaderGone("cannot write to standard output: nobody reads it") from error
    cause = (error.strerror or str(error)).lower()
    raise OutputError(f"cannot write to standard output: {cause}", hint="write it somewhere else") from error


def _closed(error: OSError) -> None:
    raise OutputError("cannot write to standard output: it is closed", hint="redirect it: > FILE, or > /dev/null")


def _stream(before: TextIO | None, descriptor: int, raw: _Output) -> TextIO:
    encoding = before.encoding if before is not None else "utf-8"
    lines = descriptor == 2 or raw.isatty()
    buffer = io.BufferedWriter(raw)
    return io.TextIOWrapper(buffer, encoding, "backslashreplace", line_buffering=lines)


def _reserve() -> None:
    """Have /dev/null at each of the descriptors 0 to 2 that is closed."""
    while True:
        descriptor = os.open(os.devnull, os.O_RDWR)
        if descriptor >= _STANDARD:
            os.close(descriptor)
            return
        os.set_inheritable(descriptor, True)
