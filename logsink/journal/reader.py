"""Reading the journal back: what is there, and one segment. For queries, the archiver, and adoption."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from logsink.errors import FormatError
from logsink.journal.segment import PREFIX, Segment, SegmentName, decode_segment
from logsink.store import Store


class StoredSegment(NamedTuple):
    """A segment as the listing shows it: ``modified`` is the store's clock, seconds since the epoch."""

    name: SegmentName
    size: int
    modified: float


async def list_segments(store: Store) -> list[StoredSegment]:
    """Every segment in the journal, by receiver, lane, and then sequence. Keys that are no segment's are passed over."""
    found = []
    async for entry in store.list(PREFIX):
        name = SegmentName.from_key(entry.key)
        if name is not None:
            found.append(StoredSegment(name, entry.size, entry.modified))
    return sorted(found)


async def read_segment(store: Store, name: SegmentName) -> Segment:
    """The segment stored as ``name``. ``NotFound`` when it is gone: its rows are in the table by now, load a snapshot afresh.

    ``FormatError`` when its bytes cannot be read, or say that they are another segment.
    """
    segment = await asyncio.to_thread(decode_segment, await store.get(name.key))
    if segment.name != name:
        raise FormatError(f"cannot read segment {name.key}: it says it is {segment.name.key}")
    return segment
