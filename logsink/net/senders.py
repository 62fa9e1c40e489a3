"""Remembers RELP senders: their sessions, and the frames of broken ones that may be sent again.

Of a broken session that owes acknowledgements, ``broken`` has all frames that may be sent again: they are recognised. Of one
that owes none, ``answered`` has those that are flagged ``maybe_resent``: should they be sent again, because the
acknowledgements were lost on their way, they are stored once more and flagged so that a query can tell them from others.

A sender is the subject of its certificate, or its address without one: several clients may share an address, and a client
several sessions. Nothing here is durable: a receiver that starts knows nobody, and flags what could be a resend.

Limits: digests in all, lists of one sender, senders, the age of a list. What exceeds them is forgotten; should its frames be
sent again, they are stored a second time, flagged ``maybe_resent``. What was not acknowledged is counted then.
"""

from __future__ import annotations

import secrets
from collections import deque
from dataclasses import dataclass
from typing import Final, Protocol

from logsink import telemetry
from logsink.parse import Origin
from logsink.wire import Digests, History, Unanswered

FRAMES: Final = 1 << 22
"""Digests in all, of open and broken sessions: 64 MiB."""

ANSWERED: Final = 1 << 20
"""Digests in all, of broken sessions without anything unacknowledged: 16 MiB. Each such list counts as ``LIST`` more."""

LIST: Final = 16
"""Digests that take as much memory as a list without any."""

LISTS: Final = 64
"""Broken sessions of one sender: many clients may come from one address, and all lose their sessions at once."""

SENDERS: Final = 10_000
"""Senders without a session that are remembered."""

WINDOW: Final = 10_000
"""Frames that a client is taken to have unacknowledged at most, unless ``receive.relp_window`` says otherwise."""

AGE: Final = 600.0
"""Seconds for which a broken session is remembered."""

REOPENED: Final = 1.0
"""Seconds after a ``close`` in which the same sender opens again without having been anywhere else (omrelp's rebind)."""


class Peer(Protocol):
    """A RELP connection, as other connections of the same sender see it."""

    def hung_up(self) -> bool:
        """Whether its peer has closed it, although there may be more to read from it."""

    def older_left(self) -> None:
        """Take note that another connection of the same sender is closed."""

    def unconfirmed(self) -> Digests:
        """Return the digests of frames that may come again on another connection, because the link of this one may be cut."""


@dataclass(frozen=True, eq=False)
class Answered:
    """The frames of a session that broke at time ``since`` with everything acknowledged."""

    digests: Digests
    since: float

    @property
    def size(self) -> int:
        return len(self.digests) // 2 + LIST


class Sender:
    """One sender. ``sessions`` are open; ``broken`` and ``answered`` hold the lists of broken ones, oldest first."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.sessions: set[Peer] = set()
        self.broken: deque[Unanswered] = deque()
        self.answered: deque[Answered] = deque()
        self.closed = float("-inf")


class Senders:
    """All senders of one event loop. Times are the loop's. ``room`` bounds the bytes of frames that are held back.

    ``window`` is how many frames a client can have unacknowledged, and so send again when it connects anew.
    """

    def __init__(self, room: int, window: int = WINDOW) -> None:
        self.window = window
        self.key = secrets.randbits(62) | 1 << 62
        """The key of this process's ``digests``."""
        self._room = room
        self._known: dict[str, Sender] = {}
        self._frames = 0
        self._answered: dict[Answered, Sender] = {}
        """The ``answered`` of all senders, oldest first; together they have ``_answered_size``."""
        self._answered_size = 0

    def enter(self, origin: Origin, session: Peer) -> Sender:
        """Register a new session, and return its sender."""
        name = origin.identity or origin.sender or ""
        sender = self._known.pop(name, None) or Sender(name)
        self._known[name] = sender  # the latest stands last
        sender.sessions.add(session)
        return sender

    def leave(
        self, sender: Sender, session: Peer, history: History, *, closed: bool, now: float, doubtful: int = 0
    ) -> None:
        """Take out a session that ended by agreement (``closed``) or broke; then keep the frames that may be sent again.

        Its first ``doubtful`` frames are flagged ``maybe_resent``, or were known resends.
        """
        sender.sessions.discard(session)
        self.release(history.frames)
        answered = None if closed else Answered(history.last(self.window, doubtful), now)
        broken = None if closed else history.broken(now)
        if broken is not None:
            self._frames += len(broken)
            sender.broken.append(broken)
            if len(sender.broken) > LISTS:
                self._forget(sender, sender.broken[0])
        elif answered and len(answered.digests):
            self._keep(sender, answered)
        if closed and not sender.sessions:
            sender.closed = now
            for one in list(sender.broken):
                self.settle(sender, one)
            self._drop(*sender.answered)
        self._shrink()
        for other in list(sender.sessions):
            other.older_left()

    def broken(self, sender: Sender, now: float) -> list[Unanswered]:
        """Return the lists of the sender's broken sessions that are not too old, the newest first."""
        while sender.broken and sender.broken[0].since < now - AGE:
            self._forget(sender, sender.broken[0])
        return list(reversed(sender.broken))

    def answered(self, sender: Sender, session: Peer, now: float) -> list[Digests]:
        """Return the lists of acknowledged frames with which a ``session`` may begin again, the newest first.

        Of a sender with more than ``LISTS`` sessions, those that are open are not asked.
        """
        self._drop(*(one for one in sender.answered if one.since < now - AGE))
        others = sender.sessions - {session} if len(sender.sessions) <= LISTS else set()
        cut = [one.unconfirmed() for one in others]
        return [one for one in cut if len(one)] + [one.digests for one in reversed(sender.answered)]

    def settle(self, sender: Sender, one: Unanswered) -> None:
        """Drop a list: its frames were sent again, or the sender needs none of them."""
        sender.broken = deque(other for other in sender.broken if other is not one)
        self._frames -= len(one)

    def remember(self, history: History, frames: int) -> None:
        """Count that ``history`` has grown by so many frames, and shrink it when all of them are too many."""
        self._frames += frames
        if self._frames > FRAMES:
            self._frames -= history.trim(0)
        if self._frames > FRAMES:
            telemetry.RESENDS_FORGOTTEN.inc(history.frames)
            self._frames -= history.frames
            history.forget()

    def release(self, frames: int) -> None:
        """Count that a history has let go of so many frames."""
        self._frames -= frames

    def unacknowledged(self, frames: int, origin: Origin) -> None:
        """Double ``window``, and log it, when a client has more ``frames`` unacknowledged than that."""
        if frames > self.window:
            telemetry.RELP_WINDOW.log(sender=origin.sender, frames=frames, limit=self.window)
            self.window = max(frames, 2 * self.window)

    def reopens(self, sender: Sender, now: float) -> bool:
        """Return whether a new session is the one that a client opens right after its ``close``: true once for each ``close``.

        Another client of the same address may come from another receiver at any time, with frames to send again.
        """
        soon = now - sender.closed < REOPENED
        sender.closed = float("-inf")
        return soon and len(sender.sessions) == 1

    def hold(self, size: int) -> bool:
        """Return whether so many bytes of frames may be held back, and count them if so; a negative number gives them back."""
        if size > self._room:
            return False
        self._room -= size
        return True

    def _shrink(self) -> None:
        """Forget what exceeds the limits, beginning with the senders that were away for longest."""
        if len(self._known) <= SENDERS and self._frames <= FRAMES:
            return
        idle = [one for one in self._known.values() if not one.sessions]
        for nth, one in enumerate(idle):
            many = len(idle) - nth > SENDERS
            while one.broken and (many or self._frames > FRAMES):
                self._forget(one, one.broken[0])
            if many:
                self._drop(*one.answered)
                del self._known[one.name]

    def _keep(self, sender: Sender, one: Answered) -> None:
        sender.answered.append(one)
        self._answered[one] = sender
        self._answered_size += one.size
        if len(sender.answered) > LISTS:
            self._drop(sender.answered[0])
        while self._answered_size > ANSWERED:
            self._drop(next(iter(self._answered)))

    def _drop(self, *lists: Answered) -> None:
        for one in lists:
            self._answered.pop(one).answered.remove(one)
            self._answered_size -= one.size

    def _forget(self, sender: Sender, one: Unanswered) -> None:
        telemetry.RESENDS_FORGOTTEN.inc(len(one))
        self.settle(sender, one)
