"""Adoption: a receiver archives segments that receivers which are gone have left in the journal, under the same ``appId``.

A segment older than ``orphan_after`` counts as left behind. That is a guess by the clock, and only decides when somebody
tries: its owner may wake up, two adopters may try at once, and in each case the lane's txn lets one commit through and turns
the others back. A lane is archived up to the first number that is missing (none is, as long as I2 holds).

Segments whose rows are in the table already are deleted: their owner ended before it could do so.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from logsink import telemetry
from logsink.archive.archiver import LINGER
from logsink.archive.rounds import Limits, Rounds, committable, most_rows
from logsink.archive.snapshot import Snapshot
from logsink.errors import Conflict, FormatError, NotFound
from logsink.journal import Segment, SegmentName, StoredSegment, list_segments


class Adopted(NamedTuple):
    """Numbers of segments that ``adopt`` archived, and deleted."""

    archived: int = 0
    deleted: int = 0


async def adopt(rounds: Rounds, limits: Limits, *, orphan_after: float, own: Collection[str] = ()) -> Adopted:
    """Archive, then delete, segments older than ``orphan_after`` seconds of receivers other than ``own``.

    Raises what the store raises. To lose a race against another process is no error: what is left waits for the next call.
    """
    log = rounds.log
    stored = await list_segments(log.store)
    before = await log.store.now() - orphan_after
    old = [one for one in stored if one.modified < before and one.name.receiver not in own]
    if not old:
        return Adopted()
    snapshot = await log.create()
    log.refuse_damage(snapshot, "archive what other receivers have left")
    archived = 0
    for receiver in dict.fromkeys(one.name.receiver for one in old):
        names = [one.name for one in old if one.name.receiver == receiver]
        archived += await _archive(rounds, limits, snapshot, names)
    return Adopted(archived, await _delete_covered(rounds, old))


async def _archive(rounds: Rounds, limits: Limits, snapshot: Snapshot, names: Sequence[SegmentName]) -> int:
    """Commit one receiver's segments, in as many rounds as the limits ask for, and return how many were archived."""
    # Lanes fill at about the same pace: by sequence first, a round holds rows of about the same time.
    left = sorted((name for name in names if not snapshot.covers(name)), key=lambda name: (name.sequence, name.lane))
    archived = 0
    while chosen := committable(snapshot, left):
        try:
            segments = await _read(rounds, limits, chosen)
            if not segments:
                return archived
            committed = await rounds.archive(snapshot, segments)
            snapshot = await rounds.log.load()
            committed.check(snapshot)
        except (Conflict, NotFound):
            telemetry.ARCHIVE_CONFLICTS.inc()
            return archived  # another process archives this receiver's segments
        committed.report()
        telemetry.ADOPTED.inc(committed.segments)
        telemetry.ADOPTION.log(segments=committed.segments, receiver=chosen[0].receiver)
        archived += committed.segments
        left = [name for name in left if not snapshot.covers(name)]
    return archived


async def _read(rounds: Rounds, limits: Limits, names: Sequence[SegmentName]) -> dict[SegmentName, Segment | None]:
    """Read the first of these segments, within the limits, up to one that only a newer logsink can read.

    None stands for a segment that was moved to quarantine.
    """
    found: dict[SegmentName, Segment | None] = {}
    total = rows = 0
    for name in names[: limits.max_segments]:
        try:
            segment = await rounds.read(name)
        except FormatError as error:
            telemetry.ARCHIVE_FAILED.log(error=error)
            break
        if segment is not None:
            total, rows = total + segment.frames.nbytes, rows + len(segment.frames)
        if found and (total > limits.max_bytes or rows > most_rows(limits)):
            break
        found[name] = segment
    return found


async def _delete_covered(rounds: Rounds, old: Sequence[StoredSegment]) -> int:
    """Delete the segments whose lanes a fresh snapshot has held for ``LINGER`` seconds (I6), and return how many."""
    snapshot = await rounds.log.load()
    rounds.log.refuse_damage(snapshot, "delete segments")
    now = await rounds.log.store.now()
    settled = {app_id for app_id, moved in snapshot.moved.items() if moved / 1000 <= now - LINGER}
    done = [one.name for one in old if snapshot.covers(one.name) and one.name.app_id in settled]
    if done:
        await rounds.log.store.delete([name.key for name in done])
        telemetry.DELETED.inc(len(done))
    return len(done)
