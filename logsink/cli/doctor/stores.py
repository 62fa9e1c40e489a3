"""Checks of a store: what the credentials permit, conditional puts, the clock, the marker and the table.

=============  =====================================================  ===========================================
program        does                                                   needs, below the store's prefix only
=============  =====================================================  ===========================================
``reader``     ``logsink query``, ``sql``, ``verify``                 s3:ListBucket, s3:GetObject
``receiver``   ``logsink serve``, which maintains the store as well   the same, s3:PutObject, s3:DeleteObject
``maintainer`` ``logsink maintain``, ``repair``                       the same, s3:PutObject, s3:DeleteObject
=============  =====================================================  ===========================================

With ``ledger.object_lock``, the last two need s3:PutObjectRetention as well, which is not tried: a lock cannot be taken back.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress

from logsink.archive import DeltaLog, identify
from logsink.cli.doctor.finding import Finding, failed
from logsink.errors import LogsinkError, NotFound, StoreError, Withheld
from logsink.place import Bucket
from logsink.store import MARKER, Store, least_policy

PROGRAMS = ("receiver", "maintainer", "reader")

SKEW = 30.0
"""Seconds that this machine's clock and the store's may differ: S3 refuses requests from 15 minutes on."""

_KEY = "probe/doctor"


def policy(place: Bucket, program: str) -> str:
    """Return the least IAM policy for one of ``PROGRAMS``, as JSON."""
    return least_policy(place.bucket, place.prefix, write=program != "reader")


async def store_findings(
    store: Store, program: str, policy: str = "", clock: Callable[[], float] = time.time
) -> AsyncIterator[Finding]:
    """Look at a store as one of ``PROGRAMS`` uses it; ``policy`` is named where rights are missing.

    Writes and deletes one object below ``probe/``, a reader nothing.
    """
    permitted = True
    async for right, error in _rights(store, program):
        if error is not None and not isinstance(error, Withheld):  # no bucket, no server: no right would help
            yield failed("store", store.url, error, error.hint or "see whether the server runs and can be reached")
            return
        if error is not None:
            permitted = False
            remedy = f"permit it; the least policy for a {program}: {policy}" if policy else error.hint
            yield failed("rights", f"{right} ({program})", error, remedy)
    if permitted:
        yield Finding("rights", f"all of a {program}", "ok", "tried one by one")
        if program != "reader":
            yield await _conditional(store)
    yield await _clock(store, clock)
    yield await _identity(store)


async def _rights(store: Store, program: str) -> AsyncIterator[tuple[str, StoreError | None]]:
    """Yield each right of ``program`` with the error of trying it, or None."""
    rights: dict[str, Callable[[], Awaitable[object]]] = {"s3:ListBucket": store.exists}
    if program == "reader":
        rights["s3:GetObject"] = lambda: store.get(MARKER)
    else:
        rights["s3:PutObject"] = lambda: store.put(_KEY, b"")
        rights["s3:GetObject"] = lambda: store.get(_KEY)
        rights["s3:DeleteObject"] = lambda: store.delete([_KEY])
    for right, attempt in rights.items():
        error: StoreError | None = None
        try:
            await attempt()
        except NotFound:
            pass  # another doctor has deleted it, or the put was not permitted
        except StoreError as refusal:
            error = refusal
        yield right, error


async def _conditional(store: Store) -> Finding:
    started = time.monotonic()
    try:
        await store.probe()
    except StoreError as error:
        return failed("conditional put", store.url, error)
    seconds = time.monotonic() - started
    return Finding(
        "conditional put", store.url, "ok", f"one of eight racing puts won ({seconds * 1000:.0f} ms)", "", seconds
    )


async def _clock(store: Store, clock: Callable[[], float]) -> Finding:
    try:
        skew = clock() - await store.now()
    except StoreError as error:
        return failed("clock", store.url, error)
    if abs(skew) <= SKEW:
        return Finding("clock", store.url, "ok", f"differs by {abs(skew):.0f} s from the store's")
    way = "ahead of" if skew > 0 else "behind"
    detail = f"this machine's clock is {abs(skew):.0f} s {way} the store's"
    return failed("clock", store.url, detail, "set the clock: chronyc makestep, or timedatectl set-ntp true")


async def _identity(store: Store) -> Finding:
    """Return which store it is; a table that is damaged is a failure, no store yet is not."""
    try:
        log = DeltaLog(store)
        marker, snapshot = await identify(log), await log.load()
    except LogsinkError as error:
        return failed("store", store.url, error)
    if snapshot.damage:
        return failed("store", store.url, f"its table is damaged: {snapshot.damage[0]}", "run `logsink verify`")
    if marker is None:
        return Finding("store", store.url, "warning", "nothing is there yet", "a receiver makes it, or `logsink init`")
    return Finding("store", store.url, "ok", f"{marker.id}, created {marker.created}, version {snapshot.version}")


async def store_id(store: Store) -> str:
    """Return the id of the store, '' where that cannot be read."""
    with suppress(LogsinkError):
        marker = await identify(DeltaLog(store))
        return marker.id if marker else ""
    return ""
