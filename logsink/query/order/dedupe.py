"""Hiding rows that are probably copies: RELP clients send again what was not acknowledged, to whichever receiver they reach.

Two rows are taken for one message when

- their frames are equal byte for byte and come from the same sender;
- at least one of them is flagged ``maybe_resent``;
- they came in two sessions: to different receivers, or to one receiver first unflagged and then flagged (only frames at the
  beginning of a session are flagged);
- nothing tells them apart in time: either the frame has a time of its own with a fraction of a second, which no other message
  of this sender has, or they were received at most ten minutes apart.

``received`` is from the clocks of two receivers, so a wrong clock would show every copy without a word. Rows that differ only
in this are shown, and counted as ``apart``.

A shown row hides at most one row of each other receiver, so a message that was truly logged three times is shown three times.
A row flagged ``sent_twice`` repeats one that the same receiver has stored: the first of its session, or one of an earlier
session. If the frame has a time with a fraction of a second, one of the two rows is hidden.

Rows of one frame stand at one instant in the order. Without a time of their own they stand where the clocks of their receivers
put them. A bounded number of passed rows is remembered; a copy further behind is shown.
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
"""Columns that ``Dedupe`` needs besides those of the order."""

APART: Final = 600_000_000
"""Microseconds that two copies may be received apart when their own times do not decide."""

NEAR: Final = 86_400_000_000
"""Most microseconds between a frame's own time and ``received`` for the own time to decide.

A sender's clock that stands still, or begins anew at each boot, gives one time to many messages.
"""

ROWS: Final = 1 << 20
"""Rows that are remembered, about 60 MB; a power of two."""

_HASH_KEY: Final = 0x2545_F491_4F6C_DD1D
_MOST_STEPS: Final = 256
"""Equal rows that one row is compared with; only endless repeats have more."""

_MOST_RECEIVERS: Final = 62
"""Receivers that are told apart among those of which a row has hidden one; further ones share a bit."""

# A remembered row is nine numbers of the ring
_FIELDS: Final = 9
_DIGEST: Final = 0  # two numbers
_SENDER: Final = 2
_RECEIVER: Final = 3
_KIND: Final = 4
_RECEIVED: Final = 5
_TIME: Final = 6
_HID: Final = 7  # a bit for each receiver of which the row has hidden one
_PREVIOUS: Final = 8  # number of the row before it in its slot, counted from 1; 0 for none

# What is known of a row: the sum of these
_FLAGGED: Final = 1  # `maybe_resent`
_TWICE: Final = 2  # `sent_twice`
_EXACT: Final = 4  # it has a time of its own, with a fraction of a second
_TIMELY: Final = 8  # which is within NEAR of `received`

# What becomes of a row
_HIDDEN: Final = 0
_SHOWN: Final = 1
_APART: Final = 2  # shown, although only `received` tells it from a copy


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
    remembered: int,
    ring: I64,
    slots: I64,
    fates: U8,
) -> int:
    """Decide for ``count`` rows in order whether they are shown, and remember those that are.

    Fills ``fates``. ``digest`` has two numbers a row. ``remembered`` rows have been remembered so far, each as ``_FIELDS``
    numbers of ``ring``, the latest over the earliest. ``slots`` has for each remainder of the hash the number of the latest
    row with it, counted from 1. Returns the new ``remembered``.
    """
    size = len(ring) // _FIELDS
    for i in range(count):
        slot = (digest[2 * i] ^ digest[2 * i + 1] ^ sender[i]) & (len(slots) - 1)
        kind = kinds[i]
        receiver_bit = 1 << (receiver[i] % _MOST_RECEIVERS)
        fate = _SHOWN
        number = slots[slot]
        steps = 0
        # the remembered rows of this slot, the latest first
        while number and number > remembered - size and steps < _MOST_STEPS:
            at = ((number - 1) & (size - 1)) * _FIELDS
            steps += 1
            number = ring[at + _PREVIOUS]
            # only equal frames of the same sender matter
            if (
                ring[at + _DIGEST] != digest[2 * i]
                or ring[at + _DIGEST + 1] != digest[2 * i + 1]
                or ring[at + _SENDER] != sender[i]
            ):
                continue
            other = ring[at + _KIND]
            same = ring[at + _RECEIVER] == receiver[i]
            exact = kind & other & _EXACT and (kind | other) & _TIMELY and ring[at + _TIME] == times[i]
            # one of them is known to repeat one other: where it came first, it was shown in place of that one
            if exact and kind & _TWICE:
                fate = _HIDDEN
                break
            if exact and other & _TWICE and same:
                ring[at + _KIND] = kind
                ring[at + _RECEIVED] = received[i]
                fate = _HIDDEN
                break
            # a shown row hides only one row of each receiver
            if ring[at + _HID] & receiver_bit:
                continue
            # whether they came in two sessions
            if not same:
                copy = (kind | other) & _FLAGGED
            elif descending:
                copy = other & _FLAGGED and not kind & _FLAGGED
            else:
                copy = kind & _FLAGGED and not other & _FLAGGED
            if not copy:
                continue
            # whether time tells them apart
            if exact or abs(ring[at + _RECEIVED] - received[i]) <= APART:
                ring[at + _HID] |= receiver_bit
                fate = _HIDDEN
                break
            if not same:
                fate = _APART
        fates[i] = fate
        # remember the row, in place of the earliest one
        if fate != _HIDDEN:
            at = (remembered & (size - 1)) * _FIELDS
            remembered += 1
            ring[at + _DIGEST] = digest[2 * i]
            ring[at + _DIGEST + 1] = digest[2 * i + 1]
            ring[at + _SENDER] = sender[i]
            ring[at + _RECEIVER] = receiver[i]
            ring[at + _KIND] = kind
            ring[at + _RECEIVED] = received[i]
            ring[at + _TIME] = times[i]
            ring[at + _HID] = 0
            ring[at + _PREVIOUS] = slots[slot]
            slots[slot] = remembered
    return remembered


class Dedupe:
    """Hides copies in tables of rows that come in order, descending or not; call it with each table.

    ``hidden`` counts the rows that were hidden, ``apart`` those that are shown although only the clocks of two receivers tell
    them from copies. ``rows`` are remembered, a power of two.
    """

    def __init__(self, *, descending: bool, rows: int = ROWS) -> None:
        self.hidden = self.apart = 0
        self._descending = descending
        self._ring = np.zeros(rows * _FIELDS, np.int64)
        self._slots = np.zeros(2 * rows, np.int64)
        self._remembered = 0
        self._codes: dict[str | None, int] = {}

    def __call__(self, rows: pa.Table) -> pa.Table:
        """Return the rows that are no copies. The table has ``DEDUPE_COLUMNS`` and the columns of the order."""
        count = rows.num_rows
        fates = np.empty(count, np.uint8)
        identity, address = self._coded(rows.column("identity")), self._coded(rows.column("sender"))
        times = as_integers(rows.column("time"))
        received = as_integers(pc.coalesce(one_chunk(rows.column("received")), one_chunk(rows.column("time"))))
        self._remembered = hide(
            _digests(raw_frames(rows)),
            np.where(identity == self._code(None), address, identity),
            self._coded(rows.column("receiver")),
            _kinds(rows, times, received),
            received,
            times,
            count,
            self._descending,
            self._remembered,
            self._ring,
            self._slots,
            fates,
        )
        hidden = count - int(np.count_nonzero(fates))
        self.hidden += hidden
        self.apart += int(np.count_nonzero(fates == _APART))
        return rows.filter(as_array(fates != _HIDDEN)) if hidden else rows

    def _coded(self, column: pa.ChunkedArray) -> Int64:
        """Return a number for each string, the same for the same string in every call."""
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
    """Return what is known of each row: ``_FLAGGED``, ``_TWICE``, ``_EXACT`` and ``_TIMELY``, added up."""
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
    """Return the digests of frames, two numbers each."""
    n = len(frames)
    if not n:
        return np.zeros(0, np.int64)
    offsets = np.frombuffer(frames.buffers()[1], np.int32)[frames.offset : frames.offset + n + 1]
    data = np.frombuffer(frames.buffers()[2] or b"", np.uint8)
    return digests(Batch(data, offsets[:-1], offsets[1:], np.zeros(n, np.int32)), _HASH_KEY)
