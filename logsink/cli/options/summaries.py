"""Options that ask for a summary instead of rows, and how a summary is written."""

from __future__ import annotations

import datetime as dt
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
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
    from logsink.query.views import Counts, Patterns

    if options.hist:
        return _histogram(options.hist, options.by, zone, filter, globs)
    if options.stats:
        names = [name.strip() for name in options.stats.removeprefix("by=").split(",")]
        return Counts([column_of(name) for name in names])
    if column := options.top or options.values:
        return Counts([column_of(column)])
    return Patterns() if options.patterns else Counts()


def _histogram(
    step: str, by: str | None, zone: dt.tzinfo, filter: Filter, globs: Mapping[str, Sequence[str]]
) -> Summary:
    from logsink.kinds import parse_span
    from logsink.query.views import Histogram

    microseconds = round(parse_span(step) * 1_000_000)
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


def arranged(found: pa.Table, options: SummaryOptions) -> pa.Table:
    """Return the rows of a summary in the order in which they are shown."""
    if not options.values:
        return found
    from logsink.query.request import number_first

    name = found.column_names[0]
    found = found.filter(found.column(name).is_valid()).select([name])
    values = found.column(name).to_pylist()
    return found.take(sorted(range(len(values)), key=lambda row: number_first(values[row])))


def written(
    found: pa.Table, options: SummaryOptions, output: OutputOptions, zone: dt.tzinfo, *, terminal: bool
) -> Iterator[bytes | memoryview]:
    """Yield the bytes of a summary, in parts; ``terminal``: standard output is a terminal."""
    from logsink.query.output import AlignedColumns, TableWriter, table_writer

    name = FORMATS[output.output]
    writer: TableWriter = table_writer(name, Style(terminal=terminal, spreadsheet=output.spreadsheet))
    if name == "table":
        if options.count or options.values:
            yield "".join(f"{_text(found.column_names[-1], value, zone)}\n" for value in found[-1].to_pylist()).encode()
            return
        width = shutil.get_terminal_size().columns if terminal else None
        found = _for_people(found, zone, width, bars=bool(options.hist))
        writer = AlignedColumns(sample=None)  # whatever the terminal's width: a summary is not cut
    yield writer.begin(found.schema)
    yield from writer.rows(found)
    yield writer.finish()


def _for_people(found: pa.Table, zone: dt.tzinfo, width: int | None, *, bars: bool) -> pa.Table:
    """Return a summary as text, with the number first and the long text last, or with bars that fit into ``width``."""
    import pyarrow as pa

    columns: dict[str, Any] = {
        name: column
        if name == _COUNT
        else pa.array([_text(name, value, zone) for value in column.to_pylist()], pa.string())
        for name, column in zip(found.column_names, found.columns, strict=True)
    }
    if bars:
        columns[""] = pa.array(_bars(columns, width), pa.string())
    elif found.column_names[-1] == _COUNT:
        columns = {_COUNT: columns.pop(_COUNT), **columns}
    return pa.table(columns)


def _bars(columns: Mapping[str, Any], width: int | None) -> list[str]:
    """Return a bar for each count, as long as the count is large."""
    longest = BAR
    if width is not None:
        used = sum(
            max(len(name), *(len(str(value)) for value in column.to_pylist()), 0) + 2
            for name, column in columns.items()
        )
        longest = max(1, min(BAR, width - used))
    counts = columns[_COUNT].to_pylist()
    most = max(counts, default=0)
    return ["█" * max(1, round(longest * count / most)) if count else "" for count in counts]


def _text(name: str, value: Any, zone: dt.tzinfo) -> str:
    """Return a value of the column ``name`` as people read it, harmless on a terminal."""
    from logsink.query.output import cell_text
    from logsink.query.request import FACILITIES, SEVERITIES

    if isinstance(value, dt.datetime):
        return local_text(value, zone)
    if value is not None and name in ("severity", "facility"):
        return str((SEVERITIES if name == "severity" else FACILITIES)[value])
    return cell_text(value)
