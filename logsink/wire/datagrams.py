"""Syslog over UDP (RFC 5426): a frame a datagram. Many of them, as the kernel hands them over at a time, to frames.

One LF, CRLF or NUL at the end of a datagram belongs to the framing, unless it is compressed: ``z`` and a zlib block. Empty ones
are dropped. What is longer than ``max_message`` is cut and flagged TRUNCATED.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from logsink.flags import Flag
from logsink.kernel import I32, U8, Bytes, ReadGrid32, ReadI32, copy, kernel
from logsink.wire.batch import Batch, Scratch
from logsink.wire.framing import trimmed, zlib_head

SLOT = 1 << 16
"""Octets for a datagram; none is longer."""

_TRUNCATED = int(Flag.TRUNCATED)
_INFLATED = int(Flag.INFLATED)
_Z = 122

# result[...]: datagrams that were taken, frames, their octets, runs, octets cut off; then first frame and datagram of each run
_TAKEN, _FRAMES, _OCTETS, _RUNS, _DISCARDED, _EACH = range(6)
_FIRST, _LAST = 1, 5  # words of an address between which two senders differ: behind family and port


class Run(NamedTuple):
    """Frames of one sender, in order; ``datagram`` is the first of them."""

    batch: Batch
    datagram: int


class Datagrams:
    """Makes runs of what was received into ``slots`` of ``SLOT`` octets: views of ``buffer`` and ``scratch``, as a batch is."""

    def __init__(
        self, slots: npt.NDArray[np.uint8], buffer: npt.NDArray[np.uint8], scratch: Scratch, max_message: int
    ) -> None:
        most = len(slots) // SLOT
        self.slots = slots
        self.lengths = np.zeros(most, np.int32)
        self.addresses = np.zeros((most, 8), np.int32)
        """``sockaddr_in`` or ``sockaddr_in6`` of each sender, 28 octets and zeros."""
        self.discarded = 0
        """Octets beyond ``max_message``, of all there were."""
        self._buffer, self._scratch, self._max_message = buffer, scratch, max_message
        self._result = np.zeros(_EACH + 2 * most, np.int32)

    def take(self, first: int, count: int) -> tuple[int, list[Run]]:
        """Runs of datagrams from ``first`` on, as many of ``count`` as the buffer holds; and the first that it does not."""
        scratch, result = self._scratch, self._result
        known = (self.slots, self.lengths, self.addresses, first, count, self._max_message)
        _take(*known, self._buffer, scratch.starts, scratch.ends, scratch.flags, result)
        taken, frames, octets, runs, discarded = result[:_EACH].tolist()
        self.discarded += discarded
        begins = [*result[_EACH : _EACH + 2 * runs : 2].tolist(), frames]
        senders = result[_EACH + 1 : _EACH + 2 * runs : 2].tolist()
        data = self._buffer[:octets]
        cuts = (slice(begin, end) for begin, end in pairwise(begins))
        whole = scratch.starts, scratch.ends, scratch.flags
        return taken, [
            Run(Batch(data, *(each[cut] for each in whole)), sender) for cut, sender in zip(cuts, senders, strict=True)
        ]


@kernel
def _take(
    slots: Bytes,
    lengths: ReadI32,
    addresses: ReadGrid32,
    first: int,
    count: int,
    max_message: int,
    out: U8,
    starts: I32,
    ends: I32,
    flags: I32,
    result: I32,
) -> None:
    """Datagrams ``first`` to ``count`` from their slots to ``out``, end to end, until it is full; see ``result`` above."""
    frames = octets = runs = discarded = 0
    before = -1
    at = first
    while at < count:
        p, size, flag = at * SLOT, lengths[at], 0
        if size > 3 and slots[p] == _Z and zlib_head(slots[p + 1], slots[p + 2]):
            flag = _INFLATED
        else:
            size = trimmed(slots, p, p + size) - p
            if size > max_message:
                discarded += size - max_message
                size, flag = max_message, _TRUNCATED
        if octets + size > len(out):
            break
        if size:
            alike = before >= 0
            for word in range(_FIRST, _LAST + 1):
                alike = alike and addresses[before, word] == addresses[at, word]
            if not alike:
                result[_EACH + 2 * runs] = frames
                result[_EACH + 2 * runs + 1] = at
                runs += 1
            before = at
            copy(out, octets, slots, p, size)
            starts[frames] = octets
            octets += size
            ends[frames] = octets
            flags[frames] = flag
            frames += 1
        at += 1
    result[_TAKEN] = at
    result[_FRAMES] = frames
    result[_OCTETS] = octets
    result[_RUNS] = runs
    result[_DISCARDED] = discarded
