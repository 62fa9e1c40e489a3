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
from logsink.parse import Frames, Origin, Origins
from logsink.wire.batch import Batch

FRAME_OVERHEAD = 24
"""Octets of memory in use beside each frame's own: its offset, flags, time and origin, and what encoding adds."""

READ_OVERHEAD = 128
"""Octets of memory in use for each read: what its connection remembers until it is stored."""

ORIGIN_OVERHEAD = 320
"""Octets of memory in use for each origin of a fill: its address as text, the tuple, and its place in two mappings."""

_TRANSLATED = 8
"""Lists of origins whose codes a fill knows in its own: there is one for each UDP listener, and one more for every few thousand
senders."""

_ALIGNED = 64
"""Octets that columns begin at a multiple of: Arrow likes that."""

_SPARE = 8
"""Memory kept for the next fills: what a round of the archive gives back at once, and what is on its way."""


def memory_use(frames: Frames) -> int:
    """Return the bytes of memory that the frames of a stored segment take while they are held."""
    return frames.nbytes + FRAME_OVERHEAD * len(frames) + ORIGIN_OVERHEAD * len(frames.origins)


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
    """Memory for a fill, with any contents: ``data`` uint8[capacity], ``received`` int64[rows], ``offsets`` int32[rows + 1],
    ``flags`` and ``origin`` int32[rows]."""

    data: npt.NDArray[np.uint8]
    received: npt.NDArray[np.int64]
    offsets: npt.NDArray[np.int32]
    flags: npt.NDArray[np.int32]
    origin: npt.NDArray[np.int32]


class Memory:
    """Gives loans; each comes back by itself when nothing views its arrays any more, in whatever thread that is.

    A fill's arrays are viewed by its segment, that by the archiver and by Arrow: nobody has to know who is last. What a fill
    does not use is for the next: small ones lie one behind the other in the same memory. ``least`` and ``least_rows`` are how
    many octets and rows a loan has room for at least.
    """

    def __init__(self, capacity: int, rows: int, least: int = 1, least_rows: int = 1) -> None:
        self._data = _aligned(capacity)
        self._rows = rows
        self._least, self._least_rows = least, least_rows
        self._size = self._data + 8 * rows + 4 * (3 * rows + 1)
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
        rows, times = self._rows, self._data + 8 * self._rows
        columns = lent[times:].view(np.int32)
        offsets, flags, origin = columns[: rows + 1], columns[rows + 1 : 2 * rows + 1], columns[2 * rows + 1 :]
        return Loan(lent[: self._data], lent[self._data : times].view(np.int64), offsets, flags, origin)

    def left(self, rest: Loan) -> None:
        """What a fill has left of its loan."""
        if len(rest.data) >= self._least and len(rest.flags) >= self._least_rows:
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
        self._data, self._received, self._offsets, self._flags, self._origin = memory
        self._offsets[0] = 0
        self._rows = 0
        self._bytes = 0
        self._reads = 0
        self._origins: dict[Origin, int] = {}
        self._translations: dict[int, tuple[list[Origin], npt.NDArray[np.int32]]] = {}

    def __len__(self) -> int:
        return self._rows

    @property
    def nbytes(self) -> int:
        """Octets of the frames."""
        return self._bytes

    @property
    def weight(self) -> int:
        """Octets of memory in use: frames, the columns beside them, and what reads and origins cost."""
        return (
            self._bytes
            + FRAME_OVERHEAD * self._rows
            + READ_OVERHEAD * self._reads
            + ORIGIN_OVERHEAD * len(self._origins)
        )

    def takes(self, batch: Batch) -> bool:
        """Whether ``batch`` fits (by the size of the buffer it views, which no batch exceeds)."""
        return self._bytes + len(batch.data) <= len(self._data) and self._rows + len(batch) <= len(self._flags)

    def append(self, batch: Batch, received: int, origin: Origin | Origins) -> None:
        """Take over one read: ``received`` is its time in microseconds since the epoch."""
        count = len(batch)
        to = slice(self._rows, self._rows + count)
        self._bytes = _gather(batch.data, batch.starts, batch.ends, count, self._data, self._offsets, self._rows)
        self._flags[to] = batch.flags
        self._received[to] = received
        self._origin[to] = self._codes(origin) if isinstance(origin, Origins) else self._code(origin)
        self._rows += count
        self._reads += 1

    def _code(self, origin: Origin) -> int:
        return self._origins.setdefault(origin, len(self._origins))

    def _codes(self, origins: Origins) -> npt.NDArray[np.int32]:
        """The codes of ``origins`` as this fill has them: only those that are new in it are looked at one by one."""
        known, codes = origins
        _, own = self._translations.get(id(known), (known, np.empty(0, np.int32)))
        if len(own) < len(known):
            if len(self._translations) >= _TRANSLATED:
                self._translations.clear()
            own = np.concatenate([own, np.full(len(known) - len(own), -1, np.int32)])
            self._translations[id(known)] = known, own
        found = own[codes]
        if found.min(initial=0) < 0:
            for code in np.unique(codes[found < 0]).tolist():
                own[code] = self._code(known[code])
            found = own[codes]
        return found

    def rest(self) -> Loan:
        """The memory that it does not need; nothing is appended after this."""
        row = _aligned(4 * (self._rows + 1)) // 4
        return Loan(
            self._data[_aligned(self._bytes) :],
            self._received[row:],
            self._offsets[row:],
            self._flags[row:],
            self._origin[row:],
        )

    def frames(self) -> Frames:
        """The columns, viewing this fill's arrays; nothing is appended after this."""
        n = self._rows
        return Frames(
            self._data[: self._bytes],
            self._offsets[: n + 1],
            self._flags[:n],
            self._received[:n],
            self._origin[:n],
            list(self._origins),
        )
