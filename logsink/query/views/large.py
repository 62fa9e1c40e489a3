"""Sums whose result does not fit into memory, from temporary files: ``LargeSum``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa

from logsink.query.order import Runs
from logsink.query.views.summary import Summary


class LargeSum:
    """The first ``limit`` rows of a summary (None: all), in the order in which they are shown.

    ``sums`` has the parts, as the summary's ``keyed`` made them, but for some ``others``. Iterate over ``sort``, which ends
    when everything is sorted, then over the object, as often as you like. Each step of both takes a moment.
    """

    def __init__(self, summary: Summary, sums: Runs, others: Sequence[pa.Table], limit: int | None) -> None:
        self._summary, self._sums, self._others, self._limit = summary, sums, others, limit
        self._sorted = sums
        self.rows = 0
        """The number of rows without a limit, once an iteration has ended."""

    def sort(self) -> Iterator[None]:
        """Sort the rows; each step sorts some of them."""
        for part in self._others:
            self._sums.add(self._summary.keyed(part))
            yield
        for made in self._summary.arrange(self._sums, self._limit):
            self._sorted = made or self._sorted
            yield

    def stop(self) -> None:
        """Have a step that is under way end soon. What is sorted is worth nothing any more."""
        self._sums.stop()

    def __iter__(self) -> Iterator[pa.Table]:
        """Yield tables; such as have no rows while the rest is counted."""
        rows = 0
        for table in self._sorted:
            left = None if self._limit is None else max(0, self._limit - rows)
            rows += table.num_rows
            yield self._summary.shown(table.slice(0, left))
        self.rows = rows if self._sorted.rows is None else self._sorted.rows
