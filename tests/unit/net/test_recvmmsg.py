"""Many datagrams by one call: their bytes, lengths and senders."""

from __future__ import annotations

import socket

import numpy as np
import pytest

from logsink.net.recvmmsg import ManyDatagrams

SIZE, COUNT = 64, 4


@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_what_waits_is_received_at_once(family: socket.AddressFamily, host: str) -> None:
    slots, addresses = np.zeros(SIZE * COUNT, np.uint8), np.zeros((COUNT, 8), np.int32)
    many = ManyDatagrams(slots, addresses)
    sent = [b"one", b"", b"x" * (SIZE + 9), b"four", b"five"]
    with socket.socket(family, socket.SOCK_DGRAM) as sink, socket.socket(family, socket.SOCK_DGRAM) as source:
        sink.bind((host, 0))
        source.bind((host, 0))
        assert many.receive(sink.fileno()) == 0
        for datagram in sent:
            source.sendto(datagram, sink.getsockname())
        found = []
        while count := many.receive(sink.fileno()):
            for number in range(count):
                found.append(slots[number * SIZE :][: int(many.lengths[number])].tobytes())
                port = int.from_bytes(addresses[number].tobytes()[2:4])
                assert port == source.getsockname()[1]
    assert found == [datagram[:SIZE] for datagram in sent]


def test_a_socket_that_cannot_be_read_is_an_error() -> None:
    many = ManyDatagrams(np.zeros(SIZE, np.uint8), np.zeros((1, 8), np.int32))
    sink = socket.socket(type=socket.SOCK_DGRAM)
    descriptor = sink.fileno()
    sink.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        many.receive(descriptor)
