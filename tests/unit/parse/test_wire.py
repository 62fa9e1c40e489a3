"""Templates, the prover, and frames from rows."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from logsink.errors import FormatError
from logsink.flags import Flag
from logsink.parse import RAW_COLUMNS, ROWS_SCHEMA, Settings, parse, raw_frames
from logsink.parse.prover import prove
from logsink.parse.shape import (
    BSD,
    BSD_ZERO,
    IRREGULAR,
    NO_TIME,
    RFC5424,
    TIME_DIGITS,
    TIME_KIND,
    TIME_ZONE,
    TIME_ZONE_BIAS,
    WITH_FIELD,
    WITH_MESSAGE,
    WITH_PRI,
    ZULU,
)
from logsink.parse.templates import Templates, TimeItem, parse_template, template_of
from tests.support.forms import running
from tests.support.frames import frames_of

plain_parse = running(compiled=False)(parse)

MODERN = b'<13>1 2026-02-28T09:15:00.5Z host app 7 ID [x y="z"] text'


def table_of(*frames: bytes) -> pa.Table:
    return plain_parse(frames_of(frames), Settings(), "r").table()


def test_items_of_a_template() -> None:
    assert parse_template("<%pri>1 %time{6,-03:30} %host - %bom%message") == [
        b"<", "pri", b">1 ", TimeItem(0, 6, -210), b"-03:30", b" ", "host", b" - ", b"\xef\xbb\xbf", "message",
    ]  # fmt: skip
    assert parse_template("%time{bsd,+01:00} %app[%procid]:") == [
        TimeItem(BSD, 0, 60),
        b" ",
        "app",
        b"[",
        "procid",
        b"]:",
    ]
    assert parse_template("%time{bsd0.3,+00:00}") == [TimeItem(BSD_ZERO, 3, 0)]
    assert parse_template("%time{0,(+01:00)}") == [TimeItem(0, 0, 60)]
    assert parse_template("") == []


@pytest.mark.parametrize("text", ["%user", "%time{7,Z}", "%time{bsd}", "100%", "%time{6,CET}"])
def test_a_template_of_a_later_version(text: str) -> None:
    with pytest.raises(FormatError, match="cannot read template"):
        parse_template(text)


@given(st.integers(1, (1 << 34) - 1))
def test_every_shape_has_a_template_that_can_be_read(shape: int) -> None:
    if shape & 3 == 3 or shape >> 5 & 7 == IRREGULAR:
        return
    minutes = (shape >> TIME_ZONE & 0xFFF) - TIME_ZONE_BIAS
    if shape >> TIME_KIND & 7 != NO_TIME and abs(minutes) > 1440:
        return
    text = template_of(shape)
    assert (parse_template(text)[:2] == [b"<", "pri"]) == bool(shape & WITH_PRI)


PARTS = ["<13>1 2026-02-28T09:15:00.5Z ", "host", " ", "app", " ", "7", " ", "ID", " ", '[x y="z"]', " ", "text"]
EDGES = np.cumsum([len(part) for part in PARTS])[:-1]  # where each field begins and ends, but the message's end
SHAPE = (
    RFC5424 | ZULU << TIME_KIND | 1 << TIME_DIGITS | TIME_ZONE_BIAS << TIME_ZONE | WITH_PRI
    | WITH_MESSAGE | 0b11111 << WITH_FIELD
)  # fmt: skip
PROVED = {
    "data": np.frombuffer(MODERN, np.uint8),
    "offsets": np.array([0, len(MODERN)], np.int32),
    "spans": np.append(EDGES, len(MODERN)).astype(np.int32).reshape(1, 12),
    "time": np.array([1_772_270_100_500_000]),
    "facility": np.array([1], np.int8),
    "severity": np.array([5], np.int8),
    "flags": np.zeros(1, np.int32),
}


def proved(**changed: np.ndarray) -> bool:
    """Is the row of ``MODERN`` proved with these columns in place of its own? Also behind one of the same second, then."""
    columns = {**PROVED, **changed}
    begin = len(MODERN)
    second = {name: np.concatenate([PROVED[name], columns[name]]) for name in columns if name != "offsets"}
    second["spans"][1] += np.int32(begin)
    second["offsets"] = np.concatenate([PROVED["offsets"][:1], columns["offsets"] + np.int32(begin)])
    alone, after = _proved(columns), _proved({name: second[name] for name in columns})
    if columns["offsets"][0] == 0:  # else the one before would be longer
        assert after == [True, *alone]
    return alone[0]


def _proved(columns: dict[str, np.ndarray]) -> list[bool]:
    templates = Templates()
    templates.extend(np.array([SHAPE]))
    rows = len(columns["time"])
    found = []
    for run in (prove, prove.py):
        wire = np.full(rows, 7, np.int32)
        run(*columns.values(), np.zeros(rows, np.int32), *templates.program, wire)
        found.append([code == 0 for code in wire.tolist()])
    assert found[0] == found[1]
    return found[0]


def test_the_prover_believes_no_column() -> None:
    assert proved()
    assert not proved(time=PROVED["time"] + 100_000)
    assert not proved(time=PROVED["time"] + 86_400_000_000)
    assert not proved(time=PROVED["time"] + 1)
    assert not proved(time=PROVED["time"] - 1_000_000)
    assert not proved(facility=np.array([2], np.int8))
    assert not proved(severity=np.array([-1], np.int8))
    assert not proved(flags=np.array([Flag.NOT_UTF8], np.int32))
    for edge in range(12):
        for by in (-1, 1):
            spans = PROVED["spans"].copy()
            spans[0, edge] += by
            assert not proved(spans=spans), edge


def test_the_prover_compares_every_byte() -> None:
    in_fields = {p for start, end in PROVED["spans"].reshape(6, 2) for p in range(start, end)}
    for p in range(len(MODERN)):
        data = PROVED["data"].copy()
        data[p] ^= 1
        assert proved(data=data) == (p in in_fields), p
    assert not proved(offsets=np.array([0, len(MODERN) - 1], np.int32))
    assert not proved(offsets=np.array([1, len(MODERN)], np.int32))


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


def test_a_row_with_neither() -> None:
    table = table_of(MODERN)
    empty = table.set_column(table.schema.get_field_index("wire"), "wire", pa.nulls(1, pa.string()))
    with pytest.raises(FormatError, match="neither wire nor raw"):
        raw_frames(empty)
    hostless = table.set_column(table.schema.get_field_index("host"), "host", pa.nulls(1, pa.string()))
    with pytest.raises(FormatError, match="names a column that is null"):
        raw_frames(hostless)
