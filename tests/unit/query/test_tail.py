"""The journal's tail: what is left out before parsing, and what must not be."""

from __future__ import annotations

import numpy as np
import orjson
import pytest

from logsink.errors import FormatError
from logsink.journal.segment import Segment, SegmentName, encode
from logsink.parse.frames import Settings
from logsink.query import tail
from logsink.query.conditions import Holds, OneOf
from logsink.query.filters import Condition, Filter
from tests.unit.query.archives import frames, json_parse, row, rows_of

NAME = SegmentName("r1", 0, 1)
BODIES = [b"<1>a one", b"<1>b two", b"<1>c three", b"<1>d two", b"<1>e", b"<1>f four"]
READS = [10, 10, 11, 12, 12, 13]


def sifted(*conditions: Condition) -> list[bytes]:
    segment = tail.sift(Segment(NAME, Settings(), frames(BODIES, READS)), Filter(conditions))
    found = segment.frames
    data, ends = bytes(found.data), found.offsets.tolist()
    assert len(found.received) == len(found.flags) == len(found.origin) == len(ends) - 1
    assert all(found.received[i] == READS[BODIES.index(data[ends[i] : ends[i + 1]])] for i in range(len(found)))
    return [data[ends[i] : ends[i + 1]] for i in range(len(found))]


def test_reads_without_a_needle_are_left_out_whole() -> None:
    assert sifted(Holds("message", ("two",))) == [BODIES[0], BODIES[1], BODIES[3], BODIES[4]]
    assert sifted(Holds("message", ("three", "four"))) == [BODIES[2], BODIES[5]]
    assert sifted(Holds("message", ("o",)), OneOf("host", ("f",))) == [BODIES[5]]
    assert sifted(Holds("message", ("nowhere",))) == []
    assert sifted(Holds("message", ("^t.*e$",), regex=True)) == [BODIES[2]]


def test_what_cannot_be_judged_by_its_bytes_is_left_in() -> None:
    assert sifted() == BODIES
    assert sifted(Holds("message", ("nowhere",), ignore_case=True)) == BODIES
    assert sifted(Holds("message", ("nowhere|[a-z]",), regex=True)) == BODIES
    assert sifted(OneOf("host", ("nowhere*",))) == BODIES


def test_frames_that_do_not_begin_at_their_buffer_s_start() -> None:
    whole = frames(BODIES, READS)
    part = Segment(
        NAME,
        Settings(),
        type(whole)(
            whole.data, whole.offsets[2:], *(a[2:] for a in (whole.flags, whole.received, whole.origin)), whole.origins
        ),
    )
    found = tail.sift(part, Filter((Holds("message", ("two",)),))).frames
    assert bytes(found.data[found.offsets[0] : found.offsets[-1]]) == BODIES[3] + BODIES[4]
    assert (
        tail.sift(Segment(NAME, Settings(), frames([])), Filter((Holds("message", ("two",)),))).frames.received.tolist()
        == []
    )


def test_rows_of_a_segment(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []

    def parse(*args: object, compiled: bool) -> object:
        asked.append(compiled)
        return json_parse(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(tail, "parse", parse)
    stored = [row(1, host="a"), row(2, host="b"), row(3, host="a", message=None)]
    segment = Segment(NAME, Settings(), frames([orjson.dumps(r) for r in stored]))
    every = tail.rows(segment, Filter(), ("time", "host"), compiled=True)
    assert [r["host"] for r in rows_of([every])] == ["a", "b", "a"]
    some = tail.rows(segment, Filter((OneOf("host", ("a",)), Holds("message", ("",)))), ("time",), compiled=False)
    assert rows_of([some]) == [{"time": stored[0]["time"]}]
    assert asked == [True, False]


def test_a_segment_under_another_s_name_is_refused() -> None:
    body = bytes(encode(Segment(NAME, Settings(), frames(BODIES))))
    assert np.array_equal(tail.read(body, NAME, Filter()).frames.offsets, frames(BODIES).offsets)
    with pytest.raises(FormatError, match="it says it is journal/r1/0/"):
        tail.read(body, SegmentName("r2", 0, 1), Filter())
    with pytest.raises(FormatError):
        tail.read(b"nonsense", NAME, Filter())
