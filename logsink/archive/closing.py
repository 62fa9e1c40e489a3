"""Closing dates: once a date is over, its ledger is put (``ledger``), by any receiver or by ``logsink maintain``.

A date is over two hours after its end (UTC), when the journal has no segment left that may hold rows of it and no merge of its
files is due; a day after its end in any case. Then nothing is added to it any more, unless a receiver's clock is that wrong:
``logsink verify --ledger`` shows such rows as a difference.

Put-if-absent makes one ledger a date, whoever is first. While the table's log is damaged, no ledger is written.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from logsink import __version__, telemetry
from logsink.archive.compaction import end_of_date, plan
from logsink.archive.ledger import LEDGERS, Sign, digest_of, encode_ledger, key_of, ledger_date, make
from logsink.archive.log import DeltaLog
from logsink.archive.signing import signer
from logsink.archive.snapshot import Snapshot
from logsink.errors import ConfigError, NotFound
from logsink.journal import StoredSegment, list_segments
from logsink.place import Directory, parse

AFTER = 2 * 3600.0
"""Seconds after the end of a date from which it may be closed."""

AT_LATEST = 24 * 3600.0
"""Seconds after the end of a date at which it is closed although files of it are still to be merged."""


class Evidence(NamedTuple):
    """How ledgers are written: who signs them, and for how many seconds the store is to keep them (None: no lock)."""

    sign: Sign | None = None
    object_lock: float | None = None


class Keeping(Protocol):
    """The settings of section [ledger]; ``object_lock`` in seconds."""

    @property
    def sign_key(self) -> str | None: ...
    @property
    def object_lock(self) -> float | None: ...


def evidence(keeping: Keeping, store: str) -> Evidence:
    """Return how ledgers are written to the store at this URL. ``ConfigError``: the key, or a lock there, cannot be used.

    Settings that name a lock and a directory are no contradiction for those who only read: the directory may be a copy.
    """
    if keeping.object_lock is not None and isinstance(place := parse(store), Directory):
        raise ConfigError(
            f"cannot use ledger.object_lock with {place.url}: a directory has no S3 Object Lock",
            hint="leave ledger.object_lock out, or name a store in S3",
        )
    return Evidence(signer(Path(keeping.sign_key)) if keeping.sign_key is not None else None, keeping.object_lock)


class Unclosed(NamedTuple):
    """Dates that are over and have no ledger, the oldest first, and what was read to know that.

    ``ledgers``: dates that have one. ``now``: when it was looked, in seconds since the epoch.
    """

    dates: Sequence[datetime.date]
    snapshot: Snapshot
    ledgers: Sequence[datetime.date]
    now: float


async def dates_due(log: DeltaLog, *, compact_after: float, target: int) -> Unclosed:
    """Return the dates whose ledgers are due: none while the table's log is damaged. Changes nothing.

    ``compact_after``, ``target``: seconds and bytes, the settings by which files are merged.
    """
    now = await log.now()
    segments = await list_segments(log.store)
    snapshot = await log.load_for({one.name.receiver for one in segments})
    ledgers = [date async for entry in log.store.list(LEDGERS) if (date := ledger_date(entry.key)) is not None]
    found = over(snapshot, segments, now=now, compact_after=compact_after, target=target) if snapshot.intact else []
    return Unclosed([date for date in found if date not in ledgers], snapshot, ledgers, now)


async def close_dates(log: DeltaLog, evidence: Evidence, *, compact_after: float, target: int) -> list[datetime.date]:
    """Put the ledgers that are due (``dates_due``), the oldest first; return their dates. Raises ``Damaged``."""
    due = await dates_due(log, compact_after=compact_after, target=target)
    log.refuse_damage(due.snapshot, "write a ledger")
    ledgers, closed = list(due.ledgers), []
    for date in due.dates:
        if await _close(log, due.snapshot, date, evidence, ledgers, due.now):
            closed.append(date)
        ledgers.append(date)  # whoever wrote it: the next one names it
    return closed


def over(
    snapshot: Snapshot, segments: Sequence[StoredSegment], *, now: float, compact_after: float, target: int
) -> list[datetime.date]:
    """Return the dates with proved files to which nothing is added any more, the oldest first. ``segments``: listed before."""
    left = min((one.modified for one in segments if not snapshot.covers(one.name)), default=now)
    proved = {file.date for file in snapshot.files.values() if file.packed}
    due = plan(snapshot.files.values(), closed=now - compact_after, target=target)
    merging = {group[0].date for group in due}
    dates = []
    for date in sorted(proved):
        end = end_of_date(date)
        settled = left >= end + AFTER / 2 and date not in merging
        if now >= end + AFTER and (settled or now >= end + AT_LATEST):
            dates.append(date)
    return dates


async def _close(
    log: DeltaLog,
    snapshot: Snapshot,
    date: datetime.date,
    evidence: Evidence,
    ledgers: Sequence[datetime.date],
    now: float,
) -> bool:
    """Put the ledger of one date; return whether this call did."""
    previous = await _previous(log, [one for one in ledgers if one < date])
    written = datetime.datetime.fromtimestamp(now, datetime.UTC).isoformat(timespec="seconds")
    ledger = make(
        snapshot,
        date,
        store=log.store_id or snapshot.store,
        by=f"logsink/{__version__}",
        written=written,
        previous=previous,
    )
    body = encode_ledger(ledger, evidence.sign)
    if evidence.object_lock is None:
        done = await log.store.put_absent(key_of(date), body)
    else:
        done = await log.store.put_locked(key_of(date), body, until=now + evidence.object_lock)
    if done:
        telemetry.LEDGERS.inc()
        telemetry.CLOSED.log(date=date, rows=ledger.rows, files=len(ledger.objects))
    return done


async def _previous(log: DeltaLog, earlier: Sequence[datetime.date]) -> tuple[str, str] | None:
    """Return date and SHA-256 of the newest of the ledgers of these dates; None where there is none."""
    if not earlier:
        return None
    newest = max(earlier)
    try:
        return newest.isoformat(), digest_of(await log.store.get(key_of(newest)))
    except NotFound:
        return None
