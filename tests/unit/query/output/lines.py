"""Rows in, text out: what the tests of line formats share."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from logsink.query.columns import as_rows
from logsink.query.output.lines import LineFormat, Lines
from tests.unit.query.archives import START, Row, table

BERLIN = ZoneInfo("Europe/Berlin")
TIME = START + 11_525_123_456  # 2026-11-22T03:12:05.123456Z


def output(format: LineFormat, *rows: Row) -> str:
    writer = Lines(format)
    parts = [writer.begin(), *writer.rows(as_rows(table(rows), format.columns)), writer.finish()]
    return b"".join(parts).decode()
