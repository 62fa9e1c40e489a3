"""Memory of fills: lent while anything views it, then used again."""

from __future__ import annotations

import gc

import numpy as np
import pyarrow as pa

from logsink.journal.fill import Fill, Memory
from logsink.journal.segment import Segment, SegmentName, decode, encode
from logsink.parse.frames import Origin, Settings
from logsink.wire.batch import Batch

TCP = Origin("192.0.2.1", None, "tcp")


def address(array: np.ndarray) -> int:  # type: ignore[type-arg]
    return int(array.__array_interface__["data"][0])


def test_columns_are_apart_and_as_large_as_asked_for() -> None:
    data, offsets, flags = Memory(1001, 10).loan()
    assert (len(data) >= 1001, len(offsets), len(flags)) == (True, 11, 10)
    data.fill(1)
    offsets.fill(2)
    flags.fill(3)
    assert set(data.tolist()) == {1}
    assert set(offsets.tolist()) == {2}


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
    assert decode(encode(segment)).frames.data.tobytes() == b"onetwo"


def test_what_a_fill_leaves_is_for_the_next_if_it_is_enough() -> None:
    memory, octets = Memory(256, 100, 64), np.frombuffer(b"one two!", np.uint8)
    at = np.array([0, 4], np.int32)
    segments, places = [], []
    for ordinal in range(1, 5):
        fill = Fill(ordinal, memory.loan())
        fill.append(Batch(octets, at, at + 3, np.full(2, ordinal, np.int32)), ordinal, TCP)
        places.append(address(fill.frames().data))
        segments.append(Segment(SegmentName("r", 0, ordinal), Settings(), fill.frames()))
        memory.left(fill.rest())
    assert [place - places[0] for place in places[:3]] == [0, 64, 128]
    assert not places[0] <= places[3] < places[0] + 256  # no longer room for 64 rows behind 16 + 16 + 16
    for ordinal, segment in enumerate(segments, 1):
        again = decode(encode(segment)).frames
        assert again.data.tobytes() == b"onetwo"
        assert again.offsets.tolist() == [0, 3, 6]
        assert again.flags.tolist() == [ordinal] * 2
