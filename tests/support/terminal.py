"""A program on a pseudo-terminal of its own, whose session it leads: keys reach it as signals, and pagers find a keyboard."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Mapping, Sequence

PATIENCE = 60.0

INTERRUPT = b"\x03"
"""Ctrl-C, as the keyboard sends it."""

_LEAD = "import os, sys; os.login_tty(0); os.execv(sys.argv[1], sys.argv[1:])"
"""Begins a session whose terminal is standard input, and becomes the program."""

_SEQUENCE = re.compile(rb"\x1b(?:\[[0-9;?]*[A-Za-z]|[=>])")


class Terminal:
    """A running program; a context manager that kills what is left of it.

    output   what has been shown so far
    """

    def __init__(self, command: Sequence[str], *, columns: int = 120, rows: int = 30, **environ: str | None) -> None:
        self.output = b""
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self._process = subprocess.Popen(
            [sys.executable, "-c", _LEAD, *command], stdin=slave, stdout=slave, stderr=slave, env=_environment(environ)
        )
        os.close(slave)

    def type(self, keys: bytes) -> None:
        """Press keys."""
        os.write(self._master, keys)

    def wait_for(self, text: bytes) -> None:
        """Until ``text`` is shown."""
        deadline = time.monotonic() + PATIENCE
        while text not in self.output:
            assert self._more(deadline), f"{text!r} was not shown before the end of {self.output!r}"

    def end(self, again: bytes = b"") -> tuple[int, str]:
        """The exit code and everything that was shown, when the program has ended; line ends are LF.

        ``again``: keys that are pressed once more whenever nothing comes for two seconds, as somebody would do.
        """
        deadline = time.monotonic() + PATIENCE
        while self._more(deadline, again):
            pass
        code = self._process.wait(max(0.0, deadline - time.monotonic()))
        return code, self.output.decode().replace("\r\n", "\n")

    def _more(self, deadline: float, again: bytes = b"") -> bool:
        """Read once. False at the end."""
        while True:
            left = max(0.0, deadline - time.monotonic())
            ready, _, _ = select.select([self._master], [], [], min(left, 2.0) if again else left)
            if ready or not again or not left:
                break
            self.type(again)
        assert ready, f"nothing comes any more behind {self.output!r}"
        try:
            part = os.read(self._master, 1 << 16)
        except OSError:  # EIO: nobody has the terminal open any more
            return False
        self.output += part
        return bool(part)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, 9)
        os.close(self._master)
        self._process.wait()


def plain(text: str) -> str:
    """What is shown without the sequences that colour it, or move the cursor."""
    return _SEQUENCE.sub(b"", text.encode()).decode()


def _environment(changes: Mapping[str, str | None]) -> dict[str, str]:
    strange = ("LOGSINK_", "LESS", "PAGER", "NO_COLOR", "COLUMNS", "LINES", "PYTHONUNBUFFERED")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(strange)}
    kept |= {"TERM": "xterm-256color", "LC_ALL": "C.UTF-8", "TZ": "UTC"}
    return {name: value for name, value in (kept | dict(changes)).items() if value is not None}
