"""Points in time as people write them, for ``--since`` and ``--until``. Pure: the present and the zone are arguments.

==========================================  =====================================================================
``90s 15m 2h 3d 1h30m 1w``                  that long before now
``now``                                     now
``today yesterday``                         midnight at their beginning
``2026-11-22``                              midnight at its beginning
``2026-11-22 03:12``  ``...T03:12:05.25``   that time, in the zone
``03:12``  ``03:12:05``                     that time today; of ``--until``: the first one after ``--since``
``2026-11-22T03:12:05Z``  ``...+01:00``     RFC 3339 (section 5.6; seconds and the colon of the offset may be left out)
``@1700000000``  ``@1700000000.25``         seconds since 1970-01-01 00:00 UTC
==========================================  =====================================================================

Fractions of a second beyond microseconds are cut. A local time that a change of clocks skips or repeats is read with the
offset in force before the change.
"""

from __future__ import annotations

import datetime as dt
import re

from logsink.errors import ArgumentError
from logsink.kinds import parse_duration

MICROSECONDS = 1_000_000
"""In a second; instants are integers of microseconds since the epoch everywhere in ``query``."""

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_HINT = "write 15m, 2h, 3d, now, today, yesterday, 2026-11-22, '2026-11-22 03:12', 03:12, 2026-11-22T03:12:05Z or @1700000000"
_LATEST = 1 << 62
"""No instant is further from the epoch: sums and signs of instants stay within 64 bits."""

_CLOCK = r"(?P<hour>\d\d):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:[.,](?P<fraction>\d+))?)?"
_DATE = r"(?P<year>\d{4})-(?P<month>\d\d)-(?P<day>\d\d)"
_OFFSET = r"(?P<offset>[Zz]|[+-]\d\d:?\d\d)"
_CALENDAR = re.compile(rf"{_DATE}(?:[Tt ]{_CLOCK}(?: ?{_OFFSET})?)?")
_TODAY_AT = re.compile(_CLOCK)
_SECONDS = re.compile(r"@(-?\d{1,12})(?:\.(\d+))?")


def parse_time(text: str, now: int, zone: dt.tzinfo, after: int | None = None) -> int:
    """The instant that ``text`` names, in microseconds since the epoch, as is ``now``. ``ArgumentError`` for anything else.

    ``after``: a clock alone is the first such time after it instead of today's.
    """
    instant = _instant(text.strip(), now, zone, after)
    if instant is None or abs(instant) > _LATEST:
        raise ArgumentError(f"cannot read {text!r} as a time", hint=_HINT)
    return instant


def _instant(text: str, now: int, zone: dt.tzinfo, after: int | None) -> int | None:
    if text == "now":
        return now
    if text in ("today", "yesterday"):
        return _midnight(now, zone, days=0 if text == "today" else -1)
    if match := _SECONDS.fullmatch(text):
        return int(match[1]) * MICROSECONDS + _fraction(match[2])
    if match := _CALENDAR.fullmatch(text):
        parts = match.groupdict()
        return _calendar(int(parts["year"]), int(parts["month"]), int(parts["day"]), parts, zone)
    if match := _TODAY_AT.fullmatch(text):
        day = _local(now if after is None else after, zone).date()
        instant = _calendar(day.year, day.month, day.day, match.groupdict(), zone)
        if after is not None and instant is not None and instant <= after:
            day += dt.timedelta(days=1)
            instant = _calendar(day.year, day.month, day.day, match.groupdict(), zone)
        return instant
    try:
        return now - round(parse_duration(text) * MICROSECONDS)
    except ArgumentError:
        return None


def _calendar(year: int, month: int, day: int, clock: dict[str, str | None], zone: dt.tzinfo) -> int | None:
    offset = clock.get("offset")
    hour, minute, second = (int(clock[part] or 0) for part in ("hour", "minute", "second"))
    try:
        moment = dt.datetime(year, month, day, hour, minute, second, tzinfo=_zone(offset) if offset else zone)
        return _microseconds(moment) + _fraction(clock["fraction"])
    except (ValueError, OverflowError, OSError):
        return None


def _zone(offset: str) -> dt.tzinfo:
    if offset in "Zz":
        return dt.UTC
    hours, minutes = int(offset[1:3]), int(offset[-2:])
    if minutes > 59:
        raise ValueError(offset)
    return dt.timezone(dt.timedelta(hours=hours, minutes=minutes) * (-1 if offset[0] == "-" else 1))


def _fraction(digits: str | None) -> int:
    """Microseconds in the digits after the point."""
    return int((digits or "")[:6].ljust(6, "0"))


def _midnight(now: int, zone: dt.tzinfo, days: int) -> int:
    day = _local(now, zone).date() + dt.timedelta(days=days)
    return _microseconds(dt.datetime(day.year, day.month, day.day, tzinfo=zone))


def _local(now: int, zone: dt.tzinfo) -> dt.datetime:
    return (_EPOCH + dt.timedelta(microseconds=now)).astimezone(zone)


def _microseconds(moment: dt.datetime) -> int:
    return (moment - _EPOCH) // dt.timedelta(microseconds=1)
