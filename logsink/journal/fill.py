"""The segment that is being filled: batches copied end to end into arrays that become the segment's columns unchanged.

One copy of each octet, from the receive buffer to here. Arrays are made at full capacity: memory that no frame reaches is
never touched, so it costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from logsink.journal.segment import Segment
from logsink.kernel import I32, U8, Bytes, ReadI32, copy, kernel
from logsink.parse.frames import Frames, Origin
from logsink.wire.batch import Batch


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


class Fill:
    """Frames on their way into one segment. ``ordinal`` counts a receiver's fills; acknowledgements leave in its order."""

    def __init__(self, ordinal: int, capacity: int, rows: int) -> None:
        self.ordinal = ordinal
        self.opened = 0.0
        """Loop time of the first append."""
        self.due = 0.0
        """Loop time at which this is to be sent."""
        self.segment: Segment | None = None
        """Set once it is stored."""
        self.waiters: set[Callable[[], None]] = set()
        """Called when this fill and all before it are stored."""
        self._data = np.empty(capacity, np.uint8)
        self._offsets = np.empty(rows + 1, np.int32)
        self._offsets[0] = 0
        self._flags = np.empty(rows, np.int32)
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
        return self._bytes + 24 * self._rows

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


def warm() -> None:
    """Compile the kernel of this module."""
    at = np.zeros(1, np.int32)
    Fill(0, 8, 1).append(Batch(np.zeros(8, np.uint8), at, at + 1, at), 0, Origin(None, None, "tcp"))
