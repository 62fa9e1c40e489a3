"""A fill is the segment that is being filled: batches are copied into arrays that become the segment's columns unchanged.

Each byte is copied once, from the receive buffer to the fill. Arrays are made at full capacity: memory that no frame reaches is
never touched, so it costs nothing. Touched memory is used again, because the kernel's fresh pages cost ten times the copy.
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
from logsink.wire import Batch

FRAME_OVERHEAD = 24
"""Bytes of memory for each frame beside its own bytes: its offset, flags, time and origin, and what encoding adds."""

READ_OVERHEAD = 128
"""Bytes of memory for each read: what its connection remembers until it is stored."""

ORIGIN_OVERHEAD = 320
"""Bytes of memory for each origin of a fill: its address as text, the tuple, and its place in two mappings."""

_TRANSLATED = 8
"""Most lists of origins that a fill keeps a translation of. Each UDP listener has one list, and a new one after a few thousand
senders."""

_ALIGNED = 64
"""Columns begin at a multiple of this many bytes, as Arrow recommends."""

_SPARE = 8
"""Most memories kept for the next fills: those that a round of the archive gives back at once, and those under way."""


def memory_use(frames: Frames) -> int:
    """Return the bytes of memory that the frames of a stored segment take while they are held."""
    return frames.nbytes + FRAME_OVERHEAD * len(frames) + ORIGIN_OVERHEAD * len(frames.origins)


@kernel
def _gather(source: Bytes, starts: ReadI32, ends: ReadI32, count: int, data: U8, offsets: I32, row: int) -> int:
    """Copy ``count`` frames behind the ``row`` frames already in ``data``, and return the new end of ``data``."""
    at = int(offsets[row])
    for i in range(count):
        size = ends[i] - starts[i]
        copy(data, at, source, starts[i], size)
        at += size
        offsets[row + i + 1] = at
    return at


def _aligned(size: int) -> int:
    """Return ``size`` rounded up to a multiple of ``_ALIGNED``."""
    return -(-size // _ALIGNED) * _ALIGNED


class Loan(NamedTuple):
    """Memory for a fill, with any contents: ``data`` uint8[capacity], ``received`` int64[rows], ``offsets`` int32[rows + 1],
    ``flags`` and ``origin`` int32[rows].
    """

    data: npt.NDArray[np.uint8]
    received: npt.NDArray[np.int64]
    offsets: npt.NDArray[np.int32]
    flags: npt.NDArray[np.int32]
    origin: npt.NDArray[np.int32]


class Memory:
    """Lends memory to fills. A loan comes back by itself when nothing views its arrays any more, in whatever thread that is.

    The segment views a fill's arrays, the archiver and Arrow hold the segment: nobody has to know who is last. The next fill
    uses what one leaves of its loan, so small fills lie one behind the other in the same memory. ``capacity`` and ``rows`` are
    the bytes and rows of fresh memory, ``least`` and ``least_rows`` those that every loan has room for.
    """

    def __init__(self, capacity: int, rows: int, least: int = 1, least_rows: int = 1) -> None:
        self._data = _aligned(capacity)
        self._rows = rows
        self._least, self._least_rows = least, least_rows
        self._size = self._data + 8 * rows + 4 * (3 * rows + 1)
        self._spare: list[mmap.mmap] = []
        self._rest: Loan | None = None

    def loan(self) -> Loan:
        """Lend what the last fill left, memory that came back, or new memory."""
        rest, self._rest = self._rest, None
        if rest is not None:
            return rest
        try:
            memory = self._spare.pop()
        except IndexError:
            memory = _pages(self._size)
        lent = np.frombuffer(memory, np.uint8)  # the base of every view, so it lives as long as the last of them
        weakref.finalize(lent, self._returned, memory).atexit = False
        rows, times = self._rows, self._data + 8 * self._rows
        columns = lent[times:].view(np.int32)
        offsets, flags, origin = columns[: rows + 1], columns[rows + 1 : 2 * rows + 1], columns[2 * rows + 1 :]
        return Loan(lent[: self._data], lent[self._data : times].view(np.int64), offsets, flags, origin)

    def give_back(self, rest: Loan) -> None:
        """Take what a fill has left of its loan, for the next one."""
        if len(rest.data) >= self._least and len(rest.flags) >= self._least_rows:
            self._rest = rest

    def _returned(self, memory: mmap.mmap) -> None:
        if len(self._spare) < _SPARE:
            self._spare.append(memory)


def _pages(size: int) -> mmap.mmap:
    """Return memory in small pages: with numpy's huge pages a small fill would touch three of 2 MiB each."""
    pages = mmap.mmap(-1, size)
    if hasattr(mmap, "MADV_NOHUGEPAGE"):
        pages.madvise(mmap.MADV_NOHUGEPAGE)
    return pages


class Fill:
    """Frames on their way into one segment. ``ordinal`` counts a receiver's fills; acknowledgements leave in that order."""

    def __init__(self, ordinal: int, memory: Loan) -> None:
        self.ordinal = ordinal
        self.id_number = 0
        """The number of the receiver id (``receiver_ids``) that was in use at the first append."""
        self.opened = 0.0
        """Loop time of the first append."""
        self.due = 0.0
        """Loop time at which the fill is due to be stored."""
        self.segment: Segment | None = None
        """The segment once it is stored, else None."""
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
        """Bytes of all frames."""
        return self._bytes

    @property
    def weight(self) -> int:
        """Bytes of memory in use: frames, the columns beside them, reads and origins."""
        return (
            self._bytes
            + FRAME_OVERHEAD * self._rows
            + READ_OVERHEAD * self._reads
            + ORIGIN_OVERHEAD * len(self._origins)
        )

    def takes(self, batch: Batch) -> bool:
        """Return whether ``batch`` fits, by the size of the buffer that it views."""
        return self._bytes + len(batch.data) <= len(self._data) and self._rows + len(batch) <= len(self._flags)

    def append(self, batch: Batch, received: int, origin: Origin | Origins) -> None:
        """Copy one read's frames; ``received`` is its time in microseconds since the epoch."""
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
        """Return the fill's own codes for ``origins``. Only origins that are new in the fill are handled one by one."""
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
        """Return the memory that the fill does not use. Nothing may be appended afterwards."""
        row = _aligned(4 * (self._rows + 1)) // 4
        return Loan(
            self._data[_aligned(self._bytes) :],
            self._received[row:],
            self._offsets[row:],
            self._flags[row:],
            self._origin[row:],
        )

    def frames(self) -> Frames:
        """Return the frames as views of the fill's arrays. Nothing may be appended afterwards."""
        n = self._rows
        return Frames(
            self._data[: self._bytes],
            self._offsets[: n + 1],
            self._flags[:n],
            self._received[:n],
            self._origin[:n],
            list(self._origins),
        )
