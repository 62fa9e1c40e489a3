"""A table for people: columns as wide as their values, and no wider than the terminal."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import pyarrow as pa
from rich.cells import cell_len, set_cell_size

from logsink.characters import harmless
from logsink.query.output.tables import as_text

_LEAST = 8
"""Character cells to which a column is cut at most; where that is still too wide, each value gets a line of its own."""

_GAP = "  "


class AlignedColumns:
    """A ``TableWriter`` for people: a line of names, then a line a row, without harmful characters; ``-`` for null.

    width    of the terminal, in character cells, into which the table is cut; None, not on a terminal, cuts nothing
    sample   rows, from the first on, whose values decide how wide the columns are; None for those of the first table.
             Where ``fit`` was called, the rows that it was given decide instead.
    uncut    names of columns that are never cut
    """

    def __init__(
        self, width: int | None = None, *, sample: int | None = 1000, uncut: Collection[str] = frozenset()
    ) -> None:
        self._width, self._sample, self._uncut = width, sample, uncut

    def begin(self, schema: pa.Schema) -> bytes:
        self._names = [harmless(name) for name in schema.names]
        self._numeric = [_is_number(kind) for kind in schema.types]
        self._widths: list[int] | None = None
        self._headed, self._rows = False, 0
        return b""  # the names come with the first rows, which decide how wide they stand

    def fit(self, rows: pa.Table) -> None:
        """Make the columns as wide as these rows need, too. To be called between ``begin`` and ``rows``."""
        needed = self._needed(_lines(rows))
        self._widths = needed if self._widths is None else list(map(max, self._widths, needed))

    def rows(self, rows: pa.Table) -> Iterator[bytes]:
        lines = _lines(rows)
        if self._widths is None:
            self._widths = self._fitting(lines[: self._sample])
        if self._width is not None and _total(self._widths) > self._width:
            yield self._records(lines, self._width).encode()
        else:
            yield "".join(map(self._line, lines if self._headed else [self._names, *lines])).encode()
        self._headed = True
        self._rows += len(lines)

    def finish(self) -> bytes:
        return b"" if self._headed else (_GAP.join(self._names) + "\n").encode()

    def _fitting(self, sample: Sequence[Sequence[str]]) -> list[int]:
        """Return the widths of the columns, the widest ones cut until all fit, or none can be cut further."""
        widths = self._needed(sample)
        places = [place for place, name in enumerate(self._names) if name not in self._uncut]
        while self._width is not None and _total(widths) > self._width:
            widest, over = max((widths[place] for place in places), default=0), _total(widths) - self._width
            if widest <= _LEAST:
                break
            following = max((widths[place] for place in places if widths[place] < widest), default=_LEAST)
            wide = [place for place in places if widths[place] == widest]
            step = max(1, min(widest - max(following, _LEAST), over // len(wide)))
            for place in wide if step > 1 else wide[:1]:
                widths[place] -= step
        return widths

    def _needed(self, lines: Sequence[Sequence[str]]) -> list[int]:
        """Return how wide the columns must be for their names and these values."""
        return [max(cell_len(text) for text in column) for column in zip(self._names, *lines, strict=True)]

    def _line(self, cells: Sequence[str]) -> str:
        assert self._widths is not None
        return _GAP.join(map(self._cell, cells, self._widths, self._numeric)).rstrip() + "\n"

    def _cell(self, text: str, width: int, numeric: bool = False) -> str:
        """Return the text as wide as ``width``: filled with spaces, numbers from the left, or cut with a mark."""
        missing = width - cell_len(text)
        if missing >= 0:
            return " " * missing + text if numeric else text + " " * missing
        return text if self._width is None else set_cell_size(text, width - 1) + "…"

    def _records(self, rows: Sequence[Sequence[str]], width: int) -> str:
        """Return a line for each value, for tables that are too wide for the terminal."""
        names = max(map(cell_len, self._names))
        values = max(_LEAST, width - names - len(_GAP))
        lines = []
        for number, row in enumerate(rows, self._rows + 1):
            lines.append(f"-- row {number}\n")
            lines += [
                f"{self._cell(name, names)}{_GAP}{self._cell(text, values).rstrip()}\n"
                for name, text in zip(self._names, row, strict=True)
            ]
        return "".join(lines)


def _lines(rows: pa.Table) -> list[tuple[str, ...]]:
    """Return the texts of each row's cells."""
    return list(zip(*(map(cell_text, column.to_pylist()) for column in rows.columns), strict=True))


def cell_text(value: Any) -> str:
    """Return a value as it stands in a table, harmless on a terminal: ``-`` for null, instants as RFC 3339 with a space."""
    if value is None:
        return "-"
    if isinstance(value, dt.datetime):
        precision = "microseconds" if value.microsecond else "seconds"
        return value.isoformat(sep=" ", timespec=precision).replace("+00:00", "Z")
    return harmless(as_text(value))


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + len(_GAP) * (len(widths) - 1)


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))
