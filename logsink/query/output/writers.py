"""The two kinds of writers that output formats are: for rows of the archive, and for tables of any schema."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import pyarrow as pa
import pyarrow.compute as pc

from logsink.parse import FILE_SCHEMA
from logsink.query.columns import as_integers, one_chunk, plain
from logsink.query.output.timestamps import rfc_3339
from logsink.query.request import add_member_columns, is_member, source_columns

DEFAULT_COLUMNS: tuple[str, ...] = tuple(name for name in FILE_SCHEMA.names if name not in ("wire", "raw"))
"""Columns that are shown unless others are asked for."""


class RowWriter(Protocol):
    """Write rows that a query found. Call ``begin`` once, then ``rows`` any number of times, then ``finish`` once."""

    @property
    def columns(self) -> Sequence[str]:
        """Columns that the tables must have."""

    @property
    def independent(self) -> bool:
        """Whether the bytes of a table depend on that table alone, so that several threads may make them in any order."""

    def begin(self) -> bytes:
        """Return the bytes before all rows."""

    def rows(self, rows: pa.Table) -> Iterator[memoryview | bytes]:
        """Yield the bytes of these rows, in parts."""

    def finish(self) -> bytes:
        """Return the bytes after all rows."""


class TableWriter(Protocol):
    """Write tables of one schema: the result of a SQL statement, or a summary. Called in the order of ``RowWriter``."""

    def begin(self, schema: pa.Schema) -> bytes:
        """Return the bytes before all rows. ``schema``: of all tables that follow."""

    def rows(self, rows: pa.Table) -> Iterator[memoryview | bytes]:
        """Yield the bytes of these rows, in parts."""

    def finish(self) -> bytes:
        """Return the bytes after all rows."""


class AsTables:
    """A ``RowWriter`` that has its rows written by a ``TableWriter``, with the types of the archive's files.

    ``instants_as_text``: instants become strings, in RFC 3339 with microseconds and Z.
    """

    independent = False

    def __init__(self, writer: TableWriter, columns: Sequence[str], *, instants_as_text: bool = False) -> None:
        self.columns = tuple(columns)
        self._writer, self._instants_as_text = writer, instants_as_text
        fields = [pa.field(name, pa.string()) if is_member(name) else FILE_SCHEMA.field(name) for name in columns]
        self._schema = pa.schema(fields)

    def begin(self) -> bytes:
        return self._writer.begin(self._schema)

    def rows(self, rows: pa.Table) -> Iterator[memoryview | bytes]:
        table = plain(rows, self.columns).cast(self._schema)
        return self._writer.rows(_with_instants_as_text(table) if self._instants_as_text else table)

    def finish(self) -> bytes:
        return self._writer.finish()


class WithMembers:
    """Another ``RowWriter``, some of whose columns are members of messages (``.status``): as text, or JSON with ``as_json``."""

    def __init__(self, writer: RowWriter, *, as_json: bool) -> None:
        self._writer, self._as_json, self._names = writer, as_json, tuple(writer.columns)
        self.columns, self.independent = source_columns(self._names), writer.independent

    def begin(self) -> bytes:
        return self._writer.begin()

    def rows(self, rows: pa.Table) -> Iterator[memoryview | bytes]:
        return self._writer.rows(add_member_columns(rows, self._names, as_json=self._as_json))

    def finish(self) -> bytes:
        return self._writer.finish()


def _with_instants_as_text(table: pa.Table) -> pa.Table:
    for place, field in enumerate(table.schema):
        if pa.types.is_timestamp(field.type):
            column = one_chunk(table.column(place))
            (texts,) = rfc_3339(as_integers(column, null=0))
            table = table.set_column(place, field.name, pc.if_else(column.is_valid(), texts, None))
    return table
