"""Syslog over UDP (RFC 5426): each datagram is one frame. All that the kernel hands over at a time become one batch.

A hash table in the compiled loop gives each sender a number by its address, so that hundreds of senders in turn cost little
more than one.

One LF, CRLF or NUL at the end of a datagram belongs to the framing, unless the datagram is compressed: ``z`` and a zlib stream.
Empty datagrams are dropped. What is longer than ``max_message`` is cut and flagged TRUNCATED.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from logsink.ascii import SMALL_Z
from logsink.flags import Flag
from logsink.kernel import I32, MASK, U8, Bytes, Grid32, ReadGrid32, ReadI32, copy, kernel, times
from logsink.wire.batch import Batch, Scratch
from logsink.wire.framing import trimmed, zlib_head

SLOT = 1 << 16
"""Bytes of room for a datagram; none is longer."""

_TRUNCATED = int(Flag.TRUNCATED)
_INFLATED = int(Flag.INFLATED)

REMEMBERED = 4096
"""Senders that have a number at a time."""

_SLOTS = 4 * REMEMBERED
"""Places of the hash table: mostly the first one looked at is right."""

_SEED = hash("datagrams") & MASK
"""Python chooses it anew for each process: nobody can send from addresses that all hash to one place."""
_MIX = 0x9E3779B97F4A7C15 & MASK
"""2^64 divided by the golden ratio: multiplying by it spreads neighbouring addresses over the table."""
_WORD = 0xFFFFFFFF

# result[...]: datagrams that were taken, frames, their bytes, bytes cut off, senders known
_TAKEN, _FRAMES, _BYTES, _DISCARDED, _SENDERS, _EACH = range(6)
_FIRST, _LAST = 1, 5  # words of a sockaddr in which two senders differ: behind family and port


class Datagrams:
    """Makes batches of what was received into ``slots``, uint8[n * SLOT]; they are views of ``buffer`` and ``scratch``.

    The caller receives datagrams into ``slots``, their sizes into ``lengths`` and their senders into ``addresses``, and then
    calls ``take`` until all of them are taken.
    """

    def __init__(
        self, slots: npt.NDArray[np.uint8], buffer: npt.NDArray[np.uint8], scratch: Scratch, max_message: int
    ) -> None:
        most = len(slots) // SLOT
        self.slots = slots
        self.lengths = np.zeros(most, np.int32)
        self.addresses = np.zeros((most, 8), np.int32)
        """int32[n, 8]: ``sockaddr_in`` or ``sockaddr_in6`` of each sender, at most 28 bytes, and zeros."""
        self.discarded = 0
        """Bytes beyond ``max_message`` of all datagrams so far."""
        self._buffer, self._scratch, self._max_message = buffer, scratch, max_message
        self._result = np.zeros(_EACH, np.int32)
        self._codes = np.zeros(most, np.int32)
        self._known = np.zeros((REMEMBERED, 8), np.int32)
        self._table = np.full(_SLOTS, -1, np.int32)

    @property
    def senders(self) -> npt.NDArray[np.int32]:
        """int32[n, 8]: the address of each sender by its number, as in ``addresses``. It only grows, until ``forget``."""
        return self._known[: int(self._result[_SENDERS])]

    @property
    def crowded(self) -> bool:
        """Whether one more read may bring more senders than can have a number: ``forget`` before it."""
        return int(self._result[_SENDERS]) + len(self.lengths) > REMEMBERED

    def forget(self) -> None:
        """Number senders from 0 again."""
        self._result[_SENDERS] = 0
        self._table.fill(-1)

    def take(self, first: int, count: int) -> tuple[int, Batch, npt.NDArray[np.int32]]:
        """Take the datagrams ``first`` to ``count - 1``, or as many of them as the buffer holds.

        Returns the first that is not taken, the frames, and for each frame, int32[n], the number of its sender (an index of
        ``senders``).
        """
        scratch, result = self._scratch, self._result
        known = (self.slots, self.lengths, self.addresses, first, count, self._max_message)
        batch = (self._buffer, scratch.starts, scratch.ends, scratch.flags)
        _take(*known, *batch, self._codes, self._known, self._table, _SEED, result)
        taken, frames, filled, discarded = result[:_SENDERS].tolist()
        self.discarded += discarded
        return taken, scratch.batch(self._buffer[:filled], frames), self._codes[:frames]


@kernel
def _code(addresses: ReadGrid32, at: int, known: Grid32, table: I32, seed: int, count: int) -> int:
    """Return the number of the sender of datagram ``at``; ``count``: it is new and was added to ``known``."""
    # Hash the address.
    mixed = seed
    for word in range(_FIRST, _LAST + 1):
        mixed = times(mixed ^ (addresses[at, word] & _WORD), _MIX)
        mixed ^= mixed >> 29
    # Look it up, place by place, until it is found or there is room for it.
    place = mixed % len(table)
    while True:
        code = table[place]
        if code < 0:
            table[place] = count
            for word in range(_FIRST, _LAST + 1):
                known[count, word] = addresses[at, word]
            return count
        alike = True
        for word in range(_FIRST, _LAST + 1):
            alike = alike and known[code, word] == addresses[at, word]
        if alike:
            return int(code)
        place = (place + 1) % len(table)


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
    codes: I32,
    known: Grid32,
    table: I32,
    seed: int,
    result: I32,
) -> None:
    """Copy the datagrams ``first`` to ``count - 1`` from their slots to ``out``, end to end, until that is full.

    ``codes`` receives the number of each frame's sender, ``result`` what is described above.
    """
    frames = filled = discarded = 0
    senders = int(result[_SENDERS])
    at = first
    while at < count:
        # What of the slot is the frame.
        p, size, flag = at * SLOT, lengths[at], 0
        if size > 3 and slots[p] == SMALL_Z and zlib_head(slots[p + 1], slots[p + 2]):
            flag = _INFLATED
        else:
            size = trimmed(slots, p, p + size) - p
            if size > max_message:
                discarded += size - max_message
                size, flag = max_message, _TRUNCATED
        if filled + size > len(out):
            break
        # Its sender, and its bytes.
        if size:
            code = _code(addresses, at, known, table, seed, senders)
            if code == senders:
                senders += 1
            codes[frames] = code
            copy(out, filled, slots, p, size)
            starts[frames] = filled
            filled += size
            ends[frames] = filled
            flags[frames] = flag
            frames += 1
        at += 1
    result[_TAKEN] = at
    result[_FRAMES] = frames
    result[_BYTES] = filled
    result[_DISCARDED] = discarded
    result[_SENDERS] = senders
