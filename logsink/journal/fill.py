"""The segment that is being filled: batches copied end to end into arrays that become the segment's columns unchanged.

One copy of each octet, from the receive buffer to here. Arrays are made at full capacity: memory that no frame reaches is
never touched, so it costs nothing. Memory that was touched is used again: the kernel's fresh pages cost ten times the copy.
"""

from __future__ import annotations

import mmap
import weakref
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from logsink.journal.segment import Segment
from logsink.kernel import I32, U8, Bytes, ReadI32, copy, kernel
from logsink.parse.frames import Frames, Origin
from logsink.wire.batch import Batch

ROW = 24
"""Octets of memory in use beside each frame's own."""

_ALIGNED = 64
"""Octets that columns begin at a multiple of: Arrow likes that."""

_SPARE = 8
"""Memory kept for the next fills: what a round of the archive gives back at once, and what is on its way."""


@kernel
def _gather(source: Bytes, starts: ReadI32, ends: ReadI32, count: int, data: U8, offsets: I32, row: int) -> int:
    """Copy ``count`` frames behind the ``row`` frames already in ``data``; the new end of ``data``."""
    at = int(offsets[row])
    for i in range(count):
        size = ends[i] - starts[i]
        copy(data, at, source, starts[i], size)
        at += size
        offsets[row + i + 1] = at
    return at


def _aligned(size: int) -> int:
    """``size`` octets, or as many more as it takes for others to begin behind them."""
    return -(-size // _ALIGNED) * _ALIGNED


class Loan(NamedTuple):
    """Memory for a fill: ``data`` uint8[capacity], ``offsets`` int32[rows + 1], ``flags`` int32[rows], with any contents."""

    data: npt.NDArray[np.uint8]
    offsets: npt.NDArray[np.int32]
    flags: npt.NDArray[np.int32]


class Memory:
    """Gives loans; each comes back by itself when nothing views its arrays any more, in whatever thread that is.

    A fill's arrays are viewed by its segment, that by the archiver and by Arrow: nobody has to know who is last. What a fill
    does not use is for the next: small ones lie one behind the other in the same memory. ``least`` is how many octets, and how
    many rows, a loan has room for at least.
    """

    def __init__(self, capacity: int, rows: int, least: int = 1) -> None:
        self._data = _aligned(capacity)
        self._rows = rows
        self._least = least
        self._size = self._data + 4 * (2 * rows + 1)
        self._spare: list[mmap.mmap] = []
        self._rest: Loan | None = None

    def loan(self) -> Loan:
        """What the last loan left, what came back last, or new memory."""
        rest, self._rest = self._rest, None
        if rest is not None:
            return rest
        try:
            memory = self._spare.pop()
        except IndexError:
            memory = _pages(self._size)
        lent = np.frombuffer(memory, np.uint8)  # the base of every view of it
        weakref.finalize(lent, self._returned, memory).atexit = False
        columns = lent[self._data :].view(np.int32)
        return Loan(lent[: self._data], columns[: self._rows + 1], columns[self._rows + 1 :])

    def left(self, rest: Loan) -> None:
        """What a fill has left of its loan."""
        if min(len(rest.data), len(rest.flags)) >= self._least:
            self._rest = rest

    def _returned(self, memory: mmap.mmap) -> None:
        if len(self._spare) < _SPARE:
            self._spare.append(memory)


def _pages(size: int) -> mmap.mmap:
    """Memory in the smallest pages: of large ones, which numpy asks for, a small fill touches three of 2 MiB."""
    pages = mmap.mmap(-1, size)
    if hasattr(mmap, "MADV_NOHUGEPAGE"):
        pages.madvise(mmap.MADV_NOHUGEPAGE)
    return pages


class Fill:
    """Frames on their way into one segment. ``ordinal`` counts a receiver's fills; acknowledgements leave in its order."""

    def __init__(self, ordinal: int, memory: Loan) -> None:
        self.ordinal = ordinal
        self.opened = 0.0
        """Loop time of the first append."""
        self.due = 0.0
        """Loop time at which this is to be sent."""
        self.segment: Segment | None = None
        """Set once it is stored."""
        self.waiters: set[Callable[[], None]] = set()
        """Called when this fill and all before it are stored."""
        self.owed = False
        """Whether somebody waits for the acknowledgement of frames in it."""
        self._data, self._offsets, self._flags = memory
        self._offsets[0] = 0
        self._rows = 0
        self._bytes = 0
        self._counts: list[int] = []
        self._received: list[int] = []
        self._codes: list[int] = []
        self._origins: dict[Origin, int] = {}

    def __len__(self) -> int:
        return self._rows

    @property
    def nbytes(self) -> int:
        """Octets of the frames."""
        return self._bytes

    @property
    def weight(self) -> int:
        """Octets of memory in use: frames and the columns beside them."""
        return self._bytes + ROW * self._rows

    def takes(self, batch: Batch) -> bool:
        """Whether ``batch`` fits (by the size of the buffer it views, which no batch exceeds)."""
        return self._bytes + len(batch.data) <= len(self._data) and self._rows + len(batch) <= len(self._flags)

    def append(self, batch: Batch, received: int, origin: Origin) -> None:
        """Take over one read: ``received`` is its time in microseconds since the epoch."""
        count = len(batch)
        self._bytes = _gather(batch.data, batch.starts, batch.ends, count, self._data, self._offsets, self._rows)
        self._flags[self._rows : self._rows + count] = batch.flags
        self._rows += count
        self._counts.append(count)
        self._received.append(received)
        self._codes.append(self._origins.setdefault(origin, len(self._origins)))

    def rest(self) -> Loan:
        """The memory that it does not need; nothing is appended after this."""
        row = _aligned(4 * (self._rows + 1)) // 4
        return Loan(self._data[_aligned(self._bytes) :], self._offsets[row:], self._flags[row:])

    def frames(self) -> Frames:
        """The columns, viewing this fill's arrays; nothing is appended after this."""
        counts, n = np.array(self._counts), self._rows
        return Frames(
            self._data[: self._bytes],
            self._offsets[: n + 1],
            self._flags[:n],
            np.repeat(np.array(self._received, np.int64), counts),
            np.repeat(np.array(self._codes, np.int32), counts),
            list(self._origins),
        )
