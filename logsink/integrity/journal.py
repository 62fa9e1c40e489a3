"""The check of the journal: each segment proves itself, no lane has a gap, and what is archived is held by a live data file."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from logsink.archive import Lanes, Snapshot, lanes_missing, lanes_union, run_concurrently
from logsink.errors import FormatError, MediumError, NotFound
from logsink.journal import SegmentName, StoredSegment, decode_segment, written_by_newer
from logsink.store import Store

_HOUR = 3_600_000_000
"""Microseconds."""

_READS = 8
"""Most segments read at the same time, of at most some 16 MiB each."""


@dataclass
class Journal:
    """What the segments of a journal say.

    damaged   what is wrong with each segment that does not prove itself
    unread    those among them that the disk cannot read
    gone      segments that were deleted before they were read
    stores    ids of stores that segments name, and how many name each
    newest    the newest version of the table that a segment knows of, -1 when none says one
    stored    ``appId`` -> the last sequence that is known to have been stored in that lane
    rows      the number of rows of each segment that can be read
    hours     the same by hour of receipt (``YYYY-MM-DDTHH``)
    """

    damaged: dict[SegmentName, str] = field(default_factory=dict)
    unread: set[SegmentName] = field(default_factory=set)
    gone: set[SegmentName] = field(default_factory=set)
    stores: dict[str, int] = field(default_factory=dict)
    newest: int = -1
    stored: dict[str, int] = field(default_factory=dict)
    rows: dict[SegmentName, int] = field(default_factory=dict)
    hours: dict[SegmentName, dict[str, int]] = field(default_factory=dict)

    def waiting(self, snapshot: Snapshot) -> Mapping[str, int]:
        """Return by hour how many rows are in the journal that the table does not have yet."""
        found = Counter[str]()
        for name, hours in self.hours.items():
            if not snapshot.covers(name):
                found.update(hours)
        return found


async def read_journal(store: Store, segments: Sequence[StoredSegment]) -> Journal:
    """Read and prove each segment."""
    found = Journal()
    await run_concurrently([partial(_read, store, one.name, found) for one in segments], _READS)
    return found


async def _read(store: Store, name: SegmentName, found: Journal) -> None:
    try:
        body = await store.get(name.key)
    except NotFound:
        found.gone.add(name)
        return
    except MediumError as error:
        found.unread.add(name)
        found.damaged[name] = f"cannot be read: {error.why}"
        return
    try:
        segment = await asyncio.to_thread(decode_segment, body, name)
    except FormatError as error:
        if not written_by_newer(body):
            found.damaged[name] = f"cannot be read: {error.why}"
        return
    found.rows[name] = len(segment.frames)
    hours, counts = np.unique(segment.frames.received // _HOUR, return_counts=True)
    found.hours[name] = dict(zip(hours.astype("datetime64[h]").astype(str).tolist(), counts.tolist(), strict=True))
    found.newest = max(found.newest, segment.commit)
    for app_id, sequence in segment.stored.items():
        found.stored[app_id] = max(found.stored.get(app_id, 0), sequence)
    if segment.store_id:
        found.stores[segment.store_id] = found.stores.get(segment.store_id, 0) + 1


def uncovered(names: Iterable[SegmentName], snapshot: Snapshot, held: Lanes, lost: Lanes) -> Iterator[SegmentName]:
    """Yield the segments that the table claims to hold, and whose rows no live data file holds.

    ``held``: what live files hold, ``lost``: what is recorded as lost. Nothing is known of lanes that are in neither.
    """
    for name in names:
        known = held.get(name.app_id)
        if known is None or not snapshot.covers(name):
            continue
        either = lanes_union({name.app_id: known}, {name.app_id: lost.get(name.app_id, ())})
        if any(lanes_missing(either, name.app_id, name.sequence, name.sequence)):
            yield name
