"""Tables that logsink must not touch: those of a later protocol, of other columns, or with settings that would lose rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
import pyarrow as pa

from logsink.archive.snapshot import Json
from logsink.errors import FormatError
from logsink.parse import TABLE_SCHEMA

_TYPES = {
    pa.date32(): "date",
    pa.timestamp("us", tz="UTC"): "timestamp",
    pa.int8(): "byte",
    pa.int32(): "integer",
    pa.string(): "string",
    pa.binary(): "binary",
}


def refuse_protocol(protocol: Mapping[str, Any]) -> None:
    """Raise ``FormatError`` unless the table needs at most reader version 1 and writer version 2, and no features."""
    reader, writer = protocol.get("minReaderVersion"), protocol.get("minWriterVersion")
    features = [*(protocol.get("readerFeatures") or ()), *(protocol.get("writerFeatures") or ())]
    if features or not (isinstance(reader, int) and reader <= 1 and isinstance(writer, int) and writer <= 2):
        raise FormatError(
            "cannot use the table",
            f"it needs Delta protocol ({reader}, {writer}) {' '.join(features)}".rstrip(),
            hint="another program upgraded the table; logsink reads and writes protocol (1, 2) without features",
        )


def refuse_metadata(metadata: Mapping[str, Any]) -> None:
    """Raise ``FormatError`` unless partitioning, format and settings are logsink's, and columns its own or a superset."""
    configuration = metadata.get("configuration") or {}
    if "delta.setTransactionRetentionDuration" in configuration:
        raise FormatError(
            "cannot use the table",
            "it has delta.setTransactionRetentionDuration, which would forget what is archived",
            hint="remove that property; without it every journal segment's rows are in the table exactly once",
        )
    if metadata.get("partitionColumns") != ["date"] or (metadata.get("format") or {}).get("provider") != "parquet":
        raise FormatError("cannot use the table", "it is not Parquet partitioned by date; logsink did not make it")
    try:
        columns = {column["name"]: column for column in orjson.loads(metadata["schemaString"])["fields"]}
    except (KeyError, TypeError, orjson.JSONDecodeError) as error:
        raise FormatError("cannot read the table's schema", repr(error)) from error
    for column in schema_fields():
        found = columns.pop(column["name"], None)
        stricter = found is not None and column["nullable"] and not found.get("nullable", True)
        if found is None or found.get("type") != column["type"] or stricter:
            raise FormatError("cannot use the table", f"column {column['name']} is {found}, not {column}")
    for name, column in columns.items():
        if not column.get("nullable", True):
            raise FormatError("cannot use the table", f"column {name} must have a value, and logsink knows of none")


def schema_fields() -> list[Json]:
    """Return the table's columns as the log spells them."""
    return [
        {"name": column.name, "type": _TYPES[column.type], "nullable": column.nullable, "metadata": {}}
        for column in TABLE_SCHEMA
    ]
