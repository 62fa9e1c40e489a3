"""Bounds of what a running query holds and does at once: ``Tuning``."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, NamedTuple

from logsink.query.order import MEMORY
from logsink.store import Store

FETCHES: Final = 32
"""Reads of the store that run at once. A read from S3 mostly waits: this has nothing to do with the number of cores."""

if TYPE_CHECKING:
    from logsink.query.read.remote import Engine


class Tuning(NamedTuple):
    """Bounds of a running query.

    memory     bytes of found rows that are held; more go to a temporary file
    sums       bytes of the sum of parts up to which it is held; a larger one goes to temporary files
    prefetch   files and row groups of which something is fetched before their turn
    ahead      bytes of column chunks that are held of these
    first      row groups that are begun at first, where a limit may make others needless: runs of rows have about as many
    eager      bytes of a row group that are fetched together then, whatever becomes of conditions on some of its columns
    filtered   row groups of these that are filtered before their turn; whole rows of ``threads`` + 1 of them are held
    indexed    bytes of files to be read, as their times let expect, from which on the index is asked
    attempts   how often the query is planned before it gives up, because objects are removed while it runs
    threads    threads that decode and filter
    engine     who reads the archive's files; None: this process does
    """

    memory: int = MEMORY
    sums: int = 8 << 20
    prefetch: int = FETCHES
    ahead: int = 8 << 20
    filtered: int = 8
    indexed: int = 8 << 20
    attempts: int = 10
    threads: int = len(os.sched_getaffinity(0))
    first: int = max(4, threads)
    eager: int = 0
    engine: Engine | None = None

    @classmethod
    def of(cls, store: Store) -> Tuning:
        """Return the bounds for a store: S3 takes as long to answer one request as to send two megabytes."""
        return cls(ahead=32 << 20, first=4, eager=2 << 20) if store.url.startswith("s3:") else cls()
