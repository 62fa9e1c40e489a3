"""Which store this is: the marker of a store is found, made for a new store, or restored, when a process begins to write.

A store is made only where nothing is: first the table, whose first commit names a new id, then the marker with this id. So of
processes that race, all find the id of the one that made the table; and where there is a marker, a table without a log is
damage, never a new store. A store that an older logsink made gets a marker with a new id. Where the marker was lost, commits or
segments name the id, and it is written again with that id. Where what is there contradicts itself, somebody has to look.
"""

from __future__ import annotations

import time

from logsink import __version__, telemetry
from logsink.archive.log import DeltaLog
from logsink.archive.snapshot import Snapshot
from logsink.errors import FormatError, NotFound, Withheld
from logsink.journal import SegmentName, list_segments, read_segment
from logsink.store import MARKER, Marker, Store, decode_marker, encode_marker, new_id, new_marker

_LANES = 8
"""Most lanes of the journal of which a segment is asked for the store's id."""

_PROBES = "probe/"
"""Prefix of objects that processes leave behind which were killed while they tried the store: they make no store."""

_REPAIR = "`logsink verify` says what is there, `logsink repair` writes the marker again"


async def require(store: Store) -> None:
    """Keep to the store that is here. Raises ``Withheld`` when none is; writes nothing."""
    try:
        await store.hold()
        if await _anything(store):
            return
    except NotFound:
        pass
    raise Withheld(
        f"cannot use {store.url}: there is no store, and none may be made",
        hint="mount its file system, or correct its URL; to make a new store there, run `logsink init`",
    )


async def identify(log: DeltaLog) -> Marker | None:
    """Return the marker of the store, None where it has none. Writes nothing, and raises what ``settle`` raises."""
    marker, damage = await _stored(log.store)
    if marker is not None or damage:
        _refuse_contradictions(log.store.url, marker, damage, {(await log.load()).store} - {""})
    return marker


async def settle(log: DeltaLog, *, create: bool) -> Marker:
    """Return the marker of the store, and have ``log`` commit with its id.

    Makes the store where there is none, if ``create`` is set, and otherwise raises ``Withheld``, as for a marker that is
    damaged, or contradicts commits or segments. Raises ``FormatError`` when this logsink cannot read the marker or the table.
    """
    store, created = log.store, False
    log.store_id = ""  # of an earlier try, since when another store may have come
    marker, damage = await _stored(store)
    if marker is None and not damage and not await _anything(store):
        if not create:
            await require(store)
        await log.create(new_id())
        created = True
    snapshot = await log.load()
    known = await _named(store, snapshot) if marker is None else {snapshot.store} - {""}
    _refuse_contradictions(store.url, marker, damage, known)
    if marker is None:
        marker = await _write(store, next(iter(known), "") or new_id())
        if created:
            telemetry.STORE_CREATED.log(store=store.url, id=marker.id)
        elif known and snapshot.version != 0:  # of version 0, another process is making it right now
            telemetry.MARKER_RESTORED.log(by="the table" if snapshot.store else "the journal", id=marker.id)
    log.store_id = marker.id
    return marker


async def _stored(store: Store) -> tuple[Marker | None, str]:
    """Return the marker, None where it is missing or damaged, and in what way it is damaged."""
    try:
        return decode_marker(await store.get(MARKER)), ""
    except NotFound:
        return None, ""
    except FormatError as error:
        if error.newer:
            raise
        return None, str(error)


async def _anything(store: Store) -> bool:
    """Return whether any object is in the store."""
    async for entry in store.list():
        if not entry.key.startswith(_PROBES):
            return True
    return False


async def _named(store: Store, snapshot: Snapshot) -> set[str]:
    """Return the ids that the table names, or else those that the last segments of some lanes name."""
    if snapshot.store:
        return {snapshot.store}
    last: dict[str, SegmentName] = {one.name.app_id: one.name for one in await list_segments(store)}
    named = set()
    for name in list(last.values())[-_LANES:]:
        try:
            named.add((await read_segment(store, name)).store_id)
        except (NotFound, FormatError):
            continue
    return named - {""}


def _refuse_contradictions(url: str, marker: Marker | None, damage: str, known: set[str]) -> None:
    """Raise ``Withheld`` unless the marker is not damaged, and nothing names another id."""
    named = f"{' and '.join(sorted(known))} by its table or journal" if known else "not known otherwise"
    if damage:
        raise Withheld(f"cannot use {url}: {damage}; the id of this store is {named}", hint=_REPAIR)
    if len(known) > 1 or (marker is not None and known - {marker.id}):
        ours = f"{marker.id} by its marker, and " if marker is not None else ""
        raise Withheld(f"cannot use {url}: the id of this store is {ours}{named}", hint=_REPAIR)


async def _write(store: Store, store_id: str) -> Marker:
    """Write the marker unless another process has, and return the one that is there."""
    marker = new_marker(store_id, f"logsink/{__version__}", time.time())
    await store.put_absent(MARKER, encode_marker(marker))
    found, damage = await _stored(store)
    if found is None:
        raise Withheld(f"cannot use {store.url}: {damage or f'{MARKER} was written and is not there'}", hint=_REPAIR)
    return found
