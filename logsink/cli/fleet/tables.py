"""A table of numbers and times as people read it, with bars, and as other programs do.

A table goes to other programs as it is. For people, times are local and to the second, bytes have a unit, columns without any
value are left out, and a column of bars may stand last. Numbers and times are never cut. Where a terminal is too narrow,
machine ids are cut to what tells them apart; where that is not enough, columns that can be spared are left out; and if there
still is no room, each row is shown as lines of names and values.
"""

from __future__ import annotations

import datetime as dt
import re
import shutil
import sys
from collections.abc import Callable, Sequence
from typing import Any, Final

import pyarrow as pa
from rich.cells import cell_len

from logsink.cli.options.zones import local_text
from logsink.cli.report import size
from logsink.query.output import AlignedColumns, Style, TableWriter, cell_text, table_writer

BAR: Final = 50
"""Character cells of the longest bar."""

LEAST_BAR: Final = 10
"""Character cells below which bars are left out."""

_SIZES: Final = ("bytes", "stored")
_GAP: Final = 2

_IDS: Final = ("instance",)
_ID: Final = re.compile("[0-9a-f]{20,}")
"""Matches a machine id: hexadecimal digits only."""

_LEAST_ID: Final = 8
"""Characters of a shortened machine id, at least."""

Bars = Callable[[int], Sequence[str]]
"""Returns a bar for each row, of so many character cells at most."""


def write(
    table: pa.Table, output: str, zone: dt.tzinfo, bars: Bars | None = None, spare: Sequence[str] = ()
) -> Sequence[str]:
    """Write a table to standard output in one of ``options.FORMATS``.

    Of the columns ``spare``, the first ones are left out where a terminal is too narrow. Return the names of these.
    """
    out, terminal = sys.stdout.buffer, sys.stdout.isatty()
    writer: TableWriter = table_writer(output, Style(terminal=terminal))
    left_out: Sequence[str] = ()
    if output == "table":
        width = shutil.get_terminal_size().columns if terminal else None
        uncut = [field.name for field in table.schema if not pa.types.is_string(field.type)]
        table, left_out = for_people(table, zone, width, bars, spare)
        writer = AlignedColumns(width, sample=None, uncut={*uncut, ""})
    out.write(writer.begin(table.schema))
    for part in writer.rows(table):
        out.write(part)
    out.write(writer.finish())
    out.flush()
    return left_out


def for_people(
    table: pa.Table, zone: dt.tzinfo, width: int | None, bars: Bars | None = None, spare: Sequence[str] = ()
) -> tuple[pa.Table, Sequence[str]]:
    """Return a table as text, without columns that have no value at all, with the bars that fit into ``width``.

    Also return which of the columns ``spare`` have values, and were left out because they did not fit.
    """
    columns = dict[str, list[str]]()
    for field, column in zip(table.schema, table.columns, strict=True):
        if column.null_count < len(column):
            texts = [_text(field.name, value, zone) for value in column.to_pylist()]
            if not pa.types.is_string(field.type):
                longest = max(map(len, [field.name, *texts]))
                texts = [text.rjust(longest) for text in texts]
            columns[field.name] = texts
    widths = {name: max(map(cell_len, [name, *texts])) + _GAP for name, texts in columns.items()}
    if width is not None and sum(widths.values()) - _GAP > width:
        for name in _IDS:
            if name in columns:
                columns[name] = _shortened(columns[name])
                widths[name] = max(map(cell_len, [name, *columns[name]])) + _GAP
    left_out = list[str]()
    for name in spare:
        if width is not None and name in columns and sum(widths.values()) - _GAP > width:
            del columns[name], widths[name]
            left_out.append(name)
    if bars is not None and table.num_rows:
        room = BAR if width is None else min(BAR, width - sum(widths.values()))
        if room >= LEAST_BAR:
            columns[""] = list(bars(room))
    return pa.table({name: pa.array(texts, pa.string()) for name, texts in columns.items()}), left_out


def bars_of(numbers: Sequence[int]) -> Bars:
    """Return the bars of some numbers, each as long as its number is large."""
    most = max(numbers, default=0)
    return lambda room: ["█" * max(1, round(room * number / most)) if number else "" for number in numbers]


def spans_of(spans: Sequence[tuple[int, int]]) -> Bars:
    """Return bars that stand where spans of time do, between the beginning of the first and the end of the last."""
    begin, end = min((first for first, _ in spans), default=0), max((last for _, last in spans), default=0)

    def drawn(room: int) -> list[str]:
        place = [tuple((room - 1) * (time - begin) // max(1, end - begin) for time in span) for span in spans]
        return [" " * first + "█" * (last - first + 1) for first, last in place]

    return drawn


def _shortened(texts: Sequence[str]) -> list[str]:
    """Return texts of which machine ids are cut to the fewest characters that tell all of them apart."""
    ids = {text for text in texts if _ID.fullmatch(text)}
    length = _LEAST_ID
    while len({one[:length] for one in ids}) < len(ids):
        length += 1
    return [text[:length] if text in ids else text for text in texts]


def _text(name: str, value: Any, zone: dt.tzinfo) -> str:
    """Return a value of the column ``name`` as people read it, harmless on a terminal."""
    if isinstance(value, dt.datetime):
        return local_text(value, zone)
    if isinstance(value, float):
        return f"{value:,.2f}"
    if isinstance(value, int):
        return size(value) if name in _SIZES else f"{value:,}"
    return cell_text(value)
