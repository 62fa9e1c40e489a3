"""The time zone in which a verb reads and shows times."""

from __future__ import annotations

import datetime as dt
import zoneinfo

from logsink.errors import ArgumentError


def zone_of(name: str | None, *, utc: bool) -> dt.tzinfo:
    """Return the zone that ``--timezone`` or ``--utc`` names, or this machine's. ``ArgumentError`` if there is no such zone."""
    if utc or (name and name.upper() in ("UTC", "Z")):
        return dt.UTC
    if name is None or name == "local":
        return SystemZone()
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        hint = "write local, UTC, or a name such as Europe/Berlin"
        raise ArgumentError(f"cannot find time zone {name!r}", hint=hint) from error


def local_text(moment: dt.datetime, zone: dt.tzinfo) -> str:
    """Return the local time to the second, with the offset from UTC only in an hour that clocks show twice.

    Where the calendar ends, in the years 1 and 9999, it may not have the local time: then it is that of UTC, with its offset.
    """
    try:
        here = moment.astimezone(zone)
        first, last = (here.replace(fold=fold).utcoffset() or dt.timedelta() for fold in (0, 1))
    except (OverflowError, ValueError):
        return moment.astimezone(dt.UTC).isoformat(" ", "seconds")
    return (here if first > last else here.replace(tzinfo=None)).isoformat(" ", "seconds")


class SystemZone(dt.tzinfo):
    """Local time of this machine as the C library knows it (TZ, /etc/localtime), with daylight saving and history."""

    def utcoffset(self, when: dt.datetime | None) -> dt.timedelta:
        if when is None:
            return dt.timedelta()
        naive = when.replace(tzinfo=None)
        return naive.replace(tzinfo=dt.UTC, fold=0) - dt.datetime.fromtimestamp(naive.timestamp(), dt.UTC)

    def fromutc(self, when: dt.datetime) -> dt.datetime:
        local = when.replace(tzinfo=dt.UTC).astimezone()
        first = local.replace(tzinfo=None)  # with fold=0
        return local.replace(tzinfo=self, fold=first.timestamp() != local.timestamp())

    def dst(self, when: dt.datetime | None) -> dt.timedelta | None:
        return None

    def tzname(self, when: dt.datetime | None) -> str | None:
        if when is None:
            return None
        return when.replace(tzinfo=None).astimezone().tzname()  # by ``fold``, where clocks show the time twice
