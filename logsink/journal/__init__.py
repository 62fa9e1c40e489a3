"""The journal: segments that no commit of the table covers yet, as objects ``journal/<receiver>/<lane>/<sequence>.arrow``.

Batches of frames enter; segments and "everything up to here is stored" leave, and segments are read back. Nothing here parses
a frame or touches the table.

- Format: ``segment`` has the layout of one object.
- Writing: ``fill`` copies batches into the next segment, ``writer`` stores segments in lanes, ``receiver_ids`` decides when a
  receiver has to go on under a new id.
- Reading: ``reader`` lists and reads segments; ``gaps`` finds numbers that are lost.

What reads segments is imported at once, what writes them when it is first asked for: a query needs none of that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from logsink.journal.gaps import Gap, find_gaps
from logsink.journal.reader import StoredSegment, list_segments, read_segment
from logsink.journal.segment import Segment, SegmentName, decode_segment, written_by_newer
from logsink.platform.lazy import exports

if TYPE_CHECKING:
    from logsink.journal.fill import FRAME_OVERHEAD, memory_use
    from logsink.journal.receiver_ids import ReceiverIds
    from logsink.journal.writer import CLOCK_TICK, Appended, Journal
else:
    __getattr__ = exports(
        __name__,
        {
            "fill": ("FRAME_OVERHEAD", "memory_use"),
            "receiver_ids": ("ReceiverIds",),
            "writer": ("CLOCK_TICK", "Appended", "Journal"),
        },
    )

__all__ = [
    "CLOCK_TICK",
    "FRAME_OVERHEAD",
    "Appended",
    "Gap",
    "Journal",
    "ReceiverIds",
    "Segment",
    "SegmentName",
    "StoredSegment",
    "decode_segment",
    "find_gaps",
    "list_segments",
    "memory_use",
    "read_segment",
    "written_by_newer",
]
