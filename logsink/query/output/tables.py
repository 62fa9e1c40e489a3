"""Writers of any table, whatever its schema, for other programs: ``csv``, ``json``, ``parquet``, ``arrow``.

Rows that a query found, results of SQL and summaries are written by the same ones. Read again they give the same values.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from logsink.characters import harmless_json
from logsink.query.columns import decoded, one_chunk
from logsink.query.output.escape import for_terminal

_GROUP = 1 << 16
"""Least number of rows in a row group of Parquet, or a record batch of Arrow, but for the last."""

_FORMULA = r"\A([=+\-@\t\r\n\x{ff1d}\x{ff0b}\x{ff0d}\x{ff20}])"
"""Matches the beginning of a cell that spreadsheets run as a formula, full-width forms too (OWASP, "CSV Injection")."""

_MUST_BE_QUOTED = re.compile('[",\r\n]')


class Csv:
    """RFC 4180 with a line of names. Null is nothing between the commas, an empty string is ``""``.

    terminal      escape characters that are harmful to a terminal
    spreadsheet   put ``'`` before text that a spreadsheet would run as a formula
    bare_names    quote names of columns only where they must be, instead of always
    """

    def __init__(self, *, terminal: bool = False, spreadsheet: bool = False, bare_names: bool = False) -> None:
        self._terminal, self._spreadsheet, self._bare_names = terminal, spreadsheet, bare_names

    def begin(self, schema: pa.Schema) -> bytes:
        return ",".join(map(self._name, self._safe(pa.array(schema.names, pa.string())).to_pylist())).encode() + b"\n"

    def rows(self, rows: pa.Table) -> Iterator[memoryview]:
        for place, field in enumerate(rows.schema):
            column = decoded(one_chunk(rows.column(place)))
            if _is_text(column.type):
                rows = rows.set_column(place, field.name, self._safe(_as_string(column)))
        sink = pa.BufferOutputStream()
        options = pyarrow.csv.WriteOptions(include_header=False, quoting_style="needed")
        pyarrow.csv.write_csv(rows, sink, options)
        yield memoryview(sink.getvalue())

    def finish(self) -> bytes:
        return b""

    def _safe(self, texts: pa.Array) -> pa.Array:
        if self._spreadsheet:
            texts = pc.replace_substring_regex(texts, _FORMULA, r"'\1")
        return for_terminal(texts) if self._terminal else texts

    def _name(self, name: str) -> str:
        if self._bare_names and not _MUST_BE_QUOTED.search(name):
            return name
        return '"' + name.replace('"', '""') + '"'


class JsonObjects:
    """One JSON object a line, keys in the order of the columns, instants in RFC 3339, null as ``null``."""

    _OPTIONS = orjson.OPT_UTC_Z | orjson.OPT_APPEND_NEWLINE | orjson.OPT_NON_STR_KEYS

    def begin(self, schema: pa.Schema) -> bytes:
        return b""

    def rows(self, rows: pa.Table) -> Iterator[bytes]:
        for batch in rows.to_batches():
            lines = (orjson.dumps(row, option=self._OPTIONS, default=as_text) for row in batch.to_pylist())
            yield harmless_json(b"".join(lines))

    def finish(self) -> bytes:
        return b""


class _ArrowFormat:
    """A format that one of Arrow's own writers makes."""

    def begin(self, schema: pa.Schema) -> bytes:
        self._sink = _Sink()
        self._writer = self._open(self._sink, schema)
        self._held: list[pa.Table] = []
        self._held_rows = 0
        return self._sink.take()

    def rows(self, rows: pa.Table) -> Iterator[bytes]:
        self._held.append(rows)
        self._held_rows += rows.num_rows
        if self._held_rows >= _GROUP:
            self._write_held()
        yield self._sink.take()

    def finish(self) -> bytes:
        self._write_held()
        self._writer.close()
        return self._sink.take()

    def _open(self, sink: _Sink, schema: pa.Schema) -> pq.ParquetWriter | pa.ipc.RecordBatchStreamWriter:
        raise NotImplementedError

    def _write_held(self) -> None:
        if self._held:
            self._writer.write_table(pa.concat_tables(self._held).combine_chunks())
        self._held, self._held_rows = [], 0


class ArrowStream(_ArrowFormat):
    """An Arrow IPC stream, not compressed."""

    def _open(self, sink: _Sink, schema: pa.Schema) -> pa.ipc.RecordBatchStreamWriter:
        return pa.ipc.new_stream(sink, schema)


class Parquet(_ArrowFormat):
    """A Parquet file, compressed with zstd."""

    def _open(self, sink: _Sink, schema: pa.Schema) -> pq.ParquetWriter:
        return pq.ParquetWriter(sink, schema, compression="zstd")


class _Sink:
    """A file for Arrow's writers: what they wrote is taken away, and they still learn their position in the whole output."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._position = 0
        self.closed = False

    def take(self) -> bytes:
        """Return what was written since the last call."""
        taken = b"".join(self._parts)
        self._parts.clear()
        return taken

    def write(self, data: bytes) -> int:
        self._parts.append(bytes(data))
        self._position += len(data)
        return len(data)

    def tell(self) -> int:
        return self._position

    def flush(self) -> None:
        """Do nothing: ``take`` returns what was written."""

    def close(self) -> None:
        self.closed = True

    def readable(self) -> bool:
        return False

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False


def as_text(value: Any) -> str:
    """Return a value of a type that JSON does not have as text: bytes as UTF-8, where they are not with ``\\xff``."""
    return value.decode(errors="backslashreplace") if isinstance(value, bytes) else str(value)


def _is_text(kind: pa.DataType) -> bool:
    tests = (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary)
    return any(test(kind) for test in tests)


def _as_string(column: pa.Array) -> pa.Array:
    """Return text or bytes as strings."""
    try:
        return column.cast(pa.string())
    except pa.ArrowInvalid:  # not UTF-8
        return pa.array([None if value is None else as_text(value) for value in column.to_pylist()], pa.string())
