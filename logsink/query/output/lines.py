"""Found rows as lines, of all formats for people and for syslog. A table in, bytes out; no Python object for a row.

A line is joined from fragments, one array for each column: what a dictionary holds is escaped and dressed once for each of
its entries, instants become digits by table look-up. What drives a terminal, reorders text or is not seen
(``logsink.characters``) never reaches one: ``text`` shows it as ``\\x1b``, ``json`` as ``\\u001b``.
"""

from __future__ import annotations

import datetime as dt
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from logsink.characters import escape, harmless_json
from logsink.flags import names
from logsink.parse import FILE_SCHEMA, RAW_COLUMNS, raw_frames
from logsink.query.columns import Int64, as_array, one_chunk
from logsink.query.output.escape import for_json, for_terminal, json_for_terminal
from logsink.query.output.timestamps import local, repeated, stamps
from logsink.query.request.members import is_member
from logsink.query.request.severities import FACILITIES, SEVERITIES

SHOWN = tuple(name for name in FILE_SCHEMA.names if name not in ("wire", "raw"))
"""Columns that are shown unless others are asked for."""

_NAMES = {"severity": SEVERITIES, "facility": FACILITIES}
_INDENTED = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
_BYTES = 64 << 20  # of rows rendered at once: even escaped, lines stay below Arrow's 2 GiB for an array
_RFC_3339 = '"{date}T{clock}.{milli}{micro}Z"'
_RESET = "\x1b[0m"
_COLOURS = {0: "\x1b[1;31m", 1: "\x1b[1;31m", 2: "\x1b[1;31m", 3: "\x1b[31m", 4: "\x1b[33m", 5: "\x1b[1m", 7: "\x1b[2m"}

MARKS = dict(enumerate("!!!EWnid"))
"""Severity by a letter: emerg, alert and crit, err, warning, notice, info, debug. Capitals are what one looks for."""

_REVERSED = ("\x1b[7m", "\x1b[27m")
_BORDERS = ("\ufdd0", "\ufdd1")
"""Noncharacters, for this program's own use (Unicode 23.7)."""


class Renderer(Protocol):
    """One output format."""

    @property
    def columns(self) -> Sequence[str]:
        """The columns it needs."""

    def lines(self, rows: pa.Table) -> pa.Array:
        """Strings or binaries, one for each row, with what ends it; their bytes in a row are the output."""


class Lines:
    """Output of a renderer."""

    independent = True

    def __init__(self, renderer: Renderer) -> None:
        self._renderer, self.columns = renderer, tuple(renderer.columns)

    def write(self, rows: pa.Table) -> Iterator[memoryview]:
        """The bytes for these rows, in parts."""
        return render(self._renderer, rows)

    def finish(self) -> bytes:
        """What comes at the end."""
        return b""


def render(renderer: Renderer, rows: pa.Table) -> Iterator[memoryview]:
    """The bytes to write for ``rows``, in parts."""
    size = rows.nbytes
    step = max(1, rows.num_rows if size <= _BYTES else rows.num_rows * _BYTES // size)
    for start in range(0, rows.num_rows, step):
        yield _bytes(renderer.lines(rows.slice(start, step)))


class Blocks:
    """Another format, with ``--`` before the rows where ``context.GAP`` says that a block begins."""

    def __init__(self, renderer: Renderer) -> None:
        self._renderer, self.columns = renderer, renderer.columns

    def lines(self, rows: pa.Table) -> pa.Array:
        return _join(pc.if_else(one_chunk(rows.column("gap")), "--\n", ""), self._renderer.lines(rows))


class Text:
    """``2026-11-22 03:12:05.123 host app[procid]: message``: local time, to be read, and to be pasted into ``--since``.

    zone        in which times are shown; None: UTC, with a ``Z``. A time that occurs twice has its offset from UTC: ``+02:00``
    colour      by severity, for a terminal
    iso         times as RFC 3339 has them, with microseconds and zone
    marks       a letter for the severity behind the time, see ``MARKS``
    highlight   RE2 expression; where it matches the message, the colours are reversed
    fields      these columns instead, with a tab between them and ``-`` for a missing value; without marks
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
        return self._chosen(rows) if self._fields else self._usual(rows)

    def _usual(self, rows: pa.Table) -> pa.Array:
        host, app, procid = (one_chunk(rows.column(name)) for name in ("host", "app", "procid"))
        tagged = pc.or_(pc.is_valid(app), pc.is_valid(procid))
        return _join(
            *self._stamp(rows, "time"),
            " ",
            *((_by_severity(rows, MARKS, "-"), " ") if self._marks else ()),
            pc.fill_null(_dressed(host, for_terminal), "-"),
            *((_by_severity(rows, _COLOURS),) if self._colour else ()),
            _dressed(app, for_terminal, " "),
            _dressed(procid, for_terminal, "[", "]", bare=pc.is_null(app)),
            pc.if_else(tagged, ": ", " "),
            self._message(rows),
            *((_by_severity(rows, dict.fromkeys(_COLOURS, _RESET)),) if self._colour else ()),
            "\n",
        )

    def _chosen(self, rows: pa.Table) -> pa.Array:
        cells = [fragment for name in self._fields for fragment in ("\t", *self._cell(rows, name))]
        return _join(
            _by_severity(rows, _COLOURS) if self._colour else pa.repeat("", rows.num_rows),
            *cells[1:],
            *((_by_severity(rows, dict.fromkeys(_COLOURS, _RESET)),) if self._colour else ()),
            "\n",
        )

    def _cell(self, rows: pa.Table, name: str) -> tuple[pa.Array, ...]:
        column = one_chunk(rows.column(name))
        if name == "message":
            return (pc.fill_null(self._message(rows), "-"),)
        if not pa.types.is_timestamp(column.type):
            return (pc.fill_null(_dressed(_as_text(column, name), for_terminal), "-"),)
        if not column.null_count:
            return self._stamp(rows, name)
        return (pc.if_else(column.is_valid(), _join(*self._stamp(rows, name)), "-"),)

    def _message(self, rows: pa.Table) -> pa.Array:
        """Messages as they are shown. Matches are marked before anything is escaped, by characters that no text may hold."""
        messages = one_chunk(rows.column("message"))
        if not self._highlight:
            return for_terminal(_without_space(messages))
        for mark in _BORDERS:
            messages = pc.replace_substring(messages, mark, escape(mark))
        messages = pc.replace_substring_regex(messages, f"({self._highlight})", r"\1".join(_BORDERS))
        messages = pc.replace_substring(messages, "".join(_BORDERS), "")  # matches of nothing
        messages = for_terminal(_without_space(messages))
        for mark, sequence in zip(_BORDERS, _REVERSED, strict=True):
            messages = pc.replace_substring(messages, mark, sequence)
        return messages

    def _stamp(self, rows: pa.Table, name: str) -> tuple[pa.Array, ...]:
        time = instants_of(rows, name)
        if self._iso:
            return _rfc_3339(time, self._zone)
        if self._zone is None:
            return (stamps(time, "{date} {clock}.{milli}Z"),)
        moved = local(time, self._zone)
        twice = as_array(repeated(time, self._zone))
        if not pc.any(twice).as_py():
            return (stamps(moved, "{date} {clock}.{milli}"),)
        return stamps(moved, "{date} {clock}.{milli}"), pc.if_else(twice, _offsets(time, moved), "")


class Verbose:
    """A block for each row: its time, then every column that has a value, indented."""

    def __init__(self, columns: Sequence[str], zone: dt.tzinfo | None) -> None:
        self.columns = tuple(columns)
        self._zone = zone

    def lines(self, rows: pa.Table) -> pa.Array:
        time = _rfc_3339(instants_of(rows, "time"), self._zone)
        return _join(*time, "\n", *(self._fragment(rows, name) for name in self.columns if name != "time"))

    def _fragment(self, rows: pa.Table, name: str) -> pa.Array:
        column, key = one_chunk(rows.column(name)), f"    {name}="
        if pa.types.is_timestamp(column.type):
            dressed = _join(*_rfc_3339(instants_of(rows, name), self._zone))
            shown = pc.binary_join_element_wise(key, dressed, "\n", "")
            return pc.if_else(pc.is_valid(column), shown, None) if column.null_count else shown
        return _dressed(_as_text(column, name), for_terminal, key, "\n")


class Syslog:
    """RFC 5424 with the values of the columns: sent to a syslog server again it gives the same ones.

    What RFC 5424 has no place for: a missing PRI becomes 13 (user.notice); in lines, what would end them becomes ``#012`` (LF),
    ``#000``, or ``#015`` at the end, as in rsyslog. Octet-counted (RFC 6587 3.4.1) messages keep it: behind one that ends
    with LF or NUL comes another LF, since receivers take one away.
    """

    columns = ("time", "host", "app", "procid", "msgid", "facility", "severity", "structured_data", "message")

    def __init__(self, *, octet: bool = False, terminal: bool = False) -> None:
        self._octet, self._harmless = octet, for_terminal if terminal else _as_it_is

    def lines(self, rows: pa.Table) -> pa.Array:
        facility, severity = (one_chunk(rows.column(name)).cast(pa.int32()) for name in ("facility", "severity"))
        pri = pc.fill_null(pc.add(pc.multiply(facility, 8), severity), 13).cast(pa.string())
        escaped = _as_it_is if self._octet else _in_a_line
        message = one_chunk(rows.column("message"))
        message = pc.replace_substring_regex(message, r"([\n\x00])\z", "\\1\n") if self._octet else _in_a_line(message)
        structured = _dressed(one_chunk(rows.column("structured_data")), lambda v: self._harmless(escaped(v)), " ")
        line = _join(
            pc.binary_join_element_wise("<", pri, ">1 ", ""),
            stamps(instants_of(rows, "time"), "{date}T{clock}.{milli}{micro}Z"),
            *(
                pc.fill_null(_dressed(one_chunk(rows.column(name)), self._harmless, " "), " -")
                for name in self.columns[1:5]
            ),
            pc.fill_null(structured, " -"),
            pc.binary_join_element_wise(" ", self._harmless(message), ""),
        )
        if not self._octet:
            return _join(line, "\n")
        return _join(pc.binary_length(line).cast(pa.string()), " ", line)


class Json:
    """One JSON object a line: keys in the order of the schema, instants in RFC 3339, nulls left out."""

    def __init__(self, columns: Sequence[str] = SHOWN) -> None:
        self.columns = tuple(columns)

    def lines(self, rows: pa.Table) -> pa.Array:
        if "time" in self.columns[:1]:
            first, *others = self.columns
            instants = stamps(instants_of(rows, first), f'{{"{first}":{_RFC_3339}')
            return _join(instants, *(self._fragment(rows, name) for name in others), "}\n")
        fragments = _join(*(self._fragment(rows, name) for name in self.columns))
        return _join(pa.repeat("{", rows.num_rows), pc.utf8_slice_codeunits(fragments, 1), "}\n")

    def _fragment(self, rows: pa.Table, name: str) -> pa.Array:
        """``,"name":value``, or null."""
        column = one_chunk(rows.column(name))
        if is_member(name):  # its values are JSON already
            return _dressed(column, json_for_terminal, f",{orjson.dumps(name).decode()}:")
        key = f',"{name}":'
        if name == "flags":
            return _dressed(column.dictionary_encode(), _flags, key)
        if pa.types.is_binary(column.type):
            return _dressed(_base64(column), for_json, key + '"', '"')
        if pa.types.is_timestamp(column.type):
            dressed = stamps(instants_of(rows, name), key + _RFC_3339)
            return pc.if_else(pc.is_valid(column), dressed, None) if column.null_count else dressed
        if pa.types.is_integer(column.type):
            dense = pa.types.is_int8(column.type)
            return _dressed(column.dictionary_encode() if dense else column, lambda v: v.cast(pa.string()), key)
        return _dressed(column, for_json, key + '"', '"')


class JsonPretty:
    """One indented JSON object a row."""

    def __init__(self, columns: Sequence[str] = SHOWN) -> None:
        self._json = Json(columns)
        self.columns = self._json.columns

    def lines(self, rows: pa.Table) -> pa.Array:
        objects = (orjson.loads(line) for line in self._json.lines(rows).to_pylist())
        return pa.array([harmless_json(orjson.dumps(each, option=_INDENTED)) for each in objects])


class Raw:
    """Each frame byte for byte, and LF; or, octet-counted (RFC 6587 3.4.1): its length, a space, and the frame."""

    columns = RAW_COLUMNS

    def __init__(self, *, octet: bool = False) -> None:
        self._octet = octet

    def lines(self, rows: pa.Table) -> pa.Array:
        frames = raw_frames(rows)
        if not self._octet:
            return _join(frames, b"\n")
        lengths = pc.binary_length(frames).cast(pa.string()).cast(pa.binary())
        return _join(lengths, b" ", frames)


class Cat:
    """The message and LF. ``terminal``: with control characters escaped."""

    columns = ("message",)

    def __init__(self, *, terminal: bool = False) -> None:
        self._terminal = terminal

    def lines(self, rows: pa.Table) -> pa.Array:
        messages = one_chunk(rows.column("message"))
        return _join(for_terminal(messages) if self._terminal else messages, "\n")


def _as_it_is(values: pa.Array) -> pa.Array:
    return values


def _in_a_line(values: pa.Array) -> pa.Array:
    """Without what ends a line."""
    for pattern, shown in ((r"\n", "#012"), (r"\x00", "#000"), (r"\r\z", "#015")):
        values = pc.replace_substring_regex(values, pattern, shown)
    return values


def _rfc_3339(instants: Int64, zone: dt.tzinfo | None) -> tuple[pa.Array, ...]:
    """Instants with microseconds and zone, as fragments."""
    if zone is None:
        return (stamps(instants, "{date}T{clock}.{milli}{micro}Z"),)
    moved = local(instants, zone)
    return stamps(moved, "{date}T{clock}.{milli}{micro}"), _offsets(instants, moved)


def _offsets(instants: Int64, moved: Int64) -> pa.Array:
    """``+01:00`` for each instant, of which ``moved`` are the local ones."""
    minutes = as_array((moved - instants) // 60_000_000).dictionary_encode()
    offsets = [f"{'-' if m < 0 else '+'}{abs(m) // 60:02d}:{abs(m) % 60:02d}" for m in minutes.dictionary.to_pylist()]
    return pa.array(offsets, pa.string()).take(minutes.indices)


def _as_text(column: pa.Array, name: str) -> pa.Array:
    """Names for numbers that have one."""
    if name == "flags":
        coded = column.dictionary_encode()
        said = [" ".join(names(value)) or None for value in coded.dictionary.to_pylist()]
        return pa.array(said, pa.string()).take(coded.indices)
    if name in _NAMES:
        return pa.array(_NAMES[name], pa.string()).take(column)
    if pa.types.is_binary(column.type):
        return _base64(column)
    return column if pa.types.is_dictionary(column.type) else column.cast(pa.string())


def _base64(column: pa.Array) -> pa.Array:
    encoded = [None if value is None else b64encode(value).decode() for value in column.to_pylist()]
    return pa.array(encoded, pa.string())


def _join(first: pa.Array, *others: pa.Array | str | bytes) -> pa.Array:
    """The fragments one after the other, null ones left out."""
    kind = first.type
    parts = [pa.scalar(part, kind) if isinstance(part, str | bytes) else part for part in others]
    empty = b"" if pa.types.is_binary(kind) else ""
    return pc.binary_join_element_wise(
        first, *parts, pa.scalar(empty, kind), null_handling="replace", null_replacement=empty
    )


def _dressed(
    column: pa.Array,
    escape: Callable[[pa.Array], pa.Array],
    before: str = "",
    after: str = "",
    *,
    bare: pa.Array | None = None,
) -> pa.Array:
    """``before + escape(value) + after`` for each value, null for null; once an entry for a dictionary.

    Where ``bare`` is true a space goes before it.
    """
    if pa.types.is_dictionary(column.type):
        if len(column.dictionary) > len(column):
            column = column.dictionary_decode().dictionary_encode()
        dressed = _dressed(column.dictionary, escape, before, after).take(column.indices)
    else:
        values = escape(column)
        dressed = pc.binary_join_element_wise(before, values, after, "") if before or after else values
    if bare is None or not pc.any(pc.and_(bare, dressed.is_valid())).as_py():
        return dressed
    return pc.if_else(bare, pc.binary_join_element_wise(" ", dressed, ""), dressed)


def _flags(values: pa.Array) -> pa.Array:
    return pa.array([orjson.dumps(names(value)).decode() for value in values.to_pylist()], pa.string())


def _by_severity(rows: pa.Table, texts: Mapping[int, str], missing: str = "") -> pa.Array:
    severity = one_chunk(rows.column("severity")).dictionary_encode()
    found = _dressed(severity, lambda v: pa.array([texts.get(n, "") for n in v.to_pylist()], pa.string()))
    return pc.fill_null(found, missing)


def _without_space(messages: pa.Array) -> pa.Array:
    """The messages without the one leading space that rsyslog and RFC 3164 put there."""
    spaced = pc.starts_with(messages, " ")
    if not pc.any(spaced).as_py():
        return messages
    return pc.replace_with_mask(
        messages, pc.fill_null(spaced, False), pc.utf8_slice_codeunits(messages.filter(spaced), 1)
    )


def instants_of(rows: pa.Table, name: str) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    column = one_chunk(rows.column(name)).cast(pa.int64())
    filled = column.fill_null(0) if column.null_count else column
    instants: np.ndarray[tuple[int], np.dtype[np.int64]] = filled.to_numpy(zero_copy_only=False)
    return instants


def _bytes(lines: pa.Array) -> memoryview:
    """The bytes of all values, without a copy."""
    _, offsets, data = lines.buffers()
    if data is None or not len(lines):
        return memoryview(b"")
    ends = np.frombuffer(offsets, np.int32)
    return memoryview(data)[int(ends[lines.offset]) : int(ends[lines.offset + len(lines)])]
