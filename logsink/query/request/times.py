"""Points in time as people type and paste them, for ``--since``, ``--until``, ``--around``. Pure: now and zone are arguments.

=============================================  ==================================================================
``15m`` ``1h30m`` ``-1h`` ``10 min ago``       that long before now; ``+5m`` is that long after it
``2 months ago`` ``1y``                        the same time of day on that day of the calendar
``now`` ``today`` ``yesterday`` ``tomorrow``   now; midnight at the beginning of that day
``3:10`` ``03:10:05,250`` ``3pm`` ``noon``     that time today; of ``--until``: the first one after ``--since``
``yesterday 3:10`` ``Mon 14:00`` ``Friday``    that time on that day; a weekday is the last one, today included
``2026-11-28`` ``28.11.2026`` ``Nov 28``       midnight at its beginning
``2026-11-28 3:10`` ``Nov 28 14:58:37``        that time on that day
``28/Nov/2026:14:58:37 +0100``                 what web servers, syslog, journalctl, date(1), e-mail and RFC 3339 write
``@1764341917`` ``1764341917123``              seconds, milliseconds, micro- or nanoseconds since 1970-01-01 00:00 UTC
=============================================  ==================================================================

A date and a time may be followed by ``Z``, ``+01:00``, ``UTC``, ``CET``, ``Europe/Berlin``; without any, they are local to the
zone given. A weekday before a date must be the date's. A date without a year takes the year in which it is latest but not more
than seven days after now. Fractions of a second beyond microseconds are cut.

A local time that a change of clocks skips is the moment of the change. One that occurs twice is the first, or of ``--until``
the second, so that a range holds the whole of what was written. A date alone begins with its first midnight.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from typing import NamedTuple

from logsink.errors import ArgumentError
from logsink.kinds import SPELLED, parse_span

MICROSECONDS = 1_000_000
"""In a second; instants are integers of microseconds since the epoch everywhere in ``query``."""

HINT = (
    "write 15m, '2 days ago', today, 'yesterday 3:10', 2026-11-28, '2026-11-28 03:10', 03:10, 'Nov 28 14:58', "
    "2026-11-28T03:10:05Z or @1764341917"
)
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_LATEST = 1 << 62
"""No instant is further from the epoch: sums and signs of instants stay within 64 bits."""

_AHEAD = dt.timedelta(days=7)
"""How far after now a date without a year may be."""

_MONTHS = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_DAYS = {"yesterday": -1, "today": 0, "tomorrow": 1}
_CLOCKS = {"midnight": (0, 0), "noon": (12, 0)}
_WORDS = (*_DAYS, *_CLOCKS, *_WEEKDAYS, *_MONTHS, "ago", "seconds", "minutes", "hours", "days", "weeks", "months")
_HOURS = {
    name: hours
    for hours, names in {
        0: "z ut utc gmt wet", 1: "bst cet mez met west", 2: "cest eet mest mesz sast", 3: "eest msk", 5: "pkt",
        8: "awst hkt sgt", 9: "jst kst", 9.5: "acst", 10: "aest", 10.5: "acdt", 11: "aedt", 12: "nzst", 13: "nzdt",
        -2.5: "ndt", -3: "brt", -3.5: "nst", -4: "edt", -5: "cdt est", -6: "cst mdt", -7: "mst pdt", -8: "akdt pst",
        -9: "akst", -10: "hst",
    }.items()
    for name in names.split()
}  # fmt: skip
"""Hours ahead of UTC of abbreviations that name one zone, and of some more what ``parse.clock`` takes them for (BST, CST).

In a zone that has such an abbreviation of its own, it is that one.
"""

_RELATIVE = r"(?ias)(?:now\s*(?=[+-]))?([+-]|in |(?:the )?(?:last|past) )?\s*(.*?)(?:\s+(ago|from now))?"
_CALENDAR = r"(?ia)(\d{1,5}|an?)\s*(mo|mons?|months?|y|yrs?|years?)(?![a-z])[\s,]*"
_EPOCHS = r"(?a)(@?)(-?)(\d+)(?:\.(\d+))?"
_UNIT = {10: 1, 13: 1000, 16: 1_000_000, 19: 1_000_000_000}
"""How many of it are a second, by the digits of a time of our days."""


def parse_time(text: str, now: int, zone: dt.tzinfo, after: int | None = None, *, latest: bool = False) -> int:
    """The instant that ``text`` names, in microseconds since the epoch, as is ``now``.

    ``after``: a clock alone is the first such time after it instead of today's. ``latest``: a time that occurs twice is the
    second. ``ArgumentError`` for what cannot be read; it names the part that was not understood.
    """
    plain = re.sub(r"\(.*?\)|[\[\]]", " ", text).strip(" \t\n\r\"'`,;*:.")
    try:
        instant = _since_epoch(plain)
        instant = _relative(plain, now, zone) if instant is None else instant
        instant = _Moment(plain).instant(now, zone, after, latest=latest) if instant is None else instant
    except (ValueError, OverflowError, OSError) as error:
        why = f": {error}" if isinstance(error, _NotUnderstood) else ": there is no such time"
        raise ArgumentError(f"cannot read {text!r} as a time{why}", hint=HINT) from error
    if abs(instant) > _LATEST:
        raise ArgumentError(f"cannot read {text!r} as a time: it is too far away", hint=HINT)
    return instant


class _NotUnderstood(ValueError):
    """Why a text is no time, to be shown."""


def _since_epoch(text: str) -> int | None:
    match = re.fullmatch(_EPOCHS, text)
    if not match:
        return None
    at, sign, digits, fraction = match.groups()
    if at:
        unit = next((unit for most, unit in ((12, 1), (15, 1000), (18, 1_000_000)) if len(digits) <= most), 10**9)
    elif sign or len(digits) not in _UNIT or (fraction and len(digits) == 19):
        return None
    else:
        unit = _UNIT[len(digits)]
    magnitude = (int(digits) * 10**9 + int((fraction or "")[:9].ljust(9, "0"))) // (1000 * unit)
    return -magnitude if sign else magnitude


def _relative(text: str, now: int, zone: dt.tzinfo) -> int | None:
    """So long before or after now; None when it says nothing of the kind."""
    if text.lower() == "now":
        return now
    match = re.fullmatch(_RELATIVE, text)
    assert match is not None
    sign, span, end = match.groups()
    sign = (sign or "").lower()
    forward = sign in ("+", "in ") or (end or "").lower() == "from now"
    if sign.endswith("st ") and re.fullmatch(r"[a-z]+", span, re.IGNORECASE) and span.lower() not in _WEEKDAYS:
        span = f"a {span}"
    months = 0
    rest = span
    while part := re.match(_CALENDAR, rest):
        months += (1 if part[1][0] in "aA" else int(part[1])) * (12 if part[2][0] in "yY" else 1)
        rest = rest[part.end() :]
    if re.search(r"\d\s*M\b", rest):
        raise _NotUnderstood("M may be minutes (m) or months (mo)")
    try:
        seconds = parse_span(rest) if rest or not months else 0.0
    except ArgumentError:
        return None
    back = 1 if forward else -1
    return _months_from(now, back * months, zone) + back * round(seconds * MICROSECONDS)


def _months_from(now: int, months: int, zone: dt.tzinfo) -> int:
    if not months:
        return now
    here = _local(now, zone)
    year, month = divmod(here.year * 12 + here.month - 1 + months, 12)
    day = min(here.day, (dt.date(year + month // 11, (month + 1) % 12 + 1, 1) - dt.timedelta(days=1)).day)
    return instant_of(here.replace(year=year, month=month + 1, day=day, tzinfo=None), zone)


# Dates and times of day: pieces in any order, each once


class _Clock(NamedTuple):
    """A time of day; ``fraction``: microseconds."""

    hour: int
    minute: int = 0
    second: int = 0
    fraction: int = 0


class _Moment:
    """What the pieces of a text say; those that it does not have are None."""

    def __init__(self, text: str) -> None:
        self.year: int | None = None
        self.month: int | None = None
        self.day: int | None = None
        self.weekday: int | None = None
        self.before_today = False
        self.days: int | None = None
        self.clock: _Clock | None = None
        self.offset: dt.timedelta | None = None
        self.zone: str | None = None
        self.text = text
        at = 0
        while at < len(text):
            at = self._piece(at)
        if not text:
            raise _NotUnderstood("it is empty")

    def _piece(self, at: int) -> int:
        """Take in the piece that begins at ``at``; where the next one begins."""
        for pattern, take in _OF_DIGITS if self.text[at].isdigit() else _OTHERS:
            match = re.compile(pattern).match(self.text, at)
            if match and take(self, match):
                return match.end()
        stray = re.match(r"\S+", self.text[at:])
        raise self.not_understood(stray[0] if stray else self.text[at:])

    def not_understood(self, stray: str) -> _NotUnderstood:
        """What says that ``stray`` is not understood."""
        if re.fullmatch(r"\d{1,2}([-/])\d{1,2}\1\d{2,4}", stray):
            return _NotUnderstood(f"{stray!r} does not say which is the month")
        if stray.isdigit() and stray == self.text:
            return _NotUnderstood(f"{stray} of what: {stray}m, {stray}h?")
        if re.fullmatch(r"[A-Z]{2,5}", stray) and self.zone == stray:
            return _NotUnderstood(
                f"zone {stray!r} is not known, or there are several; write its offset, such as +01:00"
            )
        from difflib import get_close_matches  # costs 3 ms, and is rarely asked

        alike = get_close_matches(stray.lower(), _WORDS, 1, 0.8)
        return _NotUnderstood(
            f"{stray!r} is not understood"
            + (f"; did you mean {alike[0]}?" if alike and alike[0] != stray.lower() else "")
        )

    def once(self, **values: object) -> bool:
        """Set what was not set before."""
        for name, value in values.items():
            if getattr(self, name) is not None:
                raise _NotUnderstood(f"it has two {'times' if name == 'clock' else name.removesuffix('s') + 's'}")
            setattr(self, name, value)
        return True

    def on(self, year: str | int, month: str | int, day: str | int) -> bool:
        """Set a date."""
        return self.once(year=int(year), month=int(month), day=int(day))

    def at(self, hour: str, minute: str | None, second: str | None, fraction: str | None, half: str | None) -> bool:
        """Set a time of day; ``half``: a or p of a.m. or p.m."""
        hours, minutes, seconds = int(hour), int(minute or 0), int(second or 0)
        if half and 1 <= hours <= 12:
            hours = hours % 12 + (12 if half in "pP" else 0)
        elif half:
            hours = 99
        if minutes > 59 or seconds > 59 or hours > 24 or (hours == 24 and (minutes or seconds)):
            raise _NotUnderstood(f"there is no such time of day, {':'.join(filter(None, (hour, minute, second)))}")
        return self.once(clock=_Clock(hours, minutes, seconds, int((fraction or "")[:6].ljust(6, "0"))))

    def shifted(self, sign: str, hours: str, minutes: str | None) -> bool:
        """Set the offset from UTC, which stands behind a time of day."""
        if int(minutes or 0) > 59 or int(hours) > 18:
            raise _NotUnderstood(f"there is no such offset, {sign}{hours}:{minutes or '00'}")
        offset = dt.timedelta(hours=int(hours), minutes=int(minutes or 0))
        return self.clock is not None and self.once(offset=-offset if sign == "-" else offset)

    def word(self, text: str) -> bool:
        """Set what a word says."""
        word = text.lower().rstrip(".")
        if word in _DAYS:
            return self.once(days=_DAYS[word])
        if word in _CLOCKS:
            return self.once(clock=_Clock(*_CLOCKS[word]))
        if word in ("last", "at", "on"):
            self.before_today |= word == "last"
            return True
        month, weekday = _named(word, _MONTHS), _named(word, _WEEKDAYS)
        if month is not None:
            return self.once(month=month + 1)
        if weekday is not None:
            return self.once(weekday=weekday)
        if "/" in word or (word.isalpha() and 1 <= len(word) <= 5):
            return self.once(zone=text)
        return False

    def number(self, digits: str) -> bool:
        """Set a year or a day of the month."""
        if len(digits) == 4:
            return self.once(year=int(digits))
        if self.month is not None or any(
            _named(word.lower(), _MONTHS) is not None for word in re.findall(r"[A-Za-z]+", self.text)
        ):
            return self.once(day=int(digits))
        words = (word for word in re.findall(r"[A-Za-z]+", self.text) if word.lower() not in SPELLED)
        stray = self.zone or next(words, "")
        if stray:
            raise self.not_understood(stray)
        return False

    def instant(self, now: int, zone: dt.tzinfo, after: int | None, *, latest: bool) -> int:
        """The instant that this is."""
        clock = self.clock or _Clock(0)
        where = _zone(self, zone)
        today = _local(now, where).date()
        latest = latest and self.clock is not None
        if self.text.isdigit() and self.month is None:
            raise self.not_understood(self.text)
        if (self.month is None) != (self.day is None) or (self.year is not None and self.month is None):
            raise _NotUnderstood("the date has no " + ("month" if self.month is None else "day"))
        if self.month is not None:
            if self.days is not None:
                raise _NotUnderstood("it names two days")
            return _at(self._date(today), clock, where, latest=latest)
        if self.days is not None:
            if self.weekday is not None:
                raise _NotUnderstood("it names two days")
            return _at(today + dt.timedelta(days=self.days), clock, where, latest=latest)
        if self.weekday is not None:
            back = (today.weekday() - self.weekday) % 7
            back += 7 if self.before_today and not back else 0
            return _at(today - dt.timedelta(days=back), clock, where, latest=latest)
        if self.clock is None:
            raise self.not_understood(self.text)
        day = today if after is None else _local(after, where).date()
        instant = _at(day, clock, where, latest=latest)
        if after is not None and instant <= after:
            instant = _at(day + dt.timedelta(days=1), clock, where, latest=latest)
        return instant

    def _date(self, today: dt.date) -> dt.date:
        assert self.month is not None
        assert self.day is not None
        years = [self.year] if self.year is not None else range(today.year + 1, today.year - 9, -1)
        for year in years:
            date = _date_of(year, self.month, self.day)
            if date is None or (self.year is None and date > today + _AHEAD):
                continue
            if self.weekday is not None and date.weekday() != self.weekday:
                names = [_WEEKDAYS[n].title() for n in (date.weekday(), self.weekday)]
                raise _NotUnderstood(f"{date} is a {names[0]}, not a {names[1]}")
            return date
        if not 1 <= self.month <= 12:
            raise _NotUnderstood(f"there is no month {self.month}")
        year_said = "" if self.year is None else f" {self.year}"
        raise _NotUnderstood(f"there is no day {self.day} in {_MONTHS[self.month - 1].title()}{year_said}")


_Take = Callable[[_Moment, "re.Match[str]"], bool]
_END = r"(?=$|[\s,]|[Zz]\b)[\s,]*"
_DATE_END = r"(?:$|[\s,]+|[Tt_:](?=\d)|(?=[Zz]$))"
_CLOCK_END = r"(?=$|[\s,Zz+-]|[A-Za-z])[\s,]*"


def _piece(pattern: str, end: str, take: _Take) -> tuple[str, _Take]:
    return f"(?ia:(?:{pattern}){end})", take


_OF_DIGITS = (
    _piece(r"(\d{4})([-/.])(\d\d?)\2(\d\d?)", _DATE_END, lambda m, x: m.on(x[1], x[3], x[4])),
    _piece(
        r"(\d\d?):(\d\d)(?::(\d\d)(?:[.,](\d+))?)?(?:\s*([ap])\.?m\.?(?![a-z]))?",
        _CLOCK_END,
        lambda m, x: m.at(x[1], x[2], x[3], x[4], x[5]),
    ),
    _piece(
        r"(\d\d?)([-/])([a-z]{3,9})\2(\d{4})",
        _DATE_END,
        lambda m, x: (month := _named(x[3].lower(), _MONTHS)) is not None and m.on(x[4], month + 1, x[1]),
    ),
    _piece(r"(\d\d?)\.(\d\d?)\.(\d{4})", _DATE_END, lambda m, x: m.on(x[3], x[2], x[1])),
    _piece(r"(\d{4})(\d\d)(\d\d)", _DATE_END, lambda m, x: m.on(x[1], x[2], x[3])),
    _piece(
        r"(?:(?<=\dt)|(?<=\d\s))(\d\d)(\d\d)(\d\d)?(?:[.,](\d+))?",  # ISO 8601's basic form
        _CLOCK_END,
        lambda m, x: (
            m.day is not None and len(m.text) > 8 and m.text[:8].isdigit() and m.at(x[1], x[2], x[3], x[4], None)
        ),
    ),
    _piece(r"(?<=\dt)(\d\d)", _CLOCK_END, lambda m, x: m.at(x[1], None, None, None, None)),
    _piece(
        r"(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)?",
        _CLOCK_END,
        lambda m, x: m.on(x[1], x[2], x[3]) and m.at(x[4], x[5], x[6], None, None),
    ),
    _piece(r"(\d\d?)\s*([ap])\.?m\.?(?![a-z])", _CLOCK_END, lambda m, x: m.at(x[1], None, None, None, x[2])),
    _piece(r"(\d{4}|\d\d?)(?:st|nd|rd|th|\.)?(?:\s+of\b)?", _END, lambda m, x: m.number(x[1])),
)
_OTHERS = (
    _piece(r"([+-])(\d\d?)(?::?(\d\d))?", _END, lambda m, x: m.shifted(x[1], x[2], x[3])),
    _piece(r"([a-z]+(?:/[a-z_+-]+\d*)+)", _END, lambda m, x: m.word(x[1])),
    _piece(r"([a-z]+\.?)", r"(?=$|[\s,]|[+-]\d)[\s,]*", lambda m, x: m.word(x[1])),
)
"""Patterns, and what takes in what they match. They are compiled when they are first tried: all of them take 0.02 s."""


def _named(word: str, names: tuple[str, ...]) -> int | None:
    """Which name a word is, or three letters of it or more."""
    return next((n for n, name in enumerate(names) if len(word) >= 3 and name.startswith(word)), None)


def _date_of(year: int, month: int, day: int) -> dt.date | None:
    try:
        return dt.date(year, month, day)
    except ValueError:
        return None


def _zone(moment: _Moment, zone: dt.tzinfo) -> dt.tzinfo:
    """The zone of what was written; where it has an offset and a name, that is the offset."""
    name = (moment.zone or "").lower()
    if moment.offset is not None and (not name or "/" in name or name in _HOURS or name.upper() == moment.zone):
        return dt.timezone(moment.offset)
    if moment.zone is None:
        return zone
    if "/" in name:
        import zoneinfo

        try:
            return zoneinfo.ZoneInfo(moment.zone)
        except (KeyError, ValueError, OSError) as error:
            raise _NotUnderstood(f"there is no time zone {moment.zone!r}") from error
    for month in (1, 7):  # the zone's own abbreviations
        here = dt.datetime(moment.year or 2000, month, 1, tzinfo=zone)
        if name == (here.tzname() or "").lower():
            return dt.timezone(here.utcoffset() or dt.timedelta())
    if name in _HOURS:
        return dt.timezone(dt.timedelta(hours=_HOURS[name]))
    raise moment.not_understood(moment.zone)


def _at(day: dt.date, clock: _Clock, zone: dt.tzinfo, *, latest: bool) -> int:
    """That time of day; 24:00 is the next midnight."""
    wall = dt.datetime.combine(day, dt.time()) + dt.timedelta(
        hours=clock.hour, minutes=clock.minute, seconds=clock.second, microseconds=clock.fraction
    )
    return instant_of(wall, zone, latest=latest)


def instant_of(wall: dt.datetime, zone: dt.tzinfo, *, latest: bool = False) -> int:
    """The instant at which clocks of ``zone`` show ``wall`` (without a zone): the moment of the change where they skip it.

    Where they show it twice: the first, or with ``latest`` the second.
    """
    first, second = (_microseconds(wall.replace(tzinfo=zone, fold=fold)) for fold in (0, 1))
    if first <= second:
        return second if latest else first
    low, high = second, first  # skipped: the clocks change in between
    before = _local(low, zone).utcoffset()
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _local(middle, zone).utcoffset() == before else (low, middle)
    return high


def _local(instant: int, zone: dt.tzinfo) -> dt.datetime:
    return (_EPOCH + dt.timedelta(microseconds=instant)).astimezone(zone)


def _microseconds(moment: dt.datetime) -> int:
    return (moment - _EPOCH) // dt.timedelta(microseconds=1)
