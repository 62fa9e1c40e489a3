"""When frames last came from each sender, for the metric ``logsink_sender_last_seen_seconds``: a monitor sees who fell silent.

Nothing is done here for a message, and for a read only a time is kept. Senders get their label when somebody asks for the
metrics. A sender that is not known when ``MOST`` are has none, until one of these was silent for ``FORGOTTEN``: those who are
silent are what the metric is for, and nobody who invents addresses can push them out. Reads from such senders are counted.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from logsink import telemetry

MOST: Final = 1000
"""Senders that have a label, as many as a monitor stores without care."""

FORGOTTEN: Final = 86_400.0
"""Seconds of silence after which a sender has no label any more: in a fleet that is replaced, it is gone for good."""


class LastSeen:
    """The time of the last frames of each sender. ``now``: seconds since 1970."""

    def __init__(self) -> None:
        self._seen: dict[str, float] = {}
        self._sources: list[Callable[[], None]] = []

    def see(self, sender: str | None, now: float | None = None) -> None:
        """Take note that frames came from ``sender``, just now unless ``now`` says when."""
        if sender is None:
            return
        if sender not in self._seen and len(self._seen) >= MOST:
            telemetry.SENDERS_UNTOLD.inc()
            return
        self._seen[sender] = time.time() if now is None else now

    def ask(self, source: Callable[[], None]) -> None:
        """Call ``source`` before the metrics are told, so that it can tell by ``see`` what it has kept until then."""
        self._sources.append(source)

    def tell(self, now: float | None = None) -> None:
        """Set the metric, and forget senders that were silent for too long."""
        for source in self._sources:
            source()
        oldest = (time.time() if now is None else now) - FORGOTTEN
        self._seen = {sender: seen for sender, seen in self._seen.items() if seen >= oldest}
        telemetry.SENDER_LAST_SEEN.clear()
        for sender, seen in self._seen.items():
            telemetry.SENDER_LAST_SEEN.labels(sender).set(seen)
