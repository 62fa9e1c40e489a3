"""What parsing costs, as CPU seconds per million frames and against a reference loop in the same run.

    python -m benchmarks.parse [--messages 300000] [--rounds 7] [--corpus FILE]

RFC 5424 and RFC 3164 in turn: frames to rows (``parse``), and rows to the table's columns in order (``table``). The reference
is CRC-32 over the same octets, ten times: on another machine it changes as parsing does. Medians.
"""

from __future__ import annotations

import argparse
import statistics
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.corpus import corpus
from logsink.parse import Frames, Origin, Settings, Workspace, parse


def frames_of(data: bytes) -> Frames:
    """One frame a line, read 1,000 at a time."""
    octets = np.frombuffer(data, np.uint8)
    ends = np.flatnonzero(octets == 10)
    lengths = np.diff(ends, prepend=-1) - 1
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    n = len(ends)
    return Frames(
        np.delete(octets, ends),
        offsets,
        np.zeros(n, np.int32),
        np.arange(n, dtype=np.int64) // 1000,
        np.zeros(n, np.int32),
        [Origin("192.0.2.1", None, "tcp")],
    )


def cost(work: Callable[[], object]) -> float:
    """CPU seconds of this process."""
    before = time.process_time()
    work()
    return time.process_time() - before


def main() -> None:
    """Measure, and print a table."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--messages", type=int, default=300_000)
    options.add_argument("--rounds", type=int, default=7)
    options.add_argument("--corpus", type=Path, action="append", default=[], help="instead of the two made here")
    given = options.parse_args()
    made = {f"RFC {form}": corpus(given.messages, form) for form in ("5424", "3164")} if not given.corpus else {}
    made |= {path.name: path.read_bytes() for path in given.corpus}
    inputs = {name: (data, frames_of(data)) for name, data in made.items()}
    settings, workspace = Settings(), Workspace()
    costs: dict[tuple[str, str], list[float]] = {}
    for number in range(given.rounds + 1):
        for name, (data, frames) in inputs.items():
            million = len(frames) / 1e6
            found = {"reference": cost(lambda data=data: [zlib.crc32(data) for _ in range(10)]) / million}  # type: ignore[misc]
            found["parse"] = cost(lambda frames=frames: parse(frames, settings, "r", workspace=workspace)) / million  # type: ignore[misc]
            rows = parse(frames, settings, "r", workspace=workspace)
            found["table"] = cost(lambda rows=rows: rows.table()) / million  # type: ignore[misc]
            for step, value in found.items():
                if number:
                    costs.setdefault((name, step), []).append(value)
    first = next(iter(inputs))
    print("| | reference s/M | parse s/M | to the reference | to the first | table s/M |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for name in inputs:
        median = {step: statistics.median(costs[name, step]) for step in ("reference", "parse", "table")}
        ratio = statistics.median(p / r for p, r in zip(costs[name, "parse"], costs[name, "reference"], strict=True))
        against = median["parse"] / statistics.median(costs[first, "parse"])
        figures = f"{median['parse']:.3f} | {ratio:.2f} | {against:.2f} | {median['table']:.3f}"
        print(f"| {name} | {median['reference']:.3f} | {figures} |")


if __name__ == "__main__":
    main()
