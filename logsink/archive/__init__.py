"""The archive: a standard Delta table of Parquet files that holds the row of each archived frame exactly once.

Segments enter, from the journal or from memory; Parquet data files and commits of the table's log leave, and snapshots of the
table are read back. Its upkeep happens here too. Sockets, queries and the command line never enter.

- The table: ``snapshot`` reads a version of it, ``log`` commits the next one, ``file`` has the layout of a data file.
- Proof: ``proof`` has the checksums by which a data file proves itself, ``lanes`` says which segments' rows it holds.
- Archiving: ``rounds`` turns segments into one commit; ``archiver`` does so for what this process receives, ``adoption`` for
  what receivers that are gone have left.
- Upkeep: ``maintenance`` does all of it, by ``compaction`` and ``merge`` (small files become few), ``retention`` (old dates and
  files that nobody needs) and checkpoints of the log.
- ``preparation``: a receiver waits until its store can be used. ``concurrency``: several store calls at the same time.

What reads the table is imported at once, the rest when it is first asked for: a query needs none of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from logsink.archive.lanes import Lanes, lanes_of
from logsink.archive.log import DeltaLog
from logsink.archive.proof import Proof, ProvedTail, Tail, chunk_span, read_tail, tail_size, tail_tag
from logsink.archive.snapshot import DataFile, Snapshot
from logsink.platform.lazy import exports

if TYPE_CHECKING:
    from logsink.archive.archiver import Archiver, Health
    from logsink.archive.maintenance import Due, Maintained, Maintenance
    from logsink.archive.preparation import Preparation
    from logsink.archive.retention import Retired
    from logsink.archive.rounds import Rounds
else:
    __getattr__ = exports(
        __name__,
        {
            "archiver": ("Archiver", "Health"),
            "maintenance": ("Due", "Maintained", "Maintenance"),
            "preparation": ("Preparation",),
            "retention": ("Retired",),
            "rounds": ("Rounds",),
        },
    )

__all__ = [
    "Archiver",
    "DataFile",
    "DeltaLog",
    "Due",
    "Health",
    "Lanes",
    "Maintained",
    "Maintenance",
    "Preparation",
    "Proof",
    "ProvedTail",
    "Retired",
    "Rounds",
    "Snapshot",
    "Tail",
    "chunk_span",
    "lanes_of",
    "read_tail",
    "tail_size",
    "tail_tag",
]
