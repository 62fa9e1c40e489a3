"""How found rows are shown: the options, and the output that they ask for."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from logsink.cli import completion
from logsink.errors import ArgumentError

if TYPE_CHECKING:
    from logsink.query import Filter
    from logsink.query.output.files import Output

FORMATS = ("text", "iso", "verbose", "json", "json-pretty", "csv", "raw", "cat", "syslog", "parquet", "arrow")
WITH_FIELDS = ("text", "iso", "verbose", "json", "json-pretty", "csv", "parquet", "arrow")
BINARY = ("parquet", "arrow")
FOR_PEOPLE = ("text", "iso", "verbose", "cat")
SYNONYMS = {"short": "text", "short-iso": "iso", "default": "text", "jsonl": "json"}
"""What journalctl and logcli call them."""


class _Format(click.Choice[str]):
    """An output format, also by another program's name for it."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return super().convert(SYNONYMS.get(value, value), param, ctx)


def shown(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a verb with these options."""
    kind, colours = _Format(FORMATS), click.Choice(("auto", "always", "never"))
    options = [
        click.option("-o", "--output", type=kind, default="text", show_default=True, help="How rows are shown."),
        click.option("-j", "output", type=kind, flag_value="json", help="The same as -o json."),
        click.option(
            "--fields",
            metavar="NAMES",
            shell_complete=completion.columns,
            help="These columns in this order, as time,host,.status; for all formats but raw, cat, syslog.",
        ),
        click.option(
            "--framing",
            type=click.Choice(("lf", "octet")),
            default="lf",
            help="Of -o raw and -o syslog: LF after each, or its length before.",
        ),
        click.option(
            "--spreadsheet",
            is_flag=True,
            help="With -o csv: put ' before text that spreadsheets run as a formula (= + - @, tab, CR).",
        ),
        click.option(
            "--color", type=colours, default="auto", help="Colours by severity, and matches highlighted, in text."
        ),
        click.option("--marks", type=colours, default="auto", help="A letter for the severity in text: ! E W n i d."),
        click.option(
            "--force-color",
            "--colored-output",
            "color",
            type=colours,
            flag_value="always",
            help="The same as --color always.",
        ),
    ]
    for option in reversed(options):
        function = option(function)
    return function


def output_of(
    given: Mapping[str, Any], zone: dt.tzinfo, filter: Filter, *, terminal: bool, blocks: bool = False
) -> Output:
    """The output that the options ask for. ``ArgumentError``.

    filter     whose matches are highlighted
    terminal   stdout is one
    blocks     the rows come in blocks, which formats for people show
    """
    from logsink.query.output import files as formats
    from logsink.query.output import lines as render
    from logsink.query.request import is_member

    def lines(renderer: render.Renderer) -> Output:
        return render.Lines(render.Blocks(renderer) if blocks else renderer)

    kind, octet = given["output"], given["framing"] == "octet"
    if kind in BINARY and terminal:
        raise ArgumentError(f"cannot write {kind} to a terminal", hint=f"send it to a file: > found.{kind}")
    columns = fields(given["fields"], kind) if given["fields"] else render.SHOWN
    shown_zone = None if zone is dt.UTC else zone
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    coloured = given["color"] == "always" or (given["color"] == "auto" and terminal and not plain)
    text = partial(
        render.Text,
        shown_zone,
        colour=coloured,
        marks=given["marks"] == "always" or (given["marks"] == "auto" and terminal),
        highlight=_matched(filter) if coloured else "",
        fields=columns if given["fields"] else (),
    )
    makers: dict[str, Callable[[], Output]] = {
        "text": lambda: lines(text()),
        "iso": lambda: lines(text(iso=True)),
        "verbose": lambda: lines(render.Verbose(columns, shown_zone)),
        "json": lambda: render.Lines(render.Json(columns)),
        "json-pretty": lambda: render.Lines(render.JsonPretty(columns)),
        "csv": lambda: formats.Csv(columns, terminal=terminal, spreadsheet=given["spreadsheet"]),
        "raw": lambda: render.Lines(render.Raw(octet=octet)),
        "cat": lambda: lines(render.Cat(terminal=terminal)),
        "syslog": lambda: render.Lines(render.Syslog(octet=octet, terminal=terminal)),
        "parquet": lambda: formats.Parquet(columns),
        "arrow": lambda: formats.Arrow(columns),
    }
    made = makers[kind]()
    return formats.WithMembers(made, as_json=kind.startswith("json")) if any(map(is_member, columns)) else made


def _matched(filter: Filter) -> str:
    """What is looked for in messages, as one regular expression; '' for nothing."""
    from logsink.query.request import Holds

    looked_for = [c.matched for c in filter.conditions if isinstance(c, Holds) and c.column == "message"]
    return "|".join(looked_for)


def fields(text: str, kind: str) -> Sequence[str]:
    """The columns that ``--fields`` names."""
    from logsink.parse import FILE_SCHEMA

    if kind not in WITH_FIELDS:
        raise ArgumentError(f"cannot choose fields with -o {kind}", hint=f"--fields goes with {', '.join(WITH_FIELDS)}")
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        column(name)
    if not names or len(set(names)) < len(names):
        raise ArgumentError(f"cannot use fields {text!r}", hint=f"name each once: {', '.join(FILE_SCHEMA.names)}")
    return names


def column(name: str) -> str:
    """``name`` itself if there is such a column, or if it is the path of a member (``.status``). ``ArgumentError``."""
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
