"""Found rows on their way out: made into lines by some threads, written in order by one, while the next ones are sought."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from logsink.query.output.files import Output

Write = Callable[[bytes | memoryview], object]


class Printer:
    """Writes tables in order. Whatever happens in between, ``close`` it: that waits for what is on its way."""

    def __init__(self, output: Output, write: Write) -> None:
        self._output, self._write = output, write
        self.ahead = len(os.sched_getaffinity(0)) if output.independent else 1
        """Tables that are worth having on their way at once."""
        self._makers = ThreadPoolExecutor(self.ahead, "output")
        self._writer = ThreadPoolExecutor(1, "writer")

    def add(self, rows: Any) -> Future[None]:
        """Done when a table is written, or with the trouble there was."""
        made = self._makers.submit(lambda: [*self._output.write(rows)])
        return self._writer.submit(self._written, made)

    def _written(self, made: Future[list[bytes | memoryview]]) -> None:
        for part in made.result():
            self._write(part)
        if self._write == sys.stdout.buffer.write:
            sys.stdout.buffer.flush()

    def close(self) -> None:
        """Wait until all is written."""
        self._makers.shutdown()
        self._writer.shutdown()
