"""Rows whose sender's clock is ahead: they are the newest for ever, whatever comes."""

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
"""Microseconds between a row's time and when it was received beyond which a clock must be wrong."""

_HOSTS = 3
"""Hosts that are named."""


class FutureRows:
    """How many of the rows that pass by have a time in the future, further than ``SKEW`` from when they were received.

    ``hosts``: the first few of theirs, where there is such a column; ``more``: whether there are others.
    """

    def __init__(self) -> None:
        self.rows, self.hosts, self.more = 0, list[str](), False
        self._now = time.time_ns() // 1000

    async def watched(self, source: Answer) -> AsyncGenerator[pa.Table, None]:
        """The same rows; closing it closes the source."""
        async with aclosing(source) as found:
            async for rows in found:
                self.look(rows)
                yield rows

    def look(self, rows: pa.Table) -> None:
        """Count those of a table with ``time`` and ``received``."""
        times, received = as_integers(rows.column("time"), 0), as_integers(rows.column("received"), 1 << 62)
        late = (times > self._now) & (times - received > SKEW)
        self.rows += int(np.count_nonzero(late))
        if late.any() and "host" in rows.column_names:
            hosts = one_chunk(rows.column("host")).filter(as_array(late)).unique().to_pylist()
            known = list(dict.fromkeys([*self.hosts, *(host for host in hosts if host is not None)]))
            self.hosts, self.more = known[:_HOSTS], self.more or len(known) > _HOSTS
