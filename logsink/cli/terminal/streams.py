"""Standard streams, which a process may get closed, full, without a reader, or non-blocking.

``take`` replaces ``sys.stdout`` and ``sys.stderr``. A failed write to standard output raises ``OutputError``, or ``ReaderGone``
if nobody reads the pipe; an ``OSError`` could as well be the store's. Output that standard error does not take is dropped.
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
    """Replace standard output and error, unless somebody else has already (a test), and reserve closed descriptors.

    Otherwise the next file or connection would get descriptor 1 or 2, and with it what C libraries print.
    """
    _reserve()
    if sys.stdout is sys.__stdout__:
        sys.stdout = _stream(sys.stdout, 1, _Output(1, _closed if sys.stdout is None else _unwritable))
    if sys.stderr is sys.__stderr__:
        sys.stderr = _stream(sys.stderr, 2, _Output(2, lambda error: None))


def refuse_closed() -> None:
    """Raise ``OutputError`` if the process got standard output closed."""
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    if isinstance(raw, _Output) and raw.failed is _closed:
        _closed(OSError())


def reader_gone() -> bool:
    """Return whether standard output is a pipe or socket that nobody reads any more."""
    import select

    try:
        poll = select.poll()
        poll.register(sys.stdout.fileno(), 0)
        return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))
    except (OSError, ValueError):
        return False


class _Output(io.RawIOBase):
    """A descriptor to write to. ``failed`` is called for the first failure; what is written after that is dropped."""

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
    """Write at least one byte and return how many. Waits for a non-blocking descriptor, which another program may have set."""
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
    raise OutputError(f"cannot write to standard output: {cause}", hint="redirect it to another file") from error


def _closed(error: OSError) -> None:
    raise OutputError("cannot write to standard output: it is closed", hint="redirect it: > FILE, or > /dev/null")


def _stream(before: TextIO | None, descriptor: int, raw: _Output) -> TextIO:
    encoding = before.encoding if before is not None else "utf-8"
    lines = descriptor == 2 or raw.isatty()
    buffer = io.BufferedWriter(raw)
    return io.TextIOWrapper(buffer, encoding, "backslashreplace", line_buffering=lines)


def _reserve() -> None:
    """Open /dev/null at each of the descriptors 0 to 2 that is closed."""
    while True:
        descriptor = os.open(os.devnull, os.O_RDWR)
        if descriptor >= _STANDARD:
            os.close(descriptor)
            return
        os.set_inheritable(descriptor, True)
