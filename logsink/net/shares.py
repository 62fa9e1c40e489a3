"""A fair share of the memory for frames that are not stored yet, so that one flood does not keep the others out.

Law: no sender holds more than there is left. ``held(sender) <= limit - held(all)``, so one that floods gets a half, two a third
each, n one part in n + 1: there is always room for one that comes new, and nothing has to be configured. A sender above
that has to wait, whatever its connections are, until it holds ``RESUME`` of what it may.

A sender is an address. Nothing here pauses or drops: it says who has to wait.
"""

from __future__ import annotations

from collections import deque
from typing import Final, NamedTuple

RESUME: Final = 0.75
"""A waiting sender goes on when it holds this share of what it may hold, so that it does not stop and go with every read."""


class _Owed(NamedTuple):
    """What a fill holds of each sender, in octets."""

    ordinal: int
    octets: dict[str | None, int]


class Shares:
    """Who holds how much of ``limit`` octets. ``waiting`` are those that have to wait."""

    def __init__(self, limit: int) -> None:
        self.waiting: set[str | None] = set()
        self._limit = limit
        self._held: dict[str | None, int] = {}
        self._total = 0
        self._owed: deque[_Owed] = deque()

    def take(self, ordinal: int, sender: str | None, octets: int) -> bool:
        """Frames of ``sender`` went into fill ``ordinal``, no smaller one than before. True: it has to wait from now on."""
        if not self._owed or self._owed[-1].ordinal != ordinal:
            self._owed.append(_Owed(ordinal, {}))
        owed = self._owed[-1].octets
        owed[sender] = owed.get(sender, 0) + octets
        held = self._held[sender] = self._held.get(sender, 0) + octets
        self._total += octets
        if held <= self._limit - self._total or sender in self.waiting:
            return False
        self.waiting.add(sender)
        return True

    def stored(self, durable: int) -> list[str | None]:
        """Every fill up to ``durable`` is stored: those that need not wait any longer."""
        while self._owed and self._owed[0].ordinal <= durable:
            for sender, octets in self._owed.popleft().octets.items():
                self._total -= octets
                self._held[sender] -= octets
                if not self._held[sender]:
                    del self._held[sender]
        if not self.waiting:
            return []
        relieved = [s for s in self.waiting if self._held.get(s, 0) <= RESUME * (self._limit - self._total)]
        self.waiting.difference_update(relieved)
        return relieved

    @property
    def oldest(self) -> int | None:
        """The fill that holds the oldest frames that are not stored; None without any."""
        return self._owed[0].ordinal if self._owed else None
