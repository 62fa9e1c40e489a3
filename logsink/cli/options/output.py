"""Options that say how found rows are written, and the writer that they ask for."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Self

import click
from click.shell_completion import CompletionItem

from logsink.cli import completion
from logsink.errors import ArgumentError
from logsink.query.output import FORMATS, OF_ROWS, SYNONYMS, Style

if TYPE_CHECKING:
    from logsink.query import Filter
    from logsink.query.output import RowWriter


@dataclass(frozen=True, kw_only=True)
class OutputOptions:
    """The options of this module as the command line gave them."""

    output: str
    """A name of ``OF_ROWS``."""
    fields: str | None
    framing: str
    """``lf`` or ``octet``."""
    spreadsheet: bool
    color: str
    """``auto``, ``always`` or ``never``; ``marks`` likewise."""
    marks: str

    @classmethod
    def of(cls, parameters: Mapping[str, Any]) -> Self:
        """Return the options of this module among all parameters of a verb."""
        return cls(**{field.name: parameters[field.name] for field in fields(cls)})


class FormatName(click.Choice[str]):
    """The name of an output format, or another program's name for it."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        name = SYNONYMS.get(value, value)
        return super().convert(name if name in self.choices else value, param, ctx)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        names = [name for name in self.choices if name.startswith(incomplete)]
        return [CompletionItem(name, help=FORMATS[name].description) for name in names]


def output_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a verb with the options of ``OutputOptions``."""
    kind, when = FormatName(OF_ROWS), click.Choice(("auto", "always", "never"))
    without_fields = [name for name in OF_ROWS if not FORMATS[name].takes_fields]
    options = [
        click.option("-o", "--output", type=kind, default="text", show_default=True, help="Format of the output."),
        click.option("-j", "output", type=kind, flag_value="json", help="The same as -o json."),
        click.option(
            "--fields",
            metavar="NAMES",
            shell_complete=completion.columns,
            help=f"Columns to show: time,host,.status; not for {', '.join(without_fields)}.",
        ),
        click.option(
            "--framing",
            type=click.Choice(("lf", "octet")),
            default="lf",
            help="With -o raw, syslog: end messages with LF, or prefix lengths.",
        ),
        click.option(
            "--spreadsheet",
            is_flag=True,
            help="With -o csv: put ' before text that looks like a formula.",
        ),
        click.option(
            "--color",
            type=when,
            default="auto",
            help="Colour text by severity, highlight matches; auto: on a terminal.",
        ),
        click.option(
            "--marks",
            type=when,
            default="auto",
            help="Severity as a letter in text (! E W n i d); auto: on a terminal.",
        ),
        click.option(
            "--force-color",
            "--colored-output",
            "color",
            type=when,
            flag_value="always",
            help="The same as --color always.",
        ),
    ]
    for option in reversed(options):
        function = option(function)
    return function


def row_writer_of(
    options: OutputOptions, zone: dt.tzinfo, filter: Filter, *, terminal: bool, blocks: bool = False
) -> RowWriter:
    """Return the writer that the options ask for. ``ArgumentError`` for options that do not go together.

    filter     its matches are highlighted
    terminal   standard output is a terminal
    blocks     the rows come in blocks of neighbours, which formats for people show
    """
    from logsink.query.output import row_writer

    name = options.output
    refuse_binary(name, terminal=terminal)
    coloured = _coloured(options, terminal=terminal)
    style = Style(
        columns=fields_of(options.fields, name) if options.fields else (),
        zone=None if zone is dt.UTC else zone,
        terminal=terminal,
        colour=coloured,
        marks=options.marks == "always" or (options.marks == "auto" and terminal),
        highlight=_matched(filter) if coloured else "",
        blocks=blocks,
        octet_counted=options.framing == "octet",
        spreadsheet=options.spreadsheet,
    )
    return row_writer(name, style)


def refuse_binary(name: str, *, terminal: bool) -> None:
    """Raise ``ArgumentError`` for a binary format on a terminal."""
    if terminal and FORMATS[name].binary:
        raise ArgumentError(f"cannot write {name} to a terminal", hint=f"send it to a file: > found.{name}")


def fields_of(text: str, name: str) -> Sequence[str]:
    """Return the columns that ``--fields`` names. ``ArgumentError`` if there is no such column, or for formats without."""
    from logsink.parse import FILE_SCHEMA

    if not FORMATS[name].takes_fields:
        taking = ", ".join(other for other in OF_ROWS if FORMATS[other].takes_fields)
        raise ArgumentError(f"cannot choose fields with -o {name}", hint=f"--fields goes with {taking}")
    columns = [column.strip() for column in text.split(",") if column.strip()]
    for column in columns:
        column_of(column)
    if not columns or len(set(columns)) < len(columns):
        raise ArgumentError(f"cannot use fields {text!r}", hint=f"name each once: {', '.join(FILE_SCHEMA.names)}")
    return columns


def column_of(name: str) -> str:
    """Return ``name`` if it names a column, or is the path of a member (``.status``). ``ArgumentError`` otherwise."""
    from logsink.parse import FILE_SCHEMA

    if name.startswith("."):
        from logsink.query.request import Path

        Path(name)
        return name
    if name not in FILE_SCHEMA.names:
        from logsink.cli import suggestions as meant

        close = meant.column(name, FILE_SCHEMA.names)
        hint = f"{f'did you mean {close}? ' if close else ''}there are {', '.join(FILE_SCHEMA.names)}"
        raise ArgumentError(f"cannot find field {name!r}", hint=hint)
    return name


def _coloured(options: OutputOptions, *, terminal: bool) -> bool:
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return options.color == "always" or (options.color == "auto" and terminal and not plain)


def _matched(filter: Filter) -> str:
    """Return one RE2 expression that matches what the filter searches for in messages; "" for nothing."""
    from logsink.query.request import Holds

    return "|".join(c.matched for c in filter.conditions if isinstance(c, Holds) and c.column == "message")
