"""How a RELP session begins: whether its first frames are a broken session's, sent again.

::

    first frame -> older sessions that the sender has closed are read to their ends   (nothing is read meanwhile)
                -> held until the lists of its broken sessions say what they are       (bounded in octets and time)
                       resent: acknowledged with the first copies, not stored again
                       other:  stored, flagged ``maybe_resent``
                -> flagged as long as they could be resends of which this receiver knows nothing

Sessions of one sender that its system still has open are not waited for: it may well have several. Only a sender whose last
session ended as agreed a moment ago is believed to have nothing to send again.
"""

from __future__ import annotations

import asyncio
from typing import Final, NamedTuple, Protocol

import numpy as np

from logsink import telemetry
from logsink.flags import Flag
from logsink.net.senders import REOPENED, Peer, Sender, Senders
from logsink.wire.batch import Batch
from logsink.wire.resend import Digests, Unanswered, Verdict, judge

OLDER: Final = 5.0
"""Seconds to wait for the end of older sessions that the sender has closed: all there is to read is in this system already."""

QUIET: Final = 2.0
"""Seconds without a frame after which a sender has sent again all it had: it does that without waiting for anything."""

LONGEST: Final = 30.0
"""Seconds of a session in which frames are held back, or flagged, at most."""

MOST: Final = 1 << 16
"""Frames of a session that are flagged at most: more than any window that is of use."""

_MAYBE_RESENT: Final = int(Flag.MAYBE_RESENT)


class Read(NamedTuple):
    """Frames of one read, in memory of their own; the session had taken ``before`` frames, then ``after``."""

    batch: Batch
    before: int
    after: int
    digests: Digests


class Session(Peer, Protocol):
    """What an opening asks of its connection."""

    def pause(self) -> None: ...
    def resume(self) -> None: ...
    def stalled(self) -> bool:
        """Whether reading is held back by others than the opening."""

    def resent(self, read: Read, ordinal: int) -> None:
        """These frames are known, the last of them is in the fill of this ordinal."""

    def fresh(self, read: Read) -> None:
        """These frames are to be stored."""


class Doubt:
    """Flags the frames that could be resends: those right after ``open``, until the sender pauses."""

    def __init__(self, now: float) -> None:
        self._left = MOST
        self._until = now + LONGEST
        self._read = now

    def waive(self) -> None:
        """There is none."""
        self._left = 0

    def resumed(self, now: float) -> None:
        """It was not the sender who paused."""
        self._read = now

    def flag(self, batch: Batch, now: float) -> None:
        """Flag what has to be flagged of a read."""
        if not self._left:
            return
        if now > self._until or now - self._read > QUIET:
            self._left = 0
            return
        self._read = now
        count = min(self._left, len(batch))
        self._left -= count
        batch.flags[:count] |= _MAYBE_RESENT


class Opening:
    """Decides about the first frames of one session; ``over`` when it has."""

    def __init__(self, senders: Senders, sender: Sender, session: Session) -> None:
        self.over = False
        self._senders, self._sender, self._session = senders, sender, session
        self._loop = asyncio.get_running_loop()
        self.doubt = Doubt(self._loop.time())
        self._held: list[Read] = []
        self._octets = 0
        self._begun = 0.0
        self._older: set[Peer] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def take(self, read: Read) -> bool:
        """Look at a read. False: it is to be stored now. True: it is held back, its arrays are kept, and it comes later."""
        if self.over or not (self._held or self._begin(read)):
            return False
        octets = int((read.batch.ends - read.batch.starts).sum()) + 40 * len(read.batch)
        if not self._senders.hold(octets):
            self._other()
            return False
        self._octets += octets
        self._held.append(read._replace(batch=_copied(read.batch), digests=read.digests.copy()))
        self.look()
        return True

    def look(self) -> None:
        """Decide if that is possible now."""
        if not self._held:
            return
        if self._older is not None:
            self._older &= self._sender.sessions
            if self._older:
                return
            self._older = None
            self._session.resume()
        opening = np.concatenate([one.digests for one in self._held])
        undecided = False
        for known in self._senders.broken(self._sender, self._loop.time()):
            judged = judge(known, opening)
            if judged.verdict is Verdict.RESENT:
                if judged.clear:
                    self.doubt.waive()
                self._senders.settle(self._sender, known)
                self._resent(known, judged.frames)
                return
            undecided = undecided or judged.verdict is Verdict.UNDECIDED
        if not undecided:
            self._other()
        else:
            self._wait(QUIET)

    def end(self, *, closed: bool) -> None:
        """Nothing more will come. Without a ``close`` what is held, if it began as a list does, is a part of that list."""
        if self._held and self._older is None and not closed:
            telemetry.RESENT.inc(sum(len(one.batch) for one in self._held))
            self._release()
        else:
            self._other()

    def _begin(self, read: Read) -> bool:
        """The first frames are there: whether they have to be held back."""
        if not len(read.batch):
            return False
        now, others = self._loop.time(), self._sender.sessions - {self._session}
        older = {one for one in others if one.hung_up()}
        self._begun = now
        if older:
            self._older = older
            self._session.pause()
            self._wait(OLDER)
            return True
        if self._senders.broken(self._sender, now):
            return True
        if not others and now - self._sender.closed < REOPENED:
            self.doubt.waive()
        self.over = True
        return False

    def _wait(self, seconds: float) -> None:
        """Decide without knowing in so many seconds, or when it has taken too long altogether."""
        if self._timer:
            self._timer.cancel()
        at = min(self._loop.time() + seconds, self._begun + LONGEST)
        self._timer = self._loop.call_at(at, self._late, seconds)

    def _late(self, seconds: float) -> None:
        if self._session.stalled():
            self._begun = self._loop.time()
            self._wait(seconds)
        elif self._older is not None:
            self._older.clear()
            self.look()
        else:
            self._other()

    def _resent(self, known: Unanswered, frames: int) -> None:
        telemetry.RESENT.inc(frames)
        done = 0
        for read in self._release():
            again = min(frames - done, len(read.batch))
            if again:
                first = read._replace(batch=_part(read.batch, 0, again), digests=read.digests[: 2 * again])
                self._session.resent(first, known.ordinal(frames, done + again - 1))
                done += again
            if again < len(read.batch) or not again:
                rest = read._replace(batch=_part(read.batch, again, None), digests=read.digests[2 * again :])
                self._session.fresh(rest)

    def _other(self) -> None:
        for read in self._release():
            self._session.fresh(read)

    def _release(self) -> list[Read]:
        """It is over; what was held."""
        self.over = True
        self.doubt.resumed(self._loop.time())
        if self._timer:
            self._timer.cancel()
        if self._older is not None:
            self._older = None
            self._session.resume()
        held, self._held = self._held, []
        self._senders.hold(-self._octets)
        self._octets = 0
        return held


def _copied(batch: Batch) -> Batch:
    """The same frames, in memory of their own, as little as they need."""
    first, last = (int(batch.starts[0]), int(batch.ends[-1])) if len(batch) else (0, 0)
    shift = np.int32(first)
    return Batch(batch.data[first:last].copy(), batch.starts - shift, batch.ends - shift, batch.flags.copy())


def _part(batch: Batch, first: int, end: int | None) -> Batch:
    return Batch(batch.data, batch.starts[first:end], batch.ends[first:end], batch.flags[first:end])
