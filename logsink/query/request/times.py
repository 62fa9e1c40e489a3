"""The grammar of times that people type and paste, for ``--since``, ``--until`` and ``--around``.

A text is read by the first of these rules that takes it, in this order:

==========================================  ====================================================================
1. since the epoch                          1970-01-01 00:00 UTC
``@1764341917`` ``1764341917.5``            seconds; without ``@`` a number must have 10, 13, 16 or 19 digits
``1764341917123``                           milliseconds, and so on to nanoseconds, by the number of digits
2. relative to now
``now``                                     now
``15m`` ``1h30m`` ``-1h`` ``10 min ago``    that long before now; ``+5m``, ``in 5m``, ``5m from now``: after now
``2 months ago`` ``1y``                     the same time of day on that day of the calendar
3. dates and times of day                   pieces, each at most once, in any order; see below
==========================================  ====================================================================

The pieces of rule 3. At each place of the text the pieces are tried in this order:

==========================================  ====================================================================
a. pieces that begin with a digit
``2026-11-28`` ``2026/11/28``               date
``3:10`` ``03:10:05,250`` ``3:10 pm``       time of day
``28/Nov/2026`` ``28-Nov-2026``             date; ``:`` may join a time of day to it, as web servers do
``28.11.2026``                              date
``20261128``                                date
``031005`` behind such a date               time of day, in ISO 8601's basic form
``03`` behind a date and ``T``              time of day, the hour alone
``20261128031005``                          date and time of day
``3pm`` ``3 a.m.``                          time of day
``2026`` ``28`` ``28th`` ``28.``            year, or day of the month beside the name of a month
b. other pieces
``+01:00`` ``-0530`` ``+1``                 offset from UTC, behind a time of day
``Europe/Berlin``                           time zone
``Nov`` ``Friday`` ``today`` ``noon``       month, weekday, day, time of day; ``at``, ``on`` and ``last`` may stand before
``Z`` ``UTC`` ``CET``                       time zone: any other word of one to five letters
==========================================  ====================================================================

A time of day alone is today's; for the end of a range it is the first one after the range's beginning. A date or weekday alone
is midnight at the beginning of that day. A weekday alone is the last one, today included; ``last`` excludes today. A weekday
beside a date must be the date's. A date without a year takes the year in which it is latest but not more than seven days after
now. Fractions of a second beyond microseconds are cut. Without a zone or offset, dates and times are local to the zone given.

A local time that a change of clocks skips is the moment of the change. A local time that occurs twice is the first one, or with
``latest`` the second one, so that a range holds the whole of what was written. A date alone begins with its first midnight.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from typing import NamedTuple

from logsink.errors import ArgumentError
from logsink.kinds import SPELLED, parse_span
from logsink.query.request.clocks import HOURS_AHEAD, to_instant, to_local

MICROSECONDS = 1_000_000
"""Microseconds in a second. Instants are integers of microseconds since the epoch everywhere in ``query``."""

HINT = (
    "write 15m, '2 days ago', today, 'yesterday 3:10', 2026-11-28, '2026-11-28 03:10', 03:10, 'Nov 28 14:58', "
    "2026-11-28T03:10:05Z or @1764341917"
)
_FURTHEST = 1 << 62
"""Microseconds from the epoch to the last instant that is accepted: sums and signs of instants stay within 64 bits."""

_MOST_AHEAD = dt.timedelta(days=7)
"""How far after now a date without a year may be."""

_YEARS_BACK = 8
"""Years before this one that are tried for a date without a year: 29 February may have been eight years ago."""

_MONTHS = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_DAYS = {"yesterday": -1, "today": 0, "tomorrow": 1}
_CLOCKS = {"midnight": (0, 0), "noon": (12, 0)}
_WORDS = (*_DAYS, *_CLOCKS, *_WEEKDAYS, *_MONTHS, "ago", "seconds", "minutes", "hours", "days", "weeks", "months")

_RELATIVE_TEXT = r"(?ias)(?:now\s*(?=[+-]))?([+-]|in |(?:the )?(?:last|past) )?\s*(.*?)(?:\s+(ago|from now))?"
_MONTHS_OR_YEARS = r"(?ia)(\d{1,5}|an?)\s*(mo|mons?|months?|y|yrs?|years?)(?![a-z])[\s,]*"
_SINCE_EPOCH = r"(?a)(@?)(-?)(\d+)(?:\.(\d+))?"

_TICKS_BY_DIGITS = {10: 1, 13: 1000, 16: 1_000_000, 19: 1_000_000_000}
"""Ticks in a second, by the number of digits that a time of our days has when it is counted in them."""

_TICKS_BY_MOST_DIGITS = ((12, 1), (15, 1000), (18, 1_000_000))
"""Ticks in a second of numbers behind ``@`` with at most so many digits; longer numbers count nanoseconds."""

_NANOSECONDS = 1_000_000_000
"""Nanoseconds in a second."""


def parse_time(text: str, now: int, zone: dt.tzinfo, after: int | None = None, *, latest: bool = False) -> int:
    """Return the instant that ``text`` names, in microseconds since the epoch.

    now     the present instant, in microseconds since the epoch
    zone    the time zone of texts that name none
    after   where it is given, a time of day alone is the first such time after that instant instead of today's
    latest  whether a local time that occurs twice is the second one

    ``ArgumentError`` for a text that cannot be read; it names the part that was not understood.
    """
    plain = re.sub(r"\(.*?\)|[\[\]]", " ", text).strip(" \t\n\r\"'`,;*:.")
    try:
        instant = _since_epoch(plain)
        instant = _relative(plain, now, zone) if instant is None else instant
        instant = _Moment(plain).instant(now, zone, after, latest=latest) if instant is None else instant
    except (ValueError, OverflowError, OSError) as error:
        why = f": {error}" if isinstance(error, _NotUnderstood) else ": there is no such time"
        raise ArgumentError(f"cannot read {text!r} as a time{why}", hint=HINT) from error
    if abs(instant) > _FURTHEST:
        raise ArgumentError(f"cannot read {text!r} as a time: it is too far away", hint=HINT)
    return instant


class _NotUnderstood(ValueError):
    """The reason why a text is no time, to be shown to the asker."""


# Rule 1: since the epoch


def _since_epoch(text: str) -> int | None:
    """Return the instant that a number of seconds or smaller ticks means; None when the text is no such number."""
    match = re.fullmatch(_SINCE_EPOCH, text)
    if not match:
        return None
    at, sign, digits, fraction = match.groups()
    if at:
        ticks = next((ticks for most, ticks in _TICKS_BY_MOST_DIGITS if len(digits) <= most), _NANOSECONDS)
    elif sign or len(digits) not in _TICKS_BY_DIGITS or (fraction and _TICKS_BY_DIGITS[len(digits)] == _NANOSECONDS):
        return None
    else:
        ticks = _TICKS_BY_DIGITS[len(digits)]
    billionths = int(digits) * _NANOSECONDS + int((fraction or "")[:9].ljust(9, "0"))  # of a tick
    magnitude = billionths // (1000 * ticks)
    return -magnitude if sign else magnitude


# Rule 2: relative to now


def _relative(text: str, now: int, zone: dt.tzinfo) -> int | None:
    """Return the instant that is as long before or after now as the text says; None when it says nothing of the kind."""
    if text.lower() == "now":
        return now
    match = re.fullmatch(_RELATIVE_TEXT, text)
    assert match is not None
    sign, span, end = match.groups()
    sign = (sign or "").lower()
    forward = sign in ("+", "in ") or (end or "").lower() == "from now"
    if sign.endswith("st ") and re.fullmatch(r"[a-z]+", span, re.IGNORECASE) and span.lower() not in _WEEKDAYS:
        span = f"a {span}"  # "last hour"
    # Months and years have no fixed length, and are counted on the calendar.
    months = 0
    rest = span
    while part := re.match(_MONTHS_OR_YEARS, rest):
        months += (1 if part[1][0] in "aA" else int(part[1])) * (12 if part[2][0] in "yY" else 1)
        rest = rest[part.end() :]
    if re.search(r"\d\s*M\b", rest):
        raise _NotUnderstood("M may be minutes (m) or months (mo)")
    try:
        seconds = parse_span(rest) if rest or not months else 0.0
    except ArgumentError:
        return None
    direction = 1 if forward else -1
    return _months_from(now, direction * months, zone) + direction * round(seconds * MICROSECONDS)


def _months_from(now: int, months: int, zone: dt.tzinfo) -> int:
    """Return the same time of day so many months from now; the last day of a month that has no such day."""
    if not months:
        return now
    here = to_local(now, zone)
    year, month = divmod(here.year * 12 + here.month - 1 + months, 12)
    following = dt.date(year + month // 11, (month + 1) % 12 + 1, 1)
    day = min(here.day, (following - dt.timedelta(days=1)).day)
    return to_instant(here.replace(year=year, month=month + 1, day=day, tzinfo=None), zone)


# Rule 3: dates and times of day


class _Clock(NamedTuple):
    """A time of day; ``fraction`` is in microseconds, and hour 24 is the next midnight."""

    hour: int
    minute: int = 0
    second: int = 0
    fraction: int = 0


class _Moment:
    """What the pieces of a text say; None for pieces that it does not have.

    weekday      0 for Monday
    before_today whether ``last`` excludes today from the weekdays that may be meant
    days         days from today, for ``today`` and its like
    offset       the offset from UTC; ``zone``: the name of a time zone
    """

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
        """Read the piece that begins at ``at`` and return where the next one begins."""
        for pattern, take in _DIGIT_PIECES if self.text[at].isdigit() else _OTHER_PIECES:
            match = re.compile(pattern).match(self.text, at)
            if match and take(self, match):
                return match.end()
        stray = re.match(r"\S+", self.text[at:])
        raise self.not_understood(stray[0] if stray else self.text[at:])

    def not_understood(self, stray: str) -> _NotUnderstood:
        """Return the error that says why ``stray``, a part of the text, is not understood."""
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
        """Set attributes that were not set before, and return True; ``_NotUnderstood`` where one was."""
        for name, value in values.items():
            if getattr(self, name) is not None:
                raise _NotUnderstood(f"it has two {'times' if name == 'clock' else name.removesuffix('s') + 's'}")
            setattr(self, name, value)
        return True

    def on(self, year: str | int, month: str | int, day: str | int) -> bool:
        """Set the date."""
        return self.once(year=int(year), month=int(month), day=int(day))

    def at(self, hour: str, minute: str | None, second: str | None, fraction: str | None, half: str | None) -> bool:
        """Set the time of day; ``half`` is the a of a.m. or the p of p.m."""
        hours, minutes, seconds = int(hour), int(minute or 0), int(second or 0)
        if half and 1 <= hours <= 12:
            hours = hours % 12 + (12 if half in "pP" else 0)
        elif half:
            hours = _NO_HOUR
        if minutes > 59 or seconds > 59 or hours > 24 or (hours == 24 and (minutes or seconds)):
            raise _NotUnderstood(f"there is no such time of day, {':'.join(filter(None, (hour, minute, second)))}")
        return self.once(clock=_Clock(hours, minutes, seconds, int((fraction or "")[:6].ljust(6, "0"))))

    def shift(self, sign: str, hours: str, minutes: str | None) -> bool:
        """Set the offset from UTC; False where no time of day stands before it."""
        if int(minutes or 0) > 59 or int(hours) > 18:
            raise _NotUnderstood(f"there is no such offset, {sign}{hours}:{minutes or '00'}")
        offset = dt.timedelta(hours=int(hours), minutes=int(minutes or 0))
        return self.clock is not None and self.once(offset=-offset if sign == "-" else offset)

    def word(self, text: str) -> bool:
        """Set what a word says; False where it says nothing."""
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
        """Set a year, or a day of the month where the text names a month; False where the number is neither."""
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
        """Return the instant that the pieces name; the arguments are those of ``parse_time``."""
        clock = self.clock or _Clock(0)
        where = _zone(self, zone)
        today = to_local(now, where).date()
        latest = latest and self.clock is not None
        if self.text.isdigit() and self.month is None:
            raise self.not_understood(self.text)
        day = self._day(today)
        if day is not None:
            return _at(day, clock, where, latest=latest)
        if self.clock is None:
            raise self.not_understood(self.text)
        day = today if after is None else to_local(after, where).date()
        instant = _at(day, clock, where, latest=latest)
        if after is not None and instant <= after:
            instant = _at(day + dt.timedelta(days=1), clock, where, latest=latest)
        return instant

    def _day(self, today: dt.date) -> dt.date | None:
        """Return the day that a date, a weekday or a word such as ``today`` names; None when there is none of these."""
        if (self.month is None) != (self.day is None) or (self.year is not None and self.month is None):
            raise _NotUnderstood("the date has no " + ("month" if self.month is None else "day"))
        if self.days is not None and (self.month is not None or self.weekday is not None):
            raise _NotUnderstood("it names two days")
        if self.month is not None:
            return self._date(today)
        if self.days is not None:
            return today + dt.timedelta(days=self.days)
        if self.weekday is None:
            return None
        back = (today.weekday() - self.weekday) % 7
        if self.before_today and not back:
            back = 7
        return today - dt.timedelta(days=back)

    def _date(self, today: dt.date) -> dt.date:
        """Return the date of month, day and perhaps year and weekday."""
        assert self.month is not None
        assert self.day is not None
        years = [self.year] if self.year is not None else range(today.year + 1, today.year - _YEARS_BACK - 1, -1)
        for year in years:
            date = _date_of(year, self.month, self.day)
            if date is None or (self.year is None and date > today + _MOST_AHEAD):
                continue
            if self.weekday is not None and date.weekday() != self.weekday:
                names = [_WEEKDAYS[n].title() for n in (date.weekday(), self.weekday)]
                raise _NotUnderstood(f"{date} is a {names[0]}, not a {names[1]}")
            return date
        if not 1 <= self.month <= 12:
            raise _NotUnderstood(f"there is no month {self.month}")
        year_said = "" if self.year is None else f" {self.year}"
        raise _NotUnderstood(f"there is no day {self.day} in {_MONTHS[self.month - 1].title()}{year_said}")


_Taker = Callable[[_Moment, "re.Match[str]"], bool]
_END = r"(?=$|[\s,]|[Zz]\b)[\s,]*"
_DATE_END = r"(?:$|[\s,]+|[Tt_:](?=\d)|(?=[Zz]$))"
_CLOCK_END = r"(?=$|[\s,Zz+-]|[A-Za-z])[\s,]*"


_NO_HOUR = 99
"""An hour that no day has, for 13 p.m. and 0 a.m."""


def _piece(pattern: str, end: str, take: _Taker) -> tuple[str, _Taker]:
    return f"(?ia:(?:{pattern}){end})", take


_DIGIT_PIECES = (
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
_OTHER_PIECES = (
    _piece(r"([+-])(\d\d?)(?::?(\d\d))?", _END, lambda m, x: m.shift(x[1], x[2], x[3])),
    _piece(r"([a-z]+(?:/[a-z_+-]+\d*)+)", _END, lambda m, x: m.word(x[1])),
    _piece(r"([a-z]+\.?)", r"(?=$|[\s,]|[+-]\d)[\s,]*", lambda m, x: m.word(x[1])),
)
"""Patterns of pieces, in the order in which they are tried, and what takes in their match.

A piece whose taker returns False is passed over. Patterns are compiled when they are first tried: all of them take 0.02 s.
"""


def _named(word: str, names: tuple[str, ...]) -> int | None:
    """Return the index of the name that a word is, or abbreviates to three letters or more; None if there is none."""
    return next((n for n, name in enumerate(names) if len(word) >= 3 and name.startswith(word)), None)


def _date_of(year: int, month: int, day: int) -> dt.date | None:
    try:
        return dt.date(year, month, day)
    except ValueError:
        return None


def _zone(moment: _Moment, zone: dt.tzinfo) -> dt.tzinfo:
    """Return the zone that a text names, or ``zone``; an offset counts more than the name of a zone beside it."""
    name = (moment.zone or "").lower()
    if moment.offset is not None and (not name or "/" in name or name in HOURS_AHEAD or name.upper() == moment.zone):
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
    if name in HOURS_AHEAD:
        return dt.timezone(dt.timedelta(hours=HOURS_AHEAD[name]))
    raise moment.not_understood(moment.zone)


def _at(day: dt.date, clock: _Clock, zone: dt.tzinfo, *, latest: bool) -> int:
    """Return the instant of a time of day; 24:00 is the next midnight."""
    wall = dt.datetime.combine(day, dt.time()) + dt.timedelta(
        hours=clock.hour, minutes=clock.minute, seconds=clock.second, microseconds=clock.fraction
    )
    return to_instant(wall, zone, latest=latest)
