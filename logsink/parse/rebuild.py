"""Frames from rows: what ``wire`` and the columns, or else ``raw``, say the sender sent. Arrow and numpy, no
kernels."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from logsink.errors import FormatError
from logsink.parse.shape import BSD, BSD_ZERO
from logsink.parse.wire import Time, items

RAW_COLUMNS: Final = (
    "time",
    "facility",
    "severity",
    "host",
    "app",
    "procid",
    "msgid",
    "structured_data",
    "message",
    "wire",
    "raw",
)
"""The columns that ``raw_frames`` reads."""

_MONTHS = np.array([list(name) for name in (
    b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"
)], np.uint8)  # fmt: skip

Digits = npt.NDArray[np.uint8]


def raw_frames(table: pa.Table) -> pa.BinaryArray:
    """Each row's frame, byte for byte as it was received, without its framing.

    ``table`` has at least ``RAW_COLUMNS``, plain or dictionary-encoded, in any number of chunks. ``FormatError``: a
    template that this version does not know, or a row with neither template nor raw bytes.
    """
    codes, texts = _coded(table["wire"])
    if len(codes) == 0:
        return pa.array([], pa.binary())
    order = np.argsort(codes, kind="stable")
    starts = np.flatnonzero(np.diff(codes[order], prepend=-2))
    parts = []
    for start, end in zip(starts, [*starts[1:], len(codes)], strict=True):
        rows = table if end - start == len(codes) else table.take(pa.array(order[start:end]))
        code = codes[order[start]]
        parts.append(_raw(rows) if code < 0 else _filled(items(texts[code]), rows))
    frames = pa.concat_arrays(parts)
    if len(parts) == 1:
        return frames
    back = np.empty(len(order), np.int64)
    back[order] = np.arange(len(order))
    return frames.take(pa.array(back))


def _coded(column: pa.ChunkedArray) -> tuple[npt.NDArray[np.int32], list[str]]:
    """Codes, -1 for null, and what they stand for."""
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    array = column.unify_dictionaries().combine_chunks()
    if isinstance(array, pa.ChunkedArray):  # of no chunks
        return np.zeros(0, np.int32), []
    return array.indices.cast(pa.int32()).fill_null(-1).to_numpy(zero_copy_only=False), array.dictionary.to_pylist()


def _plain(column: pa.ChunkedArray, kind: pa.DataType) -> pa.Array:
    array = column.cast(kind).combine_chunks()
    return pa.concat_arrays(array.chunks) if isinstance(array, pa.ChunkedArray) else array


def _raw(rows: pa.Table) -> pa.Array:
    raw = _plain(rows["raw"], pa.binary())
    if raw.null_count:
        raise FormatError("cannot rebuild a frame: its row has neither wire nor raw")
    return raw


def _filled(template: list[bytes | str | Time], rows: pa.Table) -> pa.Array:
    """The template filled from the columns of each row."""
    parts = [_part(item, rows) for item in template]
    if all(isinstance(part, pa.Scalar) for part in parts):  # there is nothing but literals
        return pa.array([b"".join(part.as_py() for part in parts)] * rows.num_rows, pa.binary())
    frames = pc.binary_join_element_wise(*parts, pa.scalar(b"", pa.binary()))
    if frames.null_count:
        raise FormatError("cannot rebuild a frame: its template names a column that is null")
    return frames


def _part(item: bytes | str | Time, rows: pa.Table) -> pa.Array | pa.Scalar:
    if isinstance(item, bytes):
        return pa.scalar(item, pa.binary())
    if isinstance(item, Time):
        return _times(_plain(rows["time"], pa.int64()).to_numpy(), item)
    if item == "pri":
        facility, severity = (_plain(rows[name], pa.int32()) for name in ("facility", "severity"))
        pri = pc.add(pc.multiply(facility, pa.scalar(8, pa.int32())), severity)
        return pri.cast(pa.string()).cast(pa.binary())
    column = rows["structured_data" if item == "sd" else item]
    return _plain(column, pa.string()).cast(pa.binary())


def _times(time: npt.NDArray[np.int64], style: Time) -> pa.Array:
    """Each time in this style, all equally long."""
    local = time + style.minutes * 60_000_000
    day, micros = np.divmod(local, 86_400_000_000)
    dates = day.astype("datetime64[D]")
    months = dates.astype("datetime64[M]")
    of_month = (dates - months).astype(np.int64) + 1
    number = months.astype(np.int64)
    if style.style == 0:
        head: list[bytes | Digits] = [
            _digits(number // 12 + 1970, 4),
            b"-",
            _digits(number % 12 + 1, 2),
            b"-",
            _digits(of_month, 2),
            b"T",
        ]
    else:
        width = 2 if style.style in (BSD, BSD_ZERO) else 1
        dom = _digits(of_month, width)
        if style.style == BSD:
            dom[of_month < 10, 0] = ord(" ")
        head = [_MONTHS[number % 12], b" ", dom, b" "]
    seconds, micros = np.divmod(micros, 1_000_000)
    clock: list[bytes | Digits] = [
        _digits(seconds // 3600, 2),
        b":",
        _digits(seconds // 60 % 60, 2),
        b":",
        _digits(seconds % 60, 2),
    ]
    tail: list[bytes | Digits] = (
        [b".", _digits(micros // 10 ** (6 - style.digits), style.digits)] if style.digits else []
    )
    pieces = [
        np.broadcast_to(np.frombuffer(piece, np.uint8), (len(time), 1)) if isinstance(piece, bytes) else piece
        for piece in [*head, *clock, *tail]
    ]
    text = np.concatenate(pieces, axis=1)
    offsets = np.arange(len(time) + 1, dtype=np.int32) * text.shape[1]
    return pa.Array.from_buffers(pa.binary(), len(time), [None, pa.py_buffer(offsets), pa.py_buffer(text)])


def _digits(value: npt.NDArray[np.int64], width: int) -> Digits:
    """Decimal digits of each value, a row each, with leading zeros."""
    tens = 10 ** np.arange(width - 1, -1, -1)
    return (value[:, None] // tens % 10 + ord("0")).astype(np.uint8)
