"""An IANA time zone as one array of numbers, which kernels can search.

A zone whose clocks were changed k times is int64[2k + 1]::

    [0:k]         wall-clock microseconds of each change, ascending
    [k:2k + 1]    seconds ahead of UTC: element k before the first change, element k + 1 + n from change n on

UTC and other zones without a change have one element.
"""

from __future__ import annotations

import functools
import zoneinfo
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt

from logsink.errors import ConfigError

_FIRST = datetime(1970, 1, 1, tzinfo=UTC)
_LAST = datetime(2100, 1, 1, tzinfo=UTC)
_STEP = timedelta(days=7)  # no zone changes its clocks twice within it and ends where it was


@functools.lru_cache(maxsize=16)
def load(name: str) -> npt.NDArray[np.int64]:
    """Return the zone ``name`` from 1970 to 2100; before and after that its first and last offset hold.

    Of the two times that clocks show at a change, the later one is stored. So of an hour that comes twice the first is
    meant, and an hour that is left out is read with the offset before it. Raises ``ConfigError`` where there is no such
    zone.
    """
    if name == "UTC":
        return np.zeros(1, np.int64)
    try:
        zone = zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ConfigError(
            f"cannot find time zone {name!r}: {error}", hint="use a name of the IANA database, such as Europe/Berlin"
        ) from error
    offsets = [_offset(zone, _FIRST)]
    changes: list[int] = []
    at = _FIRST
    while at < _LAST:
        following = at + _STEP
        if _offset(zone, following) != offsets[-1]:
            change = _change(zone, at, following)
            offset = _offset(zone, change)
            changes.append((int((change - _FIRST).total_seconds()) + max(offset, offsets[-1])) * 1_000_000)
            offsets.append(offset)
            following = change
        at = following
    return np.array([*changes, *offsets], np.int64)


def _offset(zone: zoneinfo.ZoneInfo, at: datetime) -> int:
    """Return the seconds by which ``zone`` is ahead of UTC at ``at``."""
    offset = at.astimezone(zone).utcoffset()
    return int(offset.total_seconds()) if offset is not None else 0


def _change(zone: zoneinfo.ZoneInfo, low: datetime, high: datetime) -> datetime:
    """Return the first second after ``low``, up to ``high``, at which the offset is not that of ``low``."""
    before = _offset(zone, low)
    while high - low > timedelta(seconds=1):
        middle = low + timedelta(seconds=int((high - low).total_seconds()) // 2)
        if _offset(zone, middle) == before:
            low = middle
        else:
            high = middle
    return high
