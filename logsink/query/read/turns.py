"""How far row groups are read before their turn: ``Turns``.

Units are begun in the order in which their rows can be needed, and many at once, because most of the time a read from S3 waits.
What they hold until then is bounded: by bytes that were fetched, then by the number of units that are filtered, then by the
number of those that are decoded whole. The first ones of the order never wait, so that there is always one that goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from logsink.query.read import datafile
from logsink.query.read.tuning import Tuning
from logsink.query.read.units import Unit, Units


class Turns:
    """The turns of the units that are being read, within the bounds of ``tuning``."""

    def __init__(self, units: Units, tuning: Tuning) -> None:
        self._units, self._tuning = units, tuning
        self._waiting: dict[asyncio.Future[None], Callable[[], bool]] = {}
        self._held = 0

    def of(self, unit: Unit, *, eager: bool = False) -> Turn:
        """Return the turn of a unit that was begun; ``eager``: it is probably needed whole."""
        return Turn(self, unit, max(datafile.WHOLE, self._tuning.eager) if eager else datafile.WHOLE)

    def changed(self) -> None:
        """Let those go on that may now: a unit was finished, or has ended.

        Waking all of them, only to wait again, would take a third of the event loop's time.
        """
        for waiting, condition in self._waiting.items():
            if not waiting.done() and condition():
                waiting.set_result(None)

    def is_near(self, unit: Unit) -> bool:
        """Return whether whole rows of the unit may be held now."""
        return self._units.is_among_first(unit, self._tuning.threads + 1)

    async def hold(self, unit: Unit, nbytes: int) -> None:
        """Wait until the unit may hold so many bytes more."""
        await self._until(lambda: not nbytes or self._held + nbytes <= self._tuning.ahead or self.is_near(unit))
        self._held += nbytes

    def release(self, nbytes: int) -> None:
        """Take note that a unit has ended, and does not hold these bytes any more."""
        self._held -= nbytes
        self.changed()

    async def filtered(self, unit: Unit) -> None:
        """Wait until the unit may be filtered."""
        await self._until(lambda: self._units.is_among_first(unit, self._tuning.filtered))

    async def decoded(self, unit: Unit) -> None:
        """Wait until the unit may be decoded whole."""
        await self._until(lambda: self.is_near(unit))

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():  # others that were woken may have taken the bytes
            waiting = asyncio.get_running_loop().create_future()
            self._waiting[waiting] = condition
            try:
                await waiting
            finally:
                del self._waiting[waiting]


class Turn:
    """What one unit may do now. ``end`` it in the end.

    ``few``: bytes of its columns that are fetched together, instead of step by step.
    """

    def __init__(self, turns: Turns, unit: Unit, few: int) -> None:
        self.few = few
        self._turns, self._unit, self._held = turns, unit, 0

    async def fetch(self, nbytes: int) -> None:
        """Wait until so many bytes of the unit may be fetched, and held until it ends."""
        await self._turns.hold(self._unit, nbytes)
        self._held += nbytes

    async def filter(self) -> None:
        """Wait until columns of the unit may be filtered."""
        await self._turns.filtered(self._unit)

    async def decode(self) -> None:
        """Wait until whole rows may be decoded, which are large."""
        await self._turns.decoded(self._unit)

    def end(self) -> None:
        """Hold nothing any more."""
        self._turns.release(self._held)
        self._held = 0
