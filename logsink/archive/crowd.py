"""The number of receivers that commit to the table, by which each of them decides how often it commits.

Safety never depends on that number: where it is wrong, work is done twice, or later.
"""

from __future__ import annotations

from typing import Final

from logsink.archive.snapshot import Snapshot

_CROWD: Final = 5
"""Most receivers of which each commits as often as a single one does. When there are more, each commits less often, so that all
together make as many commits as this number of receivers would ..."""

LONGEST: Final = 10.0
"""... but none waits more than this many times as long as a single receiver: while it waits, every query has to read its
segments from the journal."""

_RECENT: Final = 15 * 60_000
"""A receiver counts if it has archived something in the last so many milliseconds before the newest commit of rows."""


def committers(snapshot: Snapshot) -> int:
    """Return the number of receivers whose rows were archived in the last quarter of an hour of the log, by its own times."""
    if not snapshot.moved:
        return 0
    since = max(snapshot.moved.values()) - _RECENT
    return len({app_id.rpartition(".")[0] for app_id, moved in snapshot.moved.items() if moved >= since})


def stretch(snapshot: Snapshot) -> float:
    """Return how many times as long as a single receiver each one waits before a commit, and between looks at the store.

    Each commit is read by every other receiver: if all committed as often as one alone, what they read would grow with the
    square of their number.
    """
    return min(max(1.0, committers(snapshot) / _CROWD), LONGEST)
