"""The columns of the table, version 1: a persistent format. Their order is the order in ``-o json``.

``FILE_SCHEMA`` is what a data file holds. ``date`` is the partition column: it stands in the table's log and not in the
files.
"""

from __future__ import annotations

import pyarrow as pa

FORMAT_VERSION = 1
"""Format version of the data files, kept in each file's key-value metadata as ``logsink.format``."""

RULES_VERSION = 2
"""Version of the parsing rules. A segment names the one that was in force when it was written, and is parsed by it for
ever.

2 differs from 1 in this: a time without a year is at most a week ahead of receipt, ``clock_skew`` is flagged, what
network devices send is read, and RFC 3164 and CEF behind the time of RFC 5424.
"""

_TIME = pa.timestamp("us", tz="UTC")

FILE_SCHEMA = pa.schema(
    [
        pa.field("time", _TIME, nullable=False),
        pa.field("received", _TIME),
        pa.field("nth", pa.int32()),
        pa.field("host", pa.string()),
        pa.field("app", pa.string()),
        pa.field("procid", pa.string()),
        pa.field("msgid", pa.string()),
        pa.field("facility", pa.int8()),
        pa.field("severity", pa.int8()),
        pa.field("structured_data", pa.string()),
        pa.field("message", pa.string()),
        pa.field("environment", pa.string()),
        pa.field("role", pa.string()),
        pa.field("deploy", pa.string()),
        pa.field("instance", pa.string()),
        pa.field("sender", pa.string()),
        pa.field("identity", pa.string()),
        pa.field("transport", pa.string()),
        pa.field("receiver", pa.string()),
        pa.field("flags", pa.int32()),
        pa.field("wire", pa.string()),
        pa.field("raw", pa.binary()),
    ]
)

TABLE_SCHEMA = pa.schema([pa.field("date", pa.date32()), *FILE_SCHEMA])

CODED_COLUMNS = (
    "host",
    "app",
    "procid",
    "msgid",
    "structured_data",
    "environment",
    "role",
    "deploy",
    "instance",
    "sender",
    "identity",
    "transport",
    "receiver",
    "wire",
)
"""Columns of few distinct values: dictionary-encoded in memory, and in the files wherever that is smaller."""

STATISTICS_COLUMNS = ("time", "received", "app", "host", "severity")
"""Columns whose minimum and maximum stand in the table's log and in the files' footers."""

VERBATIM_COLUMNS = ("host", "app", "procid", "msgid", "structured_data", "message")
"""Columns whose values stand in the frame as they are, except for bytes that are not UTF-8."""

UNESCAPED_COLUMNS = ("environment", "role", "deploy", "instance")
"""Columns whose values stand in the frame as they are if they hold none of ``ESCAPED_BYTES``."""

ESCAPED_BYTES = b'"\\]'
"""Bytes that have a backslash before them in a parameter of structured data (RFC 5424, 6.3.3)."""
