"""Memory of fills: lent while anything views it, then used again."""

from __future__ import annotations

import gc

import numpy as np
import pyarrow as pa

from logsink.journal.fill import FRAME_OVERHEAD, ORIGIN_OVERHEAD, READ_OVERHEAD, Fill, Memory
from logsink.journal.segment import Segment, SegmentName, decode_segment, encode_segment
from logsink.parse import Origin, Origins, Settings
from logsink.wire.batch import Batch

TCP = Origin("192.0.2.1", None, "tcp")


def address(array: np.ndarray) -> int:  # type: ignore[type-arg]
    return int(array.__array_interface__["data"][0])


def test_columns_are_apart_and_as_large_as_asked_for() -> None:
    loan = Memory(1001, 10).loan()
    assert [len(column) for column in loan[1:]] == [10, 11, 10, 10]
    assert len(loan.data) >= 1001
    for value, column in enumerate(loan):
        column.fill(value)
    assert [set(column.tolist()) for column in loan] == [{0}, {1}, {2}, {3}, {4}]


def test_memory_is_used_again_when_nothing_views_it() -> None:
    memory = Memory(1 << 16, 16)
    first = memory.loan()
    place, view = address(first.data), first.data[10:20]
    del first
    second = memory.loan()
    assert address(second.data) != place
    column = pa.py_buffer(view[2:4])
    del view
    gc.collect()
    third = memory.loan()
    assert address(third.data) not in (place, address(second.data))
    del column
    assert address(memory.loan().data) == place


def test_a_segment_keeps_its_octets_while_others_are_filled() -> None:
    memory, octets = Memory(64, 4), np.frombuffer(b"one two!", np.uint8)
    at = np.array([0, 4], np.int32)
    fill = Fill(1, memory.loan())
    fill.append(Batch(octets, at, at + 3, np.zeros(2, np.int32)), 1, TCP)
    segment = Segment(SegmentName("r", 0, 1), Settings(), fill.frames())
    del fill
    other = Fill(2, memory.loan())
    other.append(Batch(np.frombuffer(b"XXXXXXXX", np.uint8), at, at + 3, np.ones(2, np.int32)), 2, TCP)
    assert segment.frames.data.tobytes() == b"onetwo"
    assert decode_segment(encode_segment(segment)).frames.data.tobytes() == b"onetwo"


def test_what_a_fill_leaves_is_for_the_next_if_it_is_enough() -> None:
    memory, octets = Memory(256, 100, 64, 64), np.frombuffer(b"one two!", np.uint8)
    at = np.array([0, 4], np.int32)
    segments, places = [], []
    for ordinal in range(1, 5):
        fill = Fill(ordinal, memory.loan())
        fill.append(Batch(octets, at, at + 3, np.full(2, ordinal, np.int32)), ordinal, TCP)
        places.append(address(fill.frames().data))
        segments.append(Segment(SegmentName("r", 0, ordinal), Settings(), fill.frames()))
        memory.give_back(fill.rest())
    assert [place - places[0] for place in places[:3]] == [0, 64, 128]
    assert not places[0] <= places[3] < places[0] + 256  # no longer room for 64 rows behind 16 + 16 + 16
    for ordinal, segment in enumerate(segments, 1):
        again = decode_segment(encode_segment(segment)).frames
        assert again.data.tobytes() == b"onetwo"
        assert again.offsets.tolist() == [0, 3, 6]
        assert again.flags.tolist() == [ordinal] * 2


def senders(*numbers: int) -> list[Origin]:
    return [Origin(f"192.0.2.{number}", None, "udp") for number in numbers]


def batch(*frames: bytes) -> Batch:
    ends = np.cumsum([len(frame) for frame in frames]).astype(np.int32)
    starts = np.concatenate([np.zeros(1, np.int32), ends[:-1]])
    return Batch(np.frombuffer(b"".join(frames), np.uint8), starts, ends, np.zeros(len(frames), np.int32))


def test_a_read_of_several_origins_keeps_whose_each_frame_is() -> None:
    fill, one, other = Fill(1, Memory(256, 100).loan()), senders(1, 2, 3), senders(3, 1)
    fill.append(batch(b"a", b"b", b"c"), 1, Origins(one, np.array([1, 0, 1], np.int32)))
    fill.append(batch(b"d"), 2, TCP)
    one += senders(4)  # it may grow
    fill.append(batch(b"e", b"f"), 3, Origins(one, np.array([3, 0], np.int32)))
    fill.append(batch(b"g", b"h"), 4, Origins(other, np.array([0, 1], np.int32)))
    segment = Segment(SegmentName("r", 0, 1), Settings(), fill.frames())
    for frames in (segment.frames, decode_segment(encode_segment(segment)).frames):
        assert [frames.origins[code].sender for code in frames.origin.tolist()] == [
            f"192.0.2.{number}" for number in (2, 1, 2, 1, 4, 1, 3, 1)
        ]
        assert [frames.origins[code].transport for code in frames.origin.tolist()] == ["udp"] * 3 + ["tcp"] + [
            "udp"
        ] * 4
        assert frames.received.tolist() == [1, 1, 1, 2, 3, 3, 4, 4]
    assert len(segment.frames.origins) == 5


def test_frames_reads_and_origins_weigh_what_they_cost() -> None:
    fill, known = Fill(1, Memory(256, 100).loan()), senders(1, 2, 3)
    assert fill.weight == 0
    fill.append(batch(b"12345"), 1, TCP)
    assert fill.weight == 5 + FRAME_OVERHEAD + READ_OVERHEAD + ORIGIN_OVERHEAD
    fill.append(batch(b"1", b"2", b"3"), 2, Origins(known, np.array([0, 2, 0], np.int32)))
    assert fill.weight == 8 + 4 * FRAME_OVERHEAD + 2 * READ_OVERHEAD + 3 * ORIGIN_OVERHEAD
    assert fill.nbytes == 8


def test_a_frame_weighs_no_less_than_its_columns() -> None:
    frames = Fill(1, Memory(256, 100).loan())
    frames.append(batch(b"1", b"2"), 1, TCP)
    columns = frames.frames()
    assert (
        sum(column.nbytes for column in (columns.flags, columns.received, columns.origin)) + 2 * 4 <= 2 * FRAME_OVERHEAD
    )
