"""``logsink drain``: have a receiver on this machine drain and end, and wait until what it had stored is archived.

The signal is the same as a service manager's, SIGTERM. What this adds is the end of the story: the process is gone, and its
segments have left the journal, because it archived them itself, or another receiver has.
"""

from __future__ import annotations

import asyncio
import json
import os
import select
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import click

from logsink.cli.options.settings import effective, options
from logsink.cli.startup import without_pandas
from logsink.errors import ArgumentError, LogsinkError

ANSWER = 5.0
"""Seconds within which a receiver must say which ids it has."""

AGAIN = 1.0
"""Seconds between two looks at the journal."""


class Running(NamedTuple):
    """A receiver that runs: its process, and the ids under which it writes to the journal; none where it does not say."""

    pid: int
    receivers: frozenset[str]


@click.command()
@options("store")
@click.option(
    "--ready-file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="PATH",
    required=True,
    help="File of `logsink serve --ready-file`, which names its process.",
)
@click.option("--wait", is_flag=True, help="Wait until the process has ended and its journal is archived.")
@click.option(
    "--timeout",
    type=click.FloatRange(0),
    default=120.0,
    show_default=True,
    metavar="S",
    help="Seconds to wait at most.",
)
def command(config_file: Path | None, store: str | None, ready_file: Path, wait: bool, timeout: float) -> int:
    """Have a receiver on this machine drain and end.

    It accepts no new connections, reads until its senders have gone elsewhere, stores and archives everything, and ends: as
    after SIGTERM. With --wait, this command ends when the process has, and when nothing of it is left in the journal: it has
    archived that itself, or another receiver has: for that, give a --timeout of more than maintain.orphan_after (5 minutes).
    Give this command the receiver's settings.

    Exit code 0: done; 1: after the timeout the process still runs, or segments are still in the journal, where queries find
    them and another receiver archives them; 2: an error.

    \b
    Examples:
      logsink drain -c /etc/logsink.toml --ready-file /run/logsink/ready.json --wait
    """
    running = _running(ready_file)
    end = time.monotonic() + timeout
    try:
        process = os.pidfd_open(running.pid)
        signal.pidfd_send_signal(process, signal.SIGTERM)
    except OSError as error:
        raise LogsinkError(f"cannot signal process {running.pid}: {error.strerror}") from error
    if not wait:
        click.echo(f"process {running.pid} drains")
        return 0
    gone, _, _ = select.select([process], [], [], timeout)
    if not gone:
        click.echo(f"process {running.pid} still drains after {timeout:g} s")
        return 1
    config = effective(config_file, {"store": store})
    without_pandas()
    left = asyncio.run(_left(config.store, running.receivers, end))
    if left:
        click.echo(f"process {running.pid} has ended; segments in the journal: {left}; another receiver archives them")
        return 1
    known = (
        "everything that it stored is archived" if running.receivers else "it did not say which segments are its own"
    )
    click.echo(f"process {running.pid} has ended; {known}")
    return 0


def _running(ready_file: Path) -> Running:
    """Return the receiver that has written a ready file. ``LogsinkError``: there is none."""
    try:
        ready = json.loads(ready_file.read_text(encoding="utf-8"))
        pid = int(ready["pid"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        cause = getattr(error, "strerror", None) or "it is no file of `logsink serve --ready-file`"
        raise LogsinkError(f"cannot read {ready_file}: {cause}") from error
    try:
        command_line = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        command_line = b""
    if b"serve" not in command_line.split(b"\0"):
        raise ArgumentError(
            f"cannot drain process {pid}, which {ready_file} names: it is no receiver",
            hint="the receiver has ended already: remove that file, or name the right one",
        )
    return Running(pid, frozenset(_receivers(ready.get("http"))))


def _receivers(http: str | None) -> Iterator[str]:
    """Yield the ids of the receiver, or of its workers, as ``/readyz`` has them."""
    if not http:
        return
    try:
        with urllib.request.urlopen(f"http://{http}/readyz", timeout=ANSWER) as reply:
            said = json.load(reply)
    except urllib.error.HTTPError as error:
        with error:
            said = json.load(error)
    except (OSError, ValueError):
        return
    for one in [said, *said.get("workers", {}).values()]:
        yield from one.get("receivers", ())


async def _left(url: str, receivers: frozenset[str], end: float) -> int:
    """Return how many segments of these receivers are not archived, once there are none, or at ``end`` (monotonic)."""
    from logsink.archive import DeltaLog
    from logsink.journal import list_segments
    from logsink.store import open_store

    async with open_store(url) as store:
        log = DeltaLog(store)
        while receivers:
            segments = [one.name for one in await list_segments(store) if one.name.receiver in receivers]
            snapshot = await log.load() if segments else None
            left = sum(not snapshot.covers(name) for name in segments) if snapshot else 0
            if not left or time.monotonic() >= end:
                return left
            await asyncio.sleep(AGAIN)
        return 0
