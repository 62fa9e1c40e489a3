"""The journal's tail as rows: segments fetched, sifted by their bytes, parsed, filtered.

Frames are sifted before they are parsed, a read at a time: when no frame of a read holds any needle of the filter, the
read is left out. Whole reads only, because ``nth`` counts within one and must come out as it will in the table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa

from logsink.errors import FormatError
from logsink.journal.segment import Segment, SegmentName, decode
from logsink.parse import parse
from logsink.parse.frames import Frames
from logsink.query.datafile import as_rows
from logsink.query.filters import Filter, Mask

SMALL = 2000
"""Frames that are parsed by the interpreted kernels, at 28 us each; to load the compiled ones takes 0.07 s."""


def sift(segment: Segment, filter: Filter) -> Segment:
    """The segment without the reads that cannot hold a row of the filter."""
    frames = segment.frames
    if not len(frames) or not filter.needles():
        return segment
    found = filter.candidates(_as_array(frames))
    starts = np.flatnonzero(np.diff(frames.received, prepend=frames.received[0] - 1))
    lengths = np.diff(starts, append=len(frames))
    kept = np.repeat(np.logical_or.reduceat(found, starts), lengths)
    return segment if kept.all() else replace(segment, frames=_kept(frames, kept))


def rows(segment: Segment, filter: Filter, columns: Sequence[str], compiled: bool) -> pa.Table:
    """The segment's rows that meet the filter, with these columns."""
    parsed = parse(segment.frames, segment.settings, segment.name.receiver, compiled=compiled).table()
    if not filter.conditions:
        return as_rows(parsed, columns)
    found = filter.mask(as_rows(parsed, filter.columns()))
    return as_rows(parsed if found.all() else parsed.filter(pa.array(found)), columns)


def read(body: bytes, name: SegmentName, filter: Filter) -> Segment:
    """The frames of a stored segment that the filter may want. ``FormatError`` when the bytes are not that segment's."""
    segment = decode(body)
    if segment.name != name:
        raise FormatError(f"cannot read segment {name.key}: it says it is {segment.name.key}")
    return sift(segment, filter)


def _as_array(frames: Frames) -> pa.BinaryArray:
    buffers = [None, pa.py_buffer(np.ascontiguousarray(frames.offsets, np.int32)), pa.py_buffer(frames.data)]
    return pa.Array.from_buffers(pa.binary(), len(frames), buffers)


def _kept(frames: Frames, kept: Mask) -> Frames:
    chosen = _as_array(frames).filter(pa.array(kept))
    _, offsets, data = chosen.buffers()
    first = chosen.offset
    return Frames(
        np.frombuffer(data, np.uint8) if data is not None else np.zeros(0, np.uint8),
        np.frombuffer(offsets, np.int32)[first : first + len(chosen) + 1],
        frames.flags[kept],
        frames.received[kept],
        frames.origin[kept],
        frames.origins,
    )
