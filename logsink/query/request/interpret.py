"""The filter that search terms mean."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence

from logsink.errors import ArgumentError
from logsink.flags import Flag
from logsink.kinds import nearest
from logsink.query.request.conditions import Between, Flagged, Holds, Not, OneOf, OneOfNumbers
from logsink.query.request.filters import Condition, Filter
from logsink.query.request.members import Members, MemberTest
from logsink.query.request.parameters import Parameter
from logsink.query.request.severities import parse_facility, parse_priority
from logsink.query.request.terms import GLOB_COLUMNS, SearchTerms
from logsink.query.request.times import parse_time


def to_filter(terms: SearchTerms, now: int, zone: dt.tzinfo) -> Filter:
    """Return the filter that ``terms`` mean at ``now`` (microseconds since the epoch) to an asker in ``zone``.

    ``ArgumentError`` names the term that means nothing.
    """
    return Filter(
        (
            *_time(terms, now, zone),
            *_columns(terms),
            *_flags(terms),
            *_messages(terms),
            *_members(terms),
        )
    )


def _time(terms: SearchTerms, now: int, zone: dt.tzinfo) -> Iterator[Condition]:
    since = _instant(terms.since, now, zone)
    until = _instant(terms.until, now, zone, since, latest=True)
    if since is not None and until is not None and since >= until:
        raise ArgumentError(f"cannot search from {str(terms.since)!r} until {str(terms.until)!r}: the range is empty")
    if since is not None or until is not None:
        yield Between("time", since, until)


def _columns(terms: SearchTerms) -> Iterator[Condition]:
    if terms.priority is not None:
        least, greatest = parse_priority(terms.priority)
        yield Between("severity", least, greatest + 1)
    for column in GLOB_COLUMNS:
        included, excluded = _split(getattr(terms, column))
        if included:
            yield OneOf(column, included)
        if excluded:
            yield Not(OneOf(column, excluded))
    included, excluded = _split(terms.facility)
    if included:
        yield OneOfNumbers("facility", tuple(map(parse_facility, included)))
    if excluded:
        yield Not(OneOfNumbers("facility", tuple(map(parse_facility, excluded))))
    yield from map(Parameter.parse, terms.sd)


def _flags(terms: SearchTerms) -> Iterator[Condition]:
    known = {flag.name.lower(): int(flag) for flag in Flag if flag.name}
    for text in terms.flag:
        name = text.removeprefix("!")
        bits = known.get(name.lower())
        if bits is None:
            close = nearest(name.lower(), known)
            hint = f"{f'did you mean {close}? ' if close else ''}write one of {', '.join(known)}"
            raise ArgumentError(f"cannot find flag {name!r}", hint=hint)
        yield Not(Flagged("flags", bits)) if text.startswith("!") else Flagged("flags", bits)


def _messages(terms: SearchTerms) -> Sequence[Condition]:
    if terms.regex and terms.fixed:
        raise ArgumentError("cannot take patterns as text and as regular expressions at once", hint="give -E or -F")
    found: list[Condition] = []
    if terms.pattern:
        found.append(Holds("message", tuple(terms.pattern), terms.regex, terms.ignore_case, terms.word))
    if terms.grep:
        lower = all(pattern == pattern.lower() for pattern in terms.grep)
        found.append(Holds("message", tuple(terms.grep), True, terms.ignore_case or lower, terms.word))
    if terms.invert_match and not found:
        raise ArgumentError("cannot find what does not match: there is no pattern", hint="give one with -v")
    return [*map(Not, found)] if terms.invert_match else found


def _members(terms: SearchTerms) -> Iterator[Condition]:
    if terms.json:
        yield Members([*map(MemberTest.parse, terms.json)])


def _instant(
    given: str | dt.datetime | dt.timedelta | None,
    now: int,
    zone: dt.tzinfo,
    after: int | None = None,
    *,
    latest: bool = False,
) -> int | None:
    """Return an end of the range in microseconds since the epoch; ``after`` and ``latest`` as ``parse_time`` takes them."""
    if isinstance(given, dt.timedelta):
        return now - abs(given) // dt.timedelta(microseconds=1)
    if isinstance(given, dt.datetime):
        moment = given if given.tzinfo else given.replace(tzinfo=zone)
        return (moment - dt.datetime.fromtimestamp(0, dt.UTC)) // dt.timedelta(microseconds=1)
    return None if given is None else parse_time(given, now, zone, after, latest=latest)


def _split(texts: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the texts that include, and those that exclude, without their ``!``."""
    return tuple(t for t in texts if not t.startswith("!")), tuple(t[1:] for t in texts if t.startswith("!"))
