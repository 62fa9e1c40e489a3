"""Rows as syslog messages: ``syslog`` writes them in RFC 5424, ``raw`` as the frames that were received."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from logsink.parse import RAW_COLUMNS, raw_frames
from logsink.query.columns import as_integers, one_chunk
from logsink.query.output.escape import for_terminal
from logsink.query.output.fragments import joined, unchanged, wrapped
from logsink.query.output.timestamps import rfc_3339

_USER_NOTICE = 13
"""PRI of a message without one: facility user, severity notice (RFC 5424 section 6.2.1)."""


class Syslog:
    """RFC 5424 with the values of the columns: a syslog server that receives it stores the same values.

    RFC 5424 has no place for a missing PRI, which becomes 13 (user.notice). In a line, the characters that would end it become
    ``#012`` (LF), ``#000`` (NUL) and, at its end, ``#015`` (CR), as rsyslog writes them. ``octet_counted`` messages (RFC 6587
    section 3.4.1) keep them; a message that ends with LF or NUL is followed by another LF, since receivers remove one.
    ``terminal``: escape harmful characters.
    """

    columns = ("time", "host", "app", "procid", "msgid", "facility", "severity", "structured_data", "message")

    def __init__(self, *, octet_counted: bool = False, terminal: bool = False) -> None:
        self._octet_counted, self._harmless = octet_counted, for_terminal if terminal else unchanged

    def lines(self, rows: pa.Table) -> pa.Array:
        facility, severity = (one_chunk(rows.column(name)).cast(pa.int32()) for name in ("facility", "severity"))
        pri = pc.fill_null(pc.add(pc.multiply(facility, 8), severity), _USER_NOTICE).cast(pa.string())
        escaped = unchanged if self._octet_counted else _in_a_line
        message = one_chunk(rows.column("message"))
        message = (
            pc.replace_substring_regex(message, r"([\n\x00])\z", "\\1\n")
            if self._octet_counted
            else _in_a_line(message)
        )
        structured = wrapped(one_chunk(rows.column("structured_data")), lambda v: self._harmless(escaped(v)), " ")
        line = joined(
            pc.binary_join_element_wise("<", pri, ">1 ", ""),
            *rfc_3339(as_integers(rows.column("time"), null=0)),
            *(
                pc.fill_null(wrapped(one_chunk(rows.column(name)), self._harmless, " "), " -")
                for name in self.columns[1:5]
            ),
            pc.fill_null(structured, " -"),
            pc.binary_join_element_wise(" ", self._harmless(message), ""),
        )
        if not self._octet_counted:
            return joined(line, "\n")
        return joined(pc.binary_length(line).cast(pa.string()), " ", line)


class Raw:
    """Each frame byte for byte, and LF; ``octet_counted`` (RFC 6587 section 3.4.1): its length, a space, and the frame."""

    columns = RAW_COLUMNS

    def __init__(self, *, octet_counted: bool = False) -> None:
        self._octet_counted = octet_counted

    def lines(self, rows: pa.Table) -> pa.Array:
        frames = raw_frames(rows)
        if not self._octet_counted:
            return joined(frames, b"\n")
        lengths = pc.binary_length(frames).cast(pa.string()).cast(pa.binary())
        return joined(lengths, b" ", frames)


def _in_a_line(values: pa.Array) -> pa.Array:
    """Return the strings with the characters that end a line written as rsyslog writes them."""
    for pattern, shown in ((r"\n", "#012"), (r"\x00", "#000"), (r"\r\z", "#015")):
        values = pc.replace_substring_regex(values, pattern, shown)
    return values
