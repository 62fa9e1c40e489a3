"""Filters: conditions on single columns, all of which a row must meet.

A condition answers four questions. ``mask``: which of these values meet it? ``verdict``: given bounds of a column from the
table's log or a file's footer, can any row meet it, or do all rows? So files and row groups are passed over unread.
``needles``: which bytes does every value that meets it contain? So values and frames are passed over undecoded.
``index_keys``: which keys does every value that meets it have in the index? So files are passed over without being opened.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from logsink.parse import ESCAPED_BYTES, UNESCAPED_COLUMNS, VERBATIM_COLUMNS
from logsink.query.columns import Mask, as_array, as_mask, one_chunk
from logsink.query.request.globs import escape
from logsink.query.request.keys import Requirement


class Verdict(enum.Enum):
    """How many of the rows within some bounds meet a condition."""

    NONE = enum.auto()
    SOME = enum.auto()  # or that is not known
    ALL = enum.auto()


class Bounds(NamedTuple):
    """Bounds of the values of a column, and how many of them are null; None where that is not known.

    No value is less than ``low`` or greater than ``high``; a value need not equal them.
    """

    low: Any = None
    high: Any = None
    nulls: int | None = None


UNKNOWN = Bounds()
"""The bounds of a column about which nothing is known."""

Needles = Sequence[bytes]
"""Alternatives: byte strings of which a value contains at least one."""


class Condition(Protocol):
    """A condition on the values of one column."""

    @property
    def column(self) -> str:
        """The column that it looks at."""

    def mask(self, values: pa.Array) -> Mask:
        """Return which values meet it: bool[n]. ``values`` may be dictionary-encoded."""

    def verdict(self, bounds: Bounds) -> Verdict:
        """Return what ``bounds`` of the column say about its rows."""

    def needles(self) -> Sequence[Needles]:
        """Return what the bytes of every value that meets it contain: at least one byte string of each element.

        Empty when nothing is known. A value may contain them and not meet the condition.
        """

    def index_keys(self) -> Sequence[Requirement]:
        """Return which keys of the index a row has that meets it: those of one alternative of each element.

        Empty when nothing is certain.
        """


class Filter(NamedTuple):
    """The conditions that a row must meet, all of them."""

    conditions: tuple[Condition, ...] = ()

    def within(self, bounds: Callable[[str], Bounds]) -> Filter | None:
        """Return what is left to be tested of rows within these bounds, by column; None when no row can meet the filter."""
        left = []
        for condition in self.conditions:
            verdict = condition.verdict(bounds(condition.column))
            if verdict is Verdict.NONE:
                return None
            if verdict is Verdict.SOME:
                left.append(condition)
        return Filter(tuple(left))

    def columns(self) -> tuple[str, ...]:
        """Return the columns that the conditions look at, each once."""
        return tuple(dict.fromkeys(condition.column for condition in self.conditions))

    def split(self, column: str) -> tuple[Filter, Filter]:
        """Return the conditions on other columns, and those on ``column``."""
        on = tuple(c for c in self.conditions if c.column == column)
        return Filter(tuple(c for c in self.conditions if c.column != column)), Filter(on)

    def needles(self) -> Sequence[Needles]:
        """Return what every row that meets the filter contains, in any of the columns: see ``Condition.needles``."""
        return [needles for condition in self.conditions for needles in condition.needles()]

    def index_keys(self) -> Sequence[Requirement]:
        """Return which keys of the index every row has that meets the filter: see ``Condition.index_keys``."""
        return [requirement for condition in self.conditions for requirement in condition.index_keys()]

    def in_frames(self) -> Sequence[Needles]:
        """Return what the frame of every row that meets the filter contains.

        Columns that do not stand in the frame, such as sender and transport, say nothing.
        """
        return [
            needles
            for condition in self.conditions
            for needles in condition.needles()
            if condition.column in VERBATIM_COLUMNS or (condition.column in UNESCAPED_COLUMNS and not _escaped(needles))
        ]

    def mask(self, rows: pa.Table | pa.RecordBatch) -> Mask:
        """Return which rows meet the filter: bool[n]."""
        found = np.ones(rows.num_rows, np.bool_)
        for condition in self.conditions:
            if not found.any():
                break
            values = one_chunk(rows.column(condition.column))
            if found.all():
                found = condition.mask(values)
            else:
                found[found] = condition.mask(values.filter(as_array(found)))
        return found

    def candidates(self, frames: pa.Array) -> Mask:
        """Return which raw frames (binary) may give a row that meets the filter, judged by their bytes alone: bool[n]."""
        found = np.ones(len(frames), np.bool_)
        for needles in self.in_frames():
            pattern = b"|".join(map(latin_needle, needles))
            found &= as_mask(pc.match_substring_regex(frames, pattern))
        return found


EVERYTHING = Filter()
"""The filter that every row meets."""


def _escaped(needles: Needles) -> bool:
    """Return whether a needle has a byte that structured data escapes."""
    return any(byte in needle for byte in ESCAPED_BYTES for needle in needles)


def any_needle(needles: Needles) -> str:
    """Return the expression, over strings, that matches any of the needles."""
    return "|".join(escape(needle.decode()) for needle in needles)


def latin_needle(needle: bytes) -> bytes:
    """Return the expression, over bytes, that matches a needle: for binary values Arrow has RE2 read both as Latin-1."""
    return escape(needle.decode("latin-1")).encode("latin-1")
