"""Clocks of time zones: the instant at which they show a time, what they show at an instant, abbreviations of zones."""

from __future__ import annotations

import datetime as dt

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)

HOURS_AHEAD = {
    name: hours
    for hours, names in {
        0: "z ut utc gmt wet", 1: "bst cet mez met west", 2: "cest eet mest mesz sast", 3: "eest msk", 5: "pkt",
        8: "awst hkt sgt", 9: "jst kst", 9.5: "acst", 10: "aest", 10.5: "acdt", 11: "aedt", 12: "nzst", 13: "nzdt",
        -2.5: "ndt", -3: "brt", -3.5: "nst", -4: "edt", -5: "cdt est", -6: "cst mdt", -7: "mst pdt", -8: "akdt pst",
        -9: "akst", -10: "hst",
    }.items()
    for name in names.split()
}  # fmt: skip
"""Hours ahead of UTC, by abbreviation of a zone: those that name one zone, and some (BST, CST) as ``parse.times`` reads them.

An asker in a zone that has the abbreviation itself means that zone.
"""


EARLIEST = (dt.datetime.min.replace(tzinfo=dt.UTC) - _EPOCH) // dt.timedelta(microseconds=1)
LATEST = (dt.datetime.max.replace(tzinfo=dt.UTC) - _EPOCH) // dt.timedelta(microseconds=1)
"""The first instant of the year 1 and the last one of 9999: no other years have dates, and no row has a time outside."""


def to_instant(wall: dt.datetime, zone: dt.tzinfo, *, latest: bool = False) -> int:
    """Return the instant at which clocks of ``zone`` show ``wall``, which has no zone, in microseconds since the epoch.

    Where they show it twice, the first instant, or with ``latest`` the second; where they skip it, the moment of the change.
    """
    first, second = (_microseconds(wall.replace(tzinfo=zone, fold=fold)) for fold in (0, 1))
    if first <= second:
        return second if latest else first
    # The clocks skip it, and change somewhere between the two readings: search for the moment.
    low, high = second, first
    before = to_local(low, zone).utcoffset()
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if to_local(middle, zone).utcoffset() == before else (low, middle)
    return high


def to_local(instant: int, zone: dt.tzinfo) -> dt.datetime:
    """Return what clocks of ``zone`` show at an instant, in microseconds since the epoch."""
    return (_EPOCH + dt.timedelta(microseconds=instant)).astimezone(zone)


def _microseconds(moment: dt.datetime) -> int:
    return (moment - _EPOCH) // dt.timedelta(microseconds=1)
