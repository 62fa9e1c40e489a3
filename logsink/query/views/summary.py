"""Summaries: counts of the rows that a query finds, by values, by time, by message pattern.

A summary names the columns that it needs. ``part`` sums some of the rows, in threads and for any number of rows; ``whole``
sums the parts. The result is a table whose last column, ``COUNT``, is the number of rows. Where it is too large for memory,
its parts are in ``Runs``, and ``large`` shows it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import pyarrow as pa
import pyarrow.compute as pc

from logsink.query.columns import as_array, as_integers, decoded, one_chunk
from logsink.query.order import Runs
from logsink.query.read import Sums
from logsink.query.request import add_member_columns, numbers_of, source_columns
from logsink.query.views.counting import COUNT, add_up, count_rows, keys_of
from logsink.query.views.patterns import to_patterns


class Summary(Protocol):
    """One kind of summary."""

    @property
    def columns(self) -> Sequence[str]:
        """The columns of rows that ``part`` needs."""

    def part(self, rows: pa.Table) -> pa.Table:
        """Return a part: the summary of some rows, in no particular order."""

    def merge(self, parts: Sequence[pa.Table]) -> pa.Table:
        """Return one part that stands for some parts, at least one."""

    def whole(self, parts: Sequence[pa.Table]) -> pa.Table:
        """Return the finished table that all parts, at least one, make together: sorted, with the columns that are shown."""

    def sums(self) -> Sums | None:
        """Return how parts are made from the counts in the store, where one row stands for many; None where they cannot be."""

    def keyed(self, part: pa.Table) -> pa.Table:
        """Return a part as ``Runs`` takes it: the columns by which it is sorted come first, ``COUNT`` is the last."""

    def arrange(self, sums: Runs, limit: int | None) -> Iterator[Runs | None]:
        """Sort ``sums``, parts that ``keyed`` has made, a step at a time, and yield the sorted ``Runs`` at the last step.

        Earlier steps yield None. Rows behind the first ``limit`` may be left out.
        """

    def shown(self, rows: pa.Table) -> pa.Table:
        """Return rows of the sorted ``Runs`` with the columns that ``whole`` returns: without those that only sort."""


class _ByFrequency:
    """How many rows have each combination of values of ``fields``, the most frequent first."""

    def __init__(self, fields: Sequence[str]) -> None:
        self.fields = tuple(fields)

    def merge(self, parts: Sequence[pa.Table]) -> pa.Table:
        return add_up(parts, self.fields)

    def whole(self, parts: Sequence[pa.Table]) -> pa.Table:
        total = self.merge(parts)
        # Arrow takes a name with dots for a path.
        numbered = total.rename_columns(list(map(str, range(total.num_columns))))
        last = total.num_columns - 1
        order = pc.sort_indices(numbered, [(str(last), "descending"), *((str(k), "ascending") for k in range(last))])
        return total.take(order)

    def keyed(self, part: pa.Table) -> pa.Table:
        return part

    def arrange(self, sums: Runs, limit: int | None) -> Iterator[Runs | None]:
        sorted = sums.another(limit)
        for rows in sums:
            falling = as_array(-as_integers(rows.columns[-1]))
            sorted.add(pa.table([falling, *rows.columns], ["falling", *rows.column_names]))
            yield None
        yield sorted

    def shown(self, rows: pa.Table) -> pa.Table:
        return rows.remove_column(0)


class Counts(_ByFrequency):
    """How many rows have each combination of values of ``fields``, the most frequent first; without fields, of all rows."""

    def __init__(self, fields: Sequence[str] = ()) -> None:
        super().__init__(fields)
        self.columns: Sequence[str] = source_columns(self.fields) or ("severity",)

    def part(self, rows: pa.Table) -> pa.Table:
        rows = add_member_columns(rows, self.fields)
        return count_rows(keys_of(rows, self.fields), rows.num_rows)

    def sums(self) -> Sums:
        return Sums(self.fields, lambda rows, each: count_rows(keys_of(rows, self.fields), rows.num_rows, each))


class Values(Counts):
    """Which values ``field`` has: numbers, and text that reads as one, by size, then everything else in order; no nulls."""

    def __init__(self, field: str) -> None:
        super().__init__((field,))

    def whole(self, parts: Sequence[pa.Table]) -> pa.Table:
        keyed = self.keyed(self.merge(parts))
        plain = keyed.rename_columns(["number", "value", COUNT])  # Arrow takes a name with dots for a path
        return self.shown(keyed.take(pc.sort_indices(plain, [("number", "ascending"), ("value", "ascending")])))

    def keyed(self, part: pa.Table) -> pa.Table:
        part = part.filter(part.column(0).is_valid())
        numbers = numbers_of(decoded(one_chunk(part.column(0))))
        return pa.table([numbers, *part.columns], ["number", *part.column_names])

    def arrange(self, sums: Runs, limit: int | None) -> Iterator[Runs | None]:
        yield sums

    def shown(self, rows: pa.Table) -> pa.Table:
        return rows.select([1])


class Patterns(_ByFrequency):
    """How many messages have each pattern (``patterns``), the most frequent first."""

    columns = ("message",)

    def __init__(self) -> None:
        super().__init__(("pattern",))

    def part(self, rows: pa.Table) -> pa.Table:
        messages = one_chunk(rows.column("message"))
        return count_rows({"pattern": to_patterns(messages)}, rows.num_rows)

    def sums(self) -> None:
        """Return None: counts know no messages."""
