"""Which rows the limit of a query can let through, judged by their times before they are read whole: ``Newest``."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from logsink.query.columns import Mask, as_integers
from logsink.query.order import Pending
from logsink.query.read.units import EARLIEST


class Spoiled(Exception):
    """Rows were left out for the sake of others that cannot be read."""


class Newest:
    """The newest rows found so far, as many as ``pending`` has room for.

    early     whether rows count from when their times are known, or only once they were read whole
    dropped   whether a matching row was left out
    """

    def __init__(self, pending: Pending, *, early: bool = True) -> None:
        self._pending, self._least, self._early = pending, EARLIEST, early
        self.dropped = False

    @property
    def oldest(self) -> int:
        """The time before which no row can be among the newest, in microseconds since the epoch."""
        floor = self._pending.floor
        return self._least if floor is None else max(self._least, floor)

    def choose(self, times: pa.Array, mask: Mask) -> Mask:
        """Return which rows of ``mask`` the limit can let through, given the times of all rows of a row group.

        Other row groups are measured against these rows from now on, long before they are read whole, if that is ``early``.
        """
        instants = as_integers(times, EARLIEST)
        room, found = self._pending.room, instants[mask]
        early = self._early and not self._pending.resumed  # rows that were shown already must not count
        if early and room and len(found) >= room:
            self._least = max(self._least, int(np.partition(found, len(found) - room)[len(found) - room]))
        newest: Mask = mask & (instants >= self.oldest)
        self.dropped |= bool((mask & ~newest).any())
        return newest

    def spoil(self) -> None:
        """Take note that a row group that may have been chosen from cannot be read.

        ``Spoiled`` when rows may have been left out for its sake: somebody has to begin anew, and not ``early``.
        """
        if self._least > EARLIEST and self.dropped:
            raise Spoiled
        self._least = EARLIEST
