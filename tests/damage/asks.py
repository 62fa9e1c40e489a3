"""What is asked of a store, by the real command and the real receiver in this process."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import threading
from collections import Counter
from typing import NamedTuple

from click.testing import CliRunner

from logsink.cli import main as verbs
from logsink.errors import LogsinkError
from tests.damage.stores import EAGER, maintain, receiving, send

FOLLOWED = 1.0
"""Seconds after which a follower is interrupted."""

ACKNOWLEDGED = 5.0
"""Seconds within which a receiver must acknowledge."""


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
    result = CliRunner().invoke(verbs.main, list(arguments), prog_name="logsink")
    error = result.exception
    bug = "" if error is None or isinstance(error, SystemExit) else repr(error)
    if "Traceback" in result.stderr:
        bug = result.stderr[result.stderr.index("Traceback") :]
    return Said(result.exit_code, result.stdout_bytes, result.stderr, bug)


def has(verb: str) -> bool:
    """Whether this logsink has a verb."""
    return verb in verbs.main.list_commands(None)  # type: ignore[arg-type]


def rows(url: str) -> Said:
    return command("query", "--store", url, "-q", "-n", "0", "-o", "raw", "--framing", "octet")


def newest(url: str) -> Said:
    """Another way through the reader: newest first, with a condition that every row meets."""
    return command("query", "--store", url, "-q", "-n", "0", "-r", "-o", "raw", "--framing", "octet", "--host", "web-*")


def count(url: str) -> Said:
    return command("query", "--store", url, "-q", "--count")


def sums(url: str) -> Said:
    """How many rows there are, by what is said of each hour and severity: the archive may have counted them."""
    said = command("query", "--store", url, "-q", "--hist", "1h", "--by", "severity", "-o", "csv")
    counts = [int(line.rpartition(b",")[2]) for line in said.out.splitlines()[1:]]
    return said._replace(out=str(sum(counts)).encode())


def sql(url: str) -> Said:
    return command(
        "sql", "--store", url, "-q", "-o", "csv", "SELECT count(*) AS n, count(DISTINCT message) AS m FROM logs"
    )


def follow(url: str) -> Said:
    """Everything and what comes; ended by an interrupt."""
    timer = threading.Timer(FOLLOWED, os.kill, (os.getpid(), signal.SIGINT))
    previous = signal.signal(signal.SIGINT, lambda *_: None)
    timer.start()
    try:
        said = command("query", "--store", url, "-q", "-f", "-n", "all", "-o", "raw", "--framing", "octet")
        timer.join()
        return said
    finally:
        signal.signal(signal.SIGINT, previous)


def number(said: Said) -> int:
    """The first number that a command printed, -1 without one."""
    match = re.search(rb"\d+", said.out)
    return int(match[0]) if match else -1


def verify(url: str, *, deep: bool = True) -> Said:
    return command("verify", "--store", url, "-q", *(["--deep"] if deep else []))


def repair(url: str) -> Said:
    return command("repair", "--store", url, "--apply")


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
