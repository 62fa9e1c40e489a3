"""What somebody asks for, as they write it, and the filter that it means: for the command line and the library alike."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from logsink.errors import ArgumentError
from logsink.flags import Flag
from logsink.kinds import nearest
from logsink.query.request.conditions import Between, Flagged, Holds, Not, Numbered, OneOf, Parameter
from logsink.query.request.filters import Condition, Filter
from logsink.query.request.members import Members, MemberTest
from logsink.query.request.severities import parse_facility, parse_priority
from logsink.query.request.times import parse_time

GLOBS = (
    *("host", "app", "procid", "msgid", "sender", "identity"),
    *("environment", "role", "deploy", "instance", "transport"),
)
"""Columns that are chosen by globs; ``!`` before one excludes."""


class Wanted(NamedTuple):
    """Conditions of different kinds must all hold; several of one kind are alternatives, those of sd, json, flag must all hold.

    pattern        text that messages hold, or with ``regex`` RE2; ``word``, ``ignore_case``, ``invert_match`` apply to it
    grep           regular expressions; they ignore case if all are lower case
    since, until   see ``times.parse_time``; a ``datetime`` (without a zone: local to the asker); a ``timedelta``: so long ago
    priority       see ``levels.parse_priority``
    sd             ``[ID.]KEY=GLOB``
    json           members of messages in JSON or logfmt: ``PATH``, ``PATH>=VALUE``, see ``members``
    """

    pattern: Sequence[str] = ()
    grep: Sequence[str] = ()
    regex: bool = False
    fixed: bool = False
    word: bool = False
    ignore_case: bool = False
    invert_match: bool = False
    since: str | dt.datetime | dt.timedelta | None = None
    until: str | dt.datetime | dt.timedelta | None = None
    priority: str | None = None
    facility: Sequence[str] = ()
    sd: Sequence[str] = ()
    json: Sequence[str] = ()
    flag: Sequence[str] = ()
    host: Sequence[str] = ()
    app: Sequence[str] = ()
    procid: Sequence[str] = ()
    msgid: Sequence[str] = ()
    sender: Sequence[str] = ()
    identity: Sequence[str] = ()
    environment: Sequence[str] = ()
    role: Sequence[str] = ()
    deploy: Sequence[str] = ()
    instance: Sequence[str] = ()
    transport: Sequence[str] = ()

    def filter(self, now: int, zone: dt.tzinfo) -> Filter:
        """What it means at ``now`` (microseconds since the epoch) in ``zone``. ``ArgumentError`` names what means nothing."""
        conditions = (self._in_time(now, zone), self._in_columns(), self._of_flags(), self._in_message())
        return Filter((*(one for several in conditions for one in several), *self._in_members()))

    def _in_time(self, now: int, zone: dt.tzinfo) -> Iterator[Condition]:
        since = _instant(self.since, now, zone)
        until = _instant(self.until, now, zone, since, latest=True)
        if since is not None and until is not None and since >= until:
            raise ArgumentError(f"cannot search from {str(self.since)!r} until {str(self.until)!r}: the range is empty")
        if since is not None or until is not None:
            yield Between("time", since, until)

    def _in_columns(self) -> Iterator[Condition]:
        if self.priority is not None:
            least, most = parse_priority(self.priority)
            yield Between("severity", least, most + 1)
        for column in GLOBS:
            only, without = _split(getattr(self, column))
            if only:
                yield OneOf(column, only)
            if without:
                yield Not(OneOf(column, without))
        only, without = _split(self.facility)
        if only:
            yield Numbered("facility", tuple(map(parse_facility, only)))
        if without:
            yield Not(Numbered("facility", tuple(map(parse_facility, without))))
        yield from map(Parameter.parse, self.sd)

    def _of_flags(self) -> Iterator[Condition]:
        known = {flag.name.lower(): int(flag) for flag in Flag if flag.name}
        for text in self.flag:
            bits = known.get(text.removeprefix("!").lower())
            if bits is None:
                name = text.removeprefix("!")
                close = nearest(name.lower(), known)
                hint = f"{f'did you mean {close}? ' if close else ''}write one of {', '.join(known)}"
                raise ArgumentError(f"cannot find flag {name!r}", hint=hint)
            yield Not(Flagged("flags", bits)) if text.startswith("!") else Flagged("flags", bits)

    def _in_message(self) -> Sequence[Condition]:
        if self.regex and self.fixed:
            raise ArgumentError("cannot take patterns as text and as regular expressions at once", hint="give -E or -F")
        found: list[Condition] = []
        if self.pattern:
            found.append(Holds("message", tuple(self.pattern), self.regex, self.ignore_case, self.word))
        if self.grep:
            lower = all(pattern == pattern.lower() for pattern in self.grep)
            found.append(Holds("message", tuple(self.grep), True, self.ignore_case or lower, self.word))
        if self.invert_match and not found:
            raise ArgumentError("cannot find what does not match: there is no pattern", hint="give one with -v")
        return [*map(Not, found)] if self.invert_match else found

    def _in_members(self) -> Iterator[Condition]:
        if self.json:
            yield Members([*map(MemberTest.parse, self.json)])


def _instant(
    given: str | dt.datetime | dt.timedelta | None,
    now: int,
    zone: dt.tzinfo,
    after: int | None = None,
    *,
    latest: bool = False,
) -> int | None:
    if isinstance(given, dt.timedelta):
        return now - abs(given) // dt.timedelta(microseconds=1)
    if isinstance(given, dt.datetime):
        moment = given if given.tzinfo else given.replace(tzinfo=zone)
        return (moment - dt.datetime.fromtimestamp(0, dt.UTC)) // dt.timedelta(microseconds=1)
    return None if given is None else parse_time(given, now, zone, after, latest=latest)


def _split(texts: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Those that include, those that exclude (without their ``!``)."""
    return tuple(t for t in texts if not t.startswith("!")), tuple(t[1:] for t in texts if t.startswith("!"))
