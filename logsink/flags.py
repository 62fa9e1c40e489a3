"""What can be said of a frame: one closed set of bits, persisted in segments and in the table's column ``flags``.

A bit's number is part of the storage format and is never given a second meaning. Framing sets the first four and
``SENT_TWICE``, the parser the others. Names are what ``-o json`` prints, in the order of the bits.
"""

from __future__ import annotations

from enum import IntFlag


class Flag(IntFlag):
    """Each member's comment is its documentation; docs/storage.md is checked against this list."""

    TRUNCATED = 1 << 0  # longer than max_message (or cut for memory): only its beginning is kept
    INCOMPLETE = 1 << 1  # the connection ended inside this counted frame, or broke inside this line
    INFLATED = 1 << 2  # came as a compressed block; the frame kept is the inflated message
    MAYBE_RESENT = 1 << 3  # could be a second copy of a frame whose acknowledgement was lost
    TIME_INFERRED = 1 << 4  # no usable timestamp in the frame: `time` is `received`
    YEAR_INFERRED = 1 << 5  # a timestamp without a year: the latest that is not over 7 days after `received`
    ZONE_ASSUMED = 1 << 6  # a timestamp without a zone: `default_timezone` was taken
    LEAP_SECOND = 1 << 7  # second 60: `time` is the last microsecond of second 59
    PRI_INVALID = 1 << 8  # a PRI that is malformed or above 191: no facility and severity
    SD_INVALID = 1 << 9  # malformed structured data: it is the beginning of `message`
    NOT_UTF8 = 1 << 10  # bytes that are not UTF-8, shown as U+FFFD; `raw` has them as they came
    UNPARSED = 1 << 11  # no header was recognised: everything after the PRI is the message
    CLOCK_SKEW = 1 << 12  # the sender's time is more than a day before or after `received`
    SENT_TWICE = 1 << 13  # the same bytes as the first frame of its RELP session, which rsyslog may send twice


def names(value: int) -> list[str]:
    """The lower-case names of the bits set in ``value``, lowest bit first; unknown bits appear as ``bit<N>``."""
    return [name for bit, name in enumerate(_NAMES) if value >> bit & 1]


_KNOWN = {int(flag): flag.name.lower() for flag in Flag if flag.name}
_NAMES = [_KNOWN.get(1 << bit, f"bit{bit}") for bit in range(32)]
