"""Reading the table's log, without a Delta library: ``load`` returns the newest version as a snapshot.

Layout below ``logs/_delta_log/``, a persistent format (Delta transaction log protocol, reader version 1, writer version 2,
https://github.com/delta-io/delta/blob/master/PROTOCOL.md)::

    <version, 20 digits>.json                              one commit: one JSON action a line (``log``), sealed (``chain``)
    <version>.checkpoint.parquet                           the table at that version: its files, txns, recent tombstones
    <version>.checkpoint.<part>.<parts>.parquet            the same in parts, complete only when all are there
    _last_checkpoint                                       a hint where to begin listing, nothing more

Constraint: a commit never changes once written. The caching in ``log.DeltaLog`` relies on that and on nothing else.

Write path: ``log`` for commits, ``maintenance`` for checkpoints. Deletion: the clean-up of ``maintenance``.

Read path: list, decode the newest checkpoint, then apply the commits after it in order (``fold``); of a version that is
known, list and apply only the commits after it. A listing is not one instant: a checkpoint may appear, and commits before it
may vanish, while it goes on. So when something does not fit together (a commit missing in between, an object gone before it
was read), the log is listed again; what is missing after a few listings is damage. A checkpoint that cannot be decoded, or
does not hold what its commits held, is passed over: an older one, or none, and the commits after it say the same.

Damage is no error: the snapshot holds what the rest of the log proves, and says what is damaged. A table that logsink did not
make, or that needs more than this reader knows, is refused with ``FormatError`` rather than misread. Nullable columns that a
newer logsink has added are accepted: receivers of two versions share a table during an upgrade, and old files simply lack the
column.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import orjson

from logsink.archive.chain import digest
from logsink.archive.concurrency import run_concurrently
from logsink.archive.fold import DamagedCheckpoint, Fold
from logsink.archive.snapshot import (
    HINT,
    LOG,
    ROOT,
    Snapshot,
    checkpoint_key,
    checkpoint_part,
    commit_key,
    commit_version,
)
from logsink.damage import Damage
from logsink.errors import FormatError, MediumError, NotFound
from logsink.store import MARKER, Store

_LISTINGS = 5
"""Listings that a load makes before it takes what is missing for lost; one fails only when the log changes while it goes on."""

_READS = 16
"""Most commits and checkpoint parts fetched at the same time."""

_CHECKPOINT_V2 = re.compile(r"[0-9]{20}\.checkpoint\.[0-9a-f-]{36}\.(?:json|parquet)")


async def load(
    store: Store,
    loaded: float,
    known: Snapshot | None = None,
    damaged: dict[int, DamagedCheckpoint] | None = None,
    hint: int | None = None,
) -> Snapshot:
    """Return the newest version of the table, from a listing made now. ``loaded`` is the monotonic time before the call.

    ``known`` is an earlier, intact snapshot of the same store: while its commit is still listed, only the commits after it are
    listed and read, and no checkpoint. ``damaged`` is the caller's record of damaged checkpoints, by version: they are passed
    over, and those that this call finds are logged and added. ``hint``: what ``read_hint`` said. Raises ``FormatError`` for a
    table that this version cannot read.
    """
    damaged = {} if damaged is None else damaged
    attempt = 0
    while True:
        if known is not None:
            after = known.version
        elif attempt or hint is None:
            after = await read_hint(store)
        else:
            after = hint
        listing = await _list(store, -1 if attempt else after, damaged)
        if known is not None and known.version not in listing.commits:
            known = None  # the log was cleaned up, or rolled back
            continue
        first, attempt = not attempt, attempt + 1
        if known is not None:
            base = known._replace(loaded=loaded)
        elif after > listing.checkpoint and first:
            continue  # the hint is wrong, or the checkpoint that it named is gone
        else:
            base = Snapshot(loaded=loaded)
        try:
            snapshot = await _read(store, listing, base, missing=attempt >= _LISTINGS)
        except NotFound:
            known = None
            continue
        except DamagedCheckpoint as error:
            from logsink import telemetry  # costs time, and a query needs it for nothing else

            telemetry.CHECKPOINT_DAMAGED.log(version=listing.checkpoint, error=error)
            damaged[listing.checkpoint] = error
            attempt = 1  # list all of the log; this ends, because each turn passes over one more checkpoint
            continue
        if known is not None and snapshot.damage:  # perhaps it was rolled back, and went on differently
            known, attempt = None, 1
            continue
        if snapshot.version < 0:
            return await _without_log(store, snapshot)
        if snapshot.damage and damaged:
            passed = [Damage(checkpoint_key(version), "cannot be used") for version in sorted(damaged)]
            return snapshot._replace(damage=(*snapshot.damage, *passed))
        return snapshot


async def follow(store: Store, known: Snapshot, loaded: float) -> Snapshot:
    """Return ``known``, an intact snapshot, brought up to the first version that is not there, without a listing.

    Each version costs a GET, a twelfth of what a listing costs. This sees neither that the log goes on behind a gap nor that it
    was cleaned up or rolled back: it is enough to see that a commit counts, never to commit or to delete anything by.
    """
    fold, version = Fold(known), known.version
    while (body := await _get(store, commit_key(version + 1), missing=True)) is not None:
        version += 1
        fold.commit(version, body)
    return fold.snapshot(version, known.checkpoint, loaded)


async def _without_log(store: Store, snapshot: Snapshot) -> Snapshot:
    """Return ``snapshot``, of no version: damaged when something shows that there was a table.

    That is a data file, or the store's marker, which is made after the table.
    """
    for prefix, there in ((f"{ROOT}date=", "data files are"), (MARKER, "the store's marker is")):
        async for entry in store.list(prefix):
            if (await _list(store, -1, ())).last >= 0:
                return await load(store, snapshot.loaded)  # another process has made the table meanwhile
            return snapshot._replace(damage=(Damage(LOG, f"is gone, and {there} there ({entry.key})"),))
    return snapshot


def read_checkpoint(body: bytes, version: int) -> Snapshot:
    """Return the table at ``version`` from ``body``, its checkpoint in one part. ``FormatError``: it is damaged."""
    fold = Fold(Snapshot())
    fold.checkpoint(body)
    return fold.snapshot(version, version, 0.0)


class _Listing(NamedTuple):
    """A listing of the log: versions of commits, the newest complete checkpoint that is not passed over (-1: none) with its
    keys in order (``parts``), and the last version, which may be that of a checkpoint that is passed over.
    """

    commits: frozenset[int]
    checkpoint: int
    parts: Sequence[str]
    last: int


async def read_hint(store: Store) -> int:
    """Return the version of a checkpoint that probably is the newest, or -1."""
    try:
        return int(orjson.loads(await store.get(HINT))["version"])
    except (NotFound, MediumError, orjson.JSONDecodeError, KeyError, TypeError, ValueError, OverflowError):
        return -1


async def _list(store: Store, start: int, without: Collection[int]) -> _Listing:
    """The log from version ``start`` on (-1: all of it), ``without`` the checkpoints of these versions."""
    commits: set[int] = set()
    parts: dict[tuple[int, int], list[str]] = {}
    async for entry in store.list(LOG, f"{LOG}{max(start, 0):020d}"):
        name = entry.key[len(LOG) :]
        if (version := commit_version(entry.key)) is not None:
            commits.add(version)
        elif (part := checkpoint_part(entry.key)) is not None:
            parts.setdefault(part, []).append(entry.key)
        elif _CHECKPOINT_V2.fullmatch(name):
            raise FormatError(
                "cannot read the table",
                f"its log has a checkpoint of the second kind, {name}",
                hint="another program upgraded the table; logsink needs one of Delta protocol (1, 2)",
            )
    complete = [key for key, keys in parts.items() if len(keys) == key[1]]
    newest = max((key for key in complete if key[0] not in without), default=(-1, 1))
    last = max(max(commits, default=-1), max(complete, default=(-1, 1))[0])
    return _Listing(frozenset(commits), newest[0], parts.get(newest, []), last)


async def _read(store: Store, listing: _Listing, base: Snapshot, *, missing: bool) -> Snapshot:
    """Return ``base`` (empty, or a known version) brought to the listing's last version.

    Raises ``NotFound`` when something is missing: list again. With ``missing`` that is damage.
    """
    start = base.version if base.version >= 0 else listing.checkpoint
    tail = range(start + 1, listing.last + 1)
    if not missing and not all(version in listing.commits for version in tail):
        raise NotFound("cannot read the table's log: its listing has a gap")
    newest = max(base.checkpoint, listing.checkpoint)
    if base.version >= 0 and not tail:
        return base._replace(checkpoint=newest)
    parts = [] if base.version >= 0 else list(listing.parts)
    proof = [listing.checkpoint] if parts and listing.checkpoint in listing.commits else []
    there = sorted(version for version in listing.commits if version in tail)
    keys = parts + [commit_key(version) for version in (*proof, *there)]
    bodies = await run_concurrently([partial(_get, store, key, missing) for key in keys], _READS)
    fold = Fold(base)
    try:
        for body in bodies[: len(parts)]:
            await asyncio.to_thread(fold.checkpoint, body or b"")
        if parts:
            fold.checkpointed(listing.checkpoint, bodies[len(parts)] if proof else None)
        commits = dict(zip(there, bodies[len(parts) + len(proof) :], strict=True))
        _apply(fold, commits, start, listing.last)
        return fold.snapshot(listing.last, newest, base.loaded)
    except DamagedCheckpoint as error:
        error.digest = digest(bodies[0] or b"")
        raise


def _apply(fold: Fold, commits: Mapping[int, bytes | None], start: int, last: int) -> None:
    """Bring ``fold``, which holds version ``start``, to version ``last`` with these commits, and note what is missing."""
    following = start + 1
    for version, body in commits.items():
        if body is None:
            continue
        if version > following:
            fold.lose(following, version - 1)
        fold.commit(version, body)
        following = version + 1
    if following <= last:
        fold.lose(following, last)


async def _get(store: Store, key: str, missing: bool) -> bytes | None:
    """Return an object: None where it is missing and that is allowed, nothing where the disk cannot read it."""
    try:
        return await store.get(key)
    except MediumError:
        return b""
    except NotFound:
        if missing:
            return None
        raise
