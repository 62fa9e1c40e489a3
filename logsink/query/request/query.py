"""What a query is given and what it tells: ``Query``, ``Tuning``, ``Report``."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import NamedTuple

from logsink.query.order.merge import MEMORY
from logsink.query.read.plan import Plan
from logsink.query.request.filters import EVERYTHING, Filter


class Query(NamedTuple):
    """What to find and how to hand it out.

    filter    what a row must be
    columns   columns wanted; those of the order (``merge.KEY``) always come too
    limit     only the newest so many; None: all
    reverse   newest first
    sort      by the message's own ``time``, or by when it was ``received``: the newest are the last of that order
    dedupe    without rows that are probably copies (see ``dedupe``); the limit counts what is left
    """

    filter: Filter = EVERYTHING
    columns: tuple[str, ...] = ("message",)
    limit: int | None = None
    reverse: bool = False
    dedupe: bool = False
    sort: str = "time"


class Report:
    """What a query has done so far; counted on as it runs."""

    def __init__(self) -> None:
        self.rows = self.hidden = 0
        self.apart = 0
        """Rows shown that would be hidden as copies, were they not received more than ten minutes from each other."""
        self.began = 0.0
        """Everything acknowledged before this (seconds since the epoch, this machine's clock) is included."""
        self.files = self.files_read = self.segments = 0
        self.bytes = 0
        """Of files and segments, all that there are."""
        self.passed = 0
        """Of those, how many were read or passed over so far; by footers and statistics, so an estimate."""
        self.bytes_read = 0
        self.requests = self.listings = 0
        """Reads of objects, and pages of keys."""
        self.restarts = 0
        self.cut = False
        """The limit was reached before everything was looked at: there may be more."""
        self.interrupted = False
        """It was told to stop before everything was looked at."""
        self.unreadable: list[str] = []
        """Why objects could not be read: their rows are missing."""

    def add(self, other: Report) -> None:
        """Take in what another query has read for this one, and what it could not."""
        self.add_reads(other)
        self.interrupted |= other.interrupted
        self.unreadable += [error for error in other.unreadable if error not in self.unreadable]

    def add_reads(self, other: Report) -> None:
        """Count what another query has read."""
        self.requests, self.listings = self.requests + other.requests, self.listings + other.listings
        self.bytes_read += other.bytes_read


class Tuning(NamedTuple):
    """Bounds of a running query. ``ahead``: units filtered before their turn; ``threads`` + 1 of them may hold whole rows."""

    memory: int = MEMORY
    ahead: int = 8
    attempts: int = 10
    threads: int = len(os.sched_getaffinity(0))
    stop: Callable[[], bool] = lambda: False
    """Asked after each unit: whether what was found by now is to be all."""
    planned: Callable[[Plan], None] = lambda _: None
    """Told of every plan that is made."""
    journal: bool = True
    """Whether the journal is looked at."""
    archive: bool = True
    """Whether the table's files are."""
    known: Plan | None = None
    """A plan to go by instead of looking what there is."""
