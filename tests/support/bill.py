"""What a fleet asks of the store for its table in a day: measured, and by the formula of docs/scaling.md.

The journal's and the data files' own requests depend on the load, and are not in it.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from logsink.archive.crowd import stretch
from logsink.archive.snapshot import Snapshot
from logsink.config import Archive
from tests.support.fleet import ARCHIVE, LOAD, Figures, Load
from tests.support.virtual import DOLLARS

DAY: Final = 86_400.0

COMMIT_BYTES: Final = 2_000
"""Bytes of a commit with one data file."""

CHECKPOINT_BYTES: Final = 15_000
"""Bytes of a checkpoint, whatever it holds ..."""

ENTRY_BYTES: Final = 150
"""... and for each data file that is live or has left the table not long ago."""

CHECKPOINT_EVERY: Final = 60
"""Commits between two checkpoints, between maintain.checkpoint_every and half as many more."""

REMEMBERED: Final = 32.0
"""Hours for which the log remembers a data file: two until it is merged, and 30 as a tombstone (``tombstones_kept``)."""

_AREAS: Final = ("log", "checkpoints", "clock", "ledger")


class PerDay(NamedTuple):
    """Requests, bytes and dollars of a day. ``dollars`` are those of all requests but for the marker."""

    commits: float
    put: float
    get: float
    list: float
    log_mb: float
    log_objects: float
    dollars: float
    marker_dollars: float
    checkpoint_kb: float


def per_day(figures: Figures) -> PerDay:
    """Return what was measured, scaled to a day."""
    bill, day = figures.bill, DAY / figures.seconds
    put, get = bill.count("PUT", *_AREAS), bill.count("GET", *_AREAS, "index")
    listed = bill.count("LIST")
    read = sum(n for (kind, where), n in bill.nbytes.items() if kind == "GET" and where in _AREAS)
    return PerDay(
        round(figures.versions * day),
        round(put * day),
        round(get * day),
        round(listed * day),
        round(read * day / 1e6, 1),
        round((bill.count("PUT", "log") + bill.count("PUT", "checkpoints") / 2) * day),
        round(_dollars(put, listed, get) * day, 3),
        round(bill.dollars("marker") * day, 3),
        round(figures.checkpoint_bytes / 1e3),
    )


def formula(receivers: int, *, hours: float = REMEMBERED, load: Load = LOAD, archive: Archive = ARCHIVE) -> PerDay:
    """Return what docs/scaling.md says, for a table that is ``hours`` old; bytes are read while it became so old.

    ``load`` must have fewer segments than make a commit due before it is ``archive.max_age``.
    """
    times = stretch(Snapshot(moved={f"{number}.0": 1 for number in range(receivers)}))
    commits = DAY / (archive.max_age * times) * receivers
    checkpoints = commits / CHECKPOINT_EVERY
    put = commits + 2 * checkpoints
    get = commits * (receivers + 2) + checkpoints * CHECKPOINT_EVERY + 1_750 * receivers + 1_440 / times
    waiting = receivers * (archive.max_age * times / 2 + 60) / load.segment_every
    pages = 1_440 / times * max(1.0, waiting / 1000)
    listed = commits * (1 if times == 1 else 2) + 4 * checkpoints + pages + 24 * receivers + 100
    entries = commits / 24 * min(hours, REMEMBERED)
    checkpoint = CHECKPOINT_BYTES + ENTRY_BYTES * entries
    on_the_way = checkpoint if hours >= REMEMBERED else checkpoint / 2
    read = commits * (receivers + 2) * COMMIT_BYTES + checkpoints * on_the_way
    return PerDay(
        round(commits),
        round(put),
        round(get),
        round(listed),
        round(read / 1e6, 1),
        round(commits + checkpoints),
        round(_dollars(put, listed, get), 3),
        round(DOLLARS["GET"] * receivers * DAY / load.segment_every, 3),
        round(checkpoint / 1e3),
    )


def _dollars(put: float, listed: float, get: float) -> float:
    return DOLLARS["PUT"] * put + DOLLARS["LIST"] * listed + DOLLARS["GET"] * get
