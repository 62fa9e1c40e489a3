"""What the machine can do at the time: the same octets through zstd-1, between the rounds of a benchmark.

Virtual machines change their speed by half within minutes. What this took tells how far figures of two runs, or of two
machines, can be compared: not exactly, for programs that wait more for memory or for the kernel are slowed down otherwise.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterable
from typing import Any

import pyarrow as pa

PIECE = 1 << 20
"""Octets compressed at a time: about a segment of the journal."""


class Yardstick:
    """One thread, zstd-1, ``data`` in pieces; ``frames``: how many messages that is."""

    def __init__(self, data: bytes, frames: int) -> None:
        self._view, self._million = memoryview(data), frames / 1e6
        self._codec = pa.Codec("zstd", 1)
        self._rounds: list[float] = []

    def run(self) -> None:
        """Compress all of it once."""
        before = time.thread_time()
        for start in range(0, len(self._view), PIECE):
            self._codec.compress(self._view[start : start + PIECE])
        self._rounds.append((time.thread_time() - before) / self._million)

    def report(self, reference: float, titles: Iterable[str]) -> dict[str, Any]:
        """A row under ``titles``, without the first round; ``reference``: CPU seconds per million of what is measured."""
        rounds = self._rounds[1:]
        cpu = statistics.median(rounds)
        row: dict[str, Any] = dict.fromkeys(titles)
        return row | {
            "subject": "beside: the corpus through zstd-1, one thread",
            "cpu_s_per_million": round(cpu, 3),
            "lowest": round(min(rounds), 3),
            "highest": round(max(rounds), 3),
            "ratio": round(cpu / reference, 2),
        }
