"""Datagrams to frames: what belongs to the framing, what is cut, who sent them; as many as fit at a time."""

from __future__ import annotations

import socket
import struct
import zlib
from itertools import groupby

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from logsink.flags import Flag
from logsink.wire.batch import Scratch
from logsink.wire.datagrams import SLOT, Datagrams

MAX = 60
ROOM = 300
"""Octets of a buffer that is soon full."""

Sent = list[tuple[bytes, str]]
"""Datagrams, and the address of each one's sender."""


def received(sent: Sent, room: int = 1 << 17) -> tuple[list[list[tuple[bytes, int]]], list[str], int]:
    """Frames with their flags, of each run; the senders of these runs; octets that were cut off."""
    made = Datagrams(np.zeros(len(sent) * SLOT, np.uint8), np.zeros(room, np.uint8), Scratch(2 * len(sent)), MAX)
    for number, (datagram, sender) in enumerate(sent):
        made.slots[number * SLOT : number * SLOT + len(datagram)] = np.frombuffer(datagram, np.uint8)
        made.lengths[number] = len(datagram)
        made.addresses[number].view(np.uint8)[:28] = np.frombuffer(sockaddr(sender, port=number + 1), np.uint8)
    runs, senders, at = [], [], 0
    while at < len(sent):
        before = at
        at, found = made.take(at, len(sent))
        assert before < at <= len(sent)
        for batch, datagram in found:
            assert sum((batch.ends - batch.starts).tolist()) <= len(batch.data) <= room
            frames = zip(batch.starts.tolist(), batch.ends.tolist(), batch.flags.tolist(), strict=True)
            runs.append([(batch.data[start:end].tobytes(), flags) for start, end, flags in frames])
            senders.append(sent[datagram][1])
    return runs, senders, made.discarded


def sockaddr(address: str, port: int) -> bytes:
    """``sockaddr_in`` or ``sockaddr_in6``, as Linux has them; zeros behind."""
    if ":" in address:
        packed = socket.inet_pton(socket.AF_INET6, address)
        return struct.pack("=HH4x16s4x", socket.AF_INET6, socket.htons(port), packed)
    packed = socket.inet_pton(socket.AF_INET, address)
    return struct.pack("=HH4s8x", socket.AF_INET, socket.htons(port), packed).ljust(28, b"\0")


def z(message: bytes) -> bytes:
    return b"z" + zlib.compress(message)


@pytest.mark.parametrize(
    ("datagram", "frame", "flags"),
    [
        (b"<13>plain", b"<13>plain", 0),
        (b"<13>lf\n", b"<13>lf", 0),
        (b"<13>crlf\r\n", b"<13>crlf", 0),
        (b"<13>nul\0", b"<13>nul", 0),
        (b"<13>two\n\n", b"<13>two\n", 0),
        (b"<13>cr\r", b"<13>cr\r", 0),
        (b"<1>two\n<2>lines", b"<1>two\n<2>lines", 0),
        (b"x" * MAX + b"\r\n", b"x" * MAX, 0),
        (b"x" * (MAX + 3), b"x" * MAX, Flag.TRUNCATED),
        (z(b"<13>one\n"), z(b"<13>one\n"), Flag.INFLATED),
        (z(bytes(range(256))), z(bytes(range(256))), Flag.INFLATED),  # longer than MAX as it comes, which says nothing
        (b"z", b"z", 0),
        (b"zx", b"zx", 0),
        (b"zx\x9c", b"zx\x9c", 0),
        (b"zebra", b"zebra", 0),
        (b"<13>zx\x9c", b"<13>zx\x9c", 0),
        (b"zx\x9c\0", b"zx\x9c\0", Flag.INFLATED),
        (b"zx\x9d\0", b"zx\x9d", 0),  # no check
        (b"zx\xbb\0", b"zx\xbb", 0),  # a preset dictionary
    ],
)
def test_what_a_datagram_is(datagram: bytes, frame: bytes, flags: int) -> None:
    cut = len(datagram) - len(frame) if flags == Flag.TRUNCATED else 0
    assert received([(datagram, "192.0.2.1")]) == ([[(frame, flags)]], ["192.0.2.1"], cut)


@pytest.mark.parametrize("empty", [b"", b"\n", b"\r\n", b"\0"])
def test_empty_ones_are_dropped_and_no_other_sender(empty: bytes) -> None:
    assert received([(empty, "192.0.2.1")]) == ([], [], 0)
    sent = [(b"one", "192.0.2.1"), (empty, "192.0.2.2"), (b"two", "192.0.2.1")]
    assert received(sent) == ([[(b"one", 0), (b"two", 0)]], ["192.0.2.1"], 0)


SENDERS = ["192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8:1::1", "::ffff:192.0.2.1"]


@given(st.lists(st.tuples(st.binary(max_size=MAX + 20), st.sampled_from(SENDERS)), min_size=1, max_size=40))
def test_the_longest_runs_of_one_sender_in_order(sent: Sent) -> None:
    kept = [(part, sender) for datagram, sender in sent for part in [frame(datagram)] if part[0]]
    runs, senders, _ = received(sent)
    assert list(zip(runs, senders, strict=True)) == [
        ([part for part, _ in group], sender) for sender, group in groupby(kept, key=lambda one: one[1])
    ]
    some, _, _ = received(sent, ROOM)  # a few at a time: the same frames, in more runs
    assert [part for run in some for part in run] == [part for part, _ in kept]


def frame(datagram: bytes) -> tuple[bytes, int]:
    """What becomes of one, said in Python."""
    if datagram[:2] == b"zx" and len(datagram) > 3 and (120 * 256 + datagram[2]) % 31 == 0 and not datagram[2] & 32:
        return datagram, int(Flag.INFLATED)
    message = next((datagram.removesuffix(end) for end in (b"\r\n", b"\n", b"\0") if datagram.endswith(end)), datagram)
    return message[:MAX], int(Flag.TRUNCATED) * (len(message) > MAX)
