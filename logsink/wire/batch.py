"""Frames of one read, as offsets into the buffer that was read into."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt


class Batch(NamedTuple):
    """``n`` frames of one read. Valid only until the caller reads into the buffer again or calls ``receive`` again.

    data    uint8[...]  the buffer, as the caller handed it in
    starts  int32[n]    frame i is ``data[starts[i]:ends[i]]``; frames are in order, disjoint, and not empty
    ends    int32[n]
    flags   int32[n]    ``flags.Flag`` bits that framing sets
    """

    data: npt.NDArray[np.uint8]
    starts: npt.NDArray[np.int32]
    ends: npt.NDArray[np.int32]
    flags: npt.NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.starts)

    def of(self, rows: slice | npt.NDArray[np.bool_]) -> Batch:
        """Return the frames of these rows, over the same buffer."""
        return Batch(self.data, self.starts[rows], self.ends[rows], self.flags[rows])


class Scratch:
    """Arrays that ``receive`` fills and a ``Batch`` views: one per event loop, shared by all its sessions.

    Room for ``size`` buffer bytes: the densest input is one-byte frames, two bytes each on the wire.
    """

    def __init__(self, size: int) -> None:
        room = size // 2 + 2
        self.starts = np.empty(room, np.int32)
        self.ends = np.empty(room, np.int32)
        self.flags = np.empty(room, np.int32)

    def batch(self, data: npt.NDArray[np.uint8], n: int) -> Batch:
        """Return the first ``n`` rows as a batch over ``data``."""
        return Batch(data, self.starts[:n], self.ends[:n], self.flags[:n])
