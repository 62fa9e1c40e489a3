"""What a query is given and what it tells: ``Query``, ``Tuning``, ``Report``."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from logsink.query.filters import EVERYTHING, Filter
from logsink.query.merge import MEMORY
from logsink.query.plan import Plan


class Query(NamedTuple):
    """What to find and how to hand it out.

    filter    what a row must be
    columns   columns wanted; those of the order (``merge.KEY``) always come too
    limit     only the newest so many; None: all
    reverse   newest first
    dedupe    without rows that are probably copies (see ``dedupe``); the limit counts what is left
    """

    filter: Filter = EVERYTHING
    columns: tuple[str, ...] = ("message",)
    limit: int | None = None
    reverse: bool = False
    dedupe: bool = False


@dataclass(slots=True)
class Report:
    """What a query has done so far; counted on as it runs."""

    rows: int = 0
    hidden: int = 0
    began: float = 0.0
    """Everything acknowledged before this (seconds since the epoch, this machine's clock) is included."""
    files: int = 0
    files_read: int = 0
    segments: int = 0
    bytes: int = 0
    """Of files and segments, all that there are."""
    passed: int = 0
    """Of those, how many were read or passed over so far; by footers and statistics, so an estimate."""
    bytes_read: int = 0
    requests: int = 0
    """Reads of objects; ``listings`` are pages of keys."""
    listings: int = 0
    restarts: int = 0
    cut: bool = False
    """The limit was reached before everything was looked at: there may be more."""
    interrupted: bool = False
    """It was told to stop before everything was looked at."""
    unreadable: list[str] = field(default_factory=list)
    """Why objects could not be read: their rows are missing."""


@dataclass(frozen=True, slots=True)
class Tuning:
    """Bounds of a running query. ``ahead``: units filtered before their turn; ``threads`` + 1 of them may hold whole rows."""

    memory: int = MEMORY
    ahead: int = 8
    attempts: int = 10
    threads: int = field(default_factory=lambda: len(os.sched_getaffinity(0)))
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
