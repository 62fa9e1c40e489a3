"""An IANA time zone as the two arrays that ``clock`` reads."""

from __future__ import annotations

import functools
import zoneinfo
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt

from logsink.errors import ConfigError

_FIRST = datetime(1970, 1, 1, tzinfo=UTC)
_LAST = datetime(2100, 1, 1, tzinfo=UTC)
_STEP = timedelta(days=7)


@functools.lru_cache(maxsize=16)
def load(name: str) -> npt.NDArray[np.int64]:
    """The zone ``name`` from 1970 to 2100; before and after that its first and last offset hold. ``ConfigError``: no such zone.

    At a bound the clocks show the later of the two times they show then, so that of an hour that comes twice the first
    is meant, and an hour that is left out is read with the offset before it.
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
    bounds: list[int] = []
    at = _FIRST
    while at < _LAST:
        following = at + _STEP
        if _offset(zone, following) != offsets[-1]:
            change = _change(zone, at, following)
            offset = _offset(zone, change)
            bounds.append((int((change - _FIRST).total_seconds()) + max(offset, offsets[-1])) * 1_000_000)
            offsets.append(offset)
            following = change
        at = following
    return np.array([*bounds, *offsets], np.int64)


def _offset(zone: zoneinfo.ZoneInfo, at: datetime) -> int:
    offset = at.astimezone(zone).utcoffset()
    return int(offset.total_seconds()) if offset is not None else 0


def _change(zone: zoneinfo.ZoneInfo, low: datetime, high: datetime) -> datetime:
    """The first second, after ``low``, at which the offset is not that of ``low``."""
    before = _offset(zone, low)
    while high - low > timedelta(seconds=1):
        middle = low + timedelta(seconds=int((high - low).total_seconds()) // 2)
        if _offset(zone, middle) == before:
            low = middle
        else:
            high = middle
    return high
