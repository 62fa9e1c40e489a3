"""Syslog over a byte stream: octet-counted frames and text lines, told apart per message (RFC 6587).

A frame begins where the one before ended. LF, CR and NUL between frames are skipped, and one space when a head follows it
(so that the lines of a stack trace keep their indentation). Then::

    [1-9][0-9]{0,5} SP "<"             a counted frame of that many octets (RFC 6587, 3.4.1)
    [1-9][0-9]{0,5} SP "z" zlib-head   a counted frame that holds a compressed message
    anything else                      a text line, up to LF, CRLF or NUL (RFC 6587, 3.4.2)

A count without ``<`` behind it is text: lines that begin with a date or a number are common, frames that do not begin with a
PRI are not. One LF, CRLF or NUL at the end of a counted frame belongs to the framing, unless it is compressed. Empty frames
are dropped.

A frame longer than ``max_message`` is delivered as its first ``max_message`` octets, flagged TRUNCATED; the rest of it is
discarded as it arrives, and counted. At the end of the stream an unfinished line is a frame, an unfinished counted frame is
one flagged INCOMPLETE, and so is an unfinished line where the connection broke.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from logsink.flags import Flag
from logsink.kernel import I32, I64, Bytes, either, kernel
from logsink.wire.batch import Batch, Scratch

_TRUNCATED = int(Flag.TRUNCATED)
_INCOMPLETE = int(Flag.INCOMPLETE)
_INFLATED = int(Flag.INFLATED)

# state[...] of a stream between two reads
_MODE, _LEFT, _SCANNED, _DISCARDED, _CONSUMED, _PACKED = range(6)
# state[_MODE]: at a head or in a frame that is being kept / dropping `left` octets / dropping up to the line's end
_KEEP, _DROP_COUNTED, _DROP_LINE = range(3)

_LF, _CR, _NUL, _SP, _LT, _Z = 10, 13, 0, 32, 60, 122
_UNDECIDED, _TEXT = -1, 0


def carry_limit(max_message: int) -> int:
    """Most octets that ``Framer.carry`` can hold: a frame, its count and space, its line end."""
    return max_message + 16


@kernel
def zlib_head(first: int, second: int) -> bool:
    """Whether two octets begin a zlib stream as senders make it: a 32 KiB window, a valid check, no preset dictionary."""
    return first == 0x78 and (0x7800 + second) % 31 == 0 and second & 0x20 == 0


@kernel
def _counted(buf: Bytes, pos: int, end: int) -> int:
    """Digits of the count of a counted frame's head at ``pos``, ``_TEXT`` when there is none, ``_UNDECIDED`` when cut off."""
    if buf[pos] < 49 or buf[pos] > 57:
        return _TEXT
    i = pos
    while i < end and i - pos < 6 and 48 <= buf[i] <= 57:
        i += 1
    if i == end:
        return _UNDECIDED
    if buf[i] != _SP:
        return _TEXT
    if i + 1 == end:
        return _UNDECIDED
    if buf[i + 1] == _LT:
        return i - pos
    if buf[i + 1] != _Z:
        return _TEXT
    if i + 2 < end and buf[i + 2] != 0x78:
        return _TEXT
    if i + 3 >= end:
        return _UNDECIDED
    return i - pos if zlib_head(buf[i + 2], buf[i + 3]) else _TEXT


@kernel
def _indented_head(buf: Bytes, pos: int, end: int) -> int:
    """Whether a frame's head follows the space at ``pos``: 1, 0, or ``_UNDECIDED``."""
    if pos + 1 == end:
        return _UNDECIDED
    if buf[pos + 1] != _LT:
        digits = _counted(buf, pos + 1, end)
        return 1 if digits > 0 else digits
    i = pos + 2
    while i < end and i - pos < 5 and 48 <= buf[i] <= 57:
        i += 1
    if i == end:
        return _UNDECIDED
    return 1 if buf[i] == 62 and i > pos + 2 else 0


@kernel
def trimmed(buf: Bytes, start: int, end: int) -> int:
    """The end of a frame without the one LF, CRLF or NUL that belongs to the framing."""
    if end > start and buf[end - 1] == _NUL:
        return end - 1
    if end > start and buf[end - 1] == _LF:
        end -= 1
        if end > start and buf[end - 1] == _CR:
            end -= 1
    return end


@kernel
def _line_end(buf: Bytes, pos: int, end: int) -> int:
    """Position of the first LF or NUL in ``buf[pos:end]``, or ``end``.

    32 octets at a time: 0.02 s per million frames of 186 octets, against 0.07 s by eight and 0.15 s one by one.
    """
    while pos + 32 <= end:
        found = either(buf, pos, _LF, _NUL)
        if found < 32:
            return pos + found
        pos += 32
    while pos < end and buf[pos] != _LF and buf[pos] != _NUL:
        pos += 1
    return pos


@kernel
def _cut(buf: Bytes, end: int, limit: int, state: I64, starts: I32, ends: I32, flags: I32) -> int:
    """Frames of ``buf[:end]`` into ``starts, ends, flags``; their number. ``state`` carries over to the next read."""
    pos, n, packed = 0, 0, 0
    mode, left, scanned, discarded = state[_MODE], state[_LEFT], state[_SCANNED], state[_DISCARDED]
    while pos < end:
        if mode == _DROP_COUNTED:
            take = min(left, end - pos)
            pos, left, discarded = pos + take, left - take, discarded + take
            if left == 0:
                mode = _KEEP
            continue
        if mode == _DROP_LINE:
            stop = _line_end(buf, pos, end)
            discarded += stop - pos
            pos = stop
            if pos < end:
                mode = _KEEP
            continue
        digits = _TEXT
        if scanned == 0:
            octet = buf[pos]
            if octet in (_LF, _CR, _NUL):
                pos += 1
                continue
            if octet == _SP:
                indented = _indented_head(buf, pos, end)
                if indented == 1:
                    pos += 1
                    continue
                if indented == _UNDECIDED:
                    break
            else:
                digits = _counted(buf, pos, end)
                if digits == _UNDECIDED:
                    break
        if digits > 0:
            count = 0
            for i in range(pos, pos + digits):
                count = count * 10 + (buf[i] - 48)
            start = pos + digits + 1
            keep = min(count, limit)
            if end - start < keep:
                break
            stop = start + keep
            starts[n], flags[n] = start, 0
            if count > limit:
                flags[n] = _TRUNCATED
                mode, left = _DROP_COUNTED, count - limit
                ends[n] = stop
            elif buf[start] == _Z:
                flags[n], ends[n] = _INFLATED, stop
                packed += 1
            else:
                ends[n] = trimmed(buf, start, stop)
            if ends[n] > start:
                n += 1
            pos = stop
            continue
        stop = _line_end(buf, pos + scanned, end)
        if stop == end and end - pos <= limit + 1:
            scanned = end - pos
            break
        scanned = 0
        line = stop
        if stop < end and buf[stop] == _LF and buf[stop - 1] == _CR:
            line -= 1
        starts[n], ends[n], flags[n] = pos, line, 0
        if line - pos > limit:
            ends[n], flags[n] = pos + limit, _TRUNCATED
            discarded += line - pos - limit
            if stop == end:
                mode = _DROP_LINE
        n += 1
        pos = stop if stop == end else stop + 1
    state[_MODE], state[_LEFT], state[_SCANNED] = mode, left, scanned
    state[_DISCARDED], state[_CONSUMED], state[_PACKED] = discarded, pos, packed
    return n


class Framer:
    """Cuts one TCP or TLS stream into frames. Not thread-safe; ``scratch`` may be shared with other sessions of the loop."""

    def __init__(self, scratch: Scratch, max_message: int) -> None:
        self.carry = b""
        """Octets of the unfinished frame, to be put at the front of the buffer before the next read."""
        self._scratch = scratch
        self._limit = max_message
        self._state = np.zeros(6, np.int64)

    @property
    def discarded(self) -> int:
        """Octets dropped so far, of frames longer than ``max_message``."""
        return int(self._state[_DISCARDED])

    @property
    def packed(self) -> int:
        """Frames of the last ``receive`` that hold a compressed message: flagged INFLATED, for ``inflate.inflated``."""
        return int(self._state[_PACKED])

    def receive(self, buffer: npt.NDArray[np.uint8], end: int) -> Batch:
        """Frames of ``buffer[:end]``, which is ``carry`` and what was read behind it.

        ``buffer`` is C-contiguous.
        """
        out = self._scratch
        n = _cut(buffer, end, self._limit, self._state, out.starts, out.ends, out.flags)
        consumed = int(self._state[_CONSUMED])
        self.carry = buffer[consumed:end].tobytes() if consumed < end else b""
        return out.batch(buffer, n)

    def close(self, *, broken: bool = False) -> Batch:
        """The frame that the end of the stream leaves unfinished, if any, as a batch over a buffer of its own.

        A last line needs no LF: only a ``broken`` stream may have ended inside it.
        """
        batch = self._give_up(_INCOMPLETE)
        if broken and len(batch):
            batch.flags[0] = _INCOMPLETE
        return batch

    def cut(self) -> Batch:
        """Give up waiting for the rest of the unfinished frame: what is there, flagged TRUNCATED. The rest is discarded."""
        data, digits = np.frombuffer(self.carry, np.uint8), self._digits()
        batch = self._give_up(_TRUNCATED)
        if len(batch):
            batch.flags[0] = _TRUNCATED
            self._state[_MODE] = _DROP_COUNTED if digits > 0 else _DROP_LINE
            if digits > 0:
                self._state[_LEFT] = int(bytes(data[:digits])) - (len(data) - digits - 1)
        return batch

    def _digits(self) -> int:
        """Length of the count when the unfinished frame is a counted one, else 0."""
        if not self.carry or self._state[_SCANNED] > 0:
            return 0
        return max(0, int(_counted(np.frombuffer(self.carry, np.uint8), 0, len(self.carry))))

    def _give_up(self, flag: int) -> Batch:
        """The unfinished frame; ``flag`` is set on it when it is a counted one."""
        data, digits, out = np.frombuffer(self.carry, np.uint8), self._digits(), self._scratch
        start = digits + 1 if digits > 0 else 0
        self.carry = b""
        self._state[_SCANNED] = 0
        out.starts[0], out.ends[0], out.flags[0] = start, len(data), flag if digits > 0 else 0
        return out.batch(data, 1 if len(data) > start else 0)
