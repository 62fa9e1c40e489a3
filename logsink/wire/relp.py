"""The server's side of one RELP session: bytes in, batches of frames and replies out.

A frame on the wire, both ways::

    TXNR SP COMMAND SP DATALEN [SP DATA] LF     TXNR, DATALEN: up to 9 digits, COMMAND: up to 32 letters

and a session, as a sender sees it::

    1 open 86 <offers>                          1 rsp 64 200 OK LF <offers>
    2 syslog 24 <message>                       2 rsp 6 200 OK          only once the message is durable
    3 close 0                                   3 rsp 0                 after every other reply
                                                0 serverclose 0

TXNR counts from 1 and is followed exactly; after 999999999 comes 1 (some senders skip 999999999). Replies leave in
the order of the commands, so what is owed is no list but two numbers: how many syslog frames were taken, how many of
them have been answered. Nothing is answered 500 for a trouble that passes: senders throw a message away at a 500.

There is no RFC: the protocol is defined by librelp's ``doc/relp.html`` and by what librelp does. What it leaves open is taken
leniently: a space after DATALEN 0, no DATALEN, offers in any order, with CR LF, empty
lines, without a software line, of a later version (answered with 0). One LF, CR LF or NUL at the end of DATA belongs to
the framing. A message without a byte is answered and not stored.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Final

import numpy as np
import numpy.typing as npt

from logsink import __version__
from logsink.ascii import CAPITAL_A, CAPITAL_Z, CR, DIGIT_0, DIGIT_9, LF, NUL, SMALL_A, SMALL_Z, SPACE
from logsink.flags import Flag
from logsink.kernel import I32, U8, Bytes, copy, kernel, word
from logsink.wire.batch import Batch, Scratch

LAST_TXNR: Final = 999_999_999

_TXNR_DIGITS, _COMMAND_LETTERS, _DATALEN_DIGITS = 9, 32, 9
HEADER: Final = _TXNR_DIGITS + 1 + _COMMAND_LETTERS + 1 + _DATALEN_DIGITS + 1
"""Bytes of the longest header: TXNR SP COMMAND SP DATALEN SP."""

OFFERS: Final = 8192
"""Bytes of DATA that other commands than syslog may have, or ``max_message`` if that is more."""

ASIDES: Final = 100
"""Hints, and syslog frames before ``open``, of one session: no sender has many, and each costs a reply."""

ANSWERS: Final = 1 << 14
"""Acknowledgements in one ``take_output``: what a sender that does not read can make us hold."""

_ANSWER: Final = b" rsp 6 200 OK\n"
_ANSWER_SIZE: Final = len(_ANSWER)
_ANSWER_ROOM: Final = _TXNR_DIGITS + _ANSWER_SIZE
_SERVERCLOSE: Final = b"0 serverclose 0\n"
_OFFERS: Final = b"relp_version=0\nrelp_software=logsink,%b\ncommands=syslog" % __version__.encode()
_OFFER_VALUES: Final = 64  # values of one offer that librelp reads
_INVALID_OFFER: Final = b"500 error 10021 on connect"  # librelp's number for it, the one that senders' logs explain

_SYSLOG: Final = int.from_bytes(b" syslog ", "little")  # COMMAND with the spaces around it, as ``word`` gives it
_SYSLOG_SIZE: Final = len(b"syslog")
_TRUNCATED: Final = int(Flag.TRUNCATED)
_UNFINISHED: Final = -1
_BAD_TXNR: Final = -2
_BAD_COMMAND: Final = -3
_BAD_DATALEN: Final = -4
_MALFORMED: Final = {_BAD_TXNR: "TXNR", _BAD_COMMAND: "COMMAND", _BAD_DATALEN: "DATALEN"}

_SEEN_INSTEAD: Final = [
    (re.compile(pattern, re.DOTALL), what)
    for pattern, what in (
        (rb"\x16\x03", "this seems to be TLS, which belongs on an address of relp_tls"),
        (rb"(GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS|CONNECT|PRI) ", "this seems to be HTTP"),
        (rb"<\d", "this seems to be syslog without RELP, which belongs on an address of tcp"),
        (rb"\d+ +<\d", "this seems to be octet-counted syslog without RELP, which belongs on an address of tcp"),
        (rb"PROXY |\r\n\r\n\0\r\nQUIT\n", "this seems to be a PROXY protocol header"),
        (rb"SSH-", "this seems to be SSH"),
    )
]


class RelpState(Enum):
    """Where a session stands. While it is closing or failed nothing more is read; what was taken is still answered."""

    NEW = "new"
    OPEN = "open"
    CLOSING = "closing"
    FAILED = "failed"


_READING: Final = (RelpState.NEW, RelpState.OPEN)


class _Violation(Exception):
    """The sender broke the protocol; ``reply`` is the last thing it is told."""

    def __init__(self, what: str, reply: bytes = b"") -> None:
        super().__init__(what)
        self.reply = reply


@kernel
def read_header(data: Bytes, at: int, end: int) -> tuple[int, int, int, int, int]:
    """Read the header of the frame at ``at``: TXNR, start of COMMAND, its end, DATALEN, start of DATA.

    A negative TXNR says that it is unfinished, or which part is malformed.

    DATA is followed by the frame's LF at start of DATA + DATALEN, whether or not a space came before it.
    """
    # TXNR
    p = at
    txnr = 0
    while p < end and DIGIT_0 <= data[p] <= DIGIT_9 and p - at < _TXNR_DIGITS:
        txnr = txnr * 10 + (data[p] - DIGIT_0)
        p += 1
    if p == end:
        return _UNFINISHED, p, p, 0, p
    if p == at or data[p] != SPACE:
        return _BAD_TXNR, p, p, 0, p
    # COMMAND, which nearly always is "syslog"
    p += 1
    command = p
    if end - p > _SYSLOG_SIZE and word(data, p - 1) == _SYSLOG:
        p += _SYSLOG_SIZE
    while (
        p < end
        and (SMALL_A <= data[p] <= SMALL_Z or CAPITAL_A <= data[p] <= CAPITAL_Z)
        and p - command < _COMMAND_LETTERS
    ):
        p += 1
    if p == end:
        return _UNFINISHED, command, p, 0, p
    if data[p] != SPACE:
        return _BAD_COMMAND, command, p, 0, p
    # DATALEN
    stop = p
    p += 1
    first = p
    length = 0
    while p < end and DIGIT_0 <= data[p] <= DIGIT_9 and p - first < _DATALEN_DIGITS:
        length = length * 10 + (data[p] - DIGIT_0)
        p += 1
    if p == end:
        return _UNFINISHED, command, stop, length, p
    if data[p] == SPACE:
        return txnr, command, stop, length, p + 1
    if data[p] == LF and length == 0:
        return txnr, command, stop, 0, p
    return _BAD_DATALEN, command, stop, length, p


@kernel
def take(
    data: Bytes, at: int, end: int, n: int, txnr: int, limit: int, rest: int, starts: I32, ends: I32, flags: I32
) -> tuple[int, int, int, int, int, bool]:
    """Take syslog frames numbered from ``txnr`` on, up to the first thing that is none, not whole, or not well-formed.

    ``n`` rows are filled already; DATA beyond ``limit`` bytes is discarded. ``rest`` is how many bytes of DATA of a frame
    already taken are still to be discarded before its LF; -1: there is no such frame.
    Returns where it stopped, the rows filled, the frames taken, the new ``rest``, the bytes discarded, and whether it stopped
    at a frame whose end has not arrived yet.
    """
    taken = 0
    discarded = 0
    partial = False
    while at < end:
        # The rest of a frame that was too long, and its LF.
        if rest >= 0:
            step = min(rest, end - at)
            at += step
            rest -= step
            discarded += step
            if at == end or data[at] != LF:
                break
            at += 1
            rest = -1
            continue
        # The next frame, if it is a syslog frame and has the number that is due.
        number, c, stop, length, body = read_header(data, at, end)
        if number != txnr or stop - c != _SYSLOG_SIZE or word(data, c - 1) != _SYSLOG:
            partial = number == _UNFINISHED
            break
        # Too long: keep what is allowed once that is here.
        if length > limit:
            if body + limit > end:
                partial = True
                break
            starts[n] = body
            ends[n] = body + limit
            flags[n] = _TRUNCATED
            n += 1
            at = body + limit
            rest = length - limit
        # Whole: leave out one LF, CR LF or NUL at its end; one that is empty then is taken and fills no row.
        else:
            last = body + length
            if last >= end or data[last] != LF:
                partial = last >= end
                break
            at = last + 1
            if data[last - 1] == LF:  # without DATA this looks at the header's digit or space
                last -= 1
                if last > body and data[last - 1] == CR:
                    last -= 1
            elif data[last - 1] == NUL:
                last -= 1
            if last > body:
                starts[n] = body
                ends[n] = last
                flags[n] = 0
                n += 1
        taken += 1
        txnr += 1
    return at, n, taken, rest, discarded, partial


@kernel
def write_answers(txnr: int, count: int, out: U8) -> int:
    """Write ``TXNR rsp 6 200 OK LF`` for ``count`` numbers from ``txnr`` on, and return how many bytes that took."""
    # Digits of the first number, and the first number that has more.
    width = 1
    bound = 10
    while txnr >= bound:
        width += 1
        bound *= 10
    at = 0
    before = -1  # where the answer before this one begins, when its number has as many digits
    for number in range(txnr, txnr + count):
        if number == bound:
            width += 1
            bound *= 10
            before = -1
        # Copy the answer before and count its number up, or write a number from its last digit on.
        if before >= 0:
            copy(out, at, out, before, width + _ANSWER_SIZE)
            k = at + width - 1
            while out[k] == DIGIT_9:
                out[k] = DIGIT_0
                k -= 1
            out[k] += 1
        else:
            left = number
            for k in range(at + width - 1, at - 1, -1):
                out[k] = DIGIT_0 + left % 10
                left //= 10
            for k in range(_ANSWER_SIZE):
                out[at + width + k] = _ANSWER[k]
        before = at
        at += width + _ANSWER_SIZE
    return at


class RelpSession:
    """One connection's session. ``receive`` what was read, ``acknowledge`` what is durable, send ``take_output``.

    Read-only for callers:

    carry       input that is not a whole frame yet: to be put before what is read next
    taken       syslog frames taken over so far, empty ones included; what ``acknowledge`` counts
    state       see ``RelpState``
    error       why the session failed, for the log; None as long as it has not
    discarded   bytes of DATA beyond ``max_message`` that were discarded
    refused     syslog frames that came before ``open``: answered 500, not taken
    unfinished  1 when input ended inside a frame that was not taken; the sender will send it again

    The caller's buffer must be longer than ``longest_carry(max_message)``; ``max_message`` is at least 1.
    """

    def __init__(self, scratch: Scratch, max_message: int) -> None:
        self.carry = b""
        self.taken = 0
        self.state = RelpState.NEW
        self.error: str | None = None
        self.discarded = 0
        self.refused = 0
        self.unfinished = 0
        self._scratch = scratch
        self._max_message = max_message
        self._next = 1  # the TXNR that must come; LAST_TXNR + 1 is none: the count has to start again
        self._rest = -1  # as in `take`
        self._runs: list[tuple[int, int]] = []  # (frames taken before it, TXNR of its first) of each run without a wrap
        self._asides = 0
        self._durable = 0
        self._answered = 0
        self._head = b""  # replies that are due before any acknowledgement, and after all of them
        self._tail = b""

    @staticmethod
    def longest_carry(max_message: int) -> int:
        """Return the most bytes that ``carry`` ever holds: a buffer needs room for more than that."""
        return HEADER + max(max_message, OFFERS)

    def receive(self, buffer: npt.NDArray[np.uint8], end: int) -> Batch:
        """Take ``buffer[:end]``, which is ``carry`` and what was read behind it, and return its frames.

        What is unfinished becomes ``carry``.

        The frames are to be acknowledged when they and all before them are durable; ``taken`` counts them. Once the
        session closes or fails, input is ignored. Raises nothing, whatever the input.
        """
        at = n = 0
        self.carry = b""
        partial = False
        while self.state in _READING:
            if self.state is RelpState.OPEN:
                at, n, count, self._rest, discarded, partial = take(
                    buffer,
                    at,
                    end,
                    n,
                    self._next,
                    self._max_message,
                    self._rest,
                    self._scratch.starts,
                    self._scratch.ends,
                    self._scratch.flags,
                )
                self.taken += count
                self._next += count
                self.discarded += discarded
            try:
                after = self._command(buffer, at, end) if at < end and not partial else None
            except _Violation as violation:
                self.state, self.error, self._tail = RelpState.FAILED, str(violation), violation.reply
                break
            if after is None:
                break
            at = after
        if self.state in _READING:
            self.carry = buffer[at:end].tobytes()
        return self._scratch.batch(buffer, n)

    def acknowledge(self, count: int) -> None:
        """Note that the first ``count`` frames taken are durable, and may be answered. A smaller number changes nothing.

        ``ValueError``: so many were not taken.
        """
        if count > self.taken:
            raise ValueError(f"cannot acknowledge {count} frames: {self.taken} were taken")
        self._durable = max(self._durable, count)

    def shutdown(self) -> None:
        """Take nothing more; say ``serverclose`` once all that was taken is answered. The sender resends the rest elsewhere."""
        self._end(_SERVERCLOSE)

    def eof(self) -> None:
        """Note that the sender ended without having said ``close``: half a frame is dropped, not stored."""
        self._end(b"")

    def take_output(self) -> bytes:
        """Return bytes to send now; call it until it gives b'', when the transport accepts more."""
        out, self._head = self._head, b""
        due = min(self._durable, self._owed)
        if self._answered < due:
            out += self._answers(due)
        if self._answered == self._owed:
            out, self._tail = out + self._tail, b""
        return out

    @property
    def replies(self) -> bool:
        """Whether there is something to send, or about to be, that is no acknowledgement."""
        return bool(self._head or self._tail)

    @property
    def finished(self) -> bool:
        """Whether all has been said: close the transport when it has sent what ``take_output`` gave."""
        return self.state not in _READING and self._answered == self._owed and not self._head and not self._tail

    @property
    def answered(self) -> int:
        """How many of the frames taken have been answered by what ``take_output`` gave."""
        return self._answered

    @property
    def _owed(self) -> int:
        """How many of the frames taken are whole: one whose DATA is still being discarded is not answered before its end."""
        return self.taken - (self._rest >= 0)

    def _answers(self, due: int) -> bytes:
        """Return acknowledgements of the frames after ``_answered``, up to frame ``due`` or less; at least one."""
        while len(self._runs) > 1 and self._runs[1][0] <= self._answered:
            del self._runs[0]
        before, txnr = self._runs[0]
        stop = min([due, self._answered + ANSWERS, *(run[0] for run in self._runs[1:2])])
        count = stop - self._answered
        out = np.empty(count * _ANSWER_ROOM, np.uint8)
        length = write_answers(txnr + self._answered - before, count, out)
        self._answered = stop
        return out[:length].tobytes()

    def _command(self, buffer: npt.NDArray[np.uint8], at: int, end: int) -> int | None:
        """Deal with the frame at ``at``, which ``take`` did not take; return the position after it, or None to stop here.

        It is unfinished, or malformed, or another command than syslog, or the first syslog frame after a wrap.
        """
        if self._rest >= 0:
            raise _Violation(f"cannot read RELP frame {self._next - 1}: expected LF after its DATA")
        txnr, command, stop, length, body = read_header(buffer, at, end)
        if txnr == _UNFINISHED:
            return None
        if txnr < 0:
            raise _Violation(self._malformed(_MALFORMED[txnr], buffer[at:end][:64].tobytes()))
        if txnr == 1 and self._next >= LAST_TXNR:
            self._next = 1
            self._runs.append((self.taken, 1))
            return at
        name = buffer[command:stop].tobytes()
        known = name in (b"open", b"syslog", b"close")
        if txnr != self._next and (known or txnr):
            raise _Violation(f"cannot read RELP frame {self._next}: found TXNR {txnr}")
        if txnr and not known:
            raise _Violation(f"cannot execute RELP command {name.decode()!r}: not known here")
        if length > self._max_message and self.state is RelpState.OPEN and name == b"syslog":
            return None
        if length > max(self._max_message, OFFERS):
            raise _Violation(f"cannot read RELP command {name.decode()!r}: DATALEN {length} is too much for it")
        last = body + length
        if last >= end:
            return None
        if buffer[last] != LF:
            raise _Violation(f"cannot read RELP frame {txnr}: expected LF after its DATA")
        if not txnr or name == b"syslog":
            self._asides += 1
            if self._asides > ASIDES:
                raise _Violation(
                    f"cannot take RELP command {name.decode()!r}: over {ASIDES} hints or frames before 'open'"
                )
        if txnr:  # 0 is a hint, which is never answered
            self._next = txnr + 1
            self._execute(txnr, name, buffer[body:last].tobytes())
        return last + 1

    def _execute(self, txnr: int, name: bytes, data: bytes) -> None:
        """Carry out a whole command that came in order: ``open``, ``close``, or ``syslog`` before ``open``."""
        if name == b"close":
            self._end(b"%d rsp 0\n" % txnr + _SERVERCLOSE)
        elif name == b"syslog":
            self.refused += 1
            self._head += _reply(txnr, b"500 command disabled")
        elif self.state is RelpState.OPEN:
            reply = _reply(txnr, b"500 protocol error: connection already open")
            raise _Violation("cannot open RELP session: it is open", reply)
        elif problem := _offers_problem(data):
            text = problem.decode().removeprefix("500 ")
            raise _Violation(f"cannot open RELP session with offers {data[:200]!r}: {text}", _reply(txnr, problem))
        else:
            self._head += _reply(txnr, b"200 OK\n" + _OFFERS)
            self._runs.append((0, self._next))
            self.state = RelpState.OPEN

    def _malformed(self, part: str, found: bytes) -> str:
        what = f"cannot read RELP frame {self._next}: malformed {part} in {found[:24]!r}"
        if self.state is RelpState.OPEN:
            return what
        return next((f"{what}: {seen}" for pattern, seen in _SEEN_INSTEAD if pattern.match(found)), what)

    def _end(self, farewell: bytes) -> None:
        if self.state in _READING:
            self.state, self._tail = RelpState.CLOSING, farewell
            self.unfinished = int(bool(self.carry))
            self.carry = b""


def _reply(txnr: int, data: bytes) -> bytes:
    return b"%d rsp %d %b\n" % (txnr, len(data), data)


def _offers_problem(data: bytes) -> bytes | None:
    """Return the answer to an ``open`` whose offers cannot be accepted, None when they can."""
    commands: list[bytes] = []
    for line in data.splitlines():
        name, _, listed = line.strip().partition(b"=")
        values = [value for value in listed.split(b",") if value]
        if len(values) > _OFFER_VALUES:
            return _INVALID_OFFER
        if name == b"relp_version" and not (values and all(value.isdigit() for value in values)):
            return _INVALID_OFFER
        if name == b"commands":
            commands += values
    return None if b"syslog" in commands else b"500 required command not supported by client"
