"""Flags of a frame: a closed set of bits, persisted in segments and in the table's column ``flags``.

The number of a bit is part of both formats and never gets a second meaning. Framing sets the first four and ``SENT_TWICE``, the
parser sets the others. ``-o json`` prints their names in the order of the bits.
"""

from __future__ import annotations

from enum import IntFlag


class Flag(IntFlag):
    """The flags. Each member's comment is its documentation, from which docs/storage.md is generated."""

    TRUNCATED = 1 << 0  # longer than `receive.max_message`, or cut for lack of memory: only the beginning is kept
    INCOMPLETE = 1 << 1  # the connection ended within this octet-counted frame, or broke within this line
    INFLATED = 1 << 2  # came compressed on its own; the decompressed message is kept
    MAYBE_RESENT = 1 << 3  # could be a second copy of a frame whose acknowledgement was lost
    TIME_INFERRED = 1 << 4  # has no usable timestamp: `time` is `received`
    YEAR_INFERRED = 1 << 5  # its timestamp has no year: the latest year that puts it at most 7 days after `received`
    ZONE_ASSUMED = 1 << 6  # its timestamp has no time zone: `receive.default_timezone` was taken
    LEAP_SECOND = 1 << 7  # second 60: `time` is the last microsecond of second 59
    PRI_INVALID = 1 << 8  # its PRI is malformed or above 191: no facility and severity
    SD_INVALID = 1 << 9  # its structured data is malformed and begins `message`
    NOT_UTF8 = 1 << 10  # has bytes that are not UTF-8, shown as U+FFFD; `raw` has them as they came
    UNPARSED = 1 << 11  # has no recognised header: everything after the PRI is the message
    CLOCK_SKEW = 1 << 12  # the sender's time is more than a day before or after `received`
    SENT_TWICE = 1 << 13  # equals an earlier frame: the first of its RELP session, or one of a broken session before it


def names(value: int) -> list[str]:
    """Return the lower-case names of the bits set in ``value``, lowest bit first; an unknown bit is ``bit<N>``."""
    return [name for bit, name in enumerate(_NAMES) if value >> bit & 1]


_KNOWN = {int(flag): flag.name.lower() for flag in Flag if flag.name}
_NAMES = [_KNOWN.get(1 << bit, f"bit{bit}") for bit in range(32)]
