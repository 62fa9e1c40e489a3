"""Stores what happens to a receiver, as messages of app ``logsink`` beside what it receives: its next life can explain it.

Its own log is gone with its host. So events of ``telemetry`` that tell of its life (``Event.kept``: draining, the store failing
and back, damage) are appended to its own journal, between those that say that it is ready and that it stops. A life
without the last one was cut off.

::

    <46>1 2026-11-29T12:06:31.123456Z logs-1 logsink 4711 draining [deploy@32473 role="logsink" instance="logs-1"] SIGTERM: ...

Laws
  - An event is never appended while it is logged, but by the event loop a moment later: nothing here calls itself.
  - At most ``PER_MINUTE`` events a minute; the next one says how many were left out. Nothing is appended while the journal is
    full. Storing and archiving messages are no events: an idle receiver stays idle.
  - Frames have no sender, and the transport ``internal``. They are not counted as received.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import socket
import time
from datetime import UTC, datetime

import numpy as np

from logsink import telemetry
from logsink.journal import Journal
from logsink.parse import Origin
from logsink.wire import Batch

APP = "logsink"
ORIGIN = Origin(None, None, "internal")

PER_MINUTE = 20
"""Most events in a minute of the clock."""

LONGEST = 4096
"""Most characters of an event's text."""

_SYSLOG = 5 << 3
"""The facility syslog: messages that a syslog server itself makes."""

_SEVERITIES = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3}
_NOT_IN_HEADER = re.compile(r"[^!#-Z^-~]")
"""Matches what a header field cannot hold, or a value only with an escape: spaces, quotation marks, ``\\``, ``]``, ``[``."""


class Life:
    """Appends events to ``journal``, which belongs to the running event loop, from ``begin`` until ``close``."""

    def __init__(self, journal: Journal, deploy_sd_id: str) -> None:
        self._journal, self._loop = journal, asyncio.get_running_loop()
        self._host = _NOT_IN_HEADER.sub("-", socket.gethostname())[:255] or "-"
        self._element = f'[{deploy_sd_id} role="{APP}" instance="{self._host}"]'
        self._minute = self._events = self._left_out = 0

    def begin(self, text: str) -> None:
        """Append the first event, and keep those of ``telemetry`` from now on."""
        self.append("ready", logging.INFO, text)
        telemetry.keep(self._take)

    def close(self) -> None:
        """Keep no more events."""
        telemetry.keep(None)

    def append(self, name: str, level: int, text: str) -> None:
        """Append an event now. Call it from the event loop, and not from within the journal."""
        now = time.time()
        if int(now) // 60 != self._minute:
            self._minute, self._events = int(now) // 60, 0
        if self._events >= PER_MINUTE or self._journal.paused:
            self._left_out += 1
            return
        if self._left_out:
            text += f" ({self._left_out} events before this one were left out)"
        self._events, self._left_out = self._events + 1, 0
        frame = np.frombuffer(bytearray(self._frame(now, name, level, text)), np.uint8)
        starts, ends = np.zeros(1, np.int32), np.full(1, len(frame), np.int32)
        self._journal.append(Batch(frame, starts, ends, np.zeros(1, np.int32)), ORIGIN)

    def _take(self, name: str, level: int, text: str) -> None:
        """Append an event of ``telemetry`` later; threads log events, too, and the journal does in the middle of its work."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self.append, name, level, text)

    def _frame(self, now: float, name: str, level: int, text: str) -> bytes:
        at = datetime.fromtimestamp(now, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        head = f"<{_SYSLOG + _SEVERITIES.get(level, 6)}>1 {at} {self._host} {APP} {os.getpid()} {name} {self._element} "
        return (head + text.replace("\n", " ")[:LONGEST]).encode("utf-8", "replace")
