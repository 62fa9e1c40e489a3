"""How many lines are shown: what ``-n`` gives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from logsink.errors import ArgumentError


def lines_option(help: str, default: str | None = None) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return the decorator that adds ``-n``, whose parameter ``lines`` is for ``limit_of``."""
    return click.option("-n", "--lines", "--limit", "lines", metavar="N", default=default, help=help)


def limit_of(text: str, *, follow: bool = False) -> int | None:
    """Return the limit that ``-n`` gives; None is no limit, as which 0 counts unless rows are followed. ``ArgumentError``."""
    if text == "all":
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise ArgumentError(f"cannot read {text!r} as a number of lines", hint="write digits, or all")
    return int(text) if follow else int(text) or None
