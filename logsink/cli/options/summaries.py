"""Answers that are not rows: the options, and how they are shown."""

from __future__ import annotations

import datetime as dt
import shutil
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import click

from logsink.characters import harmless, harmless_json
from logsink.cli import completion
from logsink.cli.options.output import column
from logsink.cli.options.zones import shown
from logsink.errors import ArgumentError
from logsink.query.request import GLOB_COLUMNS

if TYPE_CHECKING:
    import pyarrow as pa

    from logsink.query import Filter
    from logsink.query.views import Summary

BAR = 50
"""Characters of the longest bar."""

KINDS = ("count", "stats", "hist", "top", "values", "patterns")


def summaries(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a verb with these options."""
    options = [
        click.option("--count", is_flag=True, help="How many match, and nothing else."),
        click.option(
            "--stats",
            metavar="by=NAMES",
            shell_complete=completion.columns,
            help="How many for each combination of values: by=app,severity.",
        ),
        click.option("--hist", metavar="STEP", help="How many in each step of time (5m, 1h), as bars."),
        click.option(
            "--by",
            metavar="NAME",
            shell_complete=completion.columns,
            help="Of --hist: apart by the values of this column.",
        ),
        click.option(
            "--top",
            metavar="NAME",
            shell_complete=completion.columns,
            help="The most frequent values of a column; -n of them (10).",
        ),
        click.option(
            "--values", metavar="NAME", shell_complete=completion.columns, help="Every value of a column, in order."
        ),
        click.option(
            "--patterns", is_flag=True, help="Messages with numbers, ids, addresses collapsed; -n of them (40)."
        ),
    ]
    for option in reversed(options):
        function = option(function)
    return function


def summary_of(given: Mapping[str, Any], zone: dt.tzinfo, filter: Filter) -> Summary | None:
    """The summary that is asked for, if one is, of the rows that meet ``filter``. ``ArgumentError``."""
    from logsink.kinds import parse_span
    from logsink.query.views import Counts, Histogram, Patterns

    asked = [kind for kind in KINDS if given[kind]]
    if len(asked) > 1:
        raise ArgumentError(f"cannot give --{asked[0]} and --{asked[1]} at once", hint="ask twice")
    if given["by"] and not given["hist"]:
        raise ArgumentError("cannot use --by without --hist", hint="--stats by=... counts without time")
    if not asked:
        return None
    if given["hist"]:
        step = round(parse_span(given["hist"]) * 1_000_000)
        if step <= 0:
            raise ArgumentError(f"cannot count in steps of {given['hist']!r}", hint="write 5m, 1h or '2 days'")
        by = column(given["by"]) if given["by"] else None
        named = given[by] if by in GLOB_COLUMNS else ()  # those that are silent, too
        values = [value for value in named if value[:1] != "!" and not any(c in value for c in "*?[")]
        return Histogram(step, zone, by, _range(filter), values)
    if given["stats"]:
        names = [name.strip() for name in given["stats"].removeprefix("by=").split(",")]
        return Counts([column(name) for name in names])
    if given["top"] or given["values"]:
        return Counts([column(given["top"] or given["values"])])
    return Patterns() if given["patterns"] else Counts()


def _range(filter: Filter) -> tuple[int | None, int | None]:
    """The time that is looked at, as far as it is known: from a beginning on it is until now."""
    from logsink.query import Between

    for condition in filter.conditions:
        if isinstance(condition, Between) and condition.column == "time":
            if condition.low is None:
                return None, condition.high
            now = max(condition.low, time.time_ns() // 1000) + 1
            return condition.low, now if condition.high is None else min(now, condition.high)
    return None, None


def arranged(found: pa.Table, given: Mapping[str, Any]) -> pa.Table:
    """The rows of a summary as they are shown."""
    if given["values"]:
        from logsink.query.request import number_first

        name = found.column_names[0]
        found = found.filter(found.column(name).is_valid()).select([name])
        values = found.column(name).to_pylist()
        found = found.take(sorted(range(len(values)), key=lambda row: number_first(values[row])))
    return found


def show(
    found: pa.Table, given: Mapping[str, Any], zone: dt.tzinfo, write: Callable[[bytes], object], *, terminal: bool
) -> None:
    """Write a summary as text, json or csv, to a terminal or not. ``ArgumentError`` for other formats."""
    kind = given["output"]
    if kind == "json":
        import orjson

        for row in found.to_pylist():
            write(harmless_json(orjson.dumps(row, option=orjson.OPT_UTC_Z | orjson.OPT_APPEND_NEWLINE)))
    elif kind == "csv":
        import pyarrow as pa
        import pyarrow.csv

        from logsink.query.output.files import dressed

        sink = pa.BufferOutputStream()
        found = dressed(found, terminal=terminal, spreadsheet=given["spreadsheet"])
        pyarrow.csv.write_csv(found, sink, pyarrow.csv.WriteOptions(quoting_style="needed"))
        write(sink.getvalue())
    else:
        _as_text(found, given, zone, write, shutil.get_terminal_size().columns if terminal else None)


def check(given: Mapping[str, Any]) -> None:
    """``ArgumentError`` when a summary cannot be shown like that."""
    if given["output"] not in ("text", "json", "csv"):
        raise ArgumentError(f"cannot show a summary with -o {given['output']}", hint="write text, json or csv")


def _as_text(
    found: pa.Table,
    given: Mapping[str, Any],
    zone: dt.tzinfo,
    write: Callable[[bytes], object],
    columns: int | None,
) -> None:
    """``columns``: of the terminal, which bars fit into."""
    rows = [[_shown(name, value, zone) for name, value in row.items()] for row in found.to_pylist()]
    names = found.column_names
    if given["count"] or given["values"]:
        write("".join(f"{row[-1]}\n" for row in rows).encode())
        return
    if given["hist"]:
        used = sum(max(len(name), *(len(row[k]) for row in rows), 0) + 2 for k, name in enumerate(names))
        bar = BAR if columns is None else max(1, min(BAR, columns - used))
        most = max(found.column("count").to_pylist(), default=0)
        for row, count in zip(rows, found.column("count").to_pylist(), strict=True):
            row.append("█" * max(1, round(bar * count / most)) if count else "")
        names = [*names, ""]
    if names[-1] == "count":  # the number first, the long text last
        names = [names[-1], *names[:-1]]
        rows = [[row[-1], *row[:-1]] for row in rows]
    numbers = [name == "count" for name in names]
    widths = [max(len(name), *(len(row[k]) for row in rows), 0) for k, name in enumerate(names)]
    for row in [names, *rows]:
        cells = (
            text.rjust(width) if n else text.ljust(width) for text, width, n in zip(row, widths, numbers, strict=True)
        )
        write(("  ".join(cells).rstrip() + "\n").encode())


def _shown(name: str, value: Any, zone: dt.tzinfo) -> str:
    """A value as text, harmless on a terminal."""
    from logsink.query.request import FACILITIES, SEVERITIES

    if value is None:
        return "-"
    if isinstance(value, dt.datetime):
        return shown(value, zone)
    if name in ("severity", "facility"):
        return str((SEVERITIES if name == "severity" else FACILITIES)[value])
    text = value.decode(errors="backslashreplace") if isinstance(value, bytes) else str(value)
    return harmless(text)
