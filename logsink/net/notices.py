"""What is worth a line in the log now: each matter once an hour, and not more than a few lines a minute in all.

Peers decide how many matters there are, so both the memory and the log are bounded; counters count everything.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable

AGAIN = 3600.0
"""Seconds after which a matter that goes on is told again."""

REMEMBERED = 1024
"""Matters kept in mind; the one longest unheard of is forgotten first."""

PER_MINUTE = 20
"""Lines of one minute, whatever happens."""


class Notices:
    """Decides; it neither writes nor looks at a clock."""

    def __init__(self) -> None:
        self._told: OrderedDict[Hashable, float] = OrderedDict()
        self._minute = 0.0
        self._lines = 0

    def due(self, matter: Hashable, now: float) -> bool:
        """Whether to tell ``matter`` at ``now`` (seconds of any clock that does not go back). True counts as told."""
        told = self._told.get(matter)
        if told is not None and now - told < AGAIN:
            self._told.move_to_end(matter)
            return False
        if now - self._minute >= 60:
            self._minute, self._lines = now, 0
        if self._lines >= PER_MINUTE:
            return False
        self._lines += 1
        self._told[matter] = now
        self._told.move_to_end(matter)
        if len(self._told) > REMEMBERED:
            self._told.popitem(last=False)
        return True
