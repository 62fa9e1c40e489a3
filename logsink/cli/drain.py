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
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from logsink.cli.options.settings import effective, options
from logsink.cli.startup import without_pandas
from logsink.errors import ArgumentError, FormatError, LogsinkError, NotFound, StoreError
from logsink.platform.processes import birth

if TYPE_CHECKING:
    from logsink.store import Store

ANSWER = 5.0
"""Seconds within which a receiver must say which ids it has."""

AGAIN = 1.0
"""Seconds between two looks at the journal, and between two questions to a receiver that drains."""


class Said(NamedTuple):
    """What a receiver has said of itself: the ids under which it writes to the journal, and the id of its store, "" if unknown.

    ``gap`` says why some of its ids may be missing; "" when all are there that it has had so far.
    """

    receivers: frozenset[str]
    store: str = ""
    gap: str = ""

    def add(self, later: Said) -> Said:
        """Return both together: an id that was made later is in ``later``, unless that was too late to be answered."""
        gap = self.gap if later.gap else ""
        return Said(self.receivers | later.receivers, self.store or later.store, gap)


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
    Give this command the receiver's settings. It asks the receiver by HTTP (listen.http) for its store and its ids.

    Exit code 0: done; 1: after the timeout the process still runs, or segments are still in the journal, where queries find
    them and another receiver archives them, or the receiver did not say which segments are its own; 2: an error, as when the
    receiver uses another store: then it is not told to drain.

    \b
    Examples:
      logsink drain -c /etc/logsink.toml --ready-file /run/logsink/ready.json --wait
    """
    pid, process, http = _running(ready_file)
    if wait:
        return _drain_and_wait(effective(config_file, {"store": store}).store, pid, process, http, timeout)
    _signal(pid, process)
    click.echo(f"process {pid} drains")
    return 0


def _drain_and_wait(url: str, pid: int, process: int, http: str | None, timeout: float) -> int:
    """Have a process drain, wait until all that it stored is archived, ``timeout`` seconds at most; return the exit code."""
    without_pandas()
    end = time.monotonic() + timeout
    said = _ask(pid, http, ANSWER)
    with suppress(StoreError, FormatError):  # it drains whether the store can be read now or not
        asyncio.run(_check_store(url, said.store))
    _signal(pid, process)
    while True:
        said = said.add(_ask(pid, http, min(ANSWER, max(AGAIN, end - time.monotonic()))))
        if select.select([process], [], [], min(AGAIN, max(0.0, end - time.monotonic())))[0]:
            break
        if time.monotonic() >= end:
            click.echo(f"process {pid} still drains after {timeout:g} s")
            return 1
    if left := asyncio.run(_left(url, said, end)):
        click.echo(f"process {pid} has ended; segments in the journal: {left}; another receiver archives them")
        return 1
    if said.gap:
        click.echo(f"process {pid} has ended; whether everything that it stored is archived is not known: {said.gap}")
        return 1
    click.echo(f"process {pid} has ended; everything that it stored is archived")
    return 0


def _signal(pid: int, process: int) -> None:
    """Have a process drain."""
    try:
        signal.pidfd_send_signal(process, signal.SIGTERM)
    except OSError as error:
        raise LogsinkError(f"cannot signal process {pid}: {error.strerror}") from error


def _running(ready_file: Path) -> tuple[int, int, str | None]:
    """Return the receiver that has written a ready file. ``LogsinkError``: there is none.

    That is its process id, a file descriptor that can be read once it has ended, and its HTTP address.
    """
    try:
        ready = json.loads(ready_file.read_text(encoding="utf-8"))
        pid = int(ready["pid"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        cause = getattr(error, "strerror", None) or "it is no file of `logsink serve --ready-file`"
        hint = (
            "`logsink serve --ready-file` writes it when it is ready, and removes it when it ends; without it, "
            "`kill -TERM PID` drains a receiver just the same"
        )
        raise LogsinkError(f"cannot read {ready_file}: {cause}", hint=hint) from error
    try:
        process = os.pidfd_open(pid)
        command_line = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (OSError, OverflowError, ValueError):
        process, command_line = -1, b""
    born = ready.get("birth")  # not in those of older versions
    if b"serve" not in command_line.split(b"\0") or (born and born != birth(pid)):
        raise ArgumentError(
            f"cannot drain process {pid}, which {ready_file} names: it is no receiver",
            hint="the receiver has ended already: remove that file, or name the right one",
        )
    return pid, process, ready.get("http")


def _ask(pid: int, http: str | None, seconds: float) -> Said:
    """Return what the receiver of this process says at ``/readyz``, within so many seconds."""
    if not http:
        return Said(frozenset(), gap="the receiver has no HTTP address (listen.http) at which to ask for its ids")
    url = f"http://{http}/readyz"
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # this machine is reached without a proxy
    try:
        try:
            with opener.open(url, timeout=seconds) as reply:
                answer = json.load(reply)
        except urllib.error.HTTPError as error:  # it drains
            with error:
                answer = json.load(error)
        return _understood(pid, answer)
    except (OSError, ValueError, HTTPException, AttributeError, TypeError):
        return Said(frozenset(), gap=f"the receiver did not answer at {url} which ids it has")


def _understood(pid: int, answer: dict[str, Any]) -> Said:
    """Return what an answer of ``/readyz`` says of a process."""
    if answer.get("pid") != pid:
        return Said(frozenset(), gap="another process, or another version of logsink, answers at its HTTP address")
    receivers = frozenset(answer.get("receivers", ()))
    store = next((one["store"] for one in (answer, *answer.get("workers", {}).values()) if one.get("store")), "")
    gap = ""
    if unheard := answer.get("no_answer"):
        gap = f"worker {', '.join(map(str, unheard))} did not answer which ids it has"
    elif unnamed := answer.get("receivers_unnamed"):
        gap = f"the receiver has had {unnamed} more ids than it names"
    elif not receivers or not store:
        gap = "the receiver did not say which ids and which store it has"
    return Said(receivers, store, gap)


async def _check_store(url: str, expected: str) -> None:
    """Raise ``ArgumentError`` when the store at ``url`` is not the one with this id."""
    from logsink.store import open_store

    async with open_store(url) as store:
        await _refuse_another(store, expected)


async def _refuse_another(store: Store, expected: str) -> None:
    """Raise ``ArgumentError`` when ``store`` is not the one with this id; "" is any."""
    from logsink.store import MARKER, decode_marker

    if not expected:
        return
    try:
        found = decode_marker(await store.get(MARKER)).id
    except NotFound:
        found = ""
    if found != expected:
        there = f"is store {found}" if found else "has no marker of a store"
        raise ArgumentError(
            f"cannot tell what the receiver has archived: it uses store {expected}, and {store.url} {there}",
            hint="give this command the receiver's settings (-c or --store), and see that the directory is mounted",
        )


async def _left(url: str, said: Said, end: float) -> int:
    """Return how many segments of a receiver are not archived, once there are none, or at ``end`` (monotonic)."""
    from logsink.archive import DeltaLog
    from logsink.journal import list_segments
    from logsink.store import open_store

    async with open_store(url) as store:
        log = DeltaLog(store)
        while said.receivers:
            segments = [one.name for one in await list_segments(store) if one.name.receiver in said.receivers]
            snapshot = await log.load_for({one.receiver for one in segments}) if segments else None
            left = sum(not snapshot.covers(name) for name in segments) if snapshot else 0
            await _refuse_another(store, said.store)  # after the listing: a directory may be unmounted any time
            if not left or time.monotonic() >= end:
                return left
            await asyncio.sleep(AGAIN)
        return 0
