"""Lanes of data files: that no two hold the same rows, and that together they hold all rows that the table claims to hold.

A lane is known by the ``appId`` of its txn. Files of one commit hold the same sequences on different dates, so files are
compared within a date. Retention takes the oldest rows of a lane; so what is missing at its beginning was retired, and what is
missing between rows that are there is damage, unless it is recorded as lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from typing import NamedTuple

from logsink.archive import DataFile, Lanes, lanes_missing, lanes_of, lanes_union, lost_lanes
from logsink.errors import FormatError


class Overlap(NamedTuple):
    """Two files of one date that hold rows of the same segments: ``first`` to ``last`` of a lane."""

    one: str
    other: str
    app_id: str
    first: int
    last: int


def held(file: DataFile) -> Lanes | None:
    """Return the sequences whose rows a file holds; None when it does not say, or nothing that makes sense."""
    try:
        return lanes_of(file.tags)
    except FormatError:
        return None


def overlaps(files: Iterable[DataFile]) -> Iterator[Overlap]:
    """Yield the pairs of files that hold the same rows, as far as neighbours show them."""
    by_date: dict[tuple[date, str], list[tuple[int, int, str]]] = {}
    for file in files:
        for app_id, intervals in (held(file) or {}).items():
            by_date.setdefault((file.date, app_id), []).extend((first, last, file.path) for first, last in intervals)
    for (_, app_id), places in sorted(by_date.items()):
        _, end, path = (ordered := sorted(places))[0]
        for first, last, other in ordered[1:]:
            if first <= end and other != path:
                yield Overlap(path, other, app_id, first, min(end, last))
            if last > end:
                end, path = last, other


def holes(files: Sequence[DataFile], txn: Mapping[str, int], lost: Iterable[str]) -> Iterator[tuple[str, int, int]]:
    """Yield ``appId``, first and last sequence of segments at or below their txn whose rows no file holds.

    Nothing is known of a lane that a file without lanes may hold, so nothing is yielded when there is such a file.
    """
    said = [held(file) for file in files]
    if any(one is None for one in said):
        return
    known = lanes_union(*(one for one in said if one is not None))
    explained = lost_lanes(lost)
    for app_id, intervals in sorted(known.items()):
        everything = lanes_union({app_id: intervals}, {app_id: explained.get(app_id, ())})
        for first, last in lanes_missing(everything, app_id, intervals[0][0], txn.get(app_id, 0)):
            yield app_id, first, last
