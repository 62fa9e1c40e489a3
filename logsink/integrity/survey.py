"""What there is in a store: listings, and one snapshot of the table that is younger than they are.

The order matters. A data file that was put before its listing is committed by the snapshot, or its segments are still in the
journal. A segment that was stored before its listing is in it, or covered by the snapshot.
"""

from __future__ import annotations

from typing import NamedTuple

from logsink.archive import DORMANT_PREFIX, QUARANTINE, ROOT, DataFile, DeltaLog, Snapshot
from logsink.errors import NotFound
from logsink.journal import StoredSegment, list_segments
from logsink.store import Entry, Store


class Survey(NamedTuple):
    """Listings of a store, and its table.

    data         data files by path, whether the log knows them or not
    quarantine   keys of objects that were set aside
    segments     segments of the journal, sorted
    snapshot     the table, with all dormant lanes looked up
    dormant      keys of objects of dormant lanes, whether the log names them or not
    """

    data: dict[str, Entry]
    quarantine: list[str]
    segments: list[StoredSegment]
    snapshot: Snapshot
    dormant: list[str]

    @property
    def live(self) -> list[DataFile]:
        """Live files, the oldest date first."""
        return sorted(self.snapshot.files.values(), key=lambda file: (file.date, file.path))


async def survey(log: DeltaLog) -> Survey:
    """List everything, then load the table. Raises ``NotFound`` where there is no store."""
    store = log.store
    if not await store.exists():
        raise NotFound(f"cannot find a store at {store.url}", hint="name another one with --store")
    data = {entry.key.removeprefix(ROOT): entry async for entry in store.list(f"{ROOT}date=")}
    quarantine = [entry.key async for entry in store.list(QUARANTINE)]
    segments = await list_segments(store)
    dormant = [entry.key async for entry in store.list(DORMANT_PREFIX)]
    return Survey(data, quarantine, segments, await log.wake(await log.load(), None), dormant)


async def get_or_none(store: Store, key: str, start: int = 0, end: int | None = None) -> bytes | None:
    """Return bytes of an object; None when it is missing."""
    try:
        return await store.get(key, start, end)
    except NotFound:
        return None
