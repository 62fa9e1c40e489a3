"""RELP sessions against a reference: where input is cut, when it is acknowledged and how it is compiled changes nothing."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from logsink.flags import Flag
from logsink.wire.batch import Scratch
from logsink.wire.relp import LAST_TXNR, RelpSession, RelpState
from tests.support.examples import examples
from tests.support.forms import running

LIMIT = 24
ROOM = 1 << 15


class Outcome(NamedTuple):
    frames: list[tuple[bytes, int]]
    replies: bytes
    taken: int
    discarded: int
    refused: int
    unfinished: int
    state: RelpState
    finished: bool


def run(session: RelpSession, reads: Iterable[bytes], lags: Iterable[int]) -> Outcome:
    """Feed the reads; after each, all taken frames but ``lag`` are durable; at the end all are."""
    frames: list[tuple[bytes, int]] = []
    replies = b""
    for read, lag in zip(reads, lags, strict=True):
        buffer = np.zeros(ROOM, np.uint8)
        whole = session.carry + read
        buffer[: len(whole)] = np.frombuffer(whole, np.uint8)
        batch = session.receive(buffer, len(whole))
        rows = zip(batch.starts.tolist(), batch.ends.tolist(), batch.flags.tolist(), strict=True)
        frames += [(buffer[a:b].tobytes(), flag) for a, b, flag in rows]
        assert (np.diff(np.stack([batch.starts, batch.ends], 1).ravel()) >= 0).all()
        assert (batch.ends > batch.starts).all()
        assert len(session.carry) <= min(len(whole), RelpSession.longest_carry(LIMIT))
        session.acknowledge(max(session.taken - lag, 0))
        replies += session.take_output()
    session.eof()
    session.acknowledge(session.taken)
    replies += b"".join(iter(session.take_output, b""))
    return Outcome(
        frames,
        replies,
        session.taken,
        session.discarded,
        session.refused,
        session.unfinished,
        session.state,
        session.finished,
    )


def begin(first: int = 1) -> RelpSession:
    session = RelpSession(Scratch(ROOM), LIMIT)
    session._next = first  # as after a long life
    return session


def pieces(stream: bytes, cuts: list[int]) -> list[bytes]:
    at = sorted({0, *(cut % (len(stream) + 1) for cut in cuts), len(stream)})
    return [stream[a:b] for a, b in itertools.pairwise(at)] or [b""]


def after(txnr: int) -> int:
    return txnr % LAST_TXNR + 1


message = st.one_of(
    st.binary(max_size=LIMIT + 8),
    st.text(alphabet="a\n\r\0 1", max_size=LIMIT + 2).map(str.encode),
    st.sampled_from([b"3 close 0\n", b"2 syslog 1 x\n", b"<13>hello\n"]),
)
firsts = st.one_of(st.just(1), st.integers(LAST_TXNR - 8, LAST_TXNR))
cuts = st.lists(st.integers(0, 10_000), max_size=12)
lags = st.lists(st.integers(0, 20), min_size=1, max_size=5)


def lagging(reads: list[bytes], lags: list[int]) -> list[int]:
    return [lags[i % len(lags)] for i in range(len(reads))]


def bare(data: bytes) -> bytes:
    """DATA without what ends it."""
    for end in (b"\r\n", b"\n", b"\0"):
        if data.endswith(end):
            return data[: -len(end)]
    return data


@given(
    first=firsts,
    messages=st.lists(st.tuples(message, st.booleans()), max_size=12),
    close=st.booleans(),
    cuts=cuts,
    lags=lags,
    compiled=st.booleans(),
)
@settings(max_examples=examples(150))
def test_valid_stream_cut_anywhere(
    first: int, messages: list[tuple[bytes, bool]], close: bool, cuts: list[int], lags: list[int], compiled: bool
) -> None:
    """Frames, replies and counts are those that one reads off the stream's plan."""
    stream = b"%d open 30 commands=syslog\nrelp_version=1\n" % first
    frames: list[tuple[bytes, int]] = []
    answers = b""
    txnr = first
    for data, hinted in messages:
        txnr = after(txnr)
        stream += b"0 hint 3 a\nb\n" * hinted + b"%d syslog %d %b\n" % (txnr, len(data), data)
        kept = bare(data) if len(data) <= LIMIT else data[:LIMIT]
        frames += [(kept, int(Flag.TRUNCATED) if len(data) > LIMIT else 0)] * bool(kept)
        answers += b"%d rsp 6 200 OK\n" % txnr
    if close:
        stream += b"%d close 0\n" % after(txnr)
        answers += b"%d rsp 0\n0 serverclose 0\n" % after(txnr)

    reads = pieces(stream, cuts)
    with running(compiled=compiled):
        outcome = run(begin(first), reads, lagging(reads, lags))

    head, rest = outcome.replies[: -len(answers) or None], outcome.replies[len(outcome.replies) - len(answers) :]
    assert rest == answers
    assert head.startswith(b"%d rsp " % first)
    assert head.count(b"\n") == 4
    assert outcome.frames == frames
    assert outcome.taken == len(messages)
    assert outcome.discarded == sum(max(len(data) - LIMIT, 0) for data, _ in messages)
    assert (outcome.state, outcome.finished, outcome.unfinished) == (RelpState.CLOSING, True, 0)


part = st.one_of(
    st.binary(max_size=30),
    st.sampled_from(
        [
            b"0 syslog 1 x\n",
            b"0 hint 2 xy\n",
            b"1 open 15 commands=syslog\n",
            b"1 syslog 999999999 x",
            b"2 syslog 3 ab\n\n",
            b"2 syslog 40 " + b"y" * 40,
            b"2 close 0\n",
            b"3 syslog 0\n",
            b"3 syslog 0 \n",
            b"3 syslog 26 " + b"z" * 26 + b"\n",
            b"4 syslog 4 ab\r\n\n",
            b"4 open 0\n",
            b"5 ",
            b"5 close 2 a",
            b"\n",
        ]
    ),
)


@given(
    parts=st.lists(part, max_size=8),
    opened=st.booleans(),
    cuts=cuts,
    lags=lags,
)
@settings(max_examples=examples(200))
def test_any_bytes_cut_anywhere(parts: list[bytes], opened: bool, cuts: list[int], lags: list[int]) -> None:
    """No input raises or grows without bound; in one read or in many, compiled or plain, the outcome is one."""
    stream = b"1 open 15 commands=syslog\n" * opened + b"".join(parts)
    whole = run(begin(), [stream], [0])
    reads = pieces(stream, cuts)
    assert run(begin(), reads, lagging(reads, lags)) == whole
    with running(compiled=False):
        assert run(begin(), reads, lagging(reads, lags)) == whole
    assert whole.finished


@given(stream=st.binary(max_size=400), cuts=cuts)
@settings(max_examples=examples(70))
def test_one_changed_byte(stream: bytes, cuts: list[int]) -> None:
    """A valid stream with a byte changed: the frames before it are taken as if it were well."""
    frames = [b"%d syslog 5 abcd%d\n" % (n, n) for n in range(2, 8)]
    well = b"1 open 15 commands=syslog\n" + b"".join(frames)
    for where, byte in enumerate(stream[:3]):
        at = (byte * 7 + where) % len(well)
        changed = well[:at] + bytes([byte]) + well[at + 1 :]
        reads = pieces(changed, cuts)
        outcome = run(begin(), reads, [0] * len(reads))
        before = (at - 26) // len(frames[0])
        assert outcome.frames[: max(before, 0)] == [(b"abcd%d" % n, 0) for n in range(2, 2 + max(before, 0))]
        assert outcome == run(begin(), [changed], [0])
