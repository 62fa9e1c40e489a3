"""An answer that is short enough to be made as a whole, on its way to standard output: as lines for people, or as JSON."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterable

import click

from logsink.characters import harmless, harmless_json


def print_json(value: object) -> None:
    """Print a value as indented JSON, with times in UTC, harmless on a terminal."""
    import orjson

    click.echo(harmless_json(orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_UTC_Z)))


def print_answer(output: str, as_json: Callable[[], object], lines: Callable[[], Iterable[str]]) -> None:
    """Print what ``as_json`` returns if ``output`` is "json", else the ``lines``, made harmless; the other is not called."""
    if output == "json":
        print_json(as_json())
    else:
        for line in lines():
            click.echo(harmless(line))


def terminal_width() -> int | None:
    """Return the number of columns of the terminal that standard output is; None where it is none."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None
