"""Gives each sender a fair share of the memory for frames that are not stored yet, so that one flood does not keep others out.

Law: no sender holds more than is left for others, ``held(sender) <= limit - held(all)``. So one that floods gets a half, two
get a third each, n get one part in n + 1: there is always room for a new one, and nothing has to be configured. A sender
above that has to wait, on all its connections, until it holds ``RESUME`` of what it may.

A sender is an address. Nothing here pauses or drops: it says who has to wait.
"""

from __future__ import annotations

from collections import deque
from typing import Final, NamedTuple

RESUME: Final = 0.75
"""A waiting sender goes on when it holds this share of what it may hold, so that it does not stop and go with every read."""


class _Owed(NamedTuple):
    """Bytes that one segment holds of each sender."""

    ordinal: int
    sizes: dict[str | None, int]


class Shares:
    """How much of ``limit`` bytes each sender holds. ``waiting`` are the senders that have to wait."""

    def __init__(self, limit: int) -> None:
        self.waiting: set[str | None] = set()
        self._limit = limit
        self._held: dict[str | None, int] = {}
        self._total = 0
        self._owed: deque[_Owed] = deque()

    def take(self, ordinal: int, sender: str | None, size: int) -> bool:
        """Count frames into segment ``ordinal``, no earlier one than before; return whether ``sender`` now has to wait."""
        if not self._owed or self._owed[-1].ordinal != ordinal:
            self._owed.append(_Owed(ordinal, {}))
        owed = self._owed[-1].sizes
        owed[sender] = owed.get(sender, 0) + size
        held = self._held[sender] = self._held.get(sender, 0) + size
        self._total += size
        if held <= self._limit - self._total or sender in self.waiting:
            return False
        self.waiting.add(sender)
        return True

    def stored(self, durable: int) -> list[str | None]:
        """Count off every segment up to ``durable``, and return the senders that need not wait any longer."""
        while self._owed and self._owed[0].ordinal <= durable:
            for sender, size in self._owed.popleft().sizes.items():
                self._total -= size
                self._held[sender] -= size
                if not self._held[sender]:
                    del self._held[sender]
        if not self.waiting:
            return []
        relieved = [s for s in self.waiting if self._held.get(s, 0) <= RESUME * (self._limit - self._total)]
        self.waiting.difference_update(relieved)
        return relieved

    @property
    def oldest(self) -> int | None:
        """The segment with the oldest frames that are not stored; None: there is none."""
        return self._owed[0].ordinal if self._owed else None
