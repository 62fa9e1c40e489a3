"""What is worth a line in the log now: the first of its kind at once, the others as a number, so that nobody can fill a disk.

A *matter* is what one line is about, such as connections of one sender that are closed for one reason. It is told when it is
new; what comes of it later is counted, and once a minute (of what goes on and on more seldom, at most every ``again``
seconds) one line says how often, and whose it was. Senders decide how many matters there are, so the lines about senders are
bounded in all as well, and so is the memory for what was told.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Hashable
from typing import NamedTuple

REMEMBERED = 1024
"""Matters kept in mind, and senders counted for a line; the matter longest unheard of is forgotten first."""

PER_MINUTE = 20
"""Lines about new matters of senders in one minute, whatever happens."""

MINUTE = 60.0


class Due(NamedTuple):
    """A line to be written now: it stands for so many ``times`` in so many ``seconds``, by sender."""

    fields: dict[str, object]
    times: int = 1
    seconds: float = 0.0
    senders: Counter[str] = Counter()  # noqa: RUF012  never changed: replaced where there are any


class _Unsaid:
    """Of one kind: what was counted since ``since``, to be told at ``at``."""

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
    """Decides; it neither writes nor looks at a clock. ``now`` is in seconds of any clock that does not go back."""

    def __init__(self) -> None:
        self._told: OrderedDict[Hashable, float] = OrderedDict()
        self._unsaid: dict[str, tuple[float, _Unsaid]] = {}
        self._minute = 0.0
        self._lines = 0

    def take(self, kind: str, matter: Hashable, fields: dict[str, object], now: float, again: float) -> Due | None:
        """Something happened: the line to write now, if any. ``fields`` name the ``sender`` where there is one."""
        sender = str(fields.get("sender") or "")
        if self._new(kind, matter, now, again, limited="sender" in fields):
            before = self._unsaid.get(kind)
            if before is None or not before[1].times or not before[1].senders.keys() <= {sender}:
                return Due(fields)
            before[1].add(fields, sender)
            due = before[1].due(now)
            before[1].restart(now)
            return due
        _, unsaid = self._unsaid.setdefault(kind, (again, _Unsaid(now, min(MINUTE, again))))
        unsaid.add(fields, sender)
        return None

    def overdue(self, now: float, *, all_of_it: bool = False) -> list[tuple[str, Due]]:
        """By kind: lines that say what was counted long enough; or, at the end, everything that was."""
        lines = []
        for kind, (again, unsaid) in list(self._unsaid.items()):
            if now < unsaid.at and not all_of_it:
                continue
            if not unsaid.times:
                del self._unsaid[kind]
                continue
            lines.append((kind, unsaid.due(now)))
            unsaid.wait = min(2 * unsaid.wait, again)
            unsaid.restart(now)
        return lines

    def _new(self, kind: str, matter: Hashable, now: float, again: float, *, limited: bool) -> bool:
        """Whether to tell ``matter``, which then counts as told."""
        key = (kind, matter)
        told = self._told.get(key)
        if told is not None and now - told < again:
            self._told.move_to_end(key)
            return False
        if limited:
            if now - self._minute >= MINUTE:
                self._minute, self._lines = now, 0
            if self._lines >= PER_MINUTE:
                return False
            self._lines += 1
        self._told[key] = now
        self._told.move_to_end(key)
        if len(self._told) > REMEMBERED:
            self._told.popitem(last=False)
        return True
