"""Bounds of what a running query holds and does at once: ``Tuning``."""

from __future__ import annotations

import os
from typing import NamedTuple

from logsink.query.order import MEMORY


class Tuning(NamedTuple):
    """Bounds of a running query.

    memory     bytes of found rows that are held; more go to a temporary file
    prefetch   files and row groups that are filtered before their turn; whole rows of ``threads`` + 1 of them are held
    indexed    bytes of files to be read, as their times let expect, from which on the index is asked
    attempts   how often the query is planned before it gives up, because objects are removed while it runs
    threads    threads that decode and filter
    """

    memory: int = MEMORY
    prefetch: int = 8
    indexed: int = 8 << 20
    attempts: int = 10
    threads: int = len(os.sched_getaffinity(0))
