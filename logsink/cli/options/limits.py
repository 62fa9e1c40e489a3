"""How many lines are shown: what ``-n`` gives."""

from __future__ import annotations

from logsink.errors import ArgumentError


def limit_of(text: str, *, follow: bool = False) -> int | None:
    """Return the limit that ``-n`` gives; None is no limit, as which 0 counts unless rows are followed. ``ArgumentError``."""
    if text == "all":
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise ArgumentError(f"cannot read {text!r} as a number of lines", hint="write digits, or all")
    return int(text) if follow else int(text) or None
