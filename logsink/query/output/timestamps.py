"""Instants as text, an array at a time: digits come from tables of days, seconds of the day, and thousandths.

An instant is a number of microseconds since 1970-01-01T00:00:00Z, in int64.
"""

from __future__ import annotations

import datetime as dt
import re
from functools import cache, lru_cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from logsink.query.columns import Int64, as_array

_SECOND = 1_000_000
_MINUTE = 60 * _SECOND
_DAY = 86_400 * _SECOND
_QUARTER = 900 * _SECOND
"""Microseconds of a quarter of an hour: since 1970 zones have changed their offsets at the beginning of one only."""

_DENSE = 4096
"""Values that span less than this are taken to be all integers of the span, not only those that occur."""

_FIELD = re.compile(r"\{(date|clock|milli|micro)\}")


def timestamps_of(instants: Int64, pattern: str) -> pa.StringArray:
    """Return ``pattern`` for each instant, with these fields filled in, in UTC:

    ``{date}`` 2026-11-22, ``{clock}`` 03:12:05, ``{milli}`` digits 1 to 3 of the fraction, ``{micro}`` digits 4 to 6.
    """
    parts = _FIELD.split(pattern)
    columns = [
        _field(instants, part) if i % 2 else np.frombuffer(part.encode(), np.uint8) for i, part in enumerate(parts)
    ]
    width = sum(column.shape[-1] for column in columns)
    text = np.empty((len(instants), width), np.uint8)
    at = 0
    for column in columns:
        text[:, at : at + column.shape[-1]] = column
        at += column.shape[-1]
    offsets = np.arange(len(instants) + 1, dtype=np.int32) * width
    return pa.Array.from_buffers(pa.string(), len(instants), [None, pa.py_buffer(offsets), pa.py_buffer(text)])


def rfc_3339(instants: Int64, zone: dt.tzinfo | None = None) -> tuple[pa.Array, ...]:
    """Return instants in RFC 3339 with microseconds, as fragments to be joined; ``zone``: None for UTC, written as Z."""
    if zone is None:
        return (timestamps_of(instants, "{date}T{clock}.{milli}{micro}Z"),)
    moved = local(instants, zone)
    return timestamps_of(moved, "{date}T{clock}.{milli}{micro}"), offsets_of(instants, moved)


def offsets_of(instants: Int64, moved: Int64) -> pa.Array:
    """Return ``+01:00`` for each instant; ``moved``: what ``local`` returned for them."""
    minutes = as_array((moved - instants) // _MINUTE).dictionary_encode()
    offsets = [f"{'-' if m < 0 else '+'}{abs(m) // 60:02d}:{abs(m) % 60:02d}" for m in minutes.dictionary.to_pylist()]
    return pa.array(offsets, pa.string()).take(minutes.indices)


def local(instants: Int64, zone: dt.tzinfo) -> Int64:
    """Return the instants moved by the zone's offset from UTC at each, so that their digits in UTC are the local ones."""
    quarters, place = _distinct(instants // _QUARTER)
    offsets = np.array([_offset(int(quarter) * 900, zone) for quarter in quarters], np.int64)
    moved: Int64 = instants + offsets[place]
    return moved


def repeated(instants: Int64, zone: dt.tzinfo) -> npt.NDArray[np.bool_]:
    """Return bool[n]: whether clocks of the zone show the local time of an instant twice, because they are put back."""
    quarters, place = _distinct(instants // _QUARTER)
    twice = np.array([_twice(int(quarter) * 900, zone) for quarter in quarters], np.bool_)
    found: npt.NDArray[np.bool_] = twice[place]
    return found


def _twice(second: int, zone: dt.tzinfo) -> bool:
    try:
        here = dt.datetime.fromtimestamp(second, zone)
        first, last = (here.replace(fold=fold).utcoffset() or dt.timedelta() for fold in (0, 1))
    except (OverflowError, ValueError, OSError):
        return False
    return first > last


@lru_cache(maxsize=1 << 16)  # a histogram asks for the same hours again and again, at 20 us each
def _offset(second: int, zone: dt.tzinfo) -> int:
    """Return the microseconds by which the zone is ahead of UTC at a second since 1970; 0 beyond the years of ``datetime``."""
    try:
        return (dt.datetime.fromtimestamp(second, zone).utcoffset() or dt.timedelta()) // dt.timedelta(microseconds=1)
    except (OverflowError, ValueError, OSError):
        return 0


def _field(instants: Int64, name: str) -> npt.NDArray[np.uint8]:
    if name == "date":
        days, place = _distinct(instants // _DAY)
        return _letters(np.datetime_as_string(days.astype("datetime64[D]")), 10)[place]
    if name == "clock":
        return _clock()[instants % _DAY // _SECOND]
    return _thousands()[instants % _SECOND // 1000 if name == "milli" else instants % 1000]


def _distinct(values: Int64) -> tuple[Int64, Int64]:
    """Return ascending values among which are all of ``values``, and the index of each of ``values`` in them."""
    if not len(values):
        return values, values
    low, high = int(values.min()), int(values.max())
    if high - low < _DENSE:
        return np.arange(low, high + 1), values - low
    distinct, place = np.unique(values, return_inverse=True)
    return distinct, place


def _letters(texts: npt.NDArray[np.str_], width: int) -> npt.NDArray[np.uint8]:
    return texts.astype(f"S{width}").view(np.uint8).reshape(len(texts), width)


@cache
def _clock() -> npt.NDArray[np.uint8]:
    seconds = np.arange(86_400)
    table = np.full((86_400, 8), ord(":"), np.uint8)
    for at, part in ((0, seconds // 3600), (3, seconds // 60 % 60), (6, seconds % 60)):
        table[:, at], table[:, at + 1] = part // 10 + ord("0"), part % 10 + ord("0")
    return table


@cache
def _thousands() -> npt.NDArray[np.uint8]:
    return _letters(np.array([f"{n:03d}" for n in range(1000)]), 3)
