"""What is asked of a store, by the real command and the real receiver in this process."""

from __future__ import annotations

import asyncio
import io
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import IO, NamedTuple, TextIO

from click.testing import CliRunner

from logsink.cli import main as verbs
from logsink.errors import LogsinkError
from tests.damage.load import LOGGED, Starts, in_a_process, in_this_process, log_apart
from tests.damage.stores import EAGER, maintain, receiving, send

ACKNOWLEDGED = 5.0
"""Seconds within which a receiver must acknowledge."""

FOLLOWED, AT_MOST = 0.7, 30.0
"""Seconds for which a follower goes on after it has shown what there is, and for which it goes on in all."""

SETTINGS = {"LOGSINK_ARCHIVE__MAX_AGE": "1s"}
"""Environment of commands: a repair does not wait long for receivers that may have in memory what the store has lost."""

FOLLOWING = ("query", "-q", "-f", "-n", "all", "-o", "raw", "--framing", "octet")

PATIENCE = 60.0
"""Most seconds for a process to end; only what is broken takes that long."""


class Said(NamedTuple):
    """What a command said: exit code, standard output and error; ``bug``: the exception that nobody expected, or ''."""

    code: int
    out: bytes
    err: str
    bug: str

    @property
    def frames(self) -> Counter[bytes]:
        """The frames of ``-o raw --framing octet``."""
        found: Counter[bytes] = Counter()
        at = 0
        while at < len(self.out):
            space = self.out.index(b" ", at)
            end = space + 1 + int(self.out[at:space])
            found[self.out[space + 1 : end]] += 1
            at = end
        return found


def command(*arguments: str) -> Said:
    """Run one verb."""
    result = CliRunner(env=SETTINGS).invoke(verbs.main, list(arguments), prog_name="logsink")
    log_apart()
    error = result.exception
    bug = "" if error is None or isinstance(error, SystemExit) else repr(error)
    text = LOGGED.sub("", result.stderr)
    if "Traceback" in text:
        bug = text[text.index("Traceback") :]
    return Said(result.exit_code, result.stdout_bytes, text, bug)


def rows(url: str, run: Callable[..., Said] = command) -> Said:
    return run("query", "--store", url, "-q", "-n", "0", "-o", "raw", "--framing", "octet")


def newest(url: str, run: Callable[..., Said] = command) -> Said:
    """Another way through the reader: newest first, with a condition that every row meets."""
    return run("query", "--store", url, "-q", "-n", "0", "-r", "-o", "raw", "--framing", "octet", "--host", "web-*")


def count(url: str, run: Callable[..., Said] = command) -> Said:
    return run("query", "--store", url, "-q", "--count")


def sums(url: str, run: Callable[..., Said] = command) -> Said:
    """How many rows there are, by what is said of each hour and severity: the archive may have counted them."""
    said = run("query", "--store", url, "-q", "--hist", "1h", "--by", "severity", "-o", "csv")
    counts = [int(line.rpartition(b",")[2]) for line in said.out.splitlines()[1:]]
    return said._replace(out=str(sum(counts)).encode())


def sql(url: str, run: Callable[..., Said] = command) -> Said:
    return run("sql", "--store", url, "-q", "-o", "csv", "SELECT count(*) AS n, count(DISTINCT message) AS m FROM logs")


def follow(url: str, enough: int = 0, *, named: bool = False) -> Said:
    """Everything and what comes; interrupted a little after ``enough`` bytes were shown, and damage ``named``."""
    previous = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        shown = lambda: _shown(sys.stdout) >= enough and _shown(sys.stderr) >= named  # noqa: E731
        with _interrupting(lambda: os.kill(os.getpid(), signal.SIGINT), shown):
            return command(*FOLLOWING, "--store", url)
    finally:
        signal.signal(signal.SIGINT, previous)


@contextmanager
def _interrupting(interrupt: Callable[[], None], shown: Callable[[], bool]) -> Iterator[None]:
    """Interrupt what runs within this block a little after it has shown everything."""
    ended = threading.Event()

    def work() -> None:
        last = time.monotonic() + AT_MOST
        while time.monotonic() < last and not shown() and not ended.wait(0.02):
            pass  # nothing tells when something is written
        if not ended.wait(FOLLOWED):
            interrupt()

    timer = threading.Thread(target=work)
    timer.start()
    try:
        yield
    finally:
        ended.set()
        timer.join()


def _shown(stream: TextIO) -> int:
    """The number of bytes that a command in this process has written to a standard stream, which ``CliRunner`` has replaced."""
    written = getattr(stream, "buffer", None)
    return len(written.getvalue()) if isinstance(written, io.BytesIO) else 0


def number(said: Said) -> int:
    """The first number that a command printed, -1 without one."""
    match = re.search(rb"\d+", said.out)
    return int(match[0]) if match else -1


def verify(url: str, run: Callable[..., Said] = command, *, deep: bool = True) -> Said:
    return run("verify", "--store", url, "-q", *(["--deep"] if deep else []))


def repair(url: str, run: Callable[..., Said] = command) -> Said:
    return run("repair", "--store", url, "--apply")


def upkeep(url: str) -> str:
    """One round of upkeep that does at once whatever it may do; returns an unexpected error."""
    try:
        asyncio.run(maintain(url, EAGER))
    except LogsinkError:
        return ""
    except Exception as error:  # noqa: BLE001  whatever it is, it is what is looked for
        return repr(error)
    return ""


class Received(NamedTuple):
    """Frames that a restarted receiver has acknowledged, and the unexpected error that ended it, or ''."""

    acknowledged: list[bytes]
    bug: str


def receive(url: str, frames: list[bytes], *, patience: float = ACKNOWLEDGED) -> Received:
    """Start a receiver, send to it, stop it. What is not acknowledged within ``patience`` never is."""
    taken: list[bytes] = []

    async def run() -> None:
        async with receiving(url, patience=patience) as port:
            if port:
                async with asyncio.timeout(patience):
                    await send(port, frames, taken=taken)

    try:
        asyncio.run(run())
    except LogsinkError as error:
        return Received(taken, "" if not taken else repr(error))
    except Exception as error:  # noqa: BLE001
        return Received(taken, repr(error))
    return Received(taken, "")


class Way(NamedTuple):
    """How a store is asked: by this process, or by processes of their own."""

    command: Callable[..., Said]
    follow: Callable[..., Said]
    upkeep: Callable[[str], str]
    receiver: Starts


def process(*arguments: str, enough: int | None = None, named: bool = False) -> Said:
    """Run one verb in a process of its own, and interrupt it a little after ``enough`` bytes were shown, where given."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("LOGSINK_")}
    program = [sys.executable, "-m", "logsink", *arguments]
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        with subprocess.Popen(program, stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=clean | SETTINGS) as one:
            if enough is None:
                one.wait(PATIENCE)
            else:
                with _interrupting(
                    partial(one.send_signal, signal.SIGINT), lambda: _size(out) >= enough and _size(err) >= named
                ):
                    one.wait(PATIENCE)
        out.seek(0)
        err.seek(0)
        text = err.read().decode(errors="replace")
        bug = text[text.index("Traceback") :] if "Traceback" in text else ""
        return Said(one.returncode, out.read(), text, bug)


def _size(file: IO[bytes]) -> int:
    return os.fstat(file.fileno()).st_size


def _follow_in_a_process(url: str, enough: int = 0, *, named: bool = False) -> Said:
    return process(*FOLLOWING, "--store", url, enough=enough, named=named)


def _upkeep_in_a_process(url: str) -> str:
    said = process("maintain", "--once", "--store", url)
    return said.bug or ("" if said.code in (0, 2) else said.err)


HERE = Way(command, follow, upkeep, in_this_process)
PROCESSES = Way(process, _follow_in_a_process, _upkeep_in_a_process, in_a_process)
