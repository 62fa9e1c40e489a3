"""What one ``logsink diff`` asks for: which rows are on which side."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Self

from logsink.cli.options.limits import limit_of
from logsink.cli.options.terms import terms_of
from logsink.cli.options.zones import local_text, zone_of
from logsink.errors import ArgumentError
from logsink.query.request import EARLIEST, LATEST, SearchTerms, parse_time

_EPOCH = dt.datetime.fromtimestamp(0, dt.UTC)

_ONE = "give --deploy A B, --before TIME, or -S TIME with --versus TIME"


class Asked(NamedTuple):
    """One side: what people call it, and the terms of its rows, whose times are instants."""

    name: str
    terms: SearchTerms


@dataclass(frozen=True, kw_only=True)
class DiffRequest:
    """Everything that the command line of one comparison says, apart from settings.

    sides     what is compared: the second with the first
    zone      the time zone for input and output
    limit     how many changes are shown at most; None: all
    every     also show what one instance of many shows alone
    fail_on   what makes the exit code 1; None: nothing
    place     the options of the command line that say where the store is, for queries to be pasted
    """

    sides: tuple[Asked, Asked]
    zone: dt.tzinfo
    limit: int | None = 40
    every: bool = False
    fail_on: str | None = None
    output: str = "text"
    no_cache: bool = False
    quiet: bool = False
    place: tuple[str, ...] = ()

    @classmethod
    def of(cls, parameters: Mapping[str, Any], now: int | None = None) -> Self:
        """Return the request that all parameters of the verb make at ``now``. ``ArgumentError`` for what has no meaning."""
        zone = zone_of(parameters["timezone"], utc=parameters["utc"])
        terms = terms_of({**parameters, "deploy": ()})
        moment = time.time_ns() // 1000 if now is None else now
        return cls(
            sides=_sides(parameters, terms, moment, zone),
            zone=zone,
            limit=limit_of(parameters["lines"]),
            **{name: parameters[name] for name in ("every", "fail_on", "output", "no_cache", "quiet")},
        )


def _sides(parameters: Mapping[str, Any], terms: SearchTerms, now: int, zone: dt.tzinfo) -> tuple[Asked, Asked]:
    ways = [name for name in ("deploy", "before", "versus") if parameters[name]]
    if len(ways) != 1:
        what = f"--{ways[0]} and --{ways[1]} at once" if ways else "without two sides"
        raise ArgumentError(f"cannot compare {what}", hint=_ONE)
    since = until = None
    if terms.since is not None:
        since = _dated(parse_time(str(terms.since), now, zone), f"-S {str(terms.since)!r}")
    if terms.until is not None:
        until = _dated(parse_time(str(terms.until), now, zone, since, latest=True), f"-U {str(terms.until)!r}")
    if parameters["deploy"]:
        within = replace(terms, since=_moment(since), until=_moment(until))
        first, second = (Asked(f"deploy {name}", replace(within, deploy=(name,))) for name in parameters["deploy"])
        return first, second
    until = now if until is None else until
    if parameters["before"]:
        given = f"--before {parameters['before']!r}"
        middle = _dated(parse_time(parameters["before"], now, zone, since), given)
        after = _range(terms, middle, until, zone)
        if since is None:
            what = f"the beginning of a time before {given} as long as that after"
            since = _dated(middle - (until - middle), what, hint="add -S TIME for another beginning")
        return _range(terms, since, middle, zone), after
    if since is None:
        raise ArgumentError("cannot compare with --versus: the range has no beginning", hint="add -S TIME")
    here = _range(terms, since, until, zone)
    given = f"--versus {parameters['versus']!r}"
    other = _dated(parse_time(parameters["versus"], now, zone), given)
    what = f"the end of a range from {given} as long as that of -S and -U"
    end = _dated(other + until - since, what, hint="give an earlier --versus, or a shorter range")
    return _range(terms, other, end, zone), here


def _range(terms: SearchTerms, since: int, until: int, zone: dt.tzinfo) -> Asked:
    if since >= until:
        raise ArgumentError(
            f"cannot compare from {_shown(since, zone)} until {_shown(until, zone)}: the range is empty",
            hint="its end has to be later than its beginning",
        )
    name = f"{_shown(since, zone)} until {_shown(until, zone)}"
    return Asked(name, replace(terms, since=_moment(since), until=_moment(until)))


def _dated(instant: int, what: str, *, hint: str = "give a time that has a date") -> int:
    """Return an instant that has a date. ``ArgumentError`` that says ``what`` it is where it has none."""
    if not EARLIEST <= instant <= LATEST:
        raise ArgumentError(f"cannot compare: {what} is outside of the years 1 to 9999", hint=hint)
    return instant


def _moment(instant: int | None) -> dt.datetime | None:
    return None if instant is None else _EPOCH + dt.timedelta(microseconds=instant)


def _shown(instant: int, zone: dt.tzinfo) -> str:
    moment = _moment(instant)
    assert moment is not None
    return local_text(moment, zone)
