"""Rows with a time in the future: their sender's clock is ahead, and they are the newest for ever."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

import numpy as np
import pyarrow as pa

from logsink.query.columns import as_array, as_integers, one_chunk
from logsink.query.read import Answer

SKEW: Final = 86_400 * 1_000_000
"""Microseconds by which a row's time may be after its receipt before its sender's clock is taken to be ahead."""

_NEVER = 1 << 62
"""A time of receipt, in microseconds since the epoch, after all others."""

_HOSTS = 3
"""Hosts that are named."""


class FutureRows:
    """The count of rows with a time in the future that is more than ``SKEW`` after their receipt.

    rows    how many there are
    hosts   the first few of their hosts, where the rows have this column
    more    whether there are other hosts
    """

    def __init__(self) -> None:
        self.rows, self.hosts, self.more = 0, list[str](), False
        self._now = time.time_ns() // 1000

    async def count_in(self, source: Answer) -> AsyncGenerator[pa.Table, None]:
        """Yield the tables of ``source``, and count in them; closing this closes the source."""
        async with aclosing(source) as found:
            async for rows in found:
                self.count(rows)
                yield rows

    def count(self, rows: pa.Table) -> None:
        """Count in one table, which has the columns ``time`` and ``received``."""
        times, received = as_integers(rows.column("time"), 0), as_integers(rows.column("received"), _NEVER)
        future = (times > self._now) & (times - received > SKEW)
        self.rows += int(np.count_nonzero(future))
        if future.any() and "host" in rows.column_names:
            hosts = one_chunk(rows.column("host")).filter(as_array(future)).unique().to_pylist()
            known = list(dict.fromkeys([*self.hosts, *(host for host in hosts if host is not None)]))
            self.hosts, self.more = known[:_HOSTS], self.more or len(known) > _HOSTS
