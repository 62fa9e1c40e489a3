"""Holds back a RELP session's first frames until it is known whether they are resends, and flags doubtful ones.

::

    first frame -> older sessions that the sender has closed are read to their ends   (nothing is read meanwhile)
                -> held back until the lists of its broken sessions say what they are  (bounded in bytes and time)
                       resent: acknowledged with the first copies, not stored again
                       fresh:  stored, flagged ``maybe_resent``
                -> flagged as long as they could be resends of which this receiver knows nothing (see ``Doubt``)
                -> flagged ``sent_twice``, too, as long as they are in a row what was acknowledged in an earlier session:
                       the acknowledgements may have been lost, so a query can tell that these are copies

Sessions that the sender's system still has open are not waited for: a sender may well have several.
"""

from __future__ import annotations

import asyncio
from typing import Final, NamedTuple, Protocol

import numpy as np

from logsink import telemetry
from logsink.flags import Flag
from logsink.net.senders import REOPENED, Peer, Sender, Senders
from logsink.wire import Batch, Digests, Retrace, Unanswered, Verdict, judge

OLDER: Final = 5.0
"""Seconds to wait for the end of older sessions that the sender has closed: what there is to read is in this system already."""

QUIET: Final = 5.0
"""Seconds without a frame after which a sender has sent again all that it had: it does so without waiting for anything.

Longer than TCP needs to repeat a segment that was lost four times in a row (0.2, 0.4, 0.8 and 1.6 s).
"""

CLOCK: Final = 0.001
"""Seconds by which a timer of the event loop may be early."""

LONGEST: Final = 30.0
"""Seconds of a session in which frames are held back at most."""

FRAME_MEMORY: Final = 40
"""Bytes that a frame which is held back takes besides its own: offsets, flags, digests and lists."""

REPEATS: Final = int(Flag.MAYBE_RESENT | Flag.SENT_TWICE)
"""Flags of a frame that was taken before, with all its bytes."""

_MAYBE_RESENT: Final = int(Flag.MAYBE_RESENT)


class Read(NamedTuple):
    """The frames of one read; the session had taken ``before`` frames before it and ``after`` frames with it."""

    batch: Batch
    before: int
    after: int
    digests: Digests


class Session(Peer, Protocol):
    """What the guard asks of its connection."""

    def pause(self) -> None: ...
    def resume(self) -> None: ...
    def stalled(self) -> bool:
        """Whether others than the guard hold reading back."""

    def idle(self) -> bool:
        """Whether the client's system has an answer to all that it sent, and nothing of the next frame is here."""

    def resent(self, read: Read, ordinal: int) -> None:
        """Acknowledge these frames once the segment with this ordinal is stored: it holds the last of their first copies."""

    def fresh(self, read: Read) -> None:
        """Store these frames."""


class Doubt:
    """Flags the frames of a session that could be resends of frames which another receiver has stored.

    A client sends those first, in order, as fast as it can, and cannot have more of them than its window of unacknowledged
    frames. So the doubt ends

    - behind ``senders.window`` frames;
    - where the client had an answer to everything, and then sent nothing for ``QUIET`` seconds. A link that is down for so long
      does not look like that: the client's system would not have confirmed the answers;
    - with ``end``, when this receiver knows that nothing, or nothing more, can be sent again.

    Call ``answered`` when everything taken is answered, and ``close`` with the session.
    """

    def __init__(self, senders: Senders, session: Session) -> None:
        self.flagged = 0
        """Frames of the session up to the last one that was flagged or recognised."""
        self._senders, self._session = senders, session
        self._frames = 0
        self._over = False
        self._answered = 0, 0.0
        """Frames when everything was answered last, and when that was."""
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    def end(self) -> None:
        """Stop flagging: the frames that come from now on cannot be resends."""
        self._over = True
        self.close()

    def recognised(self, frames: int) -> None:
        """Count resends that are not stored again: the client's window held them, too."""
        self._frames += frames
        self.flagged = self._frames

    def flag(self, batch: Batch) -> None:
        """Flag the frames of a read that could be resends, by ``senders.window`` as it is now."""
        if not self._over:
            count = min(max(0, self._senders.window - self._frames), len(batch))
            batch.flags[:count] |= _MAYBE_RESENT
            if count:
                self.flagged = self._frames + count
            self._frames += len(batch)

    def answered(self) -> None:
        """Note that everything taken is answered, and see whether the client is quiet from now on."""
        if self._over or self._frames >= self._senders.window:
            return
        self._answered = self._frames, self._loop.time()
        if not self._timer:
            self._watch(QUIET)

    def close(self) -> None:
        """Stop watching the session."""
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def _watch(self, seconds: float) -> None:
        self._timer = self._loop.call_later(seconds, self._look)

    def _look(self) -> None:
        self._timer = None
        frames, at = self._answered
        left = at + QUIET - self._loop.time()
        if frames != self._frames:
            return  # an answer is due, and `answered` will be called
        if left > CLOCK:
            self._watch(left)
        elif self._session.idle():
            self._over = True
        else:
            self._watch(QUIET / 8)


class ResendGuard:
    """Decides about the first frames of one session; ``over`` is true once it has."""

    def __init__(self, senders: Senders, sender: Sender, session: Session) -> None:
        self.over = False
        self._senders, self._sender, self._session = senders, sender, session
        self._loop = asyncio.get_running_loop()
        self.doubt = Doubt(senders, session)
        self._held: list[Read] = []
        self._held_bytes = 0
        self._begun = 0.0
        self._older: set[Peer] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._follows = True
        self._retrace: Retrace | None = None

    def flag(self, read: Read) -> None:
        """Flag the frames of a read that is about to be stored: those that could be resends, and those that are repeats."""
        self.doubt.flag(read.batch)
        if not self._follows or not len(read.batch):
            return
        if self._retrace is None:
            self._retrace = Retrace(self._senders.answered(self._sender, self._session, self._loop.time()))
        count = self._retrace.follow(read.digests)
        read.batch.flags[:count] |= REPEATS
        if count < len(read.batch):
            self._follows, self._retrace = False, None

    def take(self, read: Read) -> bool:
        """Look at a read and return whether it is held back: then ``fresh`` or ``resent`` gets it later, else store it now.

        What is held back is copied; the arrays of ``read`` stay the caller's.
        """
        if self.over or not (self._held or self._begin(read)):
            return False
        size = int((read.batch.ends - read.batch.starts).sum()) + FRAME_MEMORY * len(read.batch)
        if not self._senders.hold(size):
            self._other()
            return False
        self._held_bytes += size
        self._held.append(read._replace(batch=_copied(read.batch), digests=read.digests.copy()))
        self.look()
        return True

    def look(self) -> None:
        """Decide, if that is possible now."""
        if not self._held:
            return
        if self._older is not None:
            self._older &= self._sender.sessions
            if self._older:
                return
            self._older = None
            self._session.resume()
        first = np.concatenate([one.digests for one in self._held])
        undecided = False
        for known in self._senders.broken(self._sender, self._loop.time()):
            judged = judge(known, first)
            if judged.verdict is Verdict.RESENT:
                if judged.clear and self._begun - known.since < REOPENED:
                    self.doubt.end()  # it was with no other receiver in between, which may have more of its frames
                self._senders.settle(self._sender, known)
                self._resent(known, judged.frames)
                return
            undecided = undecided or judged.verdict is Verdict.UNDECIDED
        if not undecided:
            self._other()
        else:
            self._wait(QUIET)

    def end(self, *, closed: bool) -> None:
        """Decide, for nothing more will come. Without a ``close``, frames that begin like a list are taken for resends."""
        if self._held and self._older is None and not closed:
            telemetry.RESENT.inc(sum(len(one.batch) for one in self._held))
            self._release()
        else:
            self._other()

    def _begin(self, read: Read) -> bool:
        """Return whether a read, which may be the first with frames, begins what has to be held back."""
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
        if self._senders.reopens(self._sender, now):
            self.doubt.end()
        self.over = True
        return False

    def _wait(self, seconds: float) -> None:
        """Decide in so many seconds whatever is known then, or earlier where ``LONGEST`` is reached."""
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
        """Give back what is held: its first ``frames`` frames are the last of ``known``, the others are fresh."""
        telemetry.RESENT.inc(frames)
        self.doubt.recognised(frames)
        self._follows = False
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
        """Give back what is held: none of it is known."""
        for read in self._release():
            self._session.fresh(read)

    def _release(self) -> list[Read]:
        """End, and return what was held back."""
        self.over = True
        if self._timer:
            self._timer.cancel()
        if self._older is not None:
            self._older = None
            self._session.resume()
        held, self._held = self._held, []
        self._senders.hold(-self._held_bytes)
        self._held_bytes = 0
        return held


def _copied(batch: Batch) -> Batch:
    """Return the same frames in memory of their own, as little as they need."""
    first, last = (int(batch.starts[0]), int(batch.ends[-1])) if len(batch) else (0, 0)
    shift = np.int32(first)
    return Batch(batch.data[first:last].copy(), batch.starts - shift, batch.ends - shift, batch.flags.copy())


def _part(batch: Batch, first: int, end: int | None) -> Batch:
    return Batch(batch.data, batch.starts[first:end], batch.ends[first:end], batch.flags[first:end])
