"""Hiding rows that are probably copies: RELP clients send again what was not acknowledged, to whichever receiver is there.

Two rows are taken for one message when their frames are the same byte for byte and come from the same sender, at most ten
minutes apart, when at least one of them is flagged ``maybe_resent``, and when they came in two sessions: to different
receivers, or to one receiver first unflagged and then flagged (flags stand at the beginning of a session only). A row that is
shown makes up for one row of each other receiver, so a message that was truly logged three times is shown three times.

Rows of one frame stand at one instant in the order, or, without a time of their own, within the ten minutes; what is
remembered of rows passed is bounded by their number, and a copy further behind is shown.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from logsink.flags import Flag
from logsink.kernel import I64, U8, ReadI64, kernel
from logsink.parse import RAW_COLUMNS, raw_frames
from logsink.query.filters import as_array, one_chunk
from logsink.wire.batch import Batch
from logsink.wire.resend import digests

COLUMNS: Final = tuple(dict.fromkeys(("sender", "identity", "flags", *RAW_COLUMNS)))
"""What it needs of a row besides the columns of the order."""

APART: Final = 600_000_000
"""Microseconds that two copies may be apart."""

ROWS: Final = 1 << 20
"""Rows remembered, about 60 MB; a power of two."""

_KEY: Final = 0x2545_F491_4F6C_DD1D
_WALK: Final = 256  # equal rows looked at for one row: only endless repeats have more
_FIELDS: Final = 7  # of a remembered row: two of the digest, sender, receiver and flag, received, uses, the one before
_NAMES: Final = 62  # receivers told apart among a row's uses
_MAYBE_RESENT: Final = int(Flag.MAYBE_RESENT)

Int64 = npt.NDArray[np.int64]


@kernel
def hide(
    digest: ReadI64,
    sender: ReadI64,
    receiver: ReadI64,
    received: ReadI64,
    count: int,
    descending: bool,
    said: int,
    ring: I64,
    slots: I64,
    shown: U8,
) -> int:
    """Decide for ``count`` rows in order whether they are ``shown``, and remember those that are; the new ``said``.

    ``receiver`` is twice a number, plus 1 for a flagged row. ``said`` rows have been remembered so far, each as seven numbers
    of ``ring``, the last ones over the first; ``slots`` has the number of the latest row of each residue, counted from 1.
    """
    size = len(ring) // _FIELDS
    for i in range(count):
        slot = (digest[2 * i] ^ digest[2 * i + 1] ^ sender[i]) & (len(slots) - 1)
        flagged = receiver[i] & 1
        name = receiver[i] >> 1
        use = 1 << (name % _NAMES)
        shown[i] = 1
        number = slots[slot]
        steps = 0
        while number and number > said - size and steps < _WALK:
            at = ((number - 1) & (size - 1)) * _FIELDS
            steps += 1
            number = ring[at + 6]
            if ring[at] != digest[2 * i] or ring[at + 1] != digest[2 * i + 1] or ring[at + 2] != sender[i]:
                continue
            if abs(ring[at + 4] - received[i]) > APART or ring[at + 5] & use:
                continue
            other = ring[at + 3] & 1
            if ring[at + 3] >> 1 != name:
                copy = flagged or other
            elif descending:
                copy = other and not flagged
            else:
                copy = flagged and not other
            if copy:
                ring[at + 5] |= use
                shown[i] = 0
                break
        if shown[i]:
            at = (said & (size - 1)) * _FIELDS
            said += 1
            ring[at] = digest[2 * i]
            ring[at + 1] = digest[2 * i + 1]
            ring[at + 2] = sender[i]
            ring[at + 3] = receiver[i]
            ring[at + 4] = received[i]
            ring[at + 5] = 0
            ring[at + 6] = slots[slot]
            slots[slot] = said
    return said


class Dedupe:
    """Hides copies in a stream of rows, which come in the order of queries; ``hidden`` counts them."""

    def __init__(self, *, descending: bool, rows: int = ROWS) -> None:
        self.hidden = 0
        self._descending = descending
        self._ring = np.zeros(rows * _FIELDS, np.int64)
        self._slots = np.zeros(2 * rows, np.int64)
        self._said = 0
        self._codes: dict[str | None, int] = {}

    def __call__(self, rows: pa.Table) -> pa.Table:
        """The rows that are to be shown. They have ``COLUMNS`` and those of the order."""
        count = rows.num_rows
        shown = np.empty(count, np.uint8)
        flags = pc.fill_null(one_chunk(rows.column("flags")), 0).to_numpy(zero_copy_only=False)
        flagged = (flags & _MAYBE_RESENT != 0).astype(np.int64)
        identity, address = self._coded(rows.column("identity")), self._coded(rows.column("sender"))
        received = pc.coalesce(one_chunk(rows.column("received")), one_chunk(rows.column("time"))).cast(pa.int64())
        self._said = hide(
            _digests(raw_frames(rows)),
            np.where(identity == self._code(None), address, identity),
            2 * self._coded(rows.column("receiver")) + flagged,
            received.to_numpy(zero_copy_only=False),
            count,
            self._descending,
            self._said,
            self._ring,
            self._slots,
            shown,
        )
        hidden = count - int(shown.sum())
        self.hidden += hidden
        return rows.filter(as_array(shown.astype(np.bool_))) if hidden else rows

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


def _digests(frames: pa.BinaryArray) -> Int64:
    n = len(frames)
    if not n:
        return np.zeros(0, np.int64)
    offsets = np.frombuffer(frames.buffers()[1], np.int32)[frames.offset : frames.offset + n + 1]
    data = np.frombuffer(frames.buffers()[2] or b"", np.uint8)
    return digests(Batch(data, offsets[:-1], offsets[1:], np.zeros(n, np.int32)), _KEY)
