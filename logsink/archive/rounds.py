"""Archive rounds, for the archiver and for adoption: segments in, data files and one commit out.

::

    snapshot -> committable -> read (quarantine) -> parse -> write files -> PUT files -> commit (txn + add), from that snapshot

A commit covers, for each lane, exactly the sequences after the snapshot's txn up to its own, without a missing number (I3,
I4). A segment that no version can read is copied to ``quarantine/`` first; the commit records it as lost, and its lane goes on.
It does the same with segments that are proved to be missing (``missing``). File names are unique to each attempt: a round whose
commit loses leaves files behind, which ``retention`` removes later.
"""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import partial
from types import MappingProxyType
from typing import NamedTuple, Protocol

import numpy as np

from logsink import telemetry
from logsink.archive.concurrency import run_concurrently
from logsink.archive.file import NewFile, write_files
from logsink.archive.lanes import Interval, union
from logsink.archive.log import Action, Add, DeltaLog, Lost, Txn
from logsink.archive.snapshot import Snapshot
from logsink.damage import Damage
from logsink.errors import UPGRADE, Conflict, FormatError
from logsink.flags import Flag
from logsink.journal import Gap, Segment, SegmentName, read_segment, written_by_newer
from logsink.parse import RULES_VERSION, Frames, Origin, Settings, Workspace, parse
from logsink.platform.threads import background_thread

QUARANTINE = "quarantine/"
"""Prefix under which unreadable objects are kept, each below its own key."""

_PUTS = 4
"""Most data files put at the same time. There is one for each date, so nearly always there is one."""

ROWS, BYTES_PER_ROW = 1 << 18, 128
"""Most rows of a round that has more than one segment: one for each 128 bytes of ``archive.max_bytes``, but not less than
262,144. Parsing and writing a row takes 100 to 500 bytes of memory besides its frame, however short that is."""

NO_LOSSES: Mapping[str, int] = MappingProxyType({})

FRAMING = int(Flag.TRUNCATED | Flag.INCOMPLETE | Flag.INFLATED | Flag.MAYBE_RESENT | Flag.SENT_TWICE)
"""Flags that are counted where frames are received; the parser's flags are counted here."""


def most_rows(limits: Limits) -> int:
    """Return the most rows of a round that has more than one segment."""
    return max(ROWS, limits.max_bytes // BYTES_PER_ROW)


class Limits(Protocol):
    """The settings of section [archive], in bytes and seconds."""

    @property
    def max_bytes(self) -> int: ...
    @property
    def max_segments(self) -> int: ...
    @property
    def max_age(self) -> float: ...


class Committed(NamedTuple):
    """What one commit put into the table. ``lanes``: ``appId`` -> last sequence, the commit's ``txn`` actions."""

    version: int
    lanes: Mapping[str, int]
    segments: int
    rows: int
    files: int
    nbytes: int

    def check(self, snapshot: Snapshot) -> None:
        """Raise ``Conflict`` unless ``snapshot``, loaded after the commit, holds it.

        Another process may have cleaned the log beneath the commit, so that no reader ever sees its version.
        """
        for app_id, last in self.lanes.items():
            if snapshot.last(app_id) < last:
                raise Conflict(f"cannot find version {self.version} in the table: lane {app_id} is not at {last}")

    def report(self) -> None:
        """Count and log the commit."""
        telemetry.COMMITS.inc()
        telemetry.ARCHIVED_ROWS.inc(self.rows)
        telemetry.ARCHIVED_BYTES.inc(self.nbytes)
        fields = self._asdict() | {"bytes": self.nbytes}
        telemetry.COMMITTED.log(**{name: fields[name] for name in ("version", "rows", "segments", "files", "bytes")})


def committable(snapshot: Snapshot, names: Iterable[SegmentName], passed: Iterable[Gap] = ()) -> list[SegmentName]:
    """Return the segments that a commit on ``snapshot`` may cover, in the order of ``names``.

    These are, for each lane, the sequences right after ``Snapshot.last``, up to the first that is missing and not in one of
    ``passed``.
    ``names`` must have those of each lane in order.
    """
    beyond = {(gap.app_id, gap.first): gap.last for gap in passed}
    last: dict[str, int] = {}
    chosen = []
    for name in names:
        before = last.setdefault(name.app_id, snapshot.last(name.app_id))
        before = beyond.get((name.app_id, before + 1), before)
        if name.sequence == before + 1:
            last[name.app_id] = name.sequence
            chosen.append(name)
    return chosen


class Rounds:
    """Makes the archive's commits for one process, one at a time.

    Frames are gathered in a buffer that the next round uses again. ``close`` it at the end.
    """

    def __init__(self, log: DeltaLog) -> None:
        self.log = log
        self._thread = background_thread("archive")
        self._workspace = Workspace()
        self._lock = asyncio.Lock()

    def close(self) -> None:
        """End the thread, without waiting for a computation that cancelling left behind. No method may be called afterwards."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def read(self, name: SegmentName) -> Segment | None:
        """Read a segment; return None when no version can read it, after copying its bytes to quarantine.

        Raises ``NotFound`` when it is gone, ``FormatError`` when a newer logsink wrote it, which then has to archive it.
        """
        store = self.log.store
        try:
            segment = await self._read(name)
        except FormatError as error:
            body = await store.get(name.key)
            if written_by_newer(body):
                raise
            if await store.put_absent(QUARANTINE + name.key, body):
                telemetry.QUARANTINED.inc()
                telemetry.QUARANTINE.log(key=name.key, error=error)
            return None
        self.log.expect(segment.commit, segment.store_id)
        if segment.settings.parser > RULES_VERSION:
            raise FormatError(
                f"cannot archive segment {name.key}",
                f"it is to be parsed by version {segment.settings.parser} of the rules",
                hint=UPGRADE,
            )
        return segment

    async def _read(self, name: SegmentName) -> Segment:
        """Read a segment, twice if need be: what is stored decides about a loss, not what one request brought."""
        try:
            return await read_segment(self.log.store, name)
        except FormatError:
            return await read_segment(self.log.store, name)

    async def archive(
        self, snapshot: Snapshot, segments: dict[SegmentName, Segment | None], losses: Mapping[str, int] = NO_LOSSES
    ) -> Committed:
        """Commit the rows of ``segments`` (None: lost), which ``committable`` chose from one receiver's.

        ``losses``: what the commit records as lost, keys and numbers of rows (0: not known); it must have an entry for each
        segment that is None, and for each gap that ``committable`` passed over.
        ``segments`` is emptied, so that the memory of each segment is free as soon as its frames are gathered.
        Raises ``Damaged`` when a segment knows of a commit that the log has lost, and what ``DeltaLog.commit`` raises; after an
        error, and when cancelled, load a fresh snapshot and plan again.
        """
        lanes: dict[str, tuple[int, int]] = {}
        for name in segments:
            lanes[name.app_id] = snapshot.last(name.app_id) + 1, name.sequence
        (receiver,) = {name.receiver for name in segments}
        count = len(segments)
        if snapshot.version < max((one.commit for one in segments.values() if one is not None), default=-1):
            self.log.refuse_damage(await self.log.load(), f"archive segments of receiver {receiver}")
            raise Conflict(
                f"cannot archive on version {snapshot.version}: segments were stored when there was a later one"
            )
        readable = [segment for segment in segments.values() if segment is not None]
        segments.clear()
        async with self._lock:
            loop = asyncio.get_running_loop()
            # One thread: a computation that was cancelled from here still has the buffer, the next one waits for it.
            files, flagged = await loop.run_in_executor(self._thread, self._files, readable, lanes, receiver)
            store = self.log.store
            await run_concurrently([partial(store.put, new.file.key, memoryview(new.body)) for new in files], _PUTS)
            actions: list[Action] = [Txn(app_id, last) for app_id, (_, last) in lanes.items()]
            actions += [Lost(key, rows) for key, rows in losses.items()]
            actions += [Add(new.file) for new in files]
            version = await self.log.commit(snapshot, actions)
        telemetry.count_flags(flagged)
        for key, rows in losses.items():
            telemetry.LOSS.log(damage=Damage(key, "is lost", rows or None))
        rows, nbytes = sum(new.file.rows for new in files), sum(new.file.size for new in files)
        return Committed(version, {lane: last for lane, (_, last) in lanes.items()}, count, rows, len(files), nbytes)

    def _files(
        self, segments: list[Segment], lanes: Mapping[str, tuple[int, int]], receiver: str
    ) -> tuple[list[NewFile], Counter[int]]:
        """Return the segments' data files, and the number of frames by flags that the parser set. Runs in the thread."""
        files: list[NewFile] = []
        flagged: Counter[int] = Counter()
        for settings, (parts, held) in by_settings(segments).items():
            frames = gathered(parts, self._workspace)
            rows = parse(frames, settings, receiver, workspace=self._workspace)
            files += write_files(rows, lanes, receiver, uuid.uuid4().hex[:16], union(held))
            seen, counts = np.unique(rows.flags & ~FRAMING, return_counts=True)
            flagged.update(dict(zip(seen.tolist(), counts.tolist(), strict=True)))
        return files, flagged


Held = dict[str, list[Interval]]


def by_settings(segments: list[Segment]) -> dict[Settings, tuple[list[Frames], Held]]:
    """Return the segments' frames by the settings to parse them with, in the order in which they came, and their lanes.

    Empty ``segments``.
    """
    parts: dict[Settings, tuple[list[Frames], Held]] = {}
    filled = sorted((one for one in segments if len(one.frames)), key=lambda one: int(one.frames.received[0]))
    for one in filled + [one for one in segments if not len(one.frames)]:
        settings = one.settings if len(one.frames) else next(iter(parts), None)
        if settings is None:
            break  # not one frame in all of them
        frames, held = parts.setdefault(settings, ([], {}))
        frames += [one.frames] if len(one.frames) else []
        held.setdefault(one.name.app_id, []).append((one.name.sequence, one.name.sequence))
    segments.clear()
    return parts


def gathered(parts: list[Frames], workspace: Workspace) -> Frames:
    """Return all frames, in order, in arrays of ``workspace``; empty ``parts``. All of them must be less than 2 GiB."""
    if len(parts) == 1:
        return parts.pop()
    origins: dict[Origin, int] = {}
    rows, nbytes = sum(map(len, parts)), sum(part.nbytes for part in parts)
    data = workspace.array("round.data", nbytes, np.uint8)
    offsets = workspace.array("round.offsets", rows + 1, np.int32)
    flags = workspace.array("round.flags", rows, np.int32)
    received = workspace.array("round.received", rows, np.int64)
    origin = workspace.array("round.origin", rows, np.int32)
    row = filled = 0
    while parts:
        part = parts.pop(0)
        start, end = int(part.offsets[0]), int(part.offsets[-1])
        codes = np.array([origins.setdefault(one, len(origins)) for one in part.origins], np.int32)
        to = slice(row, row + len(part))
        data[filled : filled + end - start] = part.data[start:end]
        np.add(part.offsets[:-1], filled - start, out=offsets[to])
        flags[to], received[to], origin[to] = part.flags, part.received, codes[part.origin]
        row, filled = row + len(part), filled + end - start
    offsets[rows] = filled
    return Frames(data, offsets, flags, received, origin, tuple(origins))
