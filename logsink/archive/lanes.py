"""Lanes: which segments' rows a data file holds, as intervals of sequences by lane. A persistent format: ``logsink.lanes``
among the tags of a data file in the table's log::

    {"<receiver>.<lane>": [[first, last], ...], ...}      JSON; the intervals are sorted, disjoint, and do not touch

Pure functions over such intervals: nothing here reads or writes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import orjson

from logsink.errors import FormatError

TAG: Final = "logsink.lanes"
"""Name of the tag."""

Interval = tuple[int, int]
"""First and last sequence."""

Lanes = Mapping[str, tuple[Interval, ...]]
"""``appId`` -> sorted intervals, disjoint and not touching."""


def parse(text: str) -> Lanes:
    """Return what a tag says; intervals in any order are united. ``FormatError`` when it says nothing that can be true."""
    try:
        said = orjson.loads(text)
        pairs = {lane: [(first, last) for first, last in intervals] for lane, intervals in said.items()}
    except (orjson.JSONDecodeError, AttributeError, TypeError, ValueError) as error:
        raise FormatError(f"cannot read lanes {text[:100]!r}", repr(error)) from error
    if not all(type(a) is type(b) is int and 0 < a <= b for intervals in pairs.values() for a, b in intervals):
        raise FormatError(f"cannot read lanes {text[:100]!r}", "an interval is none of sequences")
    return union(pairs)


def encode(lanes: Lanes) -> str:
    """Return the tag, sorted by lane."""
    return orjson.dumps(lanes, option=orjson.OPT_SORT_KEYS).decode()


def lanes_of(tags: Iterable[tuple[str, str]]) -> Lanes | None:
    """Return the lanes that a file's tags say; None when they say nothing. ``FormatError`` for what cannot be read."""
    text = dict(tags).get(TAG)
    return None if text is None else parse(text)


def union(*many: Mapping[str, Iterable[Interval]]) -> Lanes:
    """Return all sequences that any of these hold."""
    together: dict[str, list[Interval]] = {}
    for lanes in many:
        for lane, intervals in lanes.items():
            together.setdefault(lane, []).extend(intervals)
    return {lane: tuple(_united(intervals)) for lane, intervals in together.items() if intervals}


def _united(intervals: Iterable[Interval]) -> Iterator[Interval]:
    first, last = 0, -1
    for a, b in sorted(intervals):
        if last < first:
            first, last = a, b
        elif a <= last + 1:
            last = max(last, b)
        else:
            yield first, last
            first, last = a, b
    if first <= last:
        yield first, last


def covers(lanes: Lanes, lane: str, sequence: int) -> bool:
    """Return whether ``lanes`` holds this sequence of a lane (its ``appId``)."""
    return any(first <= sequence <= last for first, last in lanes.get(lane, ()))


def inside(inner: Lanes, outer: Lanes) -> bool:
    """Return whether ``outer`` holds all sequences that ``inner`` holds."""
    return all(
        any(a <= first and last <= b for a, b in outer.get(lane, ()))
        for lane, intervals in inner.items()
        for first, last in intervals
    )


def missing(lanes: Lanes, lane: str, first: int, last: int) -> Iterator[Interval]:
    """Yield the intervals between ``first`` and ``last`` of a lane that ``lanes`` does not hold, in order."""
    for a, b in lanes.get(lane, ()):
        if first > last:
            return
        if a > first:
            yield first, min(a - 1, last)
        first = max(first, b + 1)
    if first <= last:
        yield first, last
