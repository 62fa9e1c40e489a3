"""Where the results of a query go: standard output, or a pager in front of the terminal."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from logsink.cli.query.request import QueryRequest
from logsink.cli.terminal.pager import Pager, pager_command
from logsink.cli.terminal.printing import Write
from logsink.query.output import FORMATS


class Destination:
    """The destination of one query. A pager is used on a terminal only, and for output that ends."""

    def __init__(self, request: QueryRequest) -> None:
        self.terminal = sys.stdout.isatty()
        """Whether standard output is a terminal."""
        self.filled: float | None = None
        """Monotonic time at which a pager had got everything; what comes after that is somebody reading."""
        binary = FORMATS[request.output.output].binary
        self._paged = self.terminal and not (request.no_pager or request.follow.follow or binary)

    @contextmanager
    def open(self) -> Iterator[Write]:
        """Give the function that writes bytes. Leaving the context flushes them, or waits until the pager is closed."""
        command = pager_command(os.environ) if self._paged else None
        if command is None:
            yield sys.stdout.buffer.write
            sys.stdout.buffer.flush()
            return
        with Pager(command) as pager:
            try:
                yield pager.write
            finally:
                self.filled = time.monotonic()
