"""Where the microseconds go: each step of a message's way by itself, in one thread, as CPU seconds for a million.

    python -m benchmarks.stages [--messages 1000000 | --corpus FILE] [--rounds 5] [--json FILE]

The same functions that a receiver calls, on reads of 256 KiB, without sockets, event loop and store; beside them what no
receiver can do without: the octets through a socket, and compressed once. Medians, and octets where a step makes some.
"""

from __future__ import annotations

import argparse
import socket
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.corpus import corpus
from benchmarks.report import report
from logsink.archive import file, rounds
from logsink.archive.merge import Input, merge
from logsink.journal.fill import Fill, Memory
from logsink.journal.segment import Segment, SegmentName, encode_segment
from logsink.kernel import compile_all
from logsink.net.intake import READ
from logsink.parse import Frames, Origin, Rows, Settings, Workspace, parse
from logsink.wire.batch import Scratch
from logsink.wire.framing import Framer

_SEGMENT = 16 << 20
_ROUND = 32 << 20
_LONGEST = 1 << 18

Step = Callable[[], int]
"""Does it for the whole corpus; octets that it made, or 0."""


class Way:
    """The corpus after each step; every step reads what the one before it left."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._workspace = Workspace()
        self._memory = Memory(_SEGMENT + READ + _LONGEST, _SEGMENT // 16)
        self._fills: list[Fill] = []
        self._frames: list[Frames] = []
        self._files: list[file.NewFile] = []

    def steps(self) -> dict[str, Step]:
        """In order."""
        return {
            "receive: octets through a socket": self.receive,
            "frame: find each message": self.frame,
            "fill: frame, and copy into a segment": self.fill,
            "encode: a segment as Arrow, zstd-1": self.encode,
            "gather: segments to a round": self.gather,
            "parse: columns, templates, proof": self.parse,
            "order: the places of rows in a file": self.order,
            "write: Parquet, zstd-1": self.write,
            "merge: files to one, later": self.merge,
            "beside: zstd-1 of all octets": lambda: pa.Codec("zstd", 1).compress(self._data).size,
        }

    def receive(self) -> int:
        """The kernel's part, over loopback: another thread sends, only this one is counted."""

        def send(port: int) -> None:
            with socket.create_connection(("127.0.0.1", port)) as there:
                there.sendall(self._data)

        with socket.create_server(("127.0.0.1", 0)) as server:
            sender = threading.Thread(target=send, args=(server.getsockname()[1],))
            sender.start()
            here, buffer = server.accept()[0], bytearray(READ)
            with here:
                while here.recv_into(buffer):
                    pass
            sender.join()
        return 0

    def _reads(self) -> Iterator[tuple[np.ndarray[Any, np.dtype[np.uint8]], int, Framer]]:
        buffer, framer = np.zeros(READ + _LONGEST, np.uint8), Framer(Scratch(READ + _LONGEST), _LONGEST)
        octets = np.frombuffer(self._data, np.uint8)
        for start in range(0, len(octets), READ):
            part, carry = octets[start : start + READ], framer.carry
            buffer[: len(carry)] = np.frombuffer(carry, np.uint8)
            buffer[len(carry) : len(carry) + len(part)] = part
            yield buffer, len(carry) + len(part), framer

    def frame(self) -> int:
        for buffer, end, framer in self._reads():
            framer.receive(buffer, end)
        return 0

    def fill(self) -> int:
        self._fills.clear()
        self._frames.clear()
        origin = Origin("192.0.2.1", None, "tcp")
        for number, (buffer, end, framer) in enumerate(self._reads()):
            batch = framer.receive(buffer, end)
            if not self._fills or not self._fills[-1].takes(batch) or self._fills[-1].nbytes >= _SEGMENT:
                self._fills.append(Fill(len(self._fills) + 1, self._memory.loan()))
            self._fills[-1].append(batch, number, origin)
        return 0

    def encode(self) -> int:
        size = 0
        self._frames.clear()
        for number, fill in enumerate(self._fills):
            self._frames.append(fill.frames())
            size += encode_segment(Segment(SegmentName("r", 0, number + 1), Settings(), self._frames[-1])).size
        return size

    def _in_rounds(self) -> Iterator[list[Frames]]:
        parts, size = list[Frames](), 0
        for frames in self._frames:
            if parts and size + frames.nbytes > _ROUND:
                yield parts
                parts, size = [], 0
            parts.append(frames)
            size += frames.nbytes
        yield parts

    def gather(self) -> int:
        for parts in self._in_rounds():
            rounds.gathered(parts, self._workspace)
        return 0

    def _each_round(self) -> Iterator[Rows]:
        for parts in self._in_rounds():
            yield parse(rounds.gathered(list(parts), self._workspace), Settings(), "r", workspace=self._workspace)

    def parse(self) -> int:
        for _ in self._each_round():
            pass
        return 0

    def order(self) -> int:
        for rows in self._each_round():
            list(file.runs(rows))
        return 0

    def write(self) -> int:
        self._files = [new for rows in self._each_round() for new in file.write_files(rows, {"r.0": (1, 1)}, "r", "0")]
        return sum(int(new.body.size) for new in self._files)

    def merge(self) -> int:
        writer = file.FileWriter()
        merge([Input(new.file.path, new.body, new.file.rows) for new in self._files], writer)
        return int(writer.finish("merged", self._files[0].file.date, {}).body.size)


_CONTAINS = {"fill": ("frame",), "parse": ("gather",), "order": ("parse",), "write": ("order",)}
"""Steps that do the work of another one again, which is then taken off."""


def main() -> None:
    """Measure, and print a table."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--messages", type=int, default=1_000_000)
    options.add_argument("--corpus", type=Path)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--json", type=Path)
    given = options.parse_args()
    compile_all()  # as a server has
    data = given.corpus.read_bytes() if given.corpus else corpus(given.messages)
    million, way = data.count(b"\n") / 1e6, Way(data)
    costs: dict[str, list[float]] = {name: [] for name in way.steps()}
    made: dict[str, float] = {}
    for number in range(given.rounds + 1):
        found: dict[str, float] = {}
        for name, step in way.steps().items():
            before = time.thread_time()
            size = step()
            found[name.partition(":")[0]] = spent = (time.thread_time() - before) / million
            inside = sum(found[other] for other in _CONTAINS.get(name.partition(":")[0], ()))
            made[name] = size / 1e6 / million
            if number:
                costs[name].append(spent - inside)
    rows = [
        {
            "step": name,
            "cpu_s_per_million": round(statistics.median(found), 3),
            "mb_per_million": round(made[name], 2) or None,
        }
        for name, found in costs.items()
    ]
    titles = {"step": "step", "cpu_s_per_million": "CPU s/M", "mb_per_million": "makes MB/M"}
    report("steps", rows, titles, given.json, messages=data.count(b"\n"), bytes=len(data), rounds=given.rounds)


if __name__ == "__main__":
    main()
