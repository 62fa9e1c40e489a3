"""The most memory that a receiver takes for inputs made to exhaust it.

    python -m benchmarks.hostile [--only NAME]... [--scale 1.0] [--json FILE]

Each input goes to a receiver of its own, at its default limits. The figure is the highest resident size from its start until
all rows are in the table. ``--scale`` makes the inputs smaller.
"""

from __future__ import annotations

import argparse
import itertools
import socket
import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from backports.zstd import CompressionParameter, ZstdCompressor

from benchmarks.report import report
from benchmarks.server import Server

LIMIT = 700
"""MB that no input makes a receiver take, at its default limits."""

IP_PKTINFO = getattr(socket, "IP_PKTINFO", 8)
"""Of Linux; Python knows its name since 3.14."""

SHORT = b"<13>x\n"
PATIENCE = 300.0
"""Seconds for the rows of one input to get into the table."""

TITLES = {"input": "input", "sent_mb": "sent MB", "rows": "rows", "cpu_s": "CPU s", "peak_rss_mb": "peak RSS MB"}

Input = Callable[[Server, float], int]
"""Sends; returns the bytes that it sent."""


def short(server: Server, scale: float) -> int:
    """Frames of five bytes, as lines over one connection."""
    return _stream(server, SHORT * int(10_000_000 * scale))


def shorter(server: Server, scale: float) -> int:
    """Frames of one byte, as lines over ten connections."""
    data = b"x\n" * int(2_000_000 * scale)
    return sum(_at_once([lambda: _stream(server, data)] * 10))


def zlib_stream(server: Server, scale: float) -> int:
    """Frames of five bytes in a zlib stream: a few hundred KB become 54 million rows."""
    return _stream(server, _deflated(SHORT, int(54_000_000 * scale)))


def zlib_streams(server: Server, scale: float) -> int:
    """The same from twenty addresses at once."""
    data = _deflated(SHORT, int(1_000_000 * scale))
    return sum(_at_once([partial(_stream, server, data, f"127.0.1.{n}") for n in range(1, 21)]))


def zstd_windows(server: Server, scale: float) -> int:
    """Zstandard streams that stay open, each with a window of 8 MiB in use."""
    compressor = ZstdCompressor(
        options={CompressionParameter.window_log: 23, CompressionParameter.compression_level: 1}
    )
    lines = b"".join(b"<13>%06d " % n + b"x" * 1000 + b"\n" for n in range(12_000))
    data = compressor.compress(lines, ZstdCompressor.FLUSH_BLOCK)
    socks = [socket.create_connection(("127.0.0.1", server.port("tcp"))) for _ in range(int(200 * scale) or 1)]
    for sock in socks:
        try:
            sock.sendall(data)
        except OSError:
            continue
    _settled(server)
    for sock in socks:
        sock.close()
    return len(data) * len(socks)


def zlib_datagrams(server: Server, scale: float) -> int:
    """Datagrams of 250 bytes that each inflate to the longest message."""
    packed = b"z" + zlib.compress(b"<13>" + b"x" * 256_000, 9)
    return _datagrams(server, itertools.repeat(packed, int(20_000 * scale)), 200)


def distinct(server: Server, scale: float) -> int:
    """RFC 5424 whose every field is another in each frame."""
    line = b'<13>1 2026-11-28T12:00:00.%06dZ h%d a%d %d m%d [s@1 k="%d"] %d\n'
    return _stream(server, b"".join(line % (n % 10**6, n, n, n, n, n, n) for n in range(int(2_000_000 * scale))))


def binary(server: Server, scale: float) -> int:
    """Random bytes that are no UTF-8, from ten addresses at once: in the table each is a replacement character, and the frame

    is kept as well.
    """
    data = np.random.default_rng(1).integers(0x80, 0x100, int(30_000_000 * scale), np.uint8)
    data[::200] = 10
    return sum(_at_once([partial(_stream, server, data.tobytes(), f"127.0.1.{n}") for n in range(1, 11)]))


def addresses(server: Server, scale: float) -> int:
    """Datagrams of which each comes from another address."""
    return _datagrams(server, itertools.repeat(b"<13>x", int(600_000 * scale)), 1 << 22)


def one_by_one(server: Server, scale: float) -> int:
    """Frames of five bytes each in a segment of its own, over ten connections."""

    def send() -> int:
        with socket.create_connection(("127.0.0.1", server.port("tcp"))) as sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            count = int(50_000 * scale)
            for _ in range(count):
                sock.send(SHORT)
        return count * len(SHORT)

    return sum(_at_once([send] * 10))


def large(server: Server, scale: float) -> int:
    """Incompressible lines of the longest message, from twenty addresses at once."""
    data = np.random.default_rng(2).integers(0x21, 0x7F, int(20_000_000 * scale), np.uint8)
    data[::200_000] = 10
    return sum(_at_once([partial(_stream, server, data.tobytes(), f"127.0.1.{n}") for n in range(1, 21)]))


INPUTS: dict[str, Input] = {
    one.__name__: one
    for one in (
        short,
        shorter,
        zlib_stream,
        zlib_streams,
        zstd_windows,
        zlib_datagrams,
        distinct,
        binary,
        addresses,
        one_by_one,
        large,
    )
}


def _stream(server: Server, data: bytes, source: str = "127.0.0.1") -> int:
    """``data`` over one connection, which the receiver may close on it."""
    with socket.create_connection(("127.0.0.1", server.port("tcp")), source_address=(source, 0)) as sock:
        try:
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
            while sock.recv(4096):
                pass
        except OSError as error:
            print(f"closed by the receiver: {error}")
    return len(data)


def _deflated(line: bytes, times: int) -> bytes:
    stream, block = zlib.compressobj(9), line * 100_000
    parts = [stream.compress(block) for _ in range(times // 100_000)]
    return b"".join([*parts, stream.compress(line * (times % 100_000)), stream.flush()])


def _datagrams(server: Server, datagrams: Iterator[bytes], senders: int) -> int:
    """In turn from so many addresses of 127.0.0.0/8, 50,000 a second at most."""
    sent = 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(("127.0.0.1", server.port("udp")))
        began = time.monotonic()
        for number, datagram in enumerate(datagrams):
            if number % 500 == 0:
                time.sleep(max(0.0, began + number / 50_000 - time.monotonic()))
            address = struct.pack("!I", (127 << 24) + 256 + number % senders)
            sent += sock.sendmsg([datagram], [(socket.IPPROTO_IP, IP_PKTINFO, struct.pack("=I4s4x", 0, address))])
    return sent


def _at_once(sends: list[Callable[[], int]]) -> list[int]:
    found: list[int] = []
    threads = [threading.Thread(target=lambda send: found.append(send()), args=(send,)) for send in sends]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def _settled(server: Server) -> float:
    """Wait until all that was received is in the table and nothing more comes; how many rows that are."""
    end, before = time.monotonic() + PATIENCE, -1.0
    while True:
        time.sleep(1.0)
        frames, rows = server.metric("logsink_frames_total"), server.metric("logsink_archive_rows_total")
        if frames == rows == before or time.monotonic() > end:
            return rows
        before = frames


def measured(name: str, scale: float) -> dict[str, Any]:
    """One input to a receiver of its own."""
    with Server() as server:
        before = server.usage()
        sent = INPUTS[name](server, scale)
        rows, after = _settled(server), server.usage()
    return {
        "input": name,
        "sent_mb": round(sent / 1e6, 1),
        "rows": round(rows),
        "cpu_s": round(after.cpu - before.cpu, 1),
        "peak_rss_mb": round(after.peak),
    }


def main() -> None:
    """Measure and report."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--only", action="append", choices=list(INPUTS), metavar="NAME", help=", ".join(INPUTS))
    options.add_argument("--scale", type=float, default=1.0)
    options.add_argument("--json", type=Path)
    given = options.parse_args()
    rows = []
    for name in given.only or INPUTS:
        rows.append(measured(name, given.scale))
        print(f"{name}: {rows[-1]['peak_rss_mb']} MB", flush=True)
    report("inputs", rows, TITLES, given.json, limit_mb=LIMIT, scale=given.scale)


if __name__ == "__main__":
    main()
