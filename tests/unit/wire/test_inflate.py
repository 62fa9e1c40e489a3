"""Inflation: streams whole and in pieces, broken, cut off, too large; messages that inflate, and those that do not."""

from __future__ import annotations

import functools
import itertools
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logsink.flags import Flag
from logsink.wire.batch import Batch
from logsink.wire.inflate import FLOOR, READ_LIMIT, StreamInflater, inflated, stream_kind

try:
    from compression.zstd import ZstdCompressor
except ImportError:  # before Python 3.14
    from backports.zstd import ZstdCompressor

TEXT = b"".join(b"<13>Jan  1 00:00:%02d host app: message number %d\n" % (i % 60, i) for i in range(500))


def deflated(data: bytes, level: int = 9, finish: bool = True) -> bytes:
    stream = zlib.compressobj(level)
    packed = stream.compress(data)
    return packed + stream.flush(zlib.Z_FINISH if finish else zlib.Z_SYNC_FLUSH)


def zstd(data: bytes, finish: bool = True) -> bytes:
    stream = ZstdCompressor()
    return stream.compress(data) + stream.flush(ZstdCompressor.FLUSH_FRAME if finish else ZstdCompressor.FLUSH_BLOCK)


STREAMS = {
    "zlib": deflated(TEXT),
    "zlib_level_1": deflated(TEXT, 1),
    "zlib_level_4": deflated(TEXT, 4),
    "zlib_flushed": deflated(TEXT, finish=False),
    "zlib_stored": deflated(TEXT, 0),
    "zstd": zstd(TEXT),
    "zstd_flushed": zstd(TEXT, finish=False),
}


def run(reads: list[bytes], most: int = 1 << 12, ratio: int = 1000) -> tuple[bytes, tuple[str, str] | None]:
    inflater, out = StreamInflater(ratio), b""
    for read in reads:
        inflater.feed(read)
        while piece := inflater.read(most):
            assert len(piece) <= most
            out += piece
        assert not inflater.pending
    assert inflater.given == len(out)
    return out, inflater.error


@pytest.mark.parametrize("name", STREAMS)
def test_streams(name: str) -> None:
    data = STREAMS[name]
    assert stream_kind(data) == name.partition("_")[0]
    assert run([data]) == (TEXT, None)
    assert run([data], most=1 << 20) == (TEXT, None)
    assert run([data[i : i + 7] for i in range(0, len(data), 7)]) == (TEXT, None)


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_that_is_cut_off_keeps_what_was_inflated(name: str) -> None:
    data = STREAMS[name]
    out, error = run([data[: len(data) // 2]])
    assert error is None
    assert TEXT.startswith(out)
    if "zstd" not in name:
        assert out


def test_each_flush_gives_what_was_sent_by_then() -> None:
    for stream, flush in ((zlib.compressobj(), zlib.Z_SYNC_FLUSH), (ZstdCompressor(), ZstdCompressor.FLUSH_BLOCK)):
        inflater = StreamInflater(1000)
        for line in TEXT.splitlines(keepends=True)[:20]:
            inflater.feed(stream.compress(line) + stream.flush(flush))
            assert b"".join(iter(functools.partial(inflater.read, 100), b"")) == line


@pytest.mark.parametrize("name", ["zlib", "zstd"])
def test_another_stream_may_follow(name: str) -> None:
    assert run([STREAMS[name] * 2 + STREAMS["zlib"] + STREAMS["zstd"]]) == (TEXT * 4, None)
    assert run([bytes([octet]) for octet in STREAMS[name] * 2]) == (TEXT * 2, None)


@pytest.mark.parametrize("name", ["zlib", "zstd"])
def test_text_behind_a_stream_is_an_error(name: str) -> None:
    out, error = run([STREAMS[name] + b"<13>plain\n"])
    assert out == TEXT
    assert error
    assert error[0] == "compression"


@pytest.mark.parametrize("name", ["zlib", "zstd"])
def test_a_broken_stream_keeps_what_was_inflated_before(name: str) -> None:
    data = STREAMS[name + "_flushed"]
    out, error = run([data, b"\xff" * 100])
    assert out == TEXT
    assert error
    assert error[0] == "compression"
    assert run([data, b"\xff" * 100, data]) == (out, error)


@pytest.mark.parametrize("pack", [deflated, zstd])
def test_a_stream_that_expands_too_much_is_given_up(pack) -> None:  # type: ignore[no-untyped-def]
    inflater = StreamInflater(10)
    inflater.feed(pack(bytes(64 << 20)))
    total = 0
    while piece := inflater.read(1 << 18):
        total += len(piece)
    assert inflater.error
    assert inflater.error[0] == "inflation"
    assert FLOOR < total < 4 * FLOOR


def test_zlib_never_passes_the_usual_limit() -> None:
    data = deflated(bytes(64 << 20))
    inflater = StreamInflater(1100)
    inflater.feed(data)
    assert sum(len(piece) for piece in iter(lambda: inflater.read(1 << 18), b"")) == 64 << 20
    assert inflater.error is None


def test_a_zstd_window_is_bounded() -> None:
    from logsink.wire.inflate import DecompressionParameter

    assert DecompressionParameter.window_log_max
    head = b"\x28\xb5\x2f\xfd\x00" + bytes([(30 - 10) << 3])  # a frame that wants a window of 1 GiB
    _, error = run([head + bytes(20)])
    assert error
    assert error[0] == "compression"


@pytest.mark.parametrize(
    ("first", "kind"),
    [
        (b"", None),
        (b"x", None),
        (b"x\x9c", None),
        (b"\x28", None),
        (b"\x28\xb5\x2f", None),
        (b"\x28\xb5\x2f\xfd", "zstd"),
        (b"\x28text", ""),
        (b"<13>", ""),
        (b"xy", ""),
        (b"x^2 + y^2 = z^2\n", ""),
        (b"x^2 + y^2 = z^2 and so on", ""),
        (b"x^2 + y^2", None),
        (b"x\xbb" + deflated(b"x")[2:], ""),  # a preset dictionary
        (b"x\x9d" + b"x" * 9, ""),
    ],
)
def test_kinds(first: bytes, kind: str | None) -> None:
    assert stream_kind(first) == kind
    assert stream_kind(first, ended=True) == (kind or ("zlib" if first == b"x\x9c" else ""))


# --- messages


def batch(frames: list[bytes], flags: list[int]) -> Batch:
    ends = np.cumsum([len(frame) for frame in frames]).astype(np.int32)
    starts = (ends - [len(frame) for frame in frames]).astype(np.int32)
    data = np.frombuffer(b"".join(frames), np.uint8)
    return Batch(data, starts, ends, np.array(flags, np.int32))


def rows(frames: list[bytes], flags: list[int] | None = None, limit: int = 1000, room: int = 1 << 20):  # type: ignore[no-untyped-def]
    found = []
    for part in inflated(batch(frames, flags or [int(Flag.INFLATED)] * len(frames)), limit, room):
        assert len(part.data) <= max(room, limit)
        found += [
            (part.data[a:b].tobytes(), f) for a, b, f in zip(part.starts, part.ends, part.flags.tolist(), strict=True)
        ]
    return found


def z(message: bytes) -> bytes:
    return b"z" + deflated(message)


def test_messages_are_inflated_in_order() -> None:
    frames = [b"<13>one", z(b"<13>two"), b"<13>three", z(b"<13>four\n"), z(b"<13>five\r\n"), z(b"<13>six\0")]
    flags = [0, 4, 0, 4, 4, 4]
    assert rows(frames, flags) == [
        (b"<13>one", 0),
        (b"<13>two", Flag.INFLATED),
        (b"<13>three", 0),
        (b"<13>four", Flag.INFLATED),
        (b"<13>five", Flag.INFLATED),
        (b"<13>six", Flag.INFLATED),
    ]


@pytest.mark.parametrize("room", [1, 10, 30])
def test_parts_are_bounded(room: int) -> None:
    frames = [z(b"<13>%d" % n) for n in range(30)]
    assert rows(frames, room=room, limit=10) == [(b"<13>%d" % n, Flag.INFLATED) for n in range(30)]


def test_a_line_end_behind_the_block() -> None:
    for end in (b"", b"\n", b"\r\n", b"\0"):
        assert rows([z(b"<13>one") + end]) == [(b"<13>one", Flag.INFLATED)]


def test_what_does_not_inflate_stays_as_it_came() -> None:
    whole = z(b"<13>" + bytes(range(256)))
    for frame in (whole[:-1], whole[: len(whole) // 2], whole + b"more", whole[:-1] + b"\1", b"zx\x9c\1\2\3"):
        assert rows([frame]) == [(frame.removesuffix(b"\n"), 0)]
    assert rows([b"zx\x9c\1\2\n"]) == [(b"zx\x9c\1\2", 0)]


def test_an_empty_message_is_left_out() -> None:
    assert rows([z(b""), z(b"\n"), b"<13>x"], [4, 4, 0]) == [(b"<13>x", 0)]


def test_a_long_message_is_cut() -> None:
    assert rows([z(b"x" * 5000)], limit=100) == [(b"x" * 100, Flag.INFLATED | Flag.TRUNCATED)]
    assert rows([z(b"x" * 100)], limit=100) == [(b"x" * 100, Flag.INFLATED)]
    assert rows([z(bytes(100 << 20))], limit=100) == [(bytes(100), Flag.INFLATED | Flag.TRUNCATED)]


def test_messages_of_one_read_give_a_bounded_amount_and_the_others_stay() -> None:
    bomb = z(bytes(1 << 20))
    found = rows([bomb] * 40, limit=1 << 20, room=1 << 21)
    inflated_rows = [frame for frame, flag in found if flag & Flag.INFLATED]
    assert READ_LIMIT <= sum(map(len, inflated_rows)) <= READ_LIMIT + (2 << 20)
    assert [frame for frame, flag in found if not flag] == [bomb] * (40 - len(inflated_rows))


@settings(max_examples=200)
@given(st.lists(st.tuples(st.binary(min_size=1, max_size=300), st.booleans()), max_size=20))
def test_every_message_comes_back(messages: list[tuple[bytes, bool]]) -> None:
    frames = [z(message) if small else message for message, small in messages]
    expected = []
    for message, small in messages:
        shown = message
        if small:
            shown = message.removesuffix(b"\0") if message.endswith(b"\0") else message.removesuffix(b"\n")
            if message.endswith(b"\r\n"):
                shown = message[:-2]
        if shown:
            expected.append((shown, int(Flag.INFLATED) if small else 0))
    assert rows(frames, [4 * small for _, small in messages], room=400) == expected


# --- any input


@settings(max_examples=300)
@given(
    st.sampled_from(sorted(STREAMS)),
    st.lists(st.tuples(st.integers(0, 4000), st.binary(max_size=4)), max_size=3),
    st.lists(st.integers(0, 5000), max_size=6),
)
def test_any_octets_cut_anywhere(name: str, damage: list[tuple[int, bytes]], cuts: list[int]) -> None:
    data = STREAMS[name]
    for at, octets in damage:
        data = data[:at] + octets + data[at + len(octets) :]
    edges = sorted({min(cut, len(data)) for cut in cuts} | {0, len(data)})
    out, error = run([data])
    pieces, error_of_pieces = run([data[a:b] for a, b in itertools.pairwise(edges)])
    if "zlib" in name:
        assert pieces == out
    assert (error is None) == (error_of_pieces is None)
