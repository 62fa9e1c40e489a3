"""Segments that are missing from the journal: the proof that they are lost, before a commit passes over them.

A lane's numbers have no gap above its txn (I2), and only what a durable commit covers is deleted (I6). So, where the journal is
listed first and the table's log is read then, a number that is not listed although a later one is stored is lost.

There is one other cause: the log has lost its newest commits, and with them the txn that covered the gap. Then the rows are in
data files that no commit names any more, and a commit that passed over the gap would make garbage of them. So nothing passes
over a gap while there is a data file that holds it and whose commit could be made now: ``logsink repair`` does that.

Segments also say which commit their receiver knew of (``Segment.commit``). A process that begins looks at the newest ones
(``expect_commits``), so that it finds out that commits are lost before it writes others in their place.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import suppress
from functools import partial

from logsink.archive.concurrency import run_concurrently
from logsink.archive.file import NAME
from logsink.archive.log import DeltaLog
from logsink.archive.retention import commit_needs
from logsink.archive.snapshot import ROOT, Snapshot
from logsink.damage import Damage
from logsink.errors import Damaged, FormatError, NotFound
from logsink.journal import Gap, SegmentName, StoredSegment, find_gaps, list_segments, read_segment

MOST = 1 << 20
"""Most numbers that may be missing in one place. More are no lost segments: this is not the log that these lanes belong to."""


_READS = 4
"""Most segments read at the same time."""


class Unsure(Damaged):
    """Raised when segments are missing, and their rows may be in the archive all the same."""

    def __init__(self, damage: Damage, *, hint: str = "") -> None:
        super().__init__(f"cannot archive beyond {damage}", hint=hint)
        self.damage = damage


async def expect_commits(log: DeltaLog, stored: Sequence[StoredSegment]) -> None:
    """Read the newest segment of each receiver that can be read, and have ``log`` expect the commit that it knows of.

    What a receiver knows of grows from segment to segment, whatever their lanes: so the newest one names the newest commit, or
    one of the last few, where several were on their way at once. ``Rounds.read`` looks at each segment that is archived.
    """
    ends = {one.name.app_id: one for one in stored}
    receivers: dict[str, list[SegmentName]] = {}
    for end in sorted(ends.values(), key=lambda one: one.modified, reverse=True):
        receivers.setdefault(end.name.receiver, []).append(end.name)

    async def look(names: Sequence[SegmentName]) -> None:
        for name in names:
            with suppress(NotFound, FormatError):  # damaged ones are found when their turn comes
                segment = await read_segment(log.store, name)
                log.expect(segment.commit, segment.store_id)
                return

    await run_concurrently([partial(look, names) for names in receivers.values()], _READS)


async def prove_missing(
    log: DeltaLog, names: Collection[SegmentName], held: Collection[SegmentName] = ()
) -> tuple[Snapshot, list[Gap]]:
    """Return a fresh snapshot, and which numbers of the lanes of ``names`` are lost, up to the last that is known.

    ``names`` are of one receiver, and were stored once; those in ``held`` need not be in the journal any more.
    Raises ``Unsure`` when the missing ones may be in the archive all the same, ``Damaged`` when the log is damaged.
    """
    (receiver,) = {name.receiver for name in names}
    there = {one.name for one in await list_segments(log.store) if one.name.receiver == receiver} | set(held)
    snapshot = await log.load_for([receiver])
    log.refuse_damage(snapshot, f"archive what receiver {receiver} has stored")
    # Every number up to the last of ``names`` was stored before the journal was listed.
    ends = {name.app_id: name.sequence for name in sorted(names)}
    gaps = find_gaps(sorted(there), snapshot.reached, ends)
    if gaps:
        await _refuse_uncommitted(log, snapshot, receiver, gaps)
    return snapshot, gaps


async def _refuse_uncommitted(log: DeltaLog, snapshot: Snapshot, receiver: str, gaps: Sequence[Gap]) -> None:
    """Raise ``Unsure`` when a data file holds rows of ``gaps``, and a commit that was lost may have put it into the table."""
    far = next((gap for gap in gaps if gap.last - gap.first >= MOST), None)
    if far is not None:
        raise Unsure(far.damage, hint="so many do not vanish: is this another table than the one that they belong to?")
    async for entry in log.store.list(f"{ROOT}date="):
        path = entry.key.removeprefix(ROOT)
        known = path in snapshot.files or path in snapshot.tombstones
        if known or NAME.fullmatch(path) is None or not path.rpartition("/")[2].startswith(f"{receiver}-"):
            continue
        try:
            lanes = (await commit_needs(log.store, entry.key)).lanes
        except (FormatError, NotFound):
            continue
        if any(snapshot.last(lane) >= first for lane, (first, _) in lanes.items()):
            continue  # its commit has lost, and its segments were archived by another one
        for gap in gaps:
            first, last = lanes.get(gap.app_id, (1, 0))
            if first <= gap.last and gap.first <= last:
                raise Unsure(
                    Damage(
                        gap.key, f"is missing from the journal; data file {entry.key}, which no commit names, holds it"
                    ),
                    hint="has the table's log lost its newest commits? `logsink repair` puts the file into the table",
                )
