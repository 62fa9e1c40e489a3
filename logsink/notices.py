"""Notices decide which events get a line in the log, so that nobody can fill a disk: a new one at once, repetitions as a count.

A *matter* is what one line is about, such as "connections of this sender are closed for that reason". A new matter gets a line;
its repetitions are counted, and a line says their number and senders after a minute, and then after twice as long each time, up
to ``again`` seconds. Senders decide how many matters there are, so the number of lines about new matters of senders is limited
for each minute, and so is the memory for known matters.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Hashable
from typing import NamedTuple

REMEMBERED = 1024
"""Most known matters, and most senders counted for a line; the matter that has not recurred for longest is forgotten first."""

PER_MINUTE = 20
"""Most lines about new matters of senders in one minute."""

MINUTE = 60.0


class Due(NamedTuple):
    """A line to be written now, which stands for ``times`` events in ``seconds``; ``senders`` counts them by sender."""

    fields: dict[str, object]
    times: int = 1
    seconds: float = 0.0
    senders: Counter[str] = Counter()  # noqa: RUF012  replaced when there are senders, never changed


class _Counted:
    """Events of one kind that were counted since ``since``, and are due to be written at ``at``."""

    def __init__(self, now: float, wait: float) -> None:
        self.fields: dict[str, object] = {}
        self.wait = wait
        self.restart(now)

    def restart(self, now: float) -> None:
        self.since, self.at, self.times = now, now + self.wait, 0
        self.senders: Counter[str] = Counter()

    def add(self, fields: dict[str, object], sender: str) -> None:
        self.fields, self.times = fields, self.times + 1
        if sender in self.senders or len(self.senders) < REMEMBERED:
            self.senders[sender] += bool(sender)

    def due(self, now: float) -> Due:
        return Due(self.fields, self.times, now - self.since, +self.senders)


class Notices:
    """Known matters and counts. Neither writes nor reads a clock: ``now`` is seconds of any clock that does not go back."""

    def __init__(self) -> None:
        self._known: OrderedDict[Hashable, float] = OrderedDict()
        self._counted: dict[str, tuple[float, _Counted]] = {}
        self._minute = 0.0
        self._lines = 0

    def take(self, kind: str, matter: Hashable, fields: dict[str, object], now: float, again: float) -> Due | None:
        """Return the line to write now for an event, or None when it was counted. ``fields`` name its ``sender``, if any."""
        sender = str(fields.get("sender") or "")
        if self._new(kind, matter, now, again, limited="sender" in fields):
            before = self._counted.get(kind)
            if before is None or not before[1].times or not before[1].senders.keys() <= {sender}:
                return Due(fields)
            before[1].add(fields, sender)
            due = before[1].due(now)
            before[1].restart(now)
            return due
        _, counted = self._counted.setdefault(kind, (again, _Counted(now, min(MINUTE, again))))
        counted.add(fields, sender)
        return None

    def overdue(self, now: float, *, final: bool = False) -> list[tuple[str, Due]]:
        """Return, by kind, the lines for events counted for long enough; ``final``: for all that were counted."""
        lines = []
        for kind, (again, counted) in list(self._counted.items()):
            if now < counted.at and not final:
                continue
            if not counted.times:
                del self._counted[kind]
                continue
            lines.append((kind, counted.due(now)))
            counted.wait = min(2 * counted.wait, again)
            counted.restart(now)
        return lines

    def _new(self, kind: str, matter: Hashable, now: float, again: float, *, limited: bool) -> bool:
        """Return whether ``matter`` gets a line, and count it as known then."""
        key = (kind, matter)
        known = self._known.get(key)
        if known is not None and now - known < again:
            self._known.move_to_end(key)
            return False
        if limited:
            if now - self._minute >= MINUTE:
                self._minute, self._lines = now, 0
            if self._lines >= PER_MINUTE:
                return False
            self._lines += 1
        self._known[key] = now
        self._known.move_to_end(key)
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return True
