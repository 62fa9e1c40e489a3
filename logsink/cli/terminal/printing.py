"""Tables on their way to standard output: several threads make their bytes, one thread writes them in order.

Meanwhile the next tables are searched for.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

    from logsink.query.output import RowWriter

Write = Callable[[bytes | memoryview], object]
"""Writes bytes to where the output goes: standard output, or a pager."""


class Printer:
    """Write tables in the order in which they are added. Whatever happens, call ``close``."""

    def __init__(self, writer: RowWriter, write: Write) -> None:
        self._writer, self._write = writer, write
        self._begun = False
        self.ahead = len(os.sched_getaffinity(0)) if writer.independent else 1
        """Number of tables that are worth having on their way at once."""
        self._makers = ThreadPoolExecutor(self.ahead, "output")
        self._printer = ThreadPoolExecutor(1, "writer")

    def add(self, rows: pa.Table) -> Future[None]:
        """Return a future that is done when the table is written, or holds the error of making or writing it."""
        head = [part for part in [self._head()] if part]
        made = self._makers.submit(lambda: [*head, *self._writer.rows(rows)])
        return self._printer.submit(self._print, made)

    def finish(self) -> None:
        """Write what ends the output, when all tables that were added are written."""
        self._write(self._head() + self._writer.finish())

    def close(self) -> None:
        """Wait until everything that was added is written."""
        self._makers.shutdown()
        self._printer.shutdown()

    def _head(self) -> bytes:
        """Return the bytes before all rows, once; not before there are rows, or none for certain."""
        if self._begun:
            return b""
        self._begun = True
        return self._writer.begin()

    def _print(self, made: Future[list[bytes | memoryview]]) -> None:
        for part in made.result():
            self._write(part)
        if self._write == sys.stdout.buffer.write:
            sys.stdout.buffer.flush()
