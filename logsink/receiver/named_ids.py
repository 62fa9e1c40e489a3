"""The ids under which a process has written to the journal, as ``/readyz`` names them for those who wait for its segments."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

MOST = 64
"""Ids that are named at most, the newest: there is more than one only after long pauses, and of workers that were replaced."""


class NamedIds:
    """The ids of a process, or of one worker in all its processes."""

    def __init__(self) -> None:
        self._newest: deque[str] = deque(maxlen=MOST)
        self._count = 0

    def add(self, receiver: str) -> None:
        """Take an id, before anything is stored under it."""
        self._newest.append(receiver)
        self._count += 1

    @staticmethod
    def detail(several: Iterable[NamedIds]) -> dict[str, object]:
        """Return what ``/readyz`` says of them: the ids, and how many older ones are not named."""
        several = list(several)
        return {
            "receivers": [receiver for one in several for receiver in one._newest],
            "receivers_unnamed": sum(one._count - len(one._newest) for one in several),
        }
