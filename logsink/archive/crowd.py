"""How many receivers commit to the table: what each of them does beside the others depends on it.

Safety never does: where the number is wrong, work is done twice, or later.
"""

from __future__ import annotations

from typing import Final

from logsink.archive.snapshot import Snapshot

_CROWD: Final = 5
"""Receivers that commit as often as one alone would. More of them commit as often as so many, all together ..."""

LONGEST: Final = 10.0
"""... until each waits so many times as long: meanwhile its segments stay in the journal, where each query reads them."""

_RECENT: Final = 15 * 60_000
"""Milliseconds before the newest commit of rows within which a receiver has archived something if it is to be counted."""


def committers(snapshot: Snapshot) -> int:
    """Return the number of receivers whose rows were archived in the last quarter of an hour of the log, by its own times."""
    if not snapshot.moved:
        return 0
    since = max(snapshot.moved.values()) - _RECENT
    return len({app_id.rpartition(".")[0] for app_id, moved in snapshot.moved.items() if moved >= since})


def stretch(snapshot: Snapshot) -> float:
    """Return how many times as long as alone a receiver waits for segments before it commits them, and between two looks.

    Each commit is read by every other receiver: if all committed as often as one alone, what they read would grow with the
    square of their number.
    """
    return min(max(1.0, committers(snapshot) / _CROWD), LONGEST)
