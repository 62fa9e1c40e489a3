"""CPU seconds per million messages from the socket to the committed table, and the memory it took.

    python benchmarks/ingest.py CORPUS [--connections N] [--rounds N] [--store URL]

CORPUS holds one syslog message a line, or octet-counted frames. One round warms up, the others are measured.
"""

from __future__ import annotations

import argparse
import itertools
import socket
import statistics
import threading
import time
from pathlib import Path

from benchmarks.server import Server


def send(data: bytes, port: int) -> None:
    """All of ``data`` over one connection, to the peer's end."""
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        while sock.recv(4096):
            pass


def shares(data: bytes, connections: int) -> list[bytes]:
    """``data`` cut at ends of lines into about equal parts."""
    if connections == 1:
        return [data]
    edges = [0] + [data.index(b"\n", len(data) * k // connections) + 1 for k in range(1, connections)] + [len(data)]
    return [data[a:b] for a, b in itertools.pairwise(edges)]


def main() -> None:
    """Print a line for each round and the median."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("corpus", type=Path)
    options.add_argument("--connections", type=int, default=1)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--store")
    given = options.parse_args()
    data = given.corpus.read_bytes()
    parts, costs = shares(data, given.connections), []
    with Server(store=given.store) as server:
        rows = 0
        for number in range(given.rounds + 1):
            before, began = server.usage(), time.perf_counter()
            senders = [threading.Thread(target=send, args=(part, server.port("tcp"))) for part in parts]
            for sender in senders:
                sender.start()
            for sender in senders:
                sender.join()
            received = time.perf_counter() - began
            frames = server.metric("logsink_frames_total") - rows
            rows += int(frames)
            server.wait_for_rows(rows)
            after = server.usage()
            cpu = (after.cpu - before.cpu) / frames * 1e6
            if number:
                costs.append(cpu)
            print(
                f"{'round ' + str(number) if number else 'warm-up'}: {frames:.0f} frames, {cpu:.2f} CPU s per million, "
                f"{frames / received:.0f}/s received, {time.perf_counter() - began:.1f} s to the table, "
                f"peak {after.peak:.0f} MB, {after.faults - before.faults} page faults"
            )
        objects, size = server.stored() if server.store.startswith("file:") else (0, 0)
    print(
        f"median {statistics.median(costs):.2f} CPU s per million; stored {objects} objects, {size / 1e6:.1f} MB in all"
    )


if __name__ == "__main__":
    main()
