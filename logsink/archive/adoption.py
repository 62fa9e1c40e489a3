"""Adoption: a receiver archives segments that receivers which are gone have left in the journal, under the same ``appId``.

A segment older than ``orphan_after`` counts as left behind. That is a guess by the clock, and only decides when somebody
tries: its owner may wake up, two adopters may try at once, and in each case the lane's txn lets one commit through and turns
the others back. A lane is archived up to the first number that is missing (none is, as long as I2 holds). Of a receiver that
has stored nothing for ``orphan_after``, numbers that are proved to be lost (``missing``) are passed over by a commit that says
so: a receiver that is only slow has them in memory, and archives them before that.

Segments whose rows are proved to be in the table already (``coverage``) are deleted: their owner ended before it could do so.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from logsink import telemetry
from logsink.archive.archiver import LINGER
from logsink.archive.coverage import UNPROVED, Coverage
from logsink.archive.missing import Unsure, expect_commits, prove_missing
from logsink.archive.rounds import Limits, Rounds, committable, most_rows
from logsink.archive.snapshot import Snapshot
from logsink.damage import Damage
from logsink.errors import Conflict, FormatError, MediumError, NotFound
from logsink.journal import Gap, Segment, SegmentName, StoredSegment, list_segments


class Adopted(NamedTuple):
    """Numbers of segments that ``adopt`` archived, and deleted; segments and gaps that it found damaged."""

    archived: int = 0
    deleted: int = 0
    damage: tuple[Damage, ...] = ()


async def adopt(
    rounds: Rounds, limits: Limits, *, orphan_after: float, own: Collection[str] = (), delete: bool = True
) -> Adopted:
    """Archive, then ``delete``, segments older than ``orphan_after`` seconds of receivers other than ``own``.

    Raises what the store raises. To lose a race against another process is no error: what is left waits for the next call.
    """
    log = rounds.log
    stored = await list_segments(log.store)
    before = await log.store.now() - orphan_after
    old = [one for one in stored if one.modified < before and one.name.receiver not in own]
    if not old:
        return Adopted()
    await expect_commits(log, old)
    snapshot = await log.wake(await log.create(), {one.name.receiver for one in old})
    log.refuse_damage(snapshot, "archive what other receivers have left")
    archived, damage = 0, list[Damage]()
    young = {one.name.receiver for one in stored if one.modified >= before}
    for receiver in dict.fromkeys(one.name.receiver for one in old):
        names = [one.name for one in old if one.name.receiver == receiver]
        try:
            archived += await _archive(rounds, limits, snapshot, names, damage, gone=receiver not in young)
        except Unsure as error:
            damage.append(error.damage)
    deleted, unproved = await _delete_covered(rounds, old) if delete else (0, [])
    return Adopted(archived, deleted, (*damage, *unproved))


async def _archive(
    rounds: Rounds,
    limits: Limits,
    snapshot: Snapshot,
    names: Sequence[SegmentName],
    damage: list[Damage],
    *,
    gone: bool,
) -> int:
    """Commit one receiver's segments, in as many rounds as the limits ask for, and return how many were archived.

    What is recorded as lost is added to ``damage``. ``gone``: gaps may be passed over.
    """
    # Lanes fill at about the same pace: by sequence first, a round holds rows of about the same time.
    left = sorted((name for name in names if not snapshot.covers(name)), key=lambda name: (name.sequence, name.lane))
    said: dict[str, int] = {}
    archived = 0
    while left or (gone and any(last > snapshot.last(lane) for lane, last in said.items())):
        gaps: Sequence[Gap] = ()
        chosen = committable(snapshot, left)
        if not chosen and gone:
            ends = [SegmentName(names[0].receiver, int(lane.rpartition(".")[2]), last) for lane, last in said.items()]
            snapshot, gaps = await prove_missing(rounds.log, left + ends)
            chosen = committable(snapshot, left, gaps)
        try:
            segments = await _read(rounds, limits, chosen, damage)
            if not segments:
                segments = dict.fromkeys(_ends(gaps, snapshot, left))
            if not segments:
                return archived
            for segment in segments.values():
                for lane, last in (segment.stored if segment is not None else {}).items():
                    said[lane] = max(last, said.get(lane, 0))
            losses = _losses(segments, gaps)
            committed = await rounds.archive(snapshot, segments, losses)
            snapshot = await rounds.log.load_for([names[0].receiver])
            rounds.log.refuse_damage(snapshot, "archive what other receivers have left")
            committed.check(snapshot)
        except (Conflict, NotFound):
            telemetry.ARCHIVE_CONFLICTS.inc()
            return archived  # another process archives this receiver's segments
        damage += [Damage(key, "is lost") for key in losses]
        committed.report()
        telemetry.ADOPTED.inc(committed.segments)
        telemetry.ADOPTION.log(segments=committed.segments, receiver=names[0].receiver)
        archived += committed.segments
        left = [name for name in left if not snapshot.covers(name)]
    return archived


def _ends(gaps: Sequence[Gap], snapshot: Snapshot, left: Sequence[SegmentName]) -> list[SegmentName]:
    """Return the last number of each gap with which a lane ends: another lane's segment says that it was stored."""
    lanes = {name.app_id for name in left}
    return [
        SegmentName(gap.receiver, gap.lane, gap.last)
        for gap in gaps
        if gap.app_id not in lanes and gap.first == snapshot.last(gap.app_id) + 1
    ]


def _losses(segments: Mapping[SegmentName, Segment | None], gaps: Sequence[Gap]) -> dict[str, int]:
    """Return what the commit of ``segments`` records as lost: those in quarantine, and gaps before one of its segments."""
    reached = {(name.receiver, name.lane): name.sequence for name in segments}
    losses = {gap.key: 0 for gap in gaps if gap.first <= reached.get((gap.receiver, gap.lane), 0)}
    ends = {(gap.receiver, gap.lane, gap.last) for gap in gaps}
    return losses | {name.key: 0 for name, segment in segments.items() if segment is None and name not in ends}


async def _read(
    rounds: Rounds, limits: Limits, names: Sequence[SegmentName], damage: list[Damage]
) -> dict[SegmentName, Segment | None]:
    """Read the first of these segments, within the limits, up to one that only a newer logsink can read, or the disk cannot.

    None stands for a segment that was moved to quarantine. One that the disk cannot read is added to ``damage``.
    """
    found: dict[SegmentName, Segment | None] = {}
    total = rows = 0
    for name in names[: limits.max_segments]:
        try:
            segment = await rounds.read(name)
        except FormatError as error:
            telemetry.ARCHIVE_FAILED.log(error=error)
            if isinstance(error, MediumError):
                damage.append(Damage(name.key, f"stays in the journal: {error}"))
            break
        if segment is not None:
            total, rows = total + segment.frames.nbytes, rows + len(segment.frames)
        if found and (total > limits.max_bytes or rows > most_rows(limits)):
            break
        found[name] = segment
    return found


async def _delete_covered(rounds: Rounds, old: Sequence[StoredSegment]) -> tuple[int, list[Damage]]:
    """Delete the segments whose lanes have stood for ``LINGER`` seconds in a fresh snapshot that proves their rows (I6).

    Return how many, and those whose rows are said to be archived and are not.
    """
    snapshot = await rounds.log.load_for({one.name.receiver for one in old})
    rounds.log.refuse_damage(snapshot, "delete segments")
    before = (await rounds.log.store.now() - LINGER) * 1000
    # Of a lane without a time, which is dormant, the last commit is long past.
    settled = [one.name for one in old if snapshot.moved.get(one.name.app_id, 0) <= before]
    due = [name for name in settled if snapshot.covers(name)]
    coverage = Coverage(snapshot, {name.receiver for name in due})
    done = [name for name in due if coverage.proves(name)]
    if done:
        await rounds.log.store.delete([name.key for name in done])
        telemetry.DELETED.inc(len(done))
    unproved = [Damage(name.key, f"stays in the journal: {UNPROVED}") for name in sorted(set(due).difference(done))]
    return len(done), unproved
