"""Framing: each case runs whole, one byte at a time, and with trailing bytes, compiled and plain."""

from __future__ import annotations

import itertools
import random
import re
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logsink.flags import Flag
from logsink.wire import framing
from logsink.wire.batch import Scratch
from logsink.wire.framing import Framer
from tests.support.forms import running

LIMIT = 64
ROOM = 1 << 12

Frames = list[tuple[bytes, int]]


def feed(framer: Framer, read: bytes) -> Frames:
    """One read, as the network shell does it: carry in front, new bytes behind."""
    buffer = np.zeros(ROOM, np.uint8)
    whole = framer.carry + read
    buffer[: len(whole)] = np.frombuffer(whole, np.uint8)
    return unpack(framer.receive(buffer, len(whole)))


def unpack(batch: framing.Batch) -> Frames:
    rows = zip(batch.starts.tolist(), batch.ends.tolist(), batch.flags.tolist(), strict=True)
    return [(batch.data[a:b].tobytes(), f) for a, b, f in rows]


def frames(*reads: bytes, limit: int = LIMIT) -> Frames:
    framer = Framer(Scratch(ROOM), limit)
    found = [frame for read in reads for frame in feed(framer, read)]
    return found + unpack(framer.close())


Z = zlib.compress(b"<13>hello hello hello hello")

CASES: dict[str, tuple[bytes, list[bytes]]] = {
    "lf_lines": (b"<13>one\n<13>two\n", [b"<13>one", b"<13>two"]),
    "crlf_and_nul_end_lines": (b"<13>one\r\n<13>two\0<13>three\n", [b"<13>one", b"<13>two", b"<13>three"]),
    "line_without_end_at_eof": (b"<13>one\n<13>two", [b"<13>one", b"<13>two"]),
    "counted": (b"7 <13>one7 <13>two", [b"<13>one", b"<13>two"]),
    "counted_with_lf_between": (b"7 <13>one\n\r\n\0007 <13>two\n", [b"<13>one", b"<13>two"]),
    "count_includes_lf": (b"8 <13>one\n8 <13>two\n", [b"<13>one", b"<13>two"]),
    "count_includes_crlf": (b"9 <13>one\r\n", [b"<13>one"]),
    "count_includes_nul": (b"8 <13>one\0", [b"<13>one"]),
    "only_one_lf_is_framing": (b"9 <13>one\n\n", [b"<13>one\n"]),
    "lf_inside_counted_is_kept": (b"11 <13>one\ntwo", [b"<13>one\ntwo"]),
    "nul_inside_counted_is_kept": (b"11 <13>one\0two", [b"<13>one\0two"]),
    "mixed_per_message": (b"<13>text\n7 <13>oct<13>text\n", [b"<13>text", b"<13>oct", b"<13>text"]),
    "line_that_begins_with_a_date": (b"2019-01-02T03:04:05 hello\n<13>x\n", [b"2019-01-02T03:04:05 hello", b"<13>x"]),
    "line_that_begins_with_a_count": (b"8 penguins in the shop.\n<13>x\n", [b"8 penguins in the shop.", b"<13>x"]),
    "count_of_seven_digits_is_text": (b"1234567 <13>x\n<13>y\n", [b"1234567 <13>x", b"<13>y"]),
    "count_with_leading_zero_is_text": (b"07 <13>one\n", [b"07 <13>one"]),
    "count_zero_is_text": (b"0 <13>one\n", [b"0 <13>one"]),
    "stack_trace_keeps_indentation": (
        b"<13>boom\n\tat a\n  at b\n at c\n",
        [b"<13>boom", b"\tat a", b"  at b", b" at c"],
    ),
    "cisco_space_before_head": (b"<181>00\n <181>01\n", [b"<181>00", b"<181>01"]),
    "space_before_counted": (b"7 <13>one 7 <13>two", [b"<13>one", b"<13>two"]),
    "space_then_angle_without_pri": (b" <x>no head\n", [b" <x>no head"]),
    "compressed_block_that_ends_like_a_line": (b"6 z\x78\x9c\1\2\n<13>x\n", [b"z\x78\x9c\1\2\n", b"<13>x"]),
    "compressed_block": (b"%d z%s<13>x\n" % (len(Z) + 1, Z), [b"z" + Z, b"<13>x"]),
    "z_without_zlib_is_text": (b"3 zebras crossed\n", [b"3 zebras crossed"]),
    "z_with_bad_check_is_text": (b"9 zx\x02more\n", [b"9 zx\x02more"]),
    "count_without_a_space_is_text": (b"7<13>one\n7\t<13>two\n", [b"7<13>one", b"7\t<13>two"]),
    "count_too_small_leaves_a_line": (b"16 <1>217 <11>1 - - - - - -\n", [b"<1>217 <11>1 - -", b" - - - -"]),
    "what_begins_no_frame_is_a_line": (b"7 <13>one;7 <13>two\n", [b"<13>one", b";7 <13>two"]),
    "counts_count_octets": ("11 <13>hellø é\n".encode(), ["<13>hellø ".encode(), "é".encode()]),
    "two_ends_inside_a_count": (b"9 <13>one\n\n9 <13>two\0\0", [b"<13>one\n", b"<13>two\0"]),
    "cr_of_a_line_but_one": (b"<13>one\r\r\n\r<13>two\r\n", [b"<13>one\r", b"<13>two"]),
    "empty": (b"", []),
    "only_separators": (b"\n\r\n\0\n", []),
    "empty_counted_after_trimming_is_impossible": (b"1 <\n", [b"<"]),
    "relp_on_the_syslog_port": (b"1 open 86 relp_version=0\n", [b"1 open 86 relp_version=0"]),
    "not_utf8": (b"<13>\xff\xfe\n", [b"<13>\xff\xfe"]),
    "digits_at_eof": (b"<13>a\n123", [b"<13>a", b"123"]),
    "count_and_space_at_eof": (b"<13>a\n123 ", [b"<13>a", b"123 "]),
    "space_at_eof": (b"<13>a\n ", [b"<13>a", b" "]),
}


def flag(frame: bytes) -> int:
    """A counted frame that holds a zlib block is flagged: somebody has to inflate it."""
    return int(Flag.INFLATED) if frame.startswith(b"zx\x9c") else 0


@pytest.mark.parametrize("name", CASES)
def test_case(name: str) -> None:
    stream, expected = CASES[name]
    flagged = [(frame, flag(frame)) for frame in expected]
    assert frames(stream) == flagged
    assert frames(*(stream[i : i + 1] for i in range(len(stream)))) == flagged


@running(compiled=False)
def test_cases_plain() -> None:
    for stream, expected in CASES.values():
        flagged = [(frame, flag(frame)) for frame in expected]
        assert frames(stream) == flagged
        assert frames(*(stream[i : i + 1] for i in range(len(stream)))) == flagged


@pytest.mark.parametrize("name", [n for n in CASES if "eof" not in n and not CASES[n][0].endswith(b" ")])
def test_case_with_trailing_bytes(name: str) -> None:
    stream, expected = CASES[name]
    assert frames(stream + b"\n<13>more\n") == [(frame, flag(frame)) for frame in [*expected, b"<13>more"]]


def test_incomplete_counted_frame_is_kept_and_flagged() -> None:
    assert frames(b"7 <13>one20 <13>cut") == [(b"<13>one", 0), (b"<13>cut", Flag.INCOMPLETE)]


def test_oversize_line_is_cut_and_the_rest_discarded() -> None:
    framer = Framer(Scratch(ROOM), 10)
    found = feed(framer, b"<13>0123456789abcdef\n<13>next\n")
    assert found == [(b"<13>012345", Flag.TRUNCATED), (b"<13>next", 0)]
    assert framer.discarded == 10


def test_oversize_line_is_delivered_before_its_end_arrives() -> None:
    framer = Framer(Scratch(ROOM), 10)
    assert feed(framer, b"<13>0123456789") == [(b"<13>012345", Flag.TRUNCATED)]
    assert feed(framer, b"still the same line") == []
    assert feed(framer, b"!\n<13>next\n") == [(b"<13>next", 0)]
    assert framer.discarded == 24


def test_line_of_exactly_the_limit_is_whole() -> None:
    for end in (b"\n", b"\r\n", b"\0"):
        stream = b"<13>012345" + end
        assert frames(stream, limit=10) == [(b"<13>012345", 0)]
        assert frames(*(stream[i : i + 1] for i in range(len(stream))), limit=10) == [(b"<13>012345", 0)]


def test_oversize_counted_frame_is_cut_and_the_rest_discarded() -> None:
    framer = Framer(Scratch(ROOM), 10)
    assert feed(framer, b"999999 <13>0123456789") == [(b"<13>012345", Flag.TRUNCATED)]
    assert framer.carry == b""
    left = 999_999 - 14
    while left:
        step = min(left, 4000)
        assert feed(framer, b"x" * step) == []
        left -= step
    assert feed(framer, b"<13>next\n") == [(b"<13>next", 0)]
    assert framer.discarded == 999_999 - 10


def test_cut_gives_what_is_there_and_drops_the_rest() -> None:
    framer = Framer(Scratch(ROOM), LIMIT)
    assert feed(framer, b"<13>half a li") == []
    assert unpack(framer.cut()) == [(b"<13>half a li", Flag.TRUNCATED)]
    assert feed(framer, b"ne\n20 <13>half a coun") == []
    assert unpack(framer.cut()) == [(b"<13>half a coun", Flag.TRUNCATED)]
    assert feed(framer, b"tedXX<13>next\n") == [(b"<13>next", 0)]
    assert unpack(framer.cut()) == []


WORDS = [b"\n", b"\r\n", b"\0", b" ", b"  ", b"<13>", b"<13>a\n", b"5 <13>a", b"12 ", b"9 zx\x9c", b"<", b"1", b"z"]
PIECES = st.lists(
    st.one_of(
        st.sampled_from(WORDS),
        st.binary(max_size=12),
        st.builds(lambda body: b"%d <%s" % (len(body) + 1, body), st.binary(max_size=90)),
    ),
    max_size=12,
).map(b"".join)


@settings(deadline=None, max_examples=300)
@given(stream=PIECES, cuts=st.lists(st.integers(0, 200), max_size=8))
def test_any_bytes_cut_anywhere_give_the_same_frames(stream: bytes, cuts: list[int]) -> None:
    edges = sorted({min(c, len(stream)) for c in cuts} | {0, len(stream)})
    whole = frames(stream, limit=16)
    assert frames(*(stream[a:b] for a, b in itertools.pairwise(edges)), limit=16) == whole
    assert frames(*(stream[i : i + 1] for i in range(len(stream))), limit=16) == whole


@settings(deadline=None, max_examples=3)
@given(st.integers(0, 1 << 63))
def test_hundreds_of_streams_cut_anywhere(seed: int) -> None:
    """As above, longer and faster made."""
    chance = random.Random(seed)
    for _ in range(200):
        pieces = [
            chance.choice(WORDS) if chance.random() < 0.9 else chance.randbytes(chance.randrange(40)) for _ in range(40)
        ]
        stream = b"".join(pieces)
        edges = sorted({0, len(stream), *(chance.randrange(len(stream) + 1) for _ in range(chance.randrange(30)))})
        limit = chance.choice((5, 16, 64))
        assert frames(*(stream[a:b] for a, b in itertools.pairwise(edges)), limit=limit) == frames(stream, limit=limit)


FRAMING = re.compile(rb"[\r\n\0]* ?(?:[1-9][0-9]{0,5} )?")


@settings(deadline=None, max_examples=300)
@given(stream=PIECES)
def test_every_byte_is_accounted_for(stream: bytes) -> None:
    """It is in a frame, is framing between two, or was counted as discarded behind one that was cut."""
    framer = Framer(Scratch(ROOM), 16)
    buffer = np.zeros(ROOM, np.uint8)
    buffer[: len(stream)] = np.frombuffer(stream, np.uint8)
    batch = framer.receive(buffer, len(stream))
    spans = list(zip(batch.starts.tolist(), batch.ends.tolist(), batch.flags.tolist(), strict=True))
    before = len(stream) - len(framer.carry)
    rest = framer.close()
    spans += [(before + a, before + b, 0) for a, b in zip(rest.starts.tolist(), rest.ends.tolist(), strict=True)]
    at, cut, behind_cut = 0, 0, b""
    for start, end, flags in [*spans, (len(stream), len(stream), 0)]:
        if cut:
            behind_cut += stream[at:start]
        else:
            assert FRAMING.fullmatch(stream, at, start)
        at, cut = end, flags & Flag.TRUNCATED
    assert 0 <= len(behind_cut) - framer.discarded <= sum(behind_cut.count(c) for c in b"\n\r\0 0123456789")


@settings(deadline=None, max_examples=100)
@given(stream=PIECES)
def test_plain_and_compiled_agree(stream: bytes) -> None:
    results = []
    for cut in (framing._cut, framing._cut.py):
        buffer = np.zeros(ROOM, np.uint8)
        buffer[: len(stream)] = np.frombuffer(stream, np.uint8)
        state = np.zeros(6, np.int64)
        starts, ends, flags = (np.zeros(ROOM, np.int32) for _ in range(3))
        n = cut(buffer, len(stream), 16, state, starts, ends, flags)
        results.append((n, starts[:n].tolist(), ends[:n].tolist(), flags[:n].tolist(), state.tolist()))
    assert results[0] == results[1]


@pytest.mark.parametrize(("stream", "flags"), [(b"<13>hal", 0), (b"9 <13>hal", Flag.INCOMPLETE), (b"", None)])
def test_a_last_line_is_whole_unless_the_connection_broke(stream: bytes, flags: int | None) -> None:
    for broken in (False, True):
        framer = Framer(Scratch(ROOM), 16)
        buffer = np.zeros(ROOM, np.uint8)
        buffer[: len(stream)] = np.frombuffer(stream, np.uint8)
        framer.receive(buffer, len(stream))
        rest = framer.close(broken=broken)
        wanted = Flag.INCOMPLETE if broken else flags
        assert rest.flags.tolist() == ([] if flags is None else [wanted])
