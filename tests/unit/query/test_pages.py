"""Chunks that are ruled out by their pages' bytes, and chunks that must be looked at more closely."""

from __future__ import annotations

import io
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from logsink.query.filters import Needles
from logsink.query.pages import lacks

VALUES = [None if i % 7 == 0 else f"message {i} of ünïcode " + "x" * (i % 90) for i in range(3000)] + ["the needle", ""]
PAGES = {"data_page_size": 4096, "compression": "zstd", "use_dictionary": False}


def chunk(values: list[str | None] = VALUES, **options: Any) -> tuple[memoryview, str]:
    """The only column chunk of a file, and the name of its codec."""
    sink = io.BytesIO()
    pq.write_table(pa.table({"message": pa.array(values, pa.string())}), sink, **PAGES | options)
    column = pq.ParquetFile(sink).metadata.row_group(0).column(0)
    start = min(column.data_page_offset, column.dictionary_page_offset or column.data_page_offset)
    return memoryview(sink.getvalue())[start : start + column.total_compressed_size], column.compression


def absent(*needles: Needles, **options: Any) -> bool:
    body, compression = chunk(**options)
    return lacks(body, compression, needles)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"compression": "none"},
        {"compression": "snappy"},
        {"compression": "gzip"},
        {"use_dictionary": True},
        {"use_dictionary": True, "dictionary_pagesize_limit": 2000},  # the rest is plain
        {"use_dictionary": True, "version": "1.0"},
        {"column_encoding": {"message": "DELTA_LENGTH_BYTE_ARRAY"}},
        {"write_statistics": True, "write_page_checksum": True},
        {"data_page_size": 8 << 20},
    ],
)
def test_what_is_nowhere_is_ruled_out(options: dict[str, Any]) -> None:
    assert absent([b"nowhere"], **options)
    assert absent([b"nowhere", b"not here either"], **options)
    assert absent([b"the needle"], [b"nowhere"], **options)
    assert not absent([b"the needle"], **options)
    assert not absent([b"nowhere", b"the needle"], **options)
    assert not absent([b"message 5 "], [b"the needle"], **options)  # in two values, of two pages: look at it
    assert not absent(["ünïcode".encode()], **options)
    assert not absent(**options)


@pytest.mark.parametrize(
    "options",
    [
        {"data_page_version": "2.0"},
        {"column_encoding": {"message": "DELTA_BYTE_ARRAY"}},
        {"compression": "lz4"},  # "LZ4_RAW" in the file: no name of Arrow's
    ],
)
def test_what_is_not_known_is_never_ruled_out(options: dict[str, Any]) -> None:
    assert not absent([b"nowhere"], **options)


def test_a_text_across_two_values_is_a_reason_to_look() -> None:
    values: list[str | None] = ["one\x05", "two"]  # PLAIN: a length of 3 between them
    assert not absent([b"one\x05\x03\0\0\0two"], values=values)
    assert absent([b"one\x05two"], values=values)
    assert not absent([b"one\x05two"], values=values, column_encoding={"message": "DELTA_LENGTH_BYTE_ARRAY"})


def test_no_damage_is_ever_more_than_a_reason_to_look() -> None:
    body, compression = chunk(VALUES[:500])
    whole = body.tobytes()
    for length in range(len(whole)):
        lacks(memoryview(whole[:length]), compression, [[b"needle"]])
    for at in range(60):
        for value in (0, 0x15, 0x1C, 0x2C, 0x80, 0xFF):
            lacks(memoryview(whole[:at] + bytes([value]) + whole[at + 1 :]), compression, [[b"needle"]])
    assert not lacks(memoryview(b"\x1c" * 5000), compression, [[b"needle"]])
    assert not lacks(memoryview(b"\x15" + b"\xff" * 5000), compression, [[b"needle"]])
    assert not lacks(body, "BROTLI-OF-TOMORROW", [[b"needle"]])


@given(st.lists(st.one_of(st.none(), st.text("ab", max_size=4)), min_size=1), st.text("ab", min_size=1, max_size=3))
def test_nothing_that_a_value_holds_is_ruled_out(values: list[str | None], needle: str) -> None:
    there = any(needle in value for value in values if value is not None)
    for options in ({}, {"use_dictionary": True}, {"column_encoding": {"message": "DELTA_LENGTH_BYTE_ARRAY"}}):
        body, compression = chunk(values, **options)
        assert not (there and lacks(body, compression, [[needle.encode()]]))
