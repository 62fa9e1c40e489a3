"""The search terms: which rows a question asks for, as its asker wrote it, for the command line and the library alike.

This module imports nothing of Arrow, so that a command can declare its options by it. ``interpret.to_filter`` says what the
terms mean.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Sequence
from typing import Final

GLOB_COLUMNS: Final = (
    *("host", "app", "procid", "msgid", "sender", "identity"),
    *("environment", "role", "deploy", "instance", "transport"),
)
"""Columns that globs choose rows by; each is a field of ``SearchTerms``. ``!`` before a glob excludes its rows."""

REPEATED_TERMS: Final = (*GLOB_COLUMNS, "grep", "facility", "sd", "json", "flag")
"""Fields of ``SearchTerms`` that take several texts. ``pattern`` takes several, too, and is a positional argument."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class SearchTerms:
    """What a question asks for, each field as the option of ``logsink query`` of that name takes it.

    A row must meet the conditions of all fields. Several values of one field are alternatives; those of ``sd``, ``json`` and
    ``flag`` must all hold.

    pattern        texts of which a message contains one; with ``regex`` they are RE2 expressions
    grep           RE2 expressions of which a message contains a match; they ignore case if all of them are lower case
    regex, fixed   whether the patterns are expressions, or text (which is the default); not both
    word           whether ``pattern`` and ``grep`` match whole words only
    ignore_case    whether ``pattern`` and ``grep`` ignore case
    invert_match   whether the messages that do not match are asked for
    since, until   beginning and end of a range of the messages' time, end excluded: text that ``times.parse_time`` reads, a
                   ``datetime`` (without a zone: local to the asker), or a ``timedelta``, which is that long ago
    priority       a severity and all more urgent ones, or a range: ``severities.parse_priority``
    facility       names or numbers of facilities; ``!`` before one excludes it
    sd             parameters of structured data: ``[ID.]KEY=GLOB``
    json           conditions on members of messages that are JSON or logfmt: ``PATH``, ``PATH>=VALUE`` (``members``)
    flag           names of flags (``logsink.flags``); ``!`` before one: rows without it
    host, ...      globs that the value of this column matches whole; ``!`` before one excludes its rows
    """

    pattern: Sequence[str] = ()
    grep: Sequence[str] = ()
    regex: bool = False
    fixed: bool = False
    word: bool = False
    ignore_case: bool = False
    invert_match: bool = False
    since: str | dt.datetime | dt.timedelta | None = None
    until: str | dt.datetime | dt.timedelta | None = None
    priority: str | None = None
    facility: Sequence[str] = ()
    sd: Sequence[str] = ()
    json: Sequence[str] = ()
    flag: Sequence[str] = ()
    host: Sequence[str] = ()
    app: Sequence[str] = ()
    procid: Sequence[str] = ()
    msgid: Sequence[str] = ()
    sender: Sequence[str] = ()
    identity: Sequence[str] = ()
    environment: Sequence[str] = ()
    role: Sequence[str] = ()
    deploy: Sequence[str] = ()
    instance: Sequence[str] = ()
    transport: Sequence[str] = ()


TERM_NAMES: Final = tuple(field.name for field in dataclasses.fields(SearchTerms))
"""The names of all fields of ``SearchTerms``."""
