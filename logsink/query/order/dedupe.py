"""Hiding rows that are probably copies: RELP clients send again what was not acknowledged, to whichever receiver is there.

Two rows are taken for one message when

- their frames are the same byte for byte and come from the same sender;
- at least one of them is flagged ``maybe_resent``;
- they came in two sessions: to different receivers, or to one receiver first unflagged and then flagged (flags stand at the
  beginning of a session only);
- no other time is possible: either the frame has a time of its own in fractions of a second, which no other message of this
  sender has, or they were received at most ten minutes apart. ``received`` is of two clocks, so this alone would let a receiver
  whose clock is wrong show every copy: rows that fail only here are shown, and counted as ``apart``.

A row that is shown makes up for one row of each other receiver, so a message that was truly logged three times is shown three
times. A row flagged ``sent_twice`` repeats the first frame of its session; if that has a time in fractions of a second, one
of the two rows is hidden.

Rows of one frame stand at one instant in the order, or, without a time of their own, where their receivers' clocks put them.
What is remembered of rows passed is bounded by their number, and a copy further behind is shown.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from logsink.flags import Flag
from logsink.kernel import I64, U8, ReadI64, kernel
from logsink.parse import RAW_COLUMNS, raw_frames
from logsink.query.columns import Int64, as_array, as_integers, one_chunk
from logsink.wire import Batch, digests

DEDUPE_COLUMNS: Final = tuple(dict.fromkeys(("sender", "identity", "flags", *RAW_COLUMNS)))
"""What it needs of a row besides the columns of the order."""

APART: Final = 600_000_000
"""Microseconds by which two copies may be received apart, when their own time does not tell."""

NEAR: Final = 86_400_000_000
"""Microseconds between a frame's own time and ``received`` at most.

A sender's clock that stands still, or begins anew at each boot, gives one time to many messages.
"""

ROWS: Final = 1 << 20
"""Rows remembered, about 60 MB; a power of two."""

_KEY: Final = 0x2545_F491_4F6C_DD1D
_WALK: Final = 256  # equal rows looked at for one row: only endless repeats have more
_FIELDS: Final = (
    9  # of a remembered row: two of the digest, sender, receiver, kind, received, time, uses, the one before
)
_NAMES: Final = 62  # receivers told apart among a row's uses
_FLAGGED: Final = 1  # kinds of a row, added up: `maybe_resent`
_TWICE: Final = 2  # `sent_twice`
_EXACT: Final = 4  # with a time of its own, in fractions of a second
_TIMELY: Final = 8  # received within NEAR of its time
_HIDDEN: Final = 0  # what becomes of a row
_SHOWN: Final = 1
_APART: Final = 2  # shown although only `received` speaks against a copy


@kernel
def hide(
    digest: ReadI64,
    sender: ReadI64,
    receiver: ReadI64,
    kinds: ReadI64,
    received: ReadI64,
    times: ReadI64,
    count: int,
    descending: bool,
    said: int,
    ring: I64,
    slots: I64,
    fates: U8,
) -> int:
    """Decide for ``count`` rows in order whether they are shown, and remember those that are; the new ``said``.

    ``said`` rows have been remembered so far, each as nine numbers of ``ring``, the last ones over the first; ``slots`` has the
    number of the latest row of each residue, counted from 1.
    """
    size = len(ring) // _FIELDS
    for i in range(count):
        slot = (digest[2 * i] ^ digest[2 * i + 1] ^ sender[i]) & (len(slots) - 1)
        kind = kinds[i]
        use = 1 << (receiver[i] % _NAMES)
        fate = _SHOWN
        number = slots[slot]
        steps = 0
        while number and number > said - size and steps < _WALK:
            at = ((number - 1) & (size - 1)) * _FIELDS
            steps += 1
            number = ring[at + 8]
            if ring[at] != digest[2 * i] or ring[at + 1] != digest[2 * i + 1] or ring[at + 2] != sender[i]:
                continue
            other = ring[at + 4]
            same = ring[at + 3] == receiver[i]
            exact = kind & other & _EXACT and (kind | other) & _TIMELY and ring[at + 6] == times[i]
            if exact and kind & _TWICE:
                fate = _HIDDEN
                break
            if exact and other & _TWICE and same:
                ring[at + 4] = other & ~_TWICE
                fate = _HIDDEN
                break
            if ring[at + 7] & use:
                continue
            if not same:
                copy = (kind | other) & _FLAGGED
            elif descending:
                copy = other & _FLAGGED and not kind & _FLAGGED
            else:
                copy = kind & _FLAGGED and not other & _FLAGGED
            if not copy:
                continue
            if exact or abs(ring[at + 5] - received[i]) <= APART:
                ring[at + 7] |= use
                fate = _HIDDEN
                break
            if not same:
                fate = _APART
        fates[i] = fate
        if fate != _HIDDEN:
            at = (said & (size - 1)) * _FIELDS
            said += 1
            ring[at] = digest[2 * i]
            ring[at + 1] = digest[2 * i + 1]
            ring[at + 2] = sender[i]
            ring[at + 3] = receiver[i]
            ring[at + 4] = kind
            ring[at + 5] = received[i]
            ring[at + 6] = times[i]
            ring[at + 7] = 0
            ring[at + 8] = slots[slot]
            slots[slot] = said
    return said


class Dedupe:
    """Hides copies in a stream of rows, which come in the order of queries.

    ``hidden`` counts them; ``apart`` the rows that are shown although they would be copies, were their receivers' clocks wrong.
    """

    def __init__(self, *, descending: bool, rows: int = ROWS) -> None:
        self.hidden = self.apart = 0
        self._descending = descending
        self._ring = np.zeros(rows * _FIELDS, np.int64)
        self._slots = np.zeros(2 * rows, np.int64)
        self._said = 0
        self._codes: dict[str | None, int] = {}

    def __call__(self, rows: pa.Table) -> pa.Table:
        """The rows that are to be shown. They have ``DEDUPE_COLUMNS`` and those of the order."""
        count = rows.num_rows
        fates = np.empty(count, np.uint8)
        identity, address = self._coded(rows.column("identity")), self._coded(rows.column("sender"))
        times = as_integers(rows.column("time"))
        received = as_integers(pc.coalesce(one_chunk(rows.column("received")), one_chunk(rows.column("time"))))
        self._said = hide(
            _digests(raw_frames(rows)),
            np.where(identity == self._code(None), address, identity),
            self._coded(rows.column("receiver")),
            _kinds(rows, times, received),
            received,
            times,
            count,
            self._descending,
            self._said,
            self._ring,
            self._slots,
            fates,
        )
        hidden = count - int(np.count_nonzero(fates))
        self.hidden += hidden
        self.apart += int(np.count_nonzero(fates == _APART))
        return rows.filter(as_array(fates != _HIDDEN)) if hidden else rows

    def _coded(self, column: pa.ChunkedArray) -> Int64:
        """Numbers for strings, the same for the same string in every call."""
        array = one_chunk(column)
        if not pa.types.is_dictionary(array.type):
            array = array.dictionary_encode()
        codes = np.array([self._code(value) for value in array.dictionary.to_pylist()] + [self._code(None)], np.int64)
        indices = pc.fill_null(array.indices, len(codes) - 1)
        found: Int64 = codes[indices.to_numpy(zero_copy_only=False)]
        return found

    def _code(self, value: str | None) -> int:
        return self._codes.setdefault(value, len(self._codes))


def _kinds(rows: pa.Table, times: Int64, received: Int64) -> Int64:
    flags = pc.fill_null(one_chunk(rows.column("flags")), 0).to_numpy(zero_copy_only=False)
    own = (flags & int(Flag.TIME_INFERRED) == 0) & (times % 1_000_000 != 0)
    found: Int64 = (
        np.where(flags & int(Flag.MAYBE_RESENT), _FLAGGED, 0)
        + np.where(flags & int(Flag.SENT_TWICE), _TWICE, 0)
        + np.where(own, _EXACT, 0)
        + np.where(np.abs(times - received) <= NEAR, _TIMELY, 0)
    )
    return found


def _digests(frames: pa.BinaryArray) -> Int64:
    n = len(frames)
    if not n:
        return np.zeros(0, np.int64)
    offsets = np.frombuffer(frames.buffers()[1], np.int32)[frames.offset : frames.offset + n + 1]
    data = np.frombuffer(frames.buffers()[2] or b"", np.uint8)
    return digests(Batch(data, offsets[:-1], offsets[1:], np.zeros(n, np.int32)), _KEY)
