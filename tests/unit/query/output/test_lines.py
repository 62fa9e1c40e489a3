"""Formats of lines as writers."""

from __future__ import annotations

import pyarrow as pa
import pytest

from logsink.query.columns import as_rows
from logsink.query.output import lines
from logsink.query.output.json_lines import Json
from logsink.query.output.lines import Blocks, Lines
from logsink.query.output.text import Cat, Text
from tests.unit.query.archives import row, table
from tests.unit.query.output.lines import output


def test_large_tables_are_rendered_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "_BYTES", 500)
    rows = [row(i, message=f"message {i}") for i in range(100)]
    content = as_rows(table(rows), Text(None).columns)
    parts = list(Lines(Text(None)).rows(content))
    assert len(parts) > 5
    assert b"".join(parts).decode().splitlines() == output(Text(None), *rows).splitlines()
    assert len(b"".join(parts).splitlines()) == 100


def test_nothing_renders_to_nothing() -> None:
    assert output(Text(None)) == ""
    assert output(Json()) == ""


def test_blocks_of_neighbours_stand_apart() -> None:
    rows = as_rows(table([row(message="a"), row(message="b"), row(message="c")]), Cat.columns)
    rows = rows.append_column("gap", pa.array([False, True, False]))
    assert b"".join(Lines(Blocks(Cat())).rows(rows)) == b"a\n--\nb\nc\n"
