"""Memory of fills: lent while anything views it, then used again."""

from __future__ import annotations

import gc

import numpy as np
import pyarrow as pa

from logsink.journal.fill import _SMALL, Fill, Loan, Memory
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


def test_a_small_segment_gives_its_loan_back_and_a_large_one_views_it() -> None:
    memory = Memory(2 * _SMALL, 4).loan()
    octets, at = np.full(_SMALL, 7, np.uint8), np.zeros(1, np.int32)

    def data_of(length: int) -> np.ndarray:  # type: ignore[type-arg]
        fill = Fill(1, Loan(*memory))
        fill.append(Batch(octets, at, at + length, at), 1, TCP)
        return fill.frames().data

    assert not np.shares_memory(data_of(100), memory.data)
    assert np.shares_memory(data_of(_SMALL), memory.data)
