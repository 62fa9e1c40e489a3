"""Clean-up of the table's log: commits and checkpoints of versions that nobody reads any more are deleted.

::

    list the log from its beginning -> objects older than KEPT, up to the first younger one -> behind a checkpoint: delete them

Law: an object goes only when all of this is so.
  - It is older than ``KEPT``, as are all objects before it: the listing is read no further than that, so it costs one request
    where nothing is to be done, whatever the length of the log.
  - Its version is below that of a checkpoint which is ``SETTLED``: written so long ago that who wrote it has read it back, has
    forced it to the disk, or has deleted it again. The commit of the checkpoint's version stays, because it proves it.
  - A snapshot of which every object was just read anew is intact, and was read from that checkpoint or a later one.

So every version from the checkpoint's on can be read as before. Version 0 and checkpoints go first, and commits when these are
gone: whatever the log begins with then, every later version is there. Any number of processes may do this at once, and be
stopped anywhere: what is left is older than ``KEPT`` too, and goes the next time. Of several receivers nearly always one does
it: each leaves the log alone while its oldest object is not ``OVERDUE``, and who cleans up, cleans up all of it.
"""

from __future__ import annotations

import re
from typing import Final

from logsink.archive.log import DeltaLog
from logsink.archive.snapshot import LOG, commit_key

KEPT: Final = 30 * 86_400.0
"""Seconds for which versions are kept: ``delta.logRetentionDuration`` of the table."""

OVERDUE: Final = 3600.0
"""Seconds beyond ``KEPT`` before a process begins, unless it is told to be thorough."""

SETTLED: Final = 3600.0
"""Seconds after which a checkpoint is not young any more."""

MOST: Final = 100_000
"""Most objects that are deleted at once."""

_NUMBERED = re.compile(r"([0-9]{20})\.(json|checkpoint\.parquet|checkpoint\.[0-9]{10}\.[0-9]{10}\.parquet)")
_WHOLE = "checkpoint.parquet"


async def clean_log(log: DeltaLog, *, thorough: bool = True) -> int:
    """Delete what is old in the log; return the number of objects.

    Not ``thorough``: only where another process has not done so lately. Raises ``Damaged`` when the log is damaged: nothing is
    deleted.
    """
    now = await log.now()
    old, behind = await _old(log, now, overdue=0.0 if thorough else OVERDUE)
    if not any(version < behind for version, _ in old):
        return 0
    snapshot = await log.load_anew()  # every commit and checkpoint that counts is read again, and proved
    log.refuse_damage(snapshot, "clean up the log")
    behind = min(behind, snapshot.checkpoint)
    gone = [(version, key) for version, key in old if version < behind]
    begins = [key for version, key in gone if version == 0 or key != commit_key(version)]
    await log.store.delete(begins)  # first what the log may begin with: so it has no hole, wherever this is stopped
    await log.store.delete(sorted({key for _, key in gone}.difference(begins)))
    return len(gone)


async def _old(log: DeltaLog, now: float, *, overdue: float) -> tuple[list[tuple[int, str]], int]:
    """Return version and key of the log's old objects, and the version of the last settled checkpoint up to their end.

    Return nothing while the oldest is younger than ``KEPT`` and ``overdue`` seconds.
    """
    old: list[tuple[int, str]] = []
    behind = -1
    async for entry in log.store.list(LOG):
        match = _NUMBERED.fullmatch(entry.key.removeprefix(LOG))
        if match is None or (not old and entry.modified >= now - KEPT - overdue):
            break
        if match[2] == _WHOLE and entry.modified < now - SETTLED:
            behind = int(match[1])
        if entry.modified >= now - KEPT or len(old) == MOST:
            break
        old.append((int(match[1]), entry.key))
    return old, behind
