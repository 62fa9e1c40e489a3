"""Found rows for other programs: ``csv``, ``parquet``, ``arrow``. Read again they give the same rows."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from typing import IO, Protocol

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from logsink.parse import FILE_SCHEMA
from logsink.query.columns import one_chunk, plain
from logsink.query.output.escape import for_terminal
from logsink.query.output.lines import SHOWN, instants_of
from logsink.query.output.timestamps import stamps
from logsink.query.request.members import add_member_columns, is_member, source_columns

_GROUP = 1 << 16
"""Rows of a row group."""


class Output(Protocol):
    """What becomes of found rows."""

    @property
    def columns(self) -> Sequence[str]:
        """The columns it needs."""

    @property
    def independent(self) -> bool:
        """Whether the bytes of a table depend on that table alone: they may be made in any order, and in several threads."""

    def write(self, rows: pa.Table) -> Iterator[memoryview | bytes]:
        """The bytes for these rows, in parts; those of the head come first."""

    def finish(self) -> bytes:
        """The bytes that end it, also when there were no rows."""


class WithMembers:
    """Another output, some of whose columns are members of messages (``.status``): as text, or as JSON with ``as_json``."""

    def __init__(self, output: Output, *, as_json: bool) -> None:
        self._output, self._as_json, self._names = output, as_json, tuple(output.columns)
        self.columns, self.independent = source_columns(self._names), output.independent

    def write(self, rows: pa.Table) -> Iterator[memoryview | bytes]:
        """The bytes for these rows, in parts."""
        return self._output.write(add_member_columns(rows, self._names, as_json=self._as_json))

    def finish(self) -> bytes:
        """The bytes that end it."""
        return self._output.finish()


class Csv:
    """RFC 4180 with a head line. Null is nothing, an empty string ``""``; instants in RFC 3339 with microseconds and Z.

    terminal      what would drive it, or is not seen, is escaped
    spreadsheet   what one would take for a formula begins with ``'``
    """

    independent = False

    def __init__(self, columns: Sequence[str] = SHOWN, *, terminal: bool = False, spreadsheet: bool = False) -> None:
        self.columns = tuple(columns)
        self._terminal, self._spreadsheet = terminal, spreadsheet
        self._headed = False

    def write(self, rows: pa.Table) -> Iterator[memoryview | bytes]:
        yield from self._head()
        sink = pa.BufferOutputStream()
        options = pyarrow.csv.WriteOptions(include_header=False, quoting_style="needed")
        shown = _instants_as_text(plain(rows, self.columns))
        pyarrow.csv.write_csv(dressed(shown, terminal=self._terminal, spreadsheet=self._spreadsheet), sink, options)
        yield memoryview(sink.getvalue())

    def finish(self) -> bytes:
        return b"".join(self._head())

    def _head(self) -> Iterator[bytes]:
        if not self._headed:
            self._headed = True
            yield ",".join(self.columns).encode() + b"\n"


class _Table:
    """A format of Arrow's own that is written through a sink."""

    independent = False

    def __init__(self, columns: Sequence[str] = SHOWN) -> None:
        self.columns = tuple(columns)
        fields = [pa.field(name, pa.string()) if is_member(name) else FILE_SCHEMA.field(name) for name in self.columns]
        self._schema = pa.schema(fields)
        self._sink = io.BytesIO()
        self._writer = self._open()
        self._held: list[pa.Table] = []
        self._rows = 0

    def _open(self) -> pq.ParquetWriter | pa.ipc.RecordBatchStreamWriter:
        raise NotImplementedError

    def write(self, rows: pa.Table) -> Iterator[memoryview | bytes]:
        self._held.append(plain(rows, self.columns).cast(self._schema))
        self._rows += rows.num_rows
        if self._rows >= _GROUP:
            self._flush()
        yield self._written()

    def finish(self) -> bytes:
        self._flush()
        self._writer.close()
        return self._written()

    def _flush(self) -> None:
        if self._held:
            self._writer.write_table(pa.concat_tables(self._held).combine_chunks())
        self._held, self._rows = [], 0

    def _written(self) -> bytes:
        body = self._sink.getvalue()
        self._sink.seek(0)
        self._sink.truncate()
        return body


class Arrow(_Table):
    """An Arrow IPC stream, uncompressed."""

    def _open(self) -> pa.ipc.RecordBatchStreamWriter:
        return pa.ipc.new_stream(self._sink, self._schema)


class Parquet(_Table):
    """A Parquet file, zstd."""

    def _open(self) -> pq.ParquetWriter:
        return pq.ParquetWriter(Onward(self._sink), self._schema, compression="zstd")


class Onward:
    """A file for writers that ask where they are, over one that cannot tell: a pipe, or a buffer that is emptied meanwhile."""

    def __init__(self, sink: IO[bytes]) -> None:
        self._sink, self._at = sink, 0
        self.closed = False

    def write(self, data: bytes) -> int:
        count = self._sink.write(data)
        self._at += count
        return count

    def tell(self) -> int:
        return self._at

    def flush(self) -> None:
        pass

    def close(self) -> None:
        self.closed = True

    def readable(self) -> bool:
        return False

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False


def _instants_as_text(rows: pa.Table) -> pa.Table:
    """Return the rows with instants as text, in RFC 3339 with microseconds and Z."""
    for place, field in enumerate(rows.schema):
        if pa.types.is_timestamp(field.type):
            column = one_chunk(rows.column(place))
            texts = stamps(instants_of(rows, field.name), "{date}T{clock}.{milli}{micro}Z")
            texts = texts if not column.null_count else pc.if_else(column.is_valid(), texts, None)
            rows = rows.set_column(place, field.name, texts)
    return rows


_FORMULA = r"\A([=+\-@\t\r\n\x{ff1d}\x{ff0b}\x{ff0d}\x{ff20}])"
"""What a cell begins with that spreadsheets run, full-width forms too (OWASP, "CSV Injection")."""


def dressed(table: pa.Table, *, terminal: bool, spreadsheet: bool) -> pa.Table:
    """A table to be written as CSV: its strings harmless in a terminal, or in a spreadsheet."""
    for place, field in enumerate(table.schema):
        if not (terminal or spreadsheet) or not pa.types.is_string(field.type):
            continue
        values = one_chunk(table.column(place))
        if spreadsheet:
            values = pc.replace_substring_regex(values, _FORMULA, r"'\1")
        table = table.set_column(place, field, for_terminal(values) if terminal else values)
    return table
