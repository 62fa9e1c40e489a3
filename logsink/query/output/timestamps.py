"""Instants to digits, an array at a time, by look-up in tables of days, seconds of the day, and thousands."""

from __future__ import annotations

import datetime as dt
import re
from functools import cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from logsink.query.columns import Int64

_SECOND = 1_000_000
_DAY = 86_400 * _SECOND
_QUARTER = 900 * _SECOND  # no zone has changed its offset in between since the epoch
_DENSE = 4096
_FIELD = re.compile(r"\{(date|clock|milli|micro)\}")


def stamps(instants: Int64, pattern: str) -> pa.StringArray:
    """``pattern`` for each instant (microseconds since the epoch), with these fields filled in:

    ``{date}`` 2026-11-22, ``{clock}`` 03:12:05, ``{milli}`` the first three digits of the fraction, ``{micro}`` the next.
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


def local(instants: Int64, zone: dt.tzinfo) -> Int64:
    """The instants moved by the zone's offset, so that their UTC digits are the local ones."""
    quarters, place = _distinct(instants // _QUARTER)
    offsets = np.array([_offset(int(quarter) * 900, zone) for quarter in quarters], np.int64)
    moved: Int64 = instants + offsets[place]
    return moved


def repeated(instants: Int64, zone: dt.tzinfo) -> npt.NDArray[np.bool_]:
    """Which instants have a local time that clocks of the zone show twice, because they are put back."""
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


def _offset(second: int, zone: dt.tzinfo) -> int:
    """Microseconds by which the zone is ahead of UTC then; 0 beyond the years that Python knows."""
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
    """Values among which are all of ``values``, and the place of each of ``values``."""
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
        table[:, at], table[:, at + 1] = part // 10 + 48, part % 10 + 48
    return table


@cache
def _thousands() -> npt.NDArray[np.uint8]:
    return _letters(np.array([f"{n:03d}" for n in range(1000)]), 3)
