"""Datagrams to frames: what belongs to the framing, what is cut, who sent them; as many as fit at a time."""

from __future__ import annotations

import socket
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from logsink.flags import Flag
from logsink.wire.batch import Scratch
from logsink.wire.datagrams import REMEMBERED, SLOT, Datagrams
from tests.support.forms import running

MAX = 60
ROOM = 300
"""Bytes of a buffer that is soon full."""

Sent = list[tuple[bytes, str]]
"""Datagrams, and the address of each one's sender."""


def received(sent: Sent, room: int = 1 << 17) -> tuple[list[tuple[bytes, int, str]], int]:
    """Frames with their flags and senders; bytes that were cut off."""
    made = prepared(sent, room)
    found, at = [], 0
    while at < len(sent):
        before = at
        at, batch, codes = made.take(at, len(sent))
        assert before < at <= len(sent)
        assert sum((batch.ends - batch.starts).tolist()) <= len(batch.data) <= room
        whose = [text(made.senders[code]) for code in codes.tolist()]
        rows = zip(batch.starts.tolist(), batch.ends.tolist(), batch.flags.tolist(), whose, strict=True)
        found += [(batch.data[start:end].tobytes(), flags, sender) for start, end, flags, sender in rows]
    assert len({address.tobytes() for address in made.senders}) == len(made.senders)
    return found, made.discarded


def prepared(sent: Sent, room: int = 1 << 17) -> Datagrams:
    """As the kernel has handed them over."""
    made = Datagrams(np.zeros(len(sent) * SLOT, np.uint8), np.zeros(room, np.uint8), Scratch(2 * len(sent)), MAX)
    for number, (datagram, sender) in enumerate(sent):
        made.slots[number * SLOT : number * SLOT + len(datagram)] = np.frombuffer(datagram, np.uint8)
        made.lengths[number] = len(datagram)
        made.addresses[number].view(np.uint8)[:28] = np.frombuffer(sockaddr(sender, port=number + 1), np.uint8)
    return made


def text(address: np.ndarray) -> str:  # type: ignore[type-arg]
    """The address as it was given to ``sockaddr``: no IPv4 address here has zeros behind it that an IPv6 address has not."""
    packed = address.tobytes()
    if any(packed[8:24]):
        return socket.inet_ntop(socket.AF_INET6, packed[8:24])
    return socket.inet_ntop(socket.AF_INET, packed[4:8])


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
    assert received([(datagram, "192.0.2.1")]) == ([(frame, flags, "192.0.2.1")], cut)


@running(compiled=False)
def test_plain() -> None:
    sent = [
        (z(b"<13>one\n"), SENDERS[0]),
        (b"x" * (MAX + 3), SENDERS[2]),
        (b"\r\n", SENDERS[1]),
        (b"<13>cr\r", SENDERS[0]),
    ]
    sent = sent * 3 + [(b"<13>nul\0", sender) for sender in SENDERS]
    kept = [(*part, sender) for datagram, sender in sent for part in [frame(datagram)] if part[0]]
    assert received(sent) == (kept, 9)
    assert received(sent, ROOM)[0] == kept


@pytest.mark.parametrize("empty", [b"", b"\n", b"\r\n", b"\0"])
def test_empty_ones_are_dropped_and_no_sender(empty: bytes) -> None:
    assert received([(empty, "192.0.2.1")]) == ([], 0)
    sent = [(b"one", "192.0.2.1"), (empty, "192.0.2.2"), (b"two", "192.0.2.1")]
    assert received(sent) == ([(b"one", 0, "192.0.2.1"), (b"two", 0, "192.0.2.1")], 0)


SENDERS = ["192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8:1::1", "::ffff:192.0.2.1"]


@given(st.lists(st.tuples(st.binary(max_size=MAX + 20), st.sampled_from(SENDERS)), min_size=1, max_size=40))
def test_each_frame_has_its_sender_in_order(sent: Sent) -> None:
    kept = [(*part, sender) for datagram, sender in sent for part in [frame(datagram)] if part[0]]
    assert received(sent)[0] == kept
    assert received(sent, ROOM)[0] == kept  # a few at a time


def test_thousands_of_senders_have_a_number_each_until_they_are_forgotten() -> None:
    sent = [(b"x", f"192.0.{number // 200}.{number % 200}") for number in range(200)]
    made = prepared(sent)
    numbers = []
    for third in range(REMEMBERED // 200):
        for number in range(200):
            packed = socket.inet_pton(socket.AF_INET, f"10.{third}.{number}.7")
            made.addresses[number].view(np.uint8)[4:8] = np.frombuffer(packed, np.uint8)
        assert not made.crowded
        numbers += made.take(0, 200)[2].tolist()
        assert made.take(0, 200)[2].tolist() == numbers[-200:]
    assert numbers == list(range(REMEMBERED // 200 * 200))
    assert made.crowded
    made.forget()
    assert (made.crowded, len(made.senders)) == (False, 0)
    assert made.take(0, 200)[2].tolist() == list(range(200))


def frame(datagram: bytes) -> tuple[bytes, int]:
    """What becomes of one, said in Python."""
    if datagram[:2] == b"zx" and len(datagram) > 3 and (120 * 256 + datagram[2]) % 31 == 0 and not datagram[2] & 32:
        return datagram, int(Flag.INFLATED)
    message = next((datagram.removesuffix(end) for end in (b"\r\n", b"\n", b"\0") if datagram.endswith(end)), datagram)
    return message[:MAX], int(Flag.TRUNCATED) * (len(message) > MAX)
