"""How fast compressed data of each sender may become frames: a few hundred kilobytes must not become millions of rows at once.

Law: over any time t, a sender's data becomes at most ``limit * (t + BURST)`` octets, and what one step gave beyond that is
waited for before the next. What is limited is what takes memory and time: the octets that come out, or what the frames cut
from them weigh (``Fill.weight``), whichever is more.

A sender is an address. Nothing here pauses or drops: it says how long to wait, or how much may come now.
"""

from __future__ import annotations

from typing import Final

BURST: Final = 1.0
"""Seconds whose octets may come at once."""

_REMEMBERED: Final = 4096
"""Senders from which on those are forgotten that may have everything again."""


class Rates:
    """Says how long each sender has to wait, at ``limit`` octets a second. ``now`` is in seconds of the loop's clock."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._paid: dict[str | None, float] = {}
        """Until when what each sender's data became is paid for, by time that passes."""

    def take(self, sender: str | None, octets: int, now: float) -> float:
        """Data of ``sender`` became ``octets``; seconds to wait before more of it is inflated, 0 for none."""
        if len(self._paid) >= _REMEMBERED and sender not in self._paid:
            self._paid = {one: paid for one, paid in self._paid.items() if paid > now - BURST}
        paid = self._paid[sender] = max(self._paid.get(sender, now - BURST), now - BURST) + octets / self._limit
        return max(0.0, paid - now)

    def left(self, sender: str | None, now: float) -> int:
        """Octets that data of ``sender`` may become now."""
        paid = max(self._paid.get(sender, now - BURST), now - BURST)
        return max(0, int((now - paid) * self._limit))


class Windows:
    """What compressed streams have to look back at, which is memory of each: who holds how much of ``limit`` octets.

    No sender holds more than there is left, as in ``shares``: one that opens many streams gets a half.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held: dict[str | None, int] = {}
        self._total = 0

    def grow(self, sender: str | None, octets: int) -> bool:
        """Count ``octets`` more (or less) for ``sender``; False if that is more than it may hold: then close the stream."""
        held = self._held.pop(sender, 0) + octets
        self._total += octets
        if held:
            self._held[sender] = held
        return octets <= 0 or held <= self._limit - self._total
