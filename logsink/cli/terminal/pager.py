"""The pager between output and a terminal."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from logsink.errors import ReaderGone

LESS = "FRXMK"
"""Options of ``less`` unless the environment has others: exit if all fits on one screen (F), pass colours (R), do not clear the
screen (X), prompt with the position (M), exit at an interrupt (K). Long lines are not chopped (S): with that, less waits for a
key also where all lines fit.
"""


def pager_command(environ: Mapping[str, str]) -> list[str] | None:
    """Return the command that PAGER names, or ``less``; None if there is none or the terminal is dumb."""
    if environ.get("TERM", "dumb") == "dumb":
        return None
    try:
        command = shlex.split(environ.get("PAGER", "less"))
    except ValueError:  # an unclosed quotation mark
        return None
    return command if command and command[0] != "cat" and shutil.which(command[0]) else None


class Pager:
    """A pager that starts with the first output. Leaving its context waits until the pager is closed."""

    def __init__(self, command: list[str]) -> None:
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None

    def write(self, data: bytes | memoryview) -> None:
        """Show ``data``. ``ReaderGone`` if the pager was closed."""
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
