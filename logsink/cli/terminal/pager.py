"""The pager in front of a terminal. It starts when there is something to read: a query that finds nothing shows none."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from logsink.errors import ReaderGone

LESS = "FRSXMK"
"""Options of ``less`` unless the environment has others: quit if it fits one screen, colours, long lines chopped, no clearing
of the screen, a long prompt, an interrupt ends it. As journalctl has them.
"""


def pager_command(environ: Mapping[str, str]) -> list[str] | None:
    """The pager that PAGER names, or less; None without any, and on a terminal that cannot move its cursor."""
    if environ.get("TERM", "dumb") == "dumb":
        return None
    try:
        command = shlex.split(environ.get("PAGER", "less"))
    except ValueError:  # a quotation mark without its other one
        return None
    return command if command and command[0] != "cat" and shutil.which(command[0]) else None


class Pager:
    """A context manager; leaving it waits until the pager is closed."""

    def __init__(self, command: list[str]) -> None:
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None

    def write(self, data: bytes | memoryview) -> None:
        """Show ``data``. ``ReaderGone`` when the pager was closed."""
        if not data:
            return
        if self._process is None:
            environ = {"LESS": LESS} | os.environ
            self._process = subprocess.Popen(self._command, bufsize=0, stdin=subprocess.PIPE, env=environ)
        assert self._process.stdin is not None
        left = memoryview(data)
        try:
            while left:
                left = left[self._process.stdin.write(left) :]
        except BrokenPipeError as error:
            raise ReaderGone("cannot write to the pager: it was closed") from error

    def __enter__(self) -> Pager:
        return self

    def __exit__(self, *raised: Any) -> None:
        if self._process is None:
            return
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait()
