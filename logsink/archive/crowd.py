"""How many receivers commit to the table: what each of them does beside the others depends on it.

Safety never does: where the number is wrong, work is done twice, or later.
"""

from __future__ import annotations

from typing import Final

from logsink.archive.snapshot import Snapshot

_RECENT: Final = 15 * 60_000
"""Milliseconds before the newest commit of rows within which a receiver has archived something if it is to be counted."""


def committers(snapshot: Snapshot) -> int:
    """Return the number of receivers whose rows were archived in the last quarter of an hour of the log, by its own times."""
    if not snapshot.moved:
        return 0
    since = max(snapshot.moved.values()) - _RECENT
    return len({app_id.rpartition(".")[0] for app_id, moved in snapshot.moved.items() if moved >= since})
