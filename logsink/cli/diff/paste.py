"""The ``logsink query`` that shows the messages of a kind, to be pasted into a shell."""

from __future__ import annotations

import datetime as dt
import re
import shlex
from collections.abc import Iterator, Sequence
from typing import Final

from logsink.query.request import GLOB_COLUMNS, SearchTerms

LONGEST: Final = 300
"""Characters of a pattern that the query asks for: enough to tell kinds apart, and no screen full of them."""

_SPECIAL = re.compile(r"[\\.+?()|\[\]{}^$]")


def query_of(terms: SearchTerms, app: str | None, pattern: str, place: Sequence[str] = ()) -> str:
    """Return the command that finds messages of ``pattern`` among the rows of ``terms`` that have this ``app``, or none.

    place   options that say where the store is, as they were given
    """
    return " ".join(
        ["logsink", "query", *map(shlex.quote, place), *_options(terms, app), "-E", shlex.quote(_expression(pattern))]
    )


def _options(terms: SearchTerms, app: str | None) -> Iterator[str]:
    for option, moment in (("-S", terms.since), ("-U", terms.until)):
        if isinstance(moment, dt.datetime):
            yield from (option, moment.astimezone(dt.UTC).isoformat().replace("+00:00", "Z"))
    for column in GLOB_COLUMNS:
        if column != "app":
            for glob in getattr(terms, column):
                yield from (f"--{column}", shlex.quote(glob))
    # Whatever has an app is excluded where the kind has none.
    yield from ("--app", shlex.quote("!*" if app is None else _glob(app)))
    if terms.priority is not None:
        yield from ("-p", shlex.quote(terms.priority))
    for option in ("facility", "sd", "flag"):
        for value in getattr(terms, option):
            yield from (f"--{option}", shlex.quote(value))


def _glob(text: str) -> str:
    """Return the glob of a text; ``!`` at its beginning, which would exclude, becomes any character."""
    glob = re.sub(r"[*?\[]", r"[\g<0>]", text)
    return f"?{glob[1:]}" if text.startswith("!") else glob


def _expression(pattern: str) -> str:
    """Return the RE2 expression of a pattern: ``*`` is anything, and so is a character that does not belong into a shell."""
    shown = pattern[:LONGEST]
    text = "".join(c if c.isprintable() else "\0" for c in shown)
    parts = [_SPECIAL.sub(r"\\\g<0>", part).replace("\0", ".") for part in text.split("*")]
    flags = "(?s)" if text != shown or len(parts) > 1 else ""
    return f"{flags}^{'.*'.join(parts)}{'$' if len(pattern) <= LONGEST else ''}"
