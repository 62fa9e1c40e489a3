"""Options that ask for a summary instead of rows, and how a summary is written."""

from __future__ import annotations

import datetime as dt
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Self

import click

from logsink.cli import completion
from logsink.cli.options.output import OutputOptions, column_of
from logsink.cli.options.zones import local_text
from logsink.errors import ArgumentError
from logsink.query.output import Style

if TYPE_CHECKING:
    import pyarrow as pa

    from logsink.query import Filter
    from logsink.query.views import Summary

BAR = 50
"""Character cells of the longest bar."""

KINDS = ("count", "stats", "hist", "top", "values", "patterns")
"""Options that each ask for a summary, of which only one may be given."""

FORMATS = {"text": "table", "json": "json", "csv": "csv"}
"""What ``-o`` may be with a summary, and the format of ``query.output`` that writes it."""

_COUNT = "count"
"""The column of a summary that holds numbers of rows."""


@dataclass(frozen=True, kw_only=True)
class SummaryOptions:
    """The options of this module as the command line gave them."""

    count: bool
    stats: str | None
    hist: str | None
    by: str | None
    top: str | None
    values: str | None
    patterns: bool

    @classmethod
    def of(cls, parameters: Mapping[str, Any]) -> Self:
        """Return the options of this module among all parameters of a verb."""
        return cls(**{field.name: parameters[field.name] for field in fields(cls)})


def summary_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a verb with the options of ``SummaryOptions``."""
    options = [
        click.option("--count", is_flag=True, help="Count the matching rows."),
        click.option(
            "--stats",
            metavar="by=NAMES",
            shell_complete=completion.columns,
            help="Count the matching rows for each combination of values: by=app,severity.",
        ),
        click.option(
            "--hist", metavar="STEP", help="Count the matching rows in each step of time (5m, 1h), with bars."
        ),
        click.option(
            "--by",
            metavar="NAME",
            shell_complete=completion.columns,
            help="With --hist: count the values of this column separately.",
        ),
        click.option(
            "--top",
            metavar="NAME",
            shell_complete=completion.columns,
            help="Show the most frequent values of a column, at most -n (default 10).",
        ),
        click.option(
            "--values",
            metavar="NAME",
            shell_complete=completion.columns,
            help="Show every value of a column, in order.",
        ),
        click.option(
            "--patterns",
            is_flag=True,
            help="Count by pattern (numbers, ids and addresses become *): top -n (default 40).",
        ),
    ]
    for option in reversed(options):
        function = option(function)
    return function


def summary_of(
    options: SummaryOptions, zone: dt.tzinfo, filter: Filter, globs: Mapping[str, Sequence[str]]
) -> Summary | None:
    """Return the summary that the options ask for, if they do. ``ArgumentError`` for options that do not go together.

    filter   condition of the rows that will be summarised; its range of time is that of a histogram
    globs    column -> globs that its values must match, as the command line gave them: a histogram by that column also has
             the values that no row has
    """
    if not any(getattr(options, kind) for kind in KINDS):
        return None
    from logsink.query.views import Counts, Patterns, Values

    if options.hist:
        return _histogram(options.hist, options.by, zone, filter, globs)
    if options.stats:
        names = [name.strip() for name in options.stats.removeprefix("by=").split(",")]
        return Counts([column_of(name) for name in names])
    if options.top:
        return Counts([column_of(options.top)])
    if options.values:
        return Values(column_of(options.values))
    return Patterns() if options.patterns else Counts()


def _histogram(
    step: str, by: str | None, zone: dt.tzinfo, filter: Filter, globs: Mapping[str, Sequence[str]]
) -> Summary:
    from logsink.cli.options.spans import microseconds_of
    from logsink.query.views import Histogram

    microseconds = microseconds_of(step, "count in steps of")
    if microseconds <= 0:
        raise ArgumentError(f"cannot count in steps of {step!r}", hint="write 5m, 1h or '2 days'")
    column = column_of(by) if by else None
    exact = [glob for glob in globs.get(column or "", ()) if glob[:1] != "!" and not any(c in glob for c in "*?[")]
    return Histogram(microseconds, zone, column, _range(filter), exact)


def _range(filter: Filter) -> tuple[int | None, int | None]:
    """Return the range of time of the filter, in microseconds, as far as it is known; it ends now at the latest."""
    from logsink.query import Between

    for condition in filter.conditions:
        if isinstance(condition, Between) and condition.column == "time":
            if condition.low is None:
                return None, condition.high
            now = max(condition.low, time.time_ns() // 1000) + 1
            return condition.low, now if condition.high is None else min(now, condition.high)
    return None, None


def written(
    tables: Iterable[pa.Table], options: SummaryOptions, output: OutputOptions, zone: dt.tzinfo, *, terminal: bool
) -> Iterator[bytes | memoryview]:
    """Yield the bytes of a summary, in parts; b"" where there are none yet.

    tables     the summary in order, at least one table: they are iterated over twice where that decides how wide columns are
    terminal   whether standard output is a terminal
    """
    from logsink.query.output import table_writer

    name = FORMATS[output.output]
    if name == "table" and (options.count or options.values):
        for table in tables:
            texts = (f"{_text(table.column_names[-1], value, zone)}\n" for value in table[-1].to_pylist())
            yield "".join(texts).encode()
        return
    if name == "table":
        width = shutil.get_terminal_size().columns if terminal else None
        yield from _aligned(tables, zone, width, bars=bool(options.hist))
        return
    writer, begun = table_writer(name, Style(terminal=terminal, spreadsheet=output.spreadsheet)), False
    for table in tables:
        if not begun:
            yield writer.begin(table.schema)
        begun = True
        yield from writer.rows(table) if table.num_rows else (b"",)
    yield writer.finish()


def _aligned(tables: Iterable[pa.Table], zone: dt.tzinfo, width: int | None, *, bars: bool) -> Iterator[bytes]:
    """Yield a table for people, whose columns are as wide as their values, whatever the terminal's width."""
    from logsink.query.output import AlignedColumns

    few = isinstance(tables, Sequence)
    texts = [_for_people(table, zone, bars=bars) for table in tables] if few else _ForPeople(tables, zone, bars=bars)
    writer, scale, begun = AlignedColumns(), _Scale(width), False
    for table in texts:
        if bars:
            scale.fit(table)
        table = scale.with_bars(table) if bars else table  # nothing stands behind bars: their width means nothing
        if not begun:
            writer.begin(table.schema)
        begun = True
        writer.fit(table)
        yield b""
    for table in texts:
        yield from writer.rows(scale.with_bars(table) if bars else table)
    yield writer.finish()


class _ForPeople:
    """Tables as ``_for_people`` returns them, made anew by each iteration."""

    def __init__(self, tables: Iterable[pa.Table], zone: dt.tzinfo, *, bars: bool) -> None:
        self._tables, self._zone, self._bars = tables, zone, bars

    def __iter__(self) -> Iterator[pa.Table]:
        for table in self._tables:
            yield _for_people(table, self._zone, bars=self._bars)


def _for_people(found: pa.Table, zone: dt.tzinfo, *, bars: bool) -> pa.Table:
    """Return a summary as text; unless bars are to follow, with the number first and the long text last."""
    import pyarrow as pa

    columns: dict[str, Any] = {
        name: column
        if name == _COUNT
        else pa.array([_text(name, value, zone) for value in column.to_pylist()], pa.string())
        for name, column in zip(found.column_names, found.columns, strict=True)
    }
    if not bars and found.column_names[-1] == _COUNT:
        columns = {_COUNT: columns.pop(_COUNT), **columns}
    return pa.table(columns)


class _Scale:
    """How long the bars of a histogram are, once it was told all rows (``fit``); ``width``: of the terminal."""

    def __init__(self, width: int | None) -> None:
        self._width, self._most = width, 0
        self._widths: dict[str, int] = {}

    def fit(self, rows: pa.Table) -> None:
        """Take note of the rows of a table."""
        self._most = max(self._most, *rows.column(_COUNT).to_pylist(), 0)
        if self._width is not None:
            for name, column in zip(rows.column_names, rows.columns, strict=True):
                longest = max((len(str(value)) for value in column.to_pylist()), default=0)
                self._widths[name] = max(self._widths.get(name, len(name)), longest)

    def with_bars(self, rows: pa.Table) -> pa.Table:
        """Return a table with a last column of bars, as long as the counts are large."""
        import pyarrow as pa

        longest = BAR
        if self._width is not None:
            used = sum(width + len("  ") for width in self._widths.values())
            longest = max(1, min(BAR, self._width - used))
        counts = rows.column(_COUNT).to_pylist()
        bars = ["█" * max(1, round(longest * count / max(1, self._most))) if count else "" for count in counts]
        return rows.append_column("", pa.array(bars, pa.string()))


def _text(name: str, value: Any, zone: dt.tzinfo) -> str:
    """Return a value of the column ``name`` as people read it, harmless on a terminal."""
    from logsink.query.output import cell_text
    from logsink.query.request import FACILITIES, SEVERITIES

    if isinstance(value, dt.datetime):
        return local_text(value, zone)
    if value is not None and name in ("severity", "facility"):
        return str((SEVERITIES if name == "severity" else FACILITIES)[value])
    return cell_text(value)
