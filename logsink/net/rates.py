"""Limits how fast compressed data of each sender becomes frames: a few hundred kilobytes must not be millions of rows at once.

Law: over any time t, a sender's data becomes at most ``limit * (t + BURST)`` bytes, and what one step gave beyond that is
waited for before the next. What is limited is what takes memory and time: the bytes that come out, or the memory that the
frames cut from them take, whichever is more.

A sender is an address. Nothing here pauses or drops: it says how long to wait, or how much may come now.
"""

from __future__ import annotations

from typing import Final

BURST: Final = 1.0
"""Seconds of the rate that may come at once."""

_REMEMBERED: Final = 4096
"""Senders that are remembered before those are forgotten that may send at full rate again."""


class Rates:
    """Says how long each sender has to wait, at ``limit`` bytes a second. ``now`` is in seconds of the loop's clock."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._paid: dict[str | None, float] = {}
        """The time up to which each sender has used its rate."""

    def take(self, sender: str | None, size: int, now: float) -> float:
        """Count that data of ``sender`` became ``size`` bytes; return the seconds to wait before more is inflated."""
        if len(self._paid) >= _REMEMBERED and sender not in self._paid:
            self._paid = {one: paid for one, paid in self._paid.items() if paid > now - BURST}
        paid = self._paid[sender] = max(self._paid.get(sender, now - BURST), now - BURST) + size / self._limit
        return max(0.0, paid - now)

    def left(self, sender: str | None, now: float) -> int:
        """Return how many bytes the data of ``sender`` may become now."""
        paid = max(self._paid.get(sender, now - BURST), now - BURST)
        return max(0, int((now - paid) * self._limit))


class Windows:
    """How much of ``limit`` bytes each sender holds for the windows of its compressed streams, to which these refer back.

    No sender holds more than is left for others, as in ``shares``: one that opens many streams gets a half.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held: dict[str | None, int] = {}
        self._total = 0

    def grow(self, sender: str | None, size: int) -> bool:
        """Count ``size`` bytes more (or less) for ``sender``; False: that is more than it may hold, so close the stream."""
        held = self._held.pop(sender, 0) + size
        self._total += size
        if held:
            self._held[sender] = held
        return size <= 0 or held <= self._limit - self._total
