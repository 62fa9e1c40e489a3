"""Reading the journal: list its segments, and read one. Queries, the archiver and adoption do so."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from logsink.journal.segment import PREFIX, Segment, SegmentName, decode_segment
from logsink.store import Store


class StoredSegment(NamedTuple):
    """A segment in a listing: its name, bytes, and time of writing by the store's clock in seconds since the epoch."""

    name: SegmentName
    size: int
    modified: float


async def list_segments(store: Store) -> list[StoredSegment]:
    """Return every segment in the journal, sorted by receiver, lane and sequence. Other objects are passed over."""
    found = []
    async for entry in store.list(PREFIX):
        name = SegmentName.from_key(entry.key)
        if name is not None:
            found.append(StoredSegment(name, entry.size, entry.modified))
    return sorted(found)


async def read_segment(store: Store, name: SegmentName) -> Segment:
    """Read a segment.

    Raises ``NotFound`` when it is gone, because its rows are in the table by now: load a fresh snapshot. Raises ``FormatError``
    when its bytes cannot be read, or say that they are another segment.
    """
    return await asyncio.to_thread(decode_segment, await store.get(name.key), name)
