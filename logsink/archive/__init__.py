"""The archive: a standard Delta table of Parquet files that holds the row of each archived frame exactly once.

Segments enter, from the journal or from memory; Parquet data files and commits of the table's log leave, and snapshots of the
table are read back. Its upkeep happens here too. Sockets, queries and the command line never enter.

- The table: ``snapshot`` is a version of it, ``log`` commits the next one, ``file`` has the layout of a data file.
- Reading the log: ``loading`` lists it, ``fold`` applies its commits and its ``checkpoints``, ``foreign`` refuses tables that
  are not logsink's.
- Proof: ``chain`` joins the commits, ``proof`` has the checksums by which a data file proves itself, ``lanes`` says which
  segments' rows it holds, and ``digest`` which rows these are; ``coverage`` proves that rows need not be kept elsewhere, and
  ``missing`` that segments are lost.
- Integrity: ``audit`` proves all of the log, ``inspection`` a data file; ``rebuilding`` begins the log anew, ``salvage`` makes
  data files of what is left.
- Old receivers: ``dormant`` is the format of what the log says of them elsewhere; ``waking`` reads it, ``dormancy`` writes it.
- Archiving: ``rounds`` turns segments into one commit; ``archiver`` does so for what this process receives, ``adoption`` for
  what receivers that are gone have left.
- Upkeep: ``maintenance`` does all of it, by ``compaction`` and ``merge`` (small files become few), ``retention`` (old dates and
  files that nobody needs), ``checkpointing`` and ``tidying`` (the log stays short). ``crowd`` says how many receivers share it.
- Index: ``facts`` gathers what is known of a data file while it is written, ``counts`` has how many rows data files hold for
  each combination of short values, ``indexing`` keeps objects with facts few.
- Evidence: ``closing`` writes the ledger of each date that is over, ``ledger`` says what is in one, ``signing`` signs them.
- Beginning: ``identity`` settles which store this is, ``preparation`` waits until it can be used.
- ``concurrency``: several store calls at the same time.

What reads the table is imported at once, the rest when it is first asked for: a query needs none of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from logsink.archive.dormant import PREFIX as DORMANT_PREFIX
from logsink.archive.dormant import Positions, born, dormant_name, receiver_of
from logsink.archive.lanes import TAG as LANES_TAG
from logsink.archive.lanes import Interval, Lanes, lanes_of
from logsink.archive.lanes import inside as lanes_inside
from logsink.archive.lanes import missing as lanes_missing
from logsink.archive.lanes import union as lanes_union
from logsink.archive.log import DeltaLog
from logsink.archive.proof import TAIL_TAG, Proof, ProvedTail, Tail, chunk_span, read_tail, tail_of, tail_size, tail_tag
from logsink.archive.snapshot import DORMANT, HINT, ROOT, DataFile, Snapshot, checkpoint_key, commit_key
from logsink.platform.lazy import exports

if TYPE_CHECKING:
    from logsink.archive.adoption import Adopted, adopt
    from logsink.archive.archiver import Archiver, Health
    from logsink.archive.audit import Audit, audit_log
    from logsink.archive.checkpointing import write_checkpoint
    from logsink.archive.closing import Evidence, evidence
    from logsink.archive.concurrency import run_concurrently
    from logsink.archive.counts import (
        CountedFile,
        Counts,
        CountsHead,
        check_sums,
        decode_counts,
        decode_days,
        encode_counts,
        fetch_counts_end,
        read_counts_head,
        union_counts,
    )
    from logsink.archive.coverage import lost_lanes
    from logsink.archive.crowd import stretch
    from logsink.archive.digest import Digests
    from logsink.archive.identity import identify, require, settle
    from logsink.archive.indexing import Indexed, IndexProgress, Joined, Tended
    from logsink.archive.inspection import (
        Checked,
        Described,
        check_file,
        describe,
        describe_body,
        digests_of_body,
    )
    from logsink.archive.ledger import (
        LEDGERS,
        Difference,
        Ledger,
        decode_ledger,
        differences,
        hours_of,
        ledger_date,
        names_commit,
        sums,
    )
    from logsink.archive.log import Accepted, Action, Add, Lost, Remove, Txn
    from logsink.archive.maintenance import Due, Maintained, Maintenance
    from logsink.archive.preparation import Preparation
    from logsink.archive.rebuilding import Table, rebuild
    from logsink.archive.retention import Retired, damaged_files
    from logsink.archive.rounds import QUARANTINE, Limits, Rounds, committable
    from logsink.archive.salvage import restore_rows, salvage_file
    from logsink.archive.signing import check_signature
    from logsink.archive.waking import read_dormant
else:
    __getattr__ = exports(
        __name__,
        {
            "archiver": ("Archiver", "Health"),
            "adoption": ("Adopted", "adopt"),
            "audit": ("Audit", "audit_log"),
            "checkpointing": ("write_checkpoint",),
            "closing": ("Evidence", "evidence"),
            "concurrency": ("run_concurrently",),
            "counts": (
                "Counts",
                "CountsHead",
                "CountedFile",
                "check_sums",
                "decode_counts",
                "decode_days",
                "encode_counts",
                "fetch_counts_end",
                "read_counts_head",
                "union_counts",
            ),
            "coverage": ("lost_lanes",),
            "crowd": ("stretch",),
            "digest": ("Digests",),
            "indexing": ("Indexed", "IndexProgress", "Joined", "Tended"),
            "inspection": (
                "Checked",
                "Described",
                "check_file",
                "describe",
                "describe_body",
                "digests_of_body",
            ),
            "ledger": (
                "LEDGERS",
                "Difference",
                "Ledger",
                "decode_ledger",
                "differences",
                "hours_of",
                "ledger_date",
                "names_commit",
                "sums",
            ),
            "signing": ("check_signature",),
            "waking": ("read_dormant",),
            "log": ("Accepted", "Action", "Add", "Lost", "Remove", "Txn"),
            "identity": ("identify", "require", "settle"),
            "maintenance": ("Due", "Maintained", "Maintenance"),
            "preparation": ("Preparation",),
            "rebuilding": ("Table", "rebuild"),
            "retention": ("Retired", "damaged_files"),
            "rounds": ("QUARANTINE", "Limits", "Rounds", "committable"),
            "salvage": ("restore_rows", "salvage_file"),
        },
    )

__all__ = [
    "DORMANT",
    "DORMANT_PREFIX",
    "HINT",
    "LANES_TAG",
    "LEDGERS",
    "QUARANTINE",
    "ROOT",
    "TAIL_TAG",
    "Accepted",
    "Action",
    "Add",
    "Adopted",
    "Archiver",
    "Audit",
    "Checked",
    "CountedFile",
    "Counts",
    "CountsHead",
    "DataFile",
    "DeltaLog",
    "Described",
    "Difference",
    "Digests",
    "Due",
    "Evidence",
    "Health",
    "IndexProgress",
    "Indexed",
    "Interval",
    "Joined",
    "Lanes",
    "Ledger",
    "Limits",
    "Lost",
    "Maintained",
    "Maintenance",
    "Positions",
    "Preparation",
    "Proof",
    "ProvedTail",
    "Remove",
    "Retired",
    "Rounds",
    "Snapshot",
    "Table",
    "Tail",
    "Tended",
    "Txn",
    "adopt",
    "audit_log",
    "born",
    "check_file",
    "check_signature",
    "check_sums",
    "checkpoint_key",
    "chunk_span",
    "commit_key",
    "committable",
    "damaged_files",
    "decode_counts",
    "decode_days",
    "decode_ledger",
    "describe",
    "describe_body",
    "differences",
    "digests_of_body",
    "dormant_name",
    "encode_counts",
    "evidence",
    "fetch_counts_end",
    "hours_of",
    "identify",
    "lanes_inside",
    "lanes_missing",
    "lanes_of",
    "lanes_union",
    "ledger_date",
    "lost_lanes",
    "names_commit",
    "read_counts_head",
    "read_dormant",
    "read_tail",
    "rebuild",
    "receiver_of",
    "require",
    "restore_rows",
    "run_concurrently",
    "salvage_file",
    "settle",
    "stretch",
    "sums",
    "tail_of",
    "tail_size",
    "tail_tag",
    "union_counts",
    "write_checkpoint",
]
