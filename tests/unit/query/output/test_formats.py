"""The table of formats: every format is made, documented, and says truly what it is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from logsink.query.columns import as_rows
from logsink.query.output import FORMATS, OF_ROWS, OF_TABLES, SYNONYMS, Style, row_writer, table_writer
from tests.unit.query.archives import row, table

ROOT = Path(__file__).parents[4]


@pytest.mark.parametrize("name", OF_ROWS)
def test_every_format_writes_rows(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("logsink.query.output.syslog.raw_frames", lambda rows: rows.column("raw").combine_chunks())
    writer = row_writer(name, Style())
    rows = as_rows(table([row(message="hello", raw=b"<13>hello")]), writer.columns)
    written = b"".join([writer.begin(), *writer.rows(rows), writer.finish()])
    assert b"hello" in written
    assert FORMATS[name].binary == (b"\0" in written)


@pytest.mark.parametrize("name", OF_TABLES)
def test_every_format_of_tables_writes_a_summary(name: str) -> None:
    writer = table_writer(name, Style())
    rows = as_rows(table([row(message="hello")]), ["time", "message"])
    written = b"".join([writer.begin(rows.schema), *writer.rows(rows), writer.finish()])
    assert b"hello" in written
    assert FORMATS[name].binary == (b"\0" in written)


def test_members_of_messages_are_columns_of_every_format_with_fields() -> None:
    shown = {"json": b'{".n":7}\n', "csv": b'.n\n"7"\n', "text": b"7\n"}
    for name, expected in shown.items():
        writer = row_writer(name, Style(columns=[".n"]))
        rows = as_rows(table([row(message='{"n": 7}')]), writer.columns)
        assert b"".join([writer.begin(), *writer.rows(rows), writer.finish()]) == expected


def test_the_documentation_names_every_format() -> None:
    guide = (ROOT / "docs/query.md").read_text()
    assert all(f"`{name}`" in guide for name in OF_ROWS)
    assert f"`-o {'|'.join(OF_TABLES)}`" in guide
    assert all(FORMATS[name] for name in SYNONYMS.values())
    assert all(format.description for format in FORMATS.values())


def test_the_table_is_read_without_pyarrow() -> None:
    program = "import sys; from logsink.query.output import FORMATS; sys.exit('pyarrow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
