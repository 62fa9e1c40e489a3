"""The journal's tail as rows: the frames of segments are sifted by their bytes, parsed and filtered.

A segment's frames came in reads of its receiver's connections. Reads of which no frame contains what the filter needs are left
out before parsing. Only whole reads are left out, because ``nth`` counts frames within a read and must become what it will
be in the table. Where few frames of many can match, these are parsed alone first, to see which reads have a matching row at
all.

Segments of one receiver are parsed together: to parse one costs 5 ms however few frames it has, and a busy receiver stores
fifty a second.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import numpy as np
import pyarrow as pa

from logsink.errors import FormatError
from logsink.journal import Segment, SegmentName, StoredSegment, decode_segment
from logsink.parse import Frames, Origin, Settings, parse
from logsink.query.columns import SCHEMA, Mask, as_array, as_rows, joined
from logsink.query.request import Filter

FEW_FRAMES: Final = 200
"""At most so many frames are parsed alone first, which takes 10 ms at most."""

GROUP_SIZE: Final = 1 << 20
"""Bytes of stored segments that are parsed together: about 8 MiB of frames."""


def groups(stored: Iterable[StoredSegment]) -> Iterator[list[StoredSegment]]:
    """Yield segments that are parsed together: neighbours of one receiver, up to ``GROUP_SIZE``, or a single larger one."""
    group: list[StoredSegment] = []
    size = 0
    for segment in stored:
        if group and (segment.name.receiver != group[0].name.receiver or size + segment.size > GROUP_SIZE):
            yield group
            group, size = [], 0
        group.append(segment)
        size += segment.size
    if group:
        yield group


def sift(segment: Segment, filter: Filter) -> Segment:
    """Return the segment without the reads that cannot have a row that meets the filter."""
    frames = segment.frames
    if not len(frames) or not filter.in_frames():
        return segment
    return segment._replace(frames=_reads(frames, filter.candidates(_as_array(frames))))


def parse_segments(segments: Iterable[Segment], filter: Filter, columns: Sequence[str]) -> pa.Table:
    """Return ``columns`` of the segments' rows that meet the filter: receiver by receiver, else in the order of the segments.

    ``FormatError`` when frames cannot be parsed.
    """
    together: dict[tuple[str, Settings], list[Frames]] = {}
    for segment in segments:
        if len(segment.frames):
            together.setdefault((segment.name.receiver, segment.settings), []).append(segment.frames)
    found = []
    for (receiver, settings), parts in together.items():
        frames = _joined(parts)
        if filter.in_frames():
            frames = _matching_reads(frames, settings, receiver, filter)
        if len(frames):
            parsed = parse(frames, settings, receiver).table()
            mask = _mask(parsed, filter)
            found.append(as_rows(parsed if mask.all() else parsed.filter(as_array(mask)), columns))
    return as_rows(pa.concat_tables(found) if found else SCHEMA.empty_table(), columns)


def parse_readable(
    segments: Sequence[Segment], filter: Filter, columns: Sequence[str]
) -> tuple[pa.Table, list[tuple[SegmentName, FormatError]]]:
    """Return what ``parse_segments`` does, without the segments whose frames cannot be parsed, and which these are."""
    try:
        return parse_segments(segments, filter, columns), []
    except FormatError:  # one by one, to know whose
        tables, failed = [parse_segments((), filter, columns)], []
        for segment in segments:
            try:
                tables.append(parse_segments((segment,), filter, columns))
            except FormatError as error:
                failed.append((segment.name, error))
        return joined(tables), failed


def _matching_reads(frames: Frames, settings: Settings, receiver: str, filter: Filter) -> Frames:
    """Return the reads that have a matching row, where few frames can become one; all reads otherwise."""
    candidates = filter.candidates(_as_array(frames))
    if not 0 < np.count_nonzero(candidates) <= FEW_FRAMES < len(frames):
        return frames
    alone = parse(_filtered(frames, candidates), settings, receiver)
    candidates[candidates] = _mask(alone.table(), filter)
    return _reads(frames, candidates)


def _mask(parsed: pa.Table, filter: Filter) -> Mask:
    """Return which of these rows meet the filter: bool[n]."""
    if not filter.conditions:  # a table without columns would have no rows
        return np.ones(parsed.num_rows, np.bool_)
    return filter.mask(as_rows(parsed, filter.columns()))


def decode(body: bytes, name: SegmentName, filter: Filter) -> tuple[Segment, int | None]:
    """Return a stored segment, sifted by ``filter``, and when the last of all its frames was received; None without frames.

    ``FormatError`` when the bytes are damaged or those of another segment.
    """
    whole = decode_segment(body, name)
    return sift(whole, filter), int(whole.frames.received[-1]) if len(whole.frames) else None


def _as_array(frames: Frames) -> pa.BinaryArray:
    """Return the frames as an Arrow array; their bytes are not copied."""
    buffers = [None, pa.py_buffer(np.ascontiguousarray(frames.offsets, np.int32)), pa.py_buffer(frames.data)]
    return pa.Array.from_buffers(pa.binary(), len(frames), buffers)


def _joined(parts: Sequence[Frames]) -> Frames:
    """Return the frames of all parts, one part after the other."""
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


def _reads(frames: Frames, chosen: Mask) -> Frames:
    """Return the reads that any of the chosen frames came in: frames of one read have the same time of receipt."""
    starts = np.flatnonzero(np.diff(frames.received, prepend=frames.received[0] - 1))
    lengths = np.diff(starts, append=len(frames))
    kept = np.repeat(np.logical_or.reduceat(chosen, starts), lengths)
    return frames if kept.all() else _filtered(frames, kept)


def _filtered(frames: Frames, mask: Mask) -> Frames:
    """Return the frames in ``mask``."""
    kept = _as_array(frames).filter(as_array(mask))
    _, offsets, data = kept.buffers()
    first = kept.offset
    return Frames(
        np.frombuffer(data, np.uint8) if data is not None else np.zeros(0, np.uint8),
        np.frombuffer(offsets, np.int32)[first : first + len(kept) + 1],
        frames.flags[mask],
        frames.received[mask],
        frames.origin[mask],
        frames.origins,
    )
