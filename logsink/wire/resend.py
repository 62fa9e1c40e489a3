"""Compares the first frames of a RELP session with those of a broken one: which of them are sent again?

A RELP client keeps each frame until it is acknowledged. After a broken session it opens a new one and sends again, in order
and before anything else, all that it keeps. With the digests of what was taken in the broken session, in order::

    ... a a a a a | u u u u u        a: the acknowledgement was written, and may have arrived or not
            ^     ^                  u: it was certainly not written
            j     certain

the new session opens with exactly the frames from some j to the last. The client cannot know of any acknowledgement of the
u's, so j is not beyond ``certain``; of several such j the latest counts, which takes the fewest frames for resends. Without
any u there may be nothing to send again, and a frame that looks like a resend may be a true repeat. Then nothing is decided:
the frames are stored, and those with which the new session goes through a's in a row (``Retrace``) can be flagged.

A digest has 126 bits, keyed by a number that only this process knows.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from enum import Enum
from itertools import islice
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from logsink.kernel import I64, Bytes, ReadI32, ReadI64, kernel, word
from logsink.wire.batch import Batch

KEPT_ANSWERED: Final = 1 << 14
"""Frames of a session that are remembered although their acknowledgement was written: more than are under way at once."""

PLACES: Final = 64
"""Places at which a session is followed through earlier frames; only endless repeats stand at more."""

_HALF: Final = (1 << 32) - 1
_SEVEN: Final = (1 << 56) - 1  # seven bytes: `word` gives seven and a half
_LOW: Final = (1 << 28) - 1
_A: Final = 0x7D3A_59C5  # odd, without a pattern, below 2^31: products of halves and these stay below 2^63
_B: Final = 0x6B8F_2E97

Digests = npt.NDArray[np.int64]
"""Two numbers a frame, one frame after the other: int64[2 n]."""


@kernel
def _step(state: int, factor: int) -> int:
    """Mix the 63 bits of ``state`` by one step of multiply-with-carry, which never passes 63 bits."""
    return (state & _HALF) * factor + (state >> 32)


@kernel
def write_digests(data: Bytes, starts: ReadI32, ends: ReadI32, count: int, key: int, out: I64) -> None:
    """Write the digests of ``count`` frames of ``data`` to ``out``; behind the last frame there are at least 8 bytes more."""
    for i in range(count):
        at = int(starts[i])
        end = int(ends[i])
        a = key
        b = (key >> 7) ^ (end - at)
        # Seven and seven bytes at a time: whatever differs in them, one of the two sums does.
        while end - at >= 14:
            one = word(data, at) & _SEVEN
            other = word(data, at + 7) & _SEVEN
            once = one + other
            twice = once + other
            a = _step(a ^ (once & _LOW) ^ (once >> 28 << 31), _A)
            b = _step(b ^ (twice >> 28) ^ ((twice & _LOW) << 31), _B)
            at += 14
        # The rest, seven bytes and what is left of seven.
        while at < end:
            seven = word(data, at) & _SEVEN
            if end - at < 7:
                seven &= (1 << ((end - at) << 3)) - 1
            low = seven & _LOW
            high = seven >> 28
            a = _step(a ^ low ^ (high << 31), _A)
            b = _step(b ^ high ^ (low << 31), _B)
            at += 7
        # Have every bit depend on every other.
        for _ in range(3):
            a, b = _step(a ^ (b >> 1), _A), _step(b ^ (a >> 2), _B)
        out[2 * i] = a
        out[2 * i + 1] = b


@kernel
def overlap(known: ReadI64, n: int, new: ReadI64, m: int, least: int, links: I64) -> tuple[int, int, bool]:
    """Compare the first ``m`` frames of a session with a list of ``n``: Knuth, Morris and Pratt's search, over whole frames.

    Returns the shortest length of at least ``least`` frames, and the longest, that both end the list and begin the session
    (0, 0: there is none); and whether all ``m`` frames stand in the list where more of them could go on to its end.
    ``links`` is scratch for ``m`` numbers; ``least`` and ``m`` are at least 1.
    """
    # For each beginning of the new frames: how long a shorter one it ends with.
    links[0] = 0
    state = 0
    for i in range(1, m):
        while state and (new[2 * i] != new[2 * state] or new[2 * i + 1] != new[2 * state + 1]):
            state = links[state - 1]
        if new[2 * i] == new[2 * state] and new[2 * i + 1] == new[2 * state + 1]:
            state += 1
        links[i] = state
    # Go through the list: `state` is how many of the new frames it ends with up to here.
    state = 0
    longer = False
    for i in range(n):
        if state == m:
            state = links[m - 1]
        while state and (known[2 * i] != new[2 * state] or known[2 * i + 1] != new[2 * state + 1]):
            state = links[state - 1]
        if known[2 * i] == new[2 * state] and known[2 * i + 1] == new[2 * state + 1]:
            state += 1
        if state == m and i < n - 1 and n - 1 - i + m >= least:
            longer = True
    # The lengths with which the list ends, from the longest down.
    longest = state if state >= least else 0
    shortest = longest
    while state >= least:
        shortest = state
        state = links[state - 1]
    return shortest, longest, longer


def digests(batch: Batch, key: int) -> Digests:
    """Return the digests of a batch's frames. ``key`` is below 2^63, and the same for all that is compared."""
    data, count = batch.data, len(batch)
    if count and int(batch.ends[-1]) + 8 > len(data):
        data = np.concatenate([data, np.zeros(8, np.uint8)])
    out = np.empty(2 * count, np.int64)
    write_digests(data, batch.starts, batch.ends, count, key, out)
    return out


class Taken(NamedTuple):
    """The digests of one read's frames.

    before   frames that the session had taken before it, empty ones too
    after    the same, after it
    ordinal  the journal's number of the segment that they are in: a later one is never stored before it
    """

    before: int
    after: int
    ordinal: int
    digests: Digests


class History:
    """The frames that one session has taken lately, in order. ``frames`` is how many digests these are."""

    def __init__(self) -> None:
        self.frames = 0
        self._answered: deque[Taken] = deque()
        self._owed: deque[Taken] = deque()
        self._answered_frames = 0
        self._count = 0
        self._total = 0

    def add(self, taken: Taken) -> None:
        """Remember a read."""
        self.frames += len(taken.digests) // 2
        self._total += len(taken.digests) // 2
        self._owed.append(taken)

    def answered(self, count: int) -> int:
        """Note that acknowledgements of the first ``count`` frames were written; return how many digests were let go for it."""
        self._count = max(self._count, count)
        while self._owed and self._owed[0].after <= count:
            one = self._owed.popleft()
            self._answered.append(one)
            self._answered_frames += len(one.digests) // 2
        return self.trim(KEPT_ANSWERED)

    def trim(self, keep: int) -> int:
        """Keep about ``keep`` answered frames at most; return how many digests were let go."""
        before = self.frames
        while self._answered and self._answered_frames - len(self._answered[0].digests) // 2 >= keep:
            gone = len(self._answered.popleft().digests) // 2
            self._answered_frames -= gone
            self.frames -= gone
        return before - self.frames

    def forget(self) -> None:
        """Remember nothing of what was taken so far."""
        self._answered.clear()
        self._owed.clear()
        self.frames = self._answered_frames = 0

    def last(self, window: int, end: int) -> Digests:
        """Return the digests of those of the last ``window`` frames that are among the session's first ``end`` frames."""
        at = self._total - self.frames
        begin = max(self._total - window, at)
        parts = []
        if begin < end:
            for one in (*self._answered, *self._owed):
                if at >= end:
                    break
                parts.append(one.digests[2 * max(begin - at, 0) : 2 * (end - at)])
                at += len(one.digests) // 2
        return np.concatenate(parts) if parts else np.empty(0, np.int64)

    def broken(self, since: float) -> Unanswered | None:
        """Return the list for the next session, broken at time ``since``; None: each acknowledgement may have been written."""
        reads = [*self._answered, *self._owed]
        if self._owed and self._owed[0].before < self._count:  # answered in part: where, among empty ones, is not known
            self._answered_frames += len(self._owed.popleft().digests) // 2
        if not self._owed:
            return None
        counts = np.array([len(one.digests) // 2 for one in reads])
        return Unanswered(
            np.concatenate([one.digests for one in reads]),
            np.repeat(np.array([one.ordinal for one in reads], np.int64), counts),
            self._answered_frames,
            since,
        )


class Unanswered(NamedTuple):
    """The frames of a broken session that may be sent again.

    digests   of the frames, in order
    ordinals  int64[n]: the journal's number of the segment that each is in
    certain   index from which on no acknowledgement was written; there is at least one such frame
    since     time at which the session broke, on the caller's clock
    """

    digests: Digests
    ordinals: npt.NDArray[np.int64]
    certain: int
    since: float

    def __len__(self) -> int:
        return len(self.ordinals)

    def ordinal(self, resent: int, nth: int) -> int:
        """Return the segment of the ``nth`` of ``resent`` frames, which are the list's last."""
        return int(self.ordinals[len(self) - resent + nth])


class Retrace:
    """Follows a session from its first frame through the ``earlier`` frames of others, as long as it has the same in a row."""

    def __init__(self, earlier: Sequence[Digests]) -> None:
        self._earlier = earlier
        self._rests: list[Digests] | None = None
        """What stands behind each place that the session may have come to; None before its first frame."""

    def follow(self, new: Digests) -> int:
        """Return how many of the session's next frames are the same; when these are not all, no later one is."""
        if self._rests is None:
            self._rests = list(islice(self._places(new), PLACES))
        counts = [_same(rest, new) for rest in self._rests]
        most = max(counts, default=0)
        goes_on = 2 * most == len(new)
        self._rests = [rest[2 * most :] for rest, n in zip(self._rests, counts, strict=True) if goes_on and n == most]
        return most

    def _places(self, new: Digests) -> Iterator[Digests]:
        for one in self._earlier:
            for at in np.flatnonzero((one[::2] == new[0]) & (one[1::2] == new[1]))[::-1]:
                yield one[2 * at :]


def _same(one: Digests, other: Digests) -> int:
    """Return how many frames both begin with."""
    n = min(len(one), len(other))
    different = np.flatnonzero(one[:n] != other[:n])
    return int(different[0] if len(different) else n) // 2


class Verdict(Enum):
    """Whether a session's first frames are resends; UNDECIDED: more of them are needed."""

    RESENT = "resent"
    UNDECIDED = "undecided"
    OTHER = "other"


class Judged(NamedTuple):
    """A verdict; with ``RESENT`` the first ``frames`` are resends, and ``clear`` says that no larger number could be meant."""

    verdict: Verdict
    frames: int = 0
    clear: bool = False


def judge(known: Unanswered, first: Digests) -> Judged:
    """Return whether the ``first`` frames of a session, at least one, are ``known`` sent again."""
    n, m = len(known), len(first) // 2
    size = min(m, n)
    shortest, longest, longer = overlap(known.digests, n, first, size, n - known.certain, np.empty(size, np.int64))
    if shortest:
        return Judged(Verdict.RESENT, shortest, shortest == longest and not longer)
    return Judged(Verdict.UNDECIDED if longer else Verdict.OTHER)
