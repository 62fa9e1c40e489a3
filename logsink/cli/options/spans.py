"""Spans of time that options take: ``--hist 5m``, ``--around 30s``."""

from __future__ import annotations

from logsink.errors import ArgumentError
from logsink.kinds import parse_span

LONGEST = 3_652_500 * 86_400
"""Seconds of the longest span, ten thousand years: the calendar has no more, and sums with instants stay within 64 bits."""


def microseconds_of(text: str, what: str) -> int:
    """Return the microseconds of a span. ``ArgumentError`` for a text that is none, and for one that is too long.

    what   what cannot be done with a span that is too long, as ``count in steps of``
    """
    seconds = parse_span(text)
    if seconds > LONGEST:
        raise ArgumentError(f"cannot {what} {text!r}: more than {LONGEST // 86_400} days", hint="write a shorter span")
    return round(seconds * 1_000_000)
