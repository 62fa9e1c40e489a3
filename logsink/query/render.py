"""Found rows as output: ``text``, ``json``, ``raw``, ``cat``. A table in, bytes out; no Python object for a row.

A line is joined from fragments, one array for each column: what a dictionary holds is escaped and dressed once for each of
its entries, instants become digits by table look-up. Control characters never reach a terminal: ``text`` shows them as
``\\x1b``, ``json`` as ``\\u001b``; so do the characters that reorder text (U+202A to U+202E, U+2066 to U+2069).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from logsink.flags import names
from logsink.parse import RAW_COLUMNS, raw_frames
from logsink.parse.schema import FILE
from logsink.query.escape import for_json, for_terminal
from logsink.query.filters import one_chunk
from logsink.query.stamps import local, stamps

FORMATS = ("text", "json", "raw", "cat")

_BYTES = 64 << 20  # of rows rendered at once: even escaped, lines stay below Arrow's 2 GiB for an array
_RFC_3339 = '"{date}T{clock}.{milli}{micro}Z"'
_RESET = "\x1b[0m"
_COLOURS = {0: "\x1b[1;31m", 1: "\x1b[1;31m", 2: "\x1b[1;31m", 3: "\x1b[31m", 4: "\x1b[33m", 5: "\x1b[1m", 7: "\x1b[2m"}


class Renderer(Protocol):
    """One output format."""

    @property
    def columns(self) -> Sequence[str]:
        """The columns it needs."""

    def lines(self, rows: pa.Table) -> pa.Array:
        """Strings or binaries, one for each row, with what ends it; their bytes in a row are the output."""


def render(renderer: Renderer, rows: pa.Table) -> Iterator[memoryview]:
    """The bytes to write for ``rows``, in parts."""
    size = rows.nbytes
    step = max(1, rows.num_rows if size <= _BYTES else rows.num_rows * _BYTES // size)
    for start in range(0, rows.num_rows, step):
        yield _bytes(renderer.lines(rows.slice(start, step)))


class Text:
    """``2026-11-22 03:12:05.123 host app[procid]: message``: local time, to be read, and to be pasted into ``--since``.

    zone     in which times are shown; None: UTC, with a ``Z``
    colour   by severity, for a terminal
    """

    columns = ("time", "host", "app", "procid", "severity", "message")

    def __init__(self, zone: dt.tzinfo | None, *, colour: bool = False) -> None:
        self._zone, self._colour = zone, colour

    def lines(self, rows: pa.Table) -> pa.Array:
        time = _instants(rows, "time")
        if self._zone is None:
            stamp = stamps(time, "{date} {clock}.{milli}Z ")
        else:
            stamp = stamps(local(time, self._zone), "{date} {clock}.{milli} ")
        host, app, procid = (one_chunk(rows.column(name)) for name in ("host", "app", "procid"))
        tagged = pc.or_(pc.is_valid(app), pc.is_valid(procid))
        return _join(
            stamp,
            pc.fill_null(_dressed(host, for_terminal), "-"),
            *((_by_severity(rows, _COLOURS),) if self._colour else ()),
            _dressed(app, for_terminal, " "),
            _dressed(procid, for_terminal, "[", "]", bare=pc.is_null(app)),
            pc.if_else(tagged, ": ", " "),
            for_terminal(_without_space(one_chunk(rows.column("message")))),
            *((_by_severity(rows, dict.fromkeys(_COLOURS, _RESET)),) if self._colour else ()),
            "\n",
        )


class Json:
    """One JSON object a line: keys in the order of the schema, instants in RFC 3339, nulls left out."""

    columns = tuple(name for name in FILE.names if name not in ("wire", "raw"))

    def lines(self, rows: pa.Table) -> pa.Array:
        first, *others = self.columns
        instants = stamps(_instants(rows, first), f'{{"{first}":{_RFC_3339}')
        return _join(instants, *(self._fragment(rows, name) for name in others), "}\n")

    def _fragment(self, rows: pa.Table, name: str) -> pa.Array:
        """``,"name":value``, or null."""
        column, key = one_chunk(rows.column(name)), f',"{name}":'
        if name == "flags":
            return _dressed(column.dictionary_encode(), _flags, key)
        if pa.types.is_timestamp(column.type):
            dressed = stamps(_instants(rows, name), key + _RFC_3339)
            return pc.if_else(pc.is_valid(column), dressed, None) if column.null_count else dressed
        if pa.types.is_integer(column.type):
            dense = pa.types.is_int8(column.type)
            return _dressed(column.dictionary_encode() if dense else column, lambda v: v.cast(pa.string()), key)
        return _dressed(column, for_json, key + '"', '"')


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


def _by_severity(rows: pa.Table, sequences: dict[int, str]) -> pa.Array:
    severity = one_chunk(rows.column("severity")).dictionary_encode()
    return _dressed(severity, lambda v: pa.array([sequences.get(n, "") for n in v.to_pylist()], pa.string()))


def _without_space(messages: pa.Array) -> pa.Array:
    """The messages without the one leading space that rsyslog and RFC 3164 put there."""
    spaced = pc.starts_with(messages, " ")
    if not pc.any(spaced).as_py():
        return messages
    return pc.replace_with_mask(
        messages, pc.fill_null(spaced, False), pc.utf8_slice_codeunits(messages.filter(spaced), 1)
    )


def _instants(rows: pa.Table, name: str) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
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
