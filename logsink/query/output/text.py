"""Lines for people: ``text``, ``iso``, ``verbose``, ``cat``. No harmful character reaches a terminal through them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from logsink.characters import escape
from logsink.query.columns import as_array, as_integers, one_chunk
from logsink.query.output.escape import for_terminal
from logsink.query.output.fragments import as_text, by_severity, joined, wrapped
from logsink.query.output.timestamps import local, offsets_of, repeated, rfc_3339, timestamps_of

_RESET = "\x1b[0m"
_COLOURS = {0: "\x1b[1;31m", 1: "\x1b[1;31m", 2: "\x1b[1;31m", 3: "\x1b[31m", 4: "\x1b[33m", 5: "\x1b[1m", 7: "\x1b[2m"}

MARKS = dict(enumerate("!!!EWnid"))
"""A letter for each severity: ``!`` for emerg, alert and crit, then err, warning, notice, info, debug."""

_REVERSE = ("\x1b[7m", "\x1b[27m")
"""Sequences that exchange the colours of a terminal's text and background, and that undo it."""

_MATCH_BORDERS = ("\ufdd0", "\ufdd1")
"""Noncharacters, which Unicode leaves to a program's own use (section 23.7): the beginning and end of a match."""


class Text:
    """``2026-11-22 03:12:05.123 host app[procid]: message``, with a local time that ``--since`` reads again.

    zone        time zone of the times, None for UTC, which is shown as ``Z``. A local time that clocks of the zone show twice
                is followed by its offset from UTC: ``+02:00``
    colour      colour the line by its severity, for a terminal
    iso         write times in RFC 3339, with microseconds and offset from UTC
    marks       write a letter for the severity after the time, see ``MARKS``
    highlight   RE2 expression; where it matches the message, the colours are reversed
    fields      write these columns instead, with a tab between them and ``-`` for a missing value; without marks
    """

    def __init__(
        self,
        zone: dt.tzinfo | None,
        *,
        colour: bool = False,
        iso: bool = False,
        marks: bool = False,
        highlight: str = "",
        fields: Sequence[str] = (),
    ) -> None:
        self._zone, self._colour, self._iso = zone, colour, iso
        self._marks, self._highlight, self._fields = marks, highlight, tuple(fields)
        shown = self._fields or ("time", "host", "app", "procid", "message")
        self.columns: Sequence[str] = tuple(dict.fromkeys((*shown, *(("severity",) if colour or marks else ()))))

    def lines(self, rows: pa.Table) -> pa.Array:
        return self._fields_of(rows) if self._fields else self._line_of(rows)

    def _line_of(self, rows: pa.Table) -> pa.Array:
        host, app, procid = (one_chunk(rows.column(name)) for name in ("host", "app", "procid"))
        tagged = pc.or_(pc.is_valid(app), pc.is_valid(procid))
        return joined(
            *self._instants(rows, "time"),
            " ",
            *((by_severity(rows, MARKS, "-"), " ") if self._marks else ()),
            pc.fill_null(wrapped(host, for_terminal), "-"),
            *((by_severity(rows, _COLOURS),) if self._colour else ()),
            wrapped(app, for_terminal, " "),
            wrapped(procid, for_terminal, "[", "]", spaced=pc.is_null(app)),
            pc.if_else(tagged, ": ", " "),
            self._message(rows),
            *((by_severity(rows, dict.fromkeys(_COLOURS, _RESET)),) if self._colour else ()),
            "\n",
        )

    def _fields_of(self, rows: pa.Table) -> pa.Array:
        cells = [fragment for name in self._fields for fragment in ("\t", *self._cell(rows, name))]
        return joined(
            by_severity(rows, _COLOURS) if self._colour else pa.repeat("", rows.num_rows),
            *cells[1:],
            *((by_severity(rows, dict.fromkeys(_COLOURS, _RESET)),) if self._colour else ()),
            "\n",
        )

    def _cell(self, rows: pa.Table, name: str) -> tuple[pa.Array, ...]:
        column = one_chunk(rows.column(name))
        if name == "message":
            return (pc.fill_null(self._message(rows), "-"),)
        if not pa.types.is_timestamp(column.type):
            return (pc.fill_null(wrapped(as_text(column, name), for_terminal), "-"),)
        if not column.null_count:
            return self._instants(rows, name)
        return (pc.if_else(column.is_valid(), joined(*self._instants(rows, name)), "-"),)

    def _message(self, rows: pa.Table) -> pa.Array:
        """Return the messages, escaped. Matches are found in the text as it was logged, so their borders are marked before."""
        messages = one_chunk(rows.column("message"))
        if not self._highlight:
            return for_terminal(_without_space(messages))
        for border in _MATCH_BORDERS:
            messages = pc.replace_substring(messages, border, escape(border))
        messages = pc.replace_substring_regex(messages, f"({self._highlight})", r"\1".join(_MATCH_BORDERS))
        messages = pc.replace_substring(messages, "".join(_MATCH_BORDERS), "")  # a match of no characters
        messages = for_terminal(_without_space(messages))
        for border, sequence in zip(_MATCH_BORDERS, _REVERSE, strict=True):
            messages = pc.replace_substring(messages, border, sequence)
        return messages

    def _instants(self, rows: pa.Table, name: str) -> tuple[pa.Array, ...]:
        time = as_integers(rows.column(name), null=0)
        if self._iso:
            return rfc_3339(time, self._zone)
        if self._zone is None:
            return (timestamps_of(time, "{date} {clock}.{milli}Z"),)
        moved = local(time, self._zone)
        twice = as_array(repeated(time, self._zone))
        if not pc.any(twice).as_py():
            return (timestamps_of(moved, "{date} {clock}.{milli}"),)
        return timestamps_of(moved, "{date} {clock}.{milli}"), pc.if_else(twice, offsets_of(time, moved), "")


class Verbose:
    """A block of lines for each row: its time, then each column that has a value as ``name=value``, indented."""

    def __init__(self, columns: Sequence[str], zone: dt.tzinfo | None) -> None:
        self.columns = tuple(columns)
        self._zone = zone

    def lines(self, rows: pa.Table) -> pa.Array:
        time = rfc_3339(as_integers(rows.column("time"), null=0), self._zone)
        return joined(*time, "\n", *(self._fragment(rows, name) for name in self.columns if name != "time"))

    def _fragment(self, rows: pa.Table, name: str) -> pa.Array:
        column, key = one_chunk(rows.column(name)), f"    {name}="
        if pa.types.is_timestamp(column.type):
            instants = joined(*rfc_3339(as_integers(column, null=0), self._zone))
            shown = pc.binary_join_element_wise(key, instants, "\n", "")
            return pc.if_else(pc.is_valid(column), shown, None) if column.null_count else shown
        return wrapped(as_text(column, name), for_terminal, key, "\n")


class Cat:
    """The message and LF; ``terminal``: with harmful characters escaped."""

    columns = ("message",)

    def __init__(self, *, terminal: bool = False) -> None:
        self._terminal = terminal

    def lines(self, rows: pa.Table) -> pa.Array:
        messages = one_chunk(rows.column("message"))
        return joined(for_terminal(messages) if self._terminal else messages, "\n")


def _without_space(messages: pa.Array) -> pa.Array:
    """Return the messages without the one leading space that RFC 3164 and rsyslog put there."""
    spaced = pc.starts_with(messages, " ")
    if not pc.any(spaced).as_py():
        return messages
    return pc.replace_with_mask(
        messages, pc.fill_null(spaced, False), pc.utf8_slice_codeunits(messages.filter(spaced), 1)
    )
