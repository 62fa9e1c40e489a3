"""The journal's tail: what is left out before parsing, and what must not be."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from logsink.errors import FormatError
from logsink.journal.reader import StoredSegment
from logsink.journal.segment import Segment, SegmentName, encode_segment
from logsink.parse import Frames, Origin, Settings, parse
from logsink.query.read import tail
from logsink.query.request.conditions import Holds, OneOf
from logsink.query.request.filters import Condition, Filter
from tests.support.forms import running
from tests.unit.query.archives import START, frames, json_parse, row, rows_of

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


def test_what_is_no_part_of_a_frame_is_found_all_the_same() -> None:
    sent = b'<13>1 2026-03-01T12:00:00Z h a - - [deploy@32473 role="a\\"b" deploy="v1"] x'
    some = replace(
        frames([sent] * 300),
        origin=np.arange(300, dtype=np.int32) % 2,
        origins=(Origin("10.0.0.1", "CN=web", "relp-tls"), Origin("10.0.0.2", None, "udp")),
    )
    segment = Segment(NAME, Settings(deploy_sd_id="deploy@32473"), some)
    for column, value, count in (
        ("sender", "10.0.0.1", 150),
        ("identity", "CN=web", 150),
        ("transport", "udp", 150),
        ("receiver", "r1", 300),
        ("role", 'a"b', 300),
        ("deploy", "v1", 300),
    ):
        wanted = Filter((OneOf(column, (value,)),))
        for compiled in (False, True):
            with running(compiled=compiled):
                found = tail.parse_segments([tail.sift(segment, wanted)], wanted, (column,))
            assert found[column].to_pylist() == [value] * count, column


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
    monkeypatch.setattr(tail, "parse", json_parse)
    stored = [row(1, host="a"), row(2, host="b"), row(3, host="a", message=None)]
    segment = Segment(NAME, Settings(), frames([orjson.dumps(r) for r in stored]))
    every = tail.parse_segments([segment], Filter(), ("time", "host"))
    assert [r["host"] for r in rows_of([every])] == ["a", "b", "a"]
    some = tail.parse_segments([segment], Filter((OneOf("host", ("a",)), Holds("message", ("",)))), ("time",))
    assert rows_of([some]) == [{"time": stored[0]["time"]}]


def test_segments_of_one_receiver_and_settings_are_parsed_together(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, Settings, str]] = []

    def parse(given: Frames, settings: Settings, receiver: str) -> object:
        asked.append((len(given), settings, receiver))
        return json_parse(given, settings, receiver)

    monkeypatch.setattr(tail, "parse", parse)
    berlin = Settings("Europe/Berlin")
    made = [
        ("r1", Settings(), 2),
        ("r2", Settings(), 1),
        ("r1", Settings(), 0),
        ("r1", berlin, 1),
        ("r1", Settings(), 3),
    ]
    segments = []
    for number, (receiver, settings, count) in enumerate(made):
        bodies = [orjson.dumps(row(10 * number + k, receiver=receiver, host=f"h{k}")) for k in range(count)]
        origin = Origin(f"10.0.0.{number % 2}", None, "tcp")
        received = [START + 10 * number + k for k in range(count)]
        one = replace(frames(bodies, received), origins=(origin,))
        segments.append(Segment(SegmentName(receiver, number, 1), settings, one))
    found = rows_of([tail.parse_segments(segments, Filter(), ("time", "receiver", "host"))])
    assert [(r["time"] - START, r["host"]) for r in found] == [
        (0, "h0"), (1, "h1"), (40, "h0"), (41, "h1"), (42, "h2"), (10, "h0"), (30, "h0")
    ]  # fmt: skip
    assert asked == [(5, Settings(), "r1"), (1, Settings(), "r2"), (1, berlin, "r1")]


def test_frames_of_several_segments_keep_what_belongs_to_them() -> None:
    origins = [Origin("10.0.0.1", None, "tcp"), Origin("10.0.0.2", "CN=a", "relp-tls")]
    first = replace(frames(BODIES, READS), origins=(origins[0],))
    other = frames(BODIES[:3], [20, 21, 22])
    second = Frames(
        other.data,
        other.offsets[1:],
        other.flags[1:] + 4,
        other.received[1:],
        np.array([1, 0], np.int32),
        (origins[0], origins[1]),
    )
    both = tail._joined([first, second])
    data, ends = bytes(both.data), both.offsets.tolist()
    assert [data[a:b] for a, b in pairwise(ends)] == [*BODIES, *BODIES[1:3]]
    assert both.received.tolist() == [*READS, 21, 22]
    assert both.flags.tolist() == [0] * 6 + [4] * 2
    assert [both.origins[code] for code in both.origin] == [origins[0]] * 6 + [origins[1], origins[0]]


def test_groups() -> None:
    stored = [
        StoredSegment(SegmentName(r, 0, k), size, 0.0)
        for k, (r, size) in enumerate(
            [("r1", 400_000), ("r1", 600_000), ("r1", 100_000), ("r2", 5), ("r3", 2_000_000), ("r3", 1)], 1
        )
    ]
    found = [[one.name.sequence for one in group] for group in tail.groups(stored)]
    assert found == [[1, 2], [3], [4], [5], [6]]


def test_a_segment_under_another_s_name_is_refused() -> None:
    body = bytes(encode_segment(Segment(NAME, Settings(), frames(BODIES))))
    segment, last = tail.decode(body, NAME, Filter())
    assert np.array_equal(segment.frames.offsets, frames(BODIES).offsets)
    assert last == frames(BODIES).received[-1]
    with pytest.raises(FormatError, match="it says it is journal/r1/0/"):
        tail.decode(body, SegmentName("r2", 0, 1), Filter())
    with pytest.raises(FormatError):
        tail.decode(b"nonsense", NAME, Filter())


@given(
    st.lists(
        st.tuples(st.sampled_from(["a", "b"]), st.sampled_from(["one", "two", "three"]), st.integers(0, 2)), max_size=12
    ),
    st.integers(0, 13),
)
def test_what_is_found_does_not_hang_on_what_is_parsed_first(given: list[tuple[str, str, int]], few: int) -> None:
    """``nth`` tells apart the rows of a read that have the same time: it counts those that are not wanted, too."""
    bodies = [f"<13>1 2026-11-22T03:12:0{second}Z {host} app - - - {said}".encode() for host, said, second in given]
    segment = Segment(NAME, Settings(), frames(bodies, [START + k // 3 for k in range(len(bodies))]))
    wanted, columns = (
        Filter((OneOf("host", ("a",)), Holds("message", ("two",)))),
        ("time", "received", "nth", "message"),
    )
    everything = rows_of([tail.parse_segments([segment], Filter(), (*columns, "host"))])
    expected = [r for r in everything if r.pop("host") == "a" and r["message"] == "two"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tail, "FEW_FRAMES", few)
        for compiled in (False, True):
            with running(compiled=compiled):
                assert rows_of([tail.parse_segments([tail.sift(segment, wanted)], wanted, columns)]) == expected


def test_few_candidates_among_many_frames_are_parsed_first(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def noted(given: Frames, settings: Settings, receiver: str) -> object:
        asked.append(len(given))
        return parse(given, settings, receiver)

    monkeypatch.setattr(tail, "parse", noted)
    monkeypatch.setattr(tail, "FEW_FRAMES", 9)
    bodies = [f"<13>1 2026-11-22T03:12:00Z h app - - - number {k}".encode() for k in range(20)]
    segment = Segment(NAME, Settings(), frames(bodies, [START + k // 10 for k in range(20)]))
    assert len(tail.parse_segments([segment], Filter((Holds("message", ("number 19",)),)), ("time",))) == 1
    assert asked == [1, 10]
    asked.clear()
    assert len(tail.parse_segments([segment], Filter((Holds("message", ("9h app", "number 9")),)), ("time",))) == 1
    assert asked == [1, 10]
    asked.clear()
    assert len(tail.parse_segments([segment], Filter((Holds("message", ("h app",)),)), ("time",))) == 0
    assert asked == [20]
    asked.clear()
    monkeypatch.setattr(tail, "FEW_FRAMES", 10)
    assert (
        len(
            tail.parse_segments([segment], Filter((Holds("message", ("number 1 ", "app - - - number 19")),)), ("time",))
        )
        == 0
    )
    assert asked == [1]
