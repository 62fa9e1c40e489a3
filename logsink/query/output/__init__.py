"""Output: found rows, results of SQL and summaries in, bytes out.

``formats``      the table of formats: names, properties, writers. A new format begins there
``writers``      what a writer is: ``begin``, ``rows``, ``finish``; for rows of the archive, or for tables of any schema
``lines``        formats that make one string a row: ``text`` for people, ``json_lines``, ``syslog``, from ``fragments``
``tables``       csv, JSON, Parquet and Arrow of any table; ``aligned`` columns for people
``escape``       harmful characters in Arrow strings; single strings are escaped in ``logsink.characters``, by the same table
``timestamps``   instants as text

Everything is made an array at a time, without a Python object for a row, except where values may have any type. Nothing here
reads a store, writes to a file or terminal, or looks at the environment: a ``Style`` says where the bytes will go.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from logsink.platform import lazy

if TYPE_CHECKING:
    from logsink.query.output.aligned import AlignedColumns, cell_text
    from logsink.query.output.formats import FORMATS, OF_ROWS, OF_TABLES, SYNONYMS, Style, row_writer, table_writer
    from logsink.query.output.timestamps import local
    from logsink.query.output.writers import DEFAULT_COLUMNS, RowWriter, TableWriter

__getattr__ = lazy.exports(
    __name__,
    {
        "aligned": ("AlignedColumns", "cell_text"),
        "formats": ("FORMATS", "OF_ROWS", "OF_TABLES", "SYNONYMS", "Style", "row_writer", "table_writer"),
        "timestamps": ("local",),
        "writers": ("DEFAULT_COLUMNS", "RowWriter", "TableWriter"),
    },
)

__all__ = [
    "DEFAULT_COLUMNS",
    "FORMATS",
    "OF_ROWS",
    "OF_TABLES",
    "SYNONYMS",
    "AlignedColumns",
    "RowWriter",
    "Style",
    "TableWriter",
    "cell_text",
    "local",
    "row_writer",
    "table_writer",
]
