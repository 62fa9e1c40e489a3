"""Frames from rows, whatever the encoding of their columns."""

from __future__ import annotations

import pyarrow as pa
import pytest

from logsink.errors import FormatError
from logsink.parse import RAW_COLUMNS, ROWS_SCHEMA, Settings, parse, raw_frames
from tests.support.forms import running
from tests.support.frames import frames_of

plain_parse = running(compiled=False)(parse)

MODERN = b'<13>1 2026-02-28T09:15:00.5Z host app 7 ID [x y="z"] text'


def table_of(*frames: bytes) -> pa.Table:
    return plain_parse(frames_of(frames), Settings(), "r").table()


def test_raw_stands_exactly_where_no_template_does() -> None:
    table = table_of(MODERN, b"<13> odd  spaces", b"<192>1 - h a - - - x", b"<13>\xff")
    assert [w is None for w in table["wire"].to_pylist()] == [False, False, True, True]
    assert table["raw"].to_pylist() == [None, None, b"<192>1 - h a - - - x", b"<13>\xff"]


def test_frames_from_any_encoding_of_the_columns() -> None:
    frames = [MODERN, b"", b"<13>\xff", b"plain", b"<13>Jan  1 00:00:00 h a[1]: x", b"<13>Jan 11 00:00:00 h a[1]: x"]
    table = table_of(*frames).select(RAW_COLUMNS)
    plain = table.cast(
        pa.schema([(f.name, pa.string() if pa.types.is_dictionary(f.type) else f.type) for f in table.schema])
    )
    for form in (table, plain):
        chunked = pa.concat_tables([form.slice(4), form.slice(0, 2), form.slice(2, 2)])
        assert raw_frames(chunked).to_pylist() == frames[4:] + frames[:4]
        assert raw_frames(form.slice(0, 0)).to_pylist() == []
    assert raw_frames(ROWS_SCHEMA.empty_table()).to_pylist() == []


def test_a_row_that_gives_no_frame() -> None:
    table = table_of(MODERN)
    empty = table.set_column(table.schema.get_field_index("wire"), "wire", pa.nulls(1, pa.string()))
    with pytest.raises(FormatError, match="neither wire nor raw"):
        raw_frames(empty)
    hostless = table.set_column(table.schema.get_field_index("host"), "host", pa.nulls(1, pa.string()))
    with pytest.raises(FormatError, match="names a column that is null"):
        raw_frames(hostless)
