"""Counts lost datagrams: those dropped at the memory limit, beyond a sender's share, or by the kernel.

The kernel drops what finds a socket's buffer full, and reports that only in ``/proc/net/udp`` (column ``drops``, by inode).
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

from logsink import telemetry

TABLES = (Path("/proc/net/udp"), Path("/proc/net/udp6"))
_INODE, _DROPS = 9, 12

REPORT = 60.0
"""Seconds between log lines about the same kind of loss."""


class Losses:
    """Lost datagrams, counted and logged now and then by where they were lost."""

    def __init__(self, tables: tuple[Path, ...] = TABLES) -> None:
        self.total: Counter[str] = Counter()
        """Datagrams by where they were lost."""
        self._tables = tables
        self._inodes: set[int] = set()
        self._told: Counter[str] = Counter()
        self._told_at: dict[str, float] = {}

    def add(self, where: str, datagrams: int) -> None:
        """Count lost datagrams; ``where`` is ``memory`` (the limit), ``share`` (the sender's) or ``kernel``."""
        telemetry.LOST.labels(where).inc(datagrams)
        self.total[where] += datagrams

    def watch(self, descriptor: int) -> None:
        """Count what the kernel has dropped, and will drop, for the socket with this descriptor."""
        self._inodes.add(os.fstat(descriptor).st_ino)

    def refresh(self) -> None:
        """Count what the kernel dropped meanwhile; where there are no such tables, nothing."""
        if self._inodes and (dropped := self._dropped() - self.total["kernel"]) > 0:
            self.add("kernel", dropped)

    def report(self, now: float) -> None:
        """Log each kind of loss that has grown, once in ``REPORT`` seconds; ``now`` is in seconds of the loop's clock."""
        for where, total in self.total.items():
            if total > self._told[where] and now - self._told_at.get(where, float("-inf")) >= REPORT:
                telemetry.UDP_LOST.log(datagrams=total - self._told[where], where=where)
                self._told[where], self._told_at[where] = total, now

    def _dropped(self) -> int:
        dropped = 0
        for table in self._tables:
            try:
                lines = table.read_text("ascii").splitlines()[1:]
            except OSError:
                continue
            for columns in map(str.split, lines):
                if len(columns) > _DROPS and int(columns[_INODE]) in self._inodes:
                    dropped += int(columns[_DROPS])
        return dropped
