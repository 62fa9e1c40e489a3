"""Segments: what goes in comes out, and what cannot be read says so."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logsink.errors import FormatError
from logsink.journal.segment import Segment, SegmentName, decode_segment, encode_segment
from logsink.parse import Frames, Origin, Settings

NAME = SegmentName("0190-ab", 2, 7)
ORIGINS = st.builds(
    Origin, st.none() | st.just("10.0.0.1") | st.just("::1"), st.none() | st.just("CN=a,O=b"), st.just("tcp")
)
ROWS = st.lists(
    st.tuples(st.binary(min_size=1, max_size=20), st.integers(0, 3), st.integers(0, 5), ORIGINS), min_size=1
)


def segment_of(rows: list[tuple[bytes, int, int, Origin]]) -> Segment:
    origins = list(dict.fromkeys(origin for *_, origin in rows))
    offsets = np.cumsum([0, *(len(frame) for frame, *_ in rows)]).astype(np.int32)
    frames = Frames(
        np.frombuffer(b"".join(frame for frame, *_ in rows), np.uint8),
        offsets,
        np.array([flags for _, flags, *_ in rows], np.int32),
        np.array([10**15 + received for *_, received, _ in rows], np.int64),
        np.array([origins.index(origin) for *_, origin in rows], np.int32),
        origins,
    )
    return Segment(NAME, Settings("Europe/Berlin", "deploy@1", 1), frames)


def rows_of(segment: Segment) -> list[tuple[bytes, int, int, Origin]]:
    f = segment.frames
    data = f.data.tobytes()
    return [
        (data[f.offsets[i] : f.offsets[i + 1]], int(f.flags[i]), int(f.received[i]) - 10**15, f.origins[f.origin[i]])
        for i in range(len(f))
    ]


@settings(deadline=None)
@given(rows=ROWS)
def test_what_goes_in_comes_out(rows: list[tuple[bytes, int, int, Origin]]) -> None:
    segment = segment_of(rows)
    back = decode_segment(encode_segment(segment))
    assert rows_of(back) == rows
    assert (back.name, back.settings) == (NAME, segment.settings)


def test_it_names_the_store_that_it_was_written_for() -> None:
    segment = segment_of([(b"a", 0, 0, Origin("1.1.1.1", None, "tcp"))])
    assert decode_segment(encode_segment(segment)).store_id == ""
    assert decode_segment(encode_segment(segment._replace(store_id="5a"))).store_id == "5a"


def test_encoding_twice_gives_the_same_bytes() -> None:
    segment = segment_of([(b"a", 0, 0, Origin("1.1.1.1", None, "tcp")), (b"b", 1, 0, Origin(None, "CN=x", "tls"))])
    assert encode_segment(segment).equals(encode_segment(segment))


def test_names_and_keys() -> None:
    assert NAME.key == "journal/0190-ab/2/00000000000000000007.arrow"
    assert NAME.app_id == "0190-ab.2"
    assert SegmentName.from_key(NAME.key) == NAME
    for key in ("journal/x/1/7.arrow", "journal/x/00000000000000000007.arrow", "logs/a.parquet", NAME.key + "x"):
        assert SegmentName.from_key(key) is None


def test_newer_format_is_refused_with_a_remedy() -> None:
    with pa.ipc.open_stream(encode_segment(segment_of([(b"a", 0, 0, Origin(None, None, "udp"))]))) as reader:
        table = reader.read_all()
    table = table.replace_schema_metadata({**table.schema.metadata, b"logsink.format": b"2"})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    with pytest.raises(FormatError, match="format 2: this version reads 1 to 1") as caught:
        decode_segment(sink.getvalue())
    assert caught.value.hint == "upgrade logsink"


@settings(deadline=None)
@given(cut=st.integers(0, 400), noise=st.binary(max_size=8))
def test_damaged_bytes_are_a_format_error(cut: int, noise: bytes) -> None:
    body = encode_segment(segment_of([(b"hello", 0, 0, Origin("1.1.1.1", None, "tcp"))] * 3)).to_pybytes()
    damaged = body[:cut] + noise + body[cut + len(noise) :][: len(body) // 2]
    try:
        decode_segment(damaged)
    except FormatError:
        return
