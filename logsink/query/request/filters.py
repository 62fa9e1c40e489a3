"""What a row must be to be found: conditions on single columns, all of which must hold.

A condition is asked two things. ``mask``: which of these values meet it. ``verdict``: given bounds from the table's log or a
file's footer, can a row meet it at all, or do all of them; that is how files and row groups are passed over unread.
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


class Verdict(enum.Enum):
    """What bounds say of the rows within them."""

    NONE = enum.auto()
    SOME = enum.auto()  # or unknown
    ALL = enum.auto()


class Bounds(NamedTuple):
    """Least and greatest value of a column, and its nulls; None where unknown. The bounds need not be reached."""

    low: Any = None
    high: Any = None
    nulls: int | None = None


UNKNOWN = Bounds()

Needles = Sequence[bytes]
"""Byte strings of which at least one is there."""


class Condition(Protocol):
    """A test of one column."""

    @property
    def column(self) -> str:
        """The column it looks at."""

    def mask(self, values: pa.Array) -> Mask:
        """Which values meet it: bool[n]. ``values`` may be dictionary-encoded."""

    def verdict(self, bounds: Bounds) -> Verdict:
        """What ``bounds`` of the column say."""

    def needles(self) -> Sequence[Needles]:
        """What the bytes of any value that meets it hold; empty when nothing can be said."""


class Filter(NamedTuple):
    """Rows that meet every one of ``conditions``."""

    conditions: tuple[Condition, ...] = ()

    def within(self, bounds: Callable[[str], Bounds]) -> Filter | None:
        """What is left to be tested for rows within these bounds; None when no row can meet it."""
        left = []
        for condition in self.conditions:
            verdict = condition.verdict(bounds(condition.column))
            if verdict is Verdict.NONE:
                return None
            if verdict is Verdict.SOME:
                left.append(condition)
        return Filter(tuple(left))

    def columns(self) -> tuple[str, ...]:
        """The columns it looks at, each once."""
        return tuple(dict.fromkeys(condition.column for condition in self.conditions))

    def split(self, column: str) -> tuple[Filter, Filter]:
        """The conditions on other columns, and those on ``column``."""
        on = tuple(c for c in self.conditions if c.column == column)
        return Filter(tuple(c for c in self.conditions if c.column != column)), Filter(on)

    def needles(self) -> Sequence[Needles]:
        """What the values of any row that meets it hold, in whichever of the columns."""
        return [needles for condition in self.conditions for needles in condition.needles()]

    def in_frames(self) -> Sequence[Needles]:
        """What the frame of any row that meets it holds. Sender and transport, for example, do not stand there."""
        return [
            needles
            for condition in self.conditions
            for needles in condition.needles()
            if condition.column in VERBATIM_COLUMNS or (condition.column in UNESCAPED_COLUMNS and not _escaped(needles))
        ]

    def mask(self, rows: pa.Table | pa.RecordBatch) -> Mask:
        """Which rows meet it: bool[n]. Each column is one chunk."""
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
        """Which of these raw frames (binary) can give a row that meets it, judged by their bytes alone: bool[n]."""
        found = np.ones(len(frames), np.bool_)
        for needles in self.in_frames():
            pattern = b"|".join(map(latin_needle, needles))
            found &= as_mask(pc.match_substring_regex(frames, pattern))
        return found


EVERYTHING = Filter()


def _escaped(needles: Needles) -> bool:
    """Whether any of these stands in structured data otherwise than as it is."""
    return any(octet in needle for octet in ESCAPED_BYTES for needle in needles)


def any_needle(needles: Needles) -> str:
    """Any of the needles as a pattern over strings."""
    return "|".join(escape(needle.decode()) for needle in needles)


def latin_needle(needle: bytes) -> bytes:
    """The needle as a pattern over bytes: Arrow has RE2 read both as Latin-1 when the values are binary."""
    return escape(needle.decode("latin-1")).encode("latin-1")
