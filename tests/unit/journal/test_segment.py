"""Segments: what goes in comes out, and what cannot be read says so."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logsink.errors import FormatError
from logsink.journal.segment import (
    LAST_SEQUENCE,
    Segment,
    SegmentName,
    _sealed,
    decode_segment,
    encode_segment,
    written_by_newer,
)
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


SMALL = segment_of([(b"hello", 0, 0, Origin("1.1.1.1", None, "tcp"))] * 3)


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
    last = NAME._replace(sequence=LAST_SEQUENCE)
    assert SegmentName.from_key(last.key) == last
    assert SegmentName.from_key(last._replace(sequence=LAST_SEQUENCE + 1).key) is None
    for key in ("journal/x/1/7.arrow", "journal/x/00000000000000000007.arrow", "logs/a.parquet", NAME.key + "x"):
        assert SegmentName.from_key(key) is None


def of_format(number: int, *, trailer: bool) -> bytes:
    """A segment of another format number, with or without the trailer that format 2 brought."""
    with pa.ipc.open_stream(encode_segment(SMALL)) as reader:
        table = reader.read_all()
    table = table.replace_schema_metadata({**table.schema.metadata, b"logsink.format": b"%d" % number})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return (_sealed(sink) if trailer else sink.getvalue()).to_pybytes()


def test_newer_format_is_refused_with_a_remedy() -> None:
    body = of_format(3, trailer=True)
    with pytest.raises(FormatError, match="format 3, and this version reads 1 to 2") as caught:
        decode_segment(body)
    assert caught.value.hint == "upgrade logsink"
    assert written_by_newer(body)
    assert not written_by_newer(body[:-1] + b"x")


def test_a_format_and_its_trailer_belong_together() -> None:
    assert rows_of(decode_segment(of_format(1, trailer=False))) == rows_of(SMALL)
    for number, trailer in ((1, True), (2, False), (3, False), (0, False)):
        body = of_format(number, trailer=trailer)
        with pytest.raises(FormatError, match="does not match its checksum"):
            decode_segment(body)
        assert not written_by_newer(body)


def test_what_a_segment_says_of_others() -> None:
    said = SMALL._replace(stored={"0190-ab.0": 4, "0190-ab.3": 9}, commit=17)
    back = decode_segment(encode_segment(said))
    assert (back.stored, back.commit) == (said.stored, 17)
    back = decode_segment(encode_segment(SMALL))
    assert (back.stored, back.commit) == ({}, -1)


def test_every_flipped_bit_and_every_cut_is_found() -> None:
    body = bytes(encode_segment(SMALL._replace(store_id="5a", stored={"0190-ab.0": 4}, commit=17)))
    for bit in range(8 * len(body)):
        flipped = bytearray(body)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(FormatError):
            decode_segment(bytes(flipped))
        assert not written_by_newer(bytes(flipped))
    for size in range(len(body)):
        with pytest.raises(FormatError):
            decode_segment(body[:size])


@settings(deadline=None)
@given(data=st.data())
def test_damage_of_any_kind_gives_the_original_or_an_error(data: st.DataObject) -> None:
    body = bytearray(encode_segment(SMALL))
    for _ in range(data.draw(st.integers(1, 8))):
        where = data.draw(st.integers(0, len(body) - 1))
        body[where] ^= 1 << data.draw(st.integers(0, 7))
    cut = data.draw(st.integers(0, len(body)))
    for damaged in (bytes(body), bytes(body[:cut]), bytes(body) + bytes(cut)):
        try:
            assert rows_of(decode_segment(damaged)) == rows_of(SMALL)
        except FormatError:
            continue


@settings(deadline=None)
@given(cut=st.integers(0, 400), noise=st.binary(max_size=8))
def test_damaged_bytes_are_a_format_error(cut: int, noise: bytes) -> None:
    body = encode_segment(segment_of([(b"hello", 0, 0, Origin("1.1.1.1", None, "tcp"))] * 3)).to_pybytes()
    damaged = body[:cut] + noise + body[cut + len(noise) :][: len(body) // 2]
    try:
        decode_segment(damaged)
    except FormatError:
        return
