"""The table of output formats: the one place where a format gets its name, its properties and its writer.

To add a format, write a writer (``writers``: ``RowWriter`` for rows of the archive, most easily as a ``LineFormat``;
``TableWriter`` for any table) and add a line to ``FORMATS``. The options of the commands, their help and completion, and the
checks of which options go together read that table; a test asks that the documentation names every format. Writers are imported
when a format is used.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from logsink.query.output.lines import LineFormat
    from logsink.query.output.writers import RowWriter, TableWriter


@dataclass(frozen=True, kw_only=True)
class Style:
    """What a user asked of an output besides its format; each format takes from it what concerns it."""

    columns: Sequence[str] = ()
    """Chosen columns, in this order; empty for those that the format shows by itself."""

    zone: dt.tzinfo | None = None
    """Time zone of times that people read; None for UTC."""

    terminal: bool = False
    """Whether the output goes to a terminal, so that harmful characters must be escaped."""

    width: int | None = None
    """Character cells of a line of the terminal, into which tables are cut; None for no limit."""

    colour: bool = False
    """Colour lines by their severity."""

    marks: bool = False
    """Write a letter for the severity."""

    highlight: str = ""
    """RE2 expression whose matches in messages are highlighted."""

    blocks: bool = False
    """Write ``--`` where the column ``gap`` says that a block of neighbouring rows begins."""

    octet_counted: bool = False
    """Write the length before each frame (RFC 6587 section 3.4.1) instead of LF after it."""

    spreadsheet: bool = False
    """Disarm text that a spreadsheet would run as a formula."""


class Format(NamedTuple):
    """An output format. It writes rows of the archive, tables of any schema, or both."""

    name: str
    description: str
    rows: Callable[[Style], RowWriter] | None = None
    """Make a writer for rows of the archive: ``logsink query``."""
    table: Callable[[Style], TableWriter] | None = None
    """Make a writer for tables of any schema: ``logsink sql``, summaries."""
    for_people: bool = False
    """People read it: beside it they are told why nothing was found."""
    takes_fields: bool = True
    """``--fields`` chooses its columns."""
    binary: bool = False
    """It must not be written to a terminal."""
    needs_end: bool = False
    """It cannot be read before its end is written, so that it cannot follow the archive."""
    members_as_json: bool = False
    """Its writer takes members of messages as JSON, instead of as text."""


def _lines(format: LineFormat, style: Style | None = None) -> RowWriter:
    from logsink.query.output.lines import Blocks, Lines

    return Lines(Blocks(format) if style is not None and style.blocks else format)


def _columns(style: Style) -> Sequence[str]:
    from logsink.query.output.writers import DEFAULT_COLUMNS

    return style.columns or DEFAULT_COLUMNS


def _text(style: Style, *, iso: bool = False) -> RowWriter:
    from logsink.query.output.text import Text

    text = Text(
        style.zone,
        colour=style.colour,
        iso=iso,
        marks=style.marks,
        highlight=style.highlight,
        fields=style.columns,
    )
    return _lines(text, style)


def _iso(style: Style) -> RowWriter:
    return _text(style, iso=True)


def _verbose(style: Style) -> RowWriter:
    from logsink.query.output.text import Verbose

    return _lines(Verbose(_columns(style), style.zone), style)


def _cat(style: Style) -> RowWriter:
    from logsink.query.output.text import Cat

    return _lines(Cat(terminal=style.terminal), style)


def _json(style: Style) -> RowWriter:
    from logsink.query.output.json_lines import Json

    return _lines(Json(_columns(style)))


def _json_pretty(style: Style) -> RowWriter:
    from logsink.query.output.json_lines import JsonPretty

    return _lines(JsonPretty(_columns(style)))


def _raw(style: Style) -> RowWriter:
    from logsink.query.output.syslog import Raw

    return _lines(Raw(octet_counted=style.octet_counted))


def _syslog(style: Style) -> RowWriter:
    from logsink.query.output.syslog import Syslog

    return _lines(Syslog(octet_counted=style.octet_counted, terminal=style.terminal))


def _csv(style: Style) -> RowWriter:
    from logsink.query.output.tables import Csv
    from logsink.query.output.writers import AsTables

    writer = Csv(terminal=style.terminal, spreadsheet=style.spreadsheet, bare_names=True)
    return AsTables(writer, _columns(style), instants_as_text=True)


def _parquet(style: Style) -> RowWriter:
    from logsink.query.output.writers import AsTables

    return AsTables(_table_parquet(style), _columns(style))


def _arrow(style: Style) -> RowWriter:
    from logsink.query.output.writers import AsTables

    return AsTables(_table_arrow(style), _columns(style))


def _table_aligned(style: Style) -> TableWriter:
    from logsink.query.output.aligned import AlignedColumns

    return AlignedColumns(style.width)


def _table_json(style: Style) -> TableWriter:
    from logsink.query.output.tables import JsonObjects

    return JsonObjects()


def _table_csv(style: Style) -> TableWriter:
    from logsink.query.output.tables import Csv

    return Csv(terminal=style.terminal, spreadsheet=style.spreadsheet)


def _table_parquet(style: Style) -> TableWriter:
    from logsink.query.output.tables import Parquet

    return Parquet()


def _table_arrow(style: Style) -> TableWriter:
    from logsink.query.output.tables import ArrowStream

    return ArrowStream()


_ALL = (
    Format("table", "Aligned columns for people", None, _table_aligned, for_people=True),
    Format("text", "Lines for people: local time, host, app, message", _text, for_people=True),
    Format("iso", "text with times in RFC 3339", _iso, for_people=True),
    Format("verbose", "Each column of a row on a line of its own", _verbose, for_people=True),
    Format("json", "One JSON object a line", _json, _table_json, members_as_json=True),
    Format("json-pretty", "One indented JSON object a row", _json_pretty, members_as_json=True),
    Format("csv", "RFC 4180 with a line of names", _csv, _table_csv),
    Format("raw", "The frames as they were received", _raw, takes_fields=False),
    Format("cat", "The messages alone", _cat, for_people=True, takes_fields=False),
    Format("syslog", "RFC 5424, to be sent to a syslog server", _syslog, takes_fields=False),
    Format("parquet", "A Parquet file", _parquet, _table_parquet, binary=True, needs_end=True),
    Format("arrow", "An Arrow IPC stream", _arrow, _table_arrow, binary=True, needs_end=True),
)

FORMATS = {format.name: format for format in _ALL}
"""All formats by name, in the order in which they are shown."""

SYNONYMS = {"short": "text", "short-iso": "iso", "default": "text", "jsonl": "json"}
"""What journalctl and logcli call a format."""

OF_ROWS = tuple(format.name for format in _ALL if format.rows)
"""Names of the formats that write rows of the archive."""

OF_TABLES = tuple(format.name for format in _ALL if format.table)
"""Names of the formats that write tables of any schema."""


def row_writer(name: str, style: Style) -> RowWriter:
    """Return a writer for rows of the archive in a format of ``OF_ROWS``."""
    from logsink.query.output.writers import WithMembers
    from logsink.query.request import is_member

    format = FORMATS[name]
    assert format.rows is not None
    writer = format.rows(style)
    has_members = any(map(is_member, writer.columns))
    return WithMembers(writer, as_json=format.members_as_json) if has_members else writer


def table_writer(name: str, style: Style) -> TableWriter:
    """Return a writer for tables of any schema in a format of ``OF_TABLES``."""
    make = FORMATS[name].table
    assert make is not None
    return make(style)
