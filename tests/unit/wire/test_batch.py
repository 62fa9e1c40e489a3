"""A batch is a view: of the buffer, and of the arrays that its event loop has for all sessions."""

from __future__ import annotations

import numpy as np

from logsink.wire import Batch, Scratch


def batch() -> Batch:
    data = np.frombuffer(b"<1>one<2>two<3>three", np.uint8)
    starts, ends = np.array([0, 6, 12], np.int32), np.array([6, 12, 20], np.int32)
    return Batch(data, starts, ends, np.array([0, 1, 0], np.int32))


def frames(batch: Batch) -> list[bytes]:
    return [batch.data[a:b].tobytes() for a, b in zip(batch.starts.tolist(), batch.ends.tolist(), strict=True)]


def test_some_of_its_frames_are_a_batch_over_the_same_buffer() -> None:
    whole = batch()
    assert len(whole) == 3
    assert frames(whole.of(slice(1, None))) == [b"<2>two", b"<3>three"]
    some = whole.of(whole.flags == 0)
    assert frames(some) == [b"<1>one", b"<3>three"]
    assert some.data is whole.data


def test_scratch_has_room_for_the_shortest_frames_and_is_not_copied() -> None:
    scratch = Scratch(64)
    assert len(scratch.starts) == len(scratch.ends) == len(scratch.flags) >= 64 // 2
    made = scratch.batch(np.zeros(64, np.uint8), 3)
    assert len(made) == 3
    assert np.shares_memory(made.starts, scratch.starts)
