"""The journal's tail as rows: segments fetched, sifted by their bytes, parsed, filtered.

Frames are sifted before they are parsed, a read at a time: when no frame of a read holds any needle of the filter, the
read is left out. Whole reads only, because ``nth`` counts within one and must come out as it will in the table. Where few
frames of many hold the needles, these are parsed by themselves first, to see which reads have a row of the filter at all.

A receiver's segments are parsed together: to parse one costs 5 ms however few frames it holds, and a busy receiver makes
fifty a second.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pyarrow as pa

from logsink.errors import FormatError
from logsink.journal import Segment, SegmentName, StoredSegment, decode_segment
from logsink.parse import Frames, Origin, Settings, parse
from logsink.query.columns import SCHEMA, Mask, as_array, as_rows
from logsink.query.request.filters import Filter

FEW = 200
"""Frames that are parsed by themselves first, which takes 10 ms at most, to see which reads have a row of the filter."""

TOGETHER = 1 << 20
"""Bytes of stored segments that are parsed together: about 8 MiB of frames."""


def groups(stored: Iterable[StoredSegment]) -> Iterator[list[StoredSegment]]:
    """Segments to be parsed together: neighbours of one receiver, ``TOGETHER`` bytes or a single one."""
    group: list[StoredSegment] = []
    size = 0
    for one in stored:
        if group and (one.name.receiver != group[0].name.receiver or size + one.size > TOGETHER):
            yield group
            group, size = [], 0
        group.append(one)
        size += one.size
    if group:
        yield group


def sift(segment: Segment, filter: Filter) -> Segment:
    """The segment without the reads that cannot hold a row of the filter."""
    frames = segment.frames
    if not len(frames) or not filter.in_frames():
        return segment
    return segment._replace(frames=_reads(frames, filter.candidates(_as_array(frames))))


def parse_segments(segments: Iterable[Segment], filter: Filter, columns: Sequence[str]) -> pa.Table:
    """The segments' rows that meet the filter, with these columns; receiver by receiver, else in the order of the segments."""
    alike: dict[tuple[str, Settings], list[Frames]] = {}
    for segment in segments:
        if len(segment.frames):
            alike.setdefault((segment.name.receiver, segment.settings), []).append(segment.frames)
    found = []
    for (receiver, settings), parts in alike.items():
        frames = _joined(parts)
        if filter.in_frames():
            frames = _hopeful(frames, settings, receiver, filter)
        if len(frames):
            parsed = parse(frames, settings, receiver).table()
            met = _met(parsed, filter)
            found.append(as_rows(parsed if met.all() else parsed.filter(as_array(met)), columns))
    return as_rows(pa.concat_tables(found) if found else SCHEMA.empty_table(), columns)


def _hopeful(frames: Frames, settings: Settings, receiver: str, filter: Filter) -> Frames:
    """The reads that have a row of the filter, where few frames can become one; otherwise all."""
    candidates = filter.candidates(_as_array(frames))
    if not 0 < np.count_nonzero(candidates) <= FEW < len(frames):
        return frames
    alone = parse(_kept(frames, candidates), settings, receiver)
    candidates[candidates] = _met(alone.table(), filter)
    return _reads(frames, candidates)


def _met(parsed: pa.Table, filter: Filter) -> Mask:
    """Which of these rows meet the filter: bool[n]."""
    if not filter.conditions:  # a table without columns would have no rows
        return np.ones(parsed.num_rows, np.bool_)
    return filter.mask(as_rows(parsed, filter.columns()))


def decode(body: bytes, name: SegmentName, filter: Filter) -> Segment:
    """The frames of a stored segment that the filter may want. ``FormatError`` when the bytes are not that segment's."""
    segment = decode_segment(body)
    if segment.name != name:
        raise FormatError(f"cannot read segment {name.key}: it says it is {segment.name.key}")
    return sift(segment, filter)


def _as_array(frames: Frames) -> pa.BinaryArray:
    buffers = [None, pa.py_buffer(np.ascontiguousarray(frames.offsets, np.int32)), pa.py_buffer(frames.data)]
    return pa.Array.from_buffers(pa.binary(), len(frames), buffers)


def _joined(parts: Sequence[Frames]) -> Frames:
    """All frames, one part after the other."""
    if len(parts) == 1:
        return parts[0]
    origins: dict[Origin, int] = {}
    codes = [
        np.array([origins.setdefault(origin, len(origins)) for origin in part.origins], np.int32) for part in parts
    ]
    return Frames(
        np.concatenate([part.data[part.offsets[0] : part.offsets[-1]] for part in parts]),
        np.cumsum(np.concatenate([[0], *(np.diff(part.offsets) for part in parts)])).astype(np.int32),
        np.concatenate([part.flags for part in parts]),
        np.concatenate([part.received for part in parts]),
        np.concatenate([code[part.origin] for code, part in zip(codes, parts, strict=True)]),
        tuple(origins),
    )


def _reads(frames: Frames, wanted: Mask) -> Frames:
    """The reads that any of the frames ``wanted`` came in."""
    starts = np.flatnonzero(np.diff(frames.received, prepend=frames.received[0] - 1))
    lengths = np.diff(starts, append=len(frames))
    kept = np.repeat(np.logical_or.reduceat(wanted, starts), lengths)
    return frames if kept.all() else _kept(frames, kept)


def _kept(frames: Frames, kept: Mask) -> Frames:
    chosen = _as_array(frames).filter(as_array(kept))
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
