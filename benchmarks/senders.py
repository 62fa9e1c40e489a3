"""How the corpus gets to a server: one sender for each transport. A sender is made once, and sends as often as wanted.

What costs a sender time is done when it is made: the server under measurement shares the machine with it.
"""

from __future__ import annotations

import itertools
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import numpy as np

OPEN = b"1 open 30 relp_version=0\ncommands=syslog\n"
WINDOW = 10_000
"""Unacknowledged RELP frames at most: what rsyslog is told in the project's configuration."""

DATAGRAMS = 120_000
"""UDP datagrams a second: more than this are dropped on a small machine."""

Send = Callable[[int], None]


def lines(corpus: bytes, connections: int = 1) -> Send:
    """As lines over TCP."""
    return _in_parallel([_stream(part) for part in shares(corpus, connections)])


def counted(corpus: bytes, connections: int = 1) -> Send:
    """Octet-counted over TCP."""
    return _in_parallel([_stream(_count(part)) for part in shares(corpus, connections)])


def secured(corpus: bytes, authority: Path, connections: int = 1) -> Send:
    """As lines over TLS."""
    context = ssl.create_default_context(cafile=str(authority))
    return _in_parallel([_stream(part, context) for part in shares(corpus, connections)])


def relp(corpus: bytes, connections: int = 1) -> Send:
    """Over RELP, with ``WINDOW`` frames on their way at most."""
    return _in_parallel([_relp(part) for part in shares(corpus, connections)])


def datagrams(corpus: bytes, addresses: int = 1, rate: int = DATAGRAMS) -> Send:
    """Over UDP, ``rate`` a second, from so many addresses of 127.0.0.0/8 in turn."""
    frames = corpus.splitlines()

    def send(port: int) -> None:
        with ExitStack() as stack:
            socks = [stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(addresses)]
            for number, sock in enumerate(socks):
                sock.bind((f"127.0.{number // 250}.{number % 250 + 1}", 0))
                sock.connect(("127.0.0.1", port))
            turn = itertools.cycle([sock.send for sock in socks])
            began, batch = time.monotonic(), 200
            for sent in range(0, len(frames), batch):
                time.sleep(max(0.0, began + sent / rate - time.monotonic()))
                for send_one, frame in zip(turn, frames[sent : sent + batch], strict=False):
                    send_one(frame)

    return send


def shares(data: bytes, connections: int) -> list[bytes]:
    """``data`` cut at ends of lines into about equal parts."""
    edges = [0] + [data.index(b"\n", len(data) * k // connections) + 1 for k in range(1, connections)] + [len(data)]
    return [data[a:b] for a, b in itertools.pairwise(edges)]


def _in_parallel(sends: list[Send]) -> Send:
    if len(sends) == 1:
        return sends[0]

    def send(port: int) -> None:
        failed = list[OSError]()

        def run(one: Send) -> None:
            try:
                one(port)
            except OSError as error:
                failed.append(error)

        threads = [threading.Thread(target=run, args=(one,)) for one in sends]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failed:
            raise RuntimeError(f"{len(failed)} of {len(sends)} connections did not take everything") from failed[0]

    return send


def _count(part: bytes) -> bytes:
    return b"".join(b"%d %b" % (len(line), line) for line in part.splitlines())


def _stream(data: bytes, context: ssl.SSLContext | None = None) -> Send:
    def send(port: int) -> None:
        with socket.create_connection(("127.0.0.1", port)) as sock:
            if context:
                secure = context.wrap_socket(sock, server_hostname="localhost")
                secure.sendall(data)
                secure.unwrap()
            else:
                sock.sendall(data)
                sock.shutdown(socket.SHUT_WR)
                while sock.recv(4096):
                    pass

    return send


def _relp(part: bytes) -> Send:
    frames = [b"%d syslog %d %b\n" % (n, len(line), line) for n, line in enumerate(part.splitlines(), 2)]
    ends = np.cumsum([len(frame) for frame in frames])
    data, answer = memoryview(b"".join(frames)), re.compile(rb" rsp 6 ")

    def send(port: int) -> None:
        with socket.create_connection(("127.0.0.1", port)) as sock:
            sock.sendall(OPEN)
            sock.recv(4096)
            sent = answered = 0
            rest = b""
            while answered < len(frames):
                upto = min(answered + WINDOW, len(frames))
                if upto > sent:
                    sock.sendall(data[ends[sent - 1] if sent else 0 : ends[upto - 1]])
                    sent = upto
                got = rest + sock.recv(1 << 18)
                answered += len(answer.findall(got))
                rest = got[got.rfind(b"\n") + 1 :]

    return send
